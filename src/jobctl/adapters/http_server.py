"""Serving an ASGI application with uvicorn on a socket that was bound before anything else started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from jobctl.adapters.processes import keep_time

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.types import ASGIApp

__all__ = ["serve"]

#: How long answers in flight may take once the server was told to stop, whole seconds.
_GRACE_S: Final = 1
#: How long an idle connection is kept, whole seconds: longer than clients keep theirs, so that none sends on a
#: connection that is being closed.
_KEEP_ALIVE_S: Final = 400
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, on time; answers in flight get a second to finish.

    Must be called on the main thread. Being stopped is the ordinary end: it returns.
    """
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    keep_time()
    with _stopped_by_signals(server):
        server.run(sockets=[listener])


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let signals end the server from the first moment on.

    Uvicorn has handlers of its own while it serves. When it has stopped it puts ours back and raises the signals
    again; then ours have nothing left to do, where Python's would end the process.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
