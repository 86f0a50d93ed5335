"""Serving an ASGI application with uvicorn on a socket that was bound before anything else started."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import uvicorn

from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["listen", "serve"]

_BACKLOG: Final = 2048
#: How long answers in flight may take once the server was told to stop, whole seconds.
_GRACE_S: Final = 1


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen.

    Raises:
        InvalidOption: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        option = "--host" if isinstance(error, socket.gaierror) else "--port"
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidOption(
            option, f"{host}:{port} cannot be had ({reason.lower()})", "give another one; --port 0 picks a free port"
        ) from None
    listener.listen(_BACKLOG)
    return listener


def serve(app: Starlette, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; answers in flight get a second to finish."""
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=_GRACE_S
    )
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # uvicorn raises the signal again once it has stopped
