"""Hearing that a queue is no longer empty, for any number of queues, without taking anything from them.

Redis can block on several lists only by popping from them, and a job that was popped and not yet on the books is lost
with its worker. So an idle worker reads the queues' lengths on a connection with *tracking*: the server remembers which
keys were read and sends one message when one of them changes. Where it must not track (an ACL without CLIENT TRACKING,
a proxy without RESP3), the queues are looked at every so often instead.
"""

# mypy: allow-untyped-calls
# redis-py's connections are typed in part only.

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from jobctl.adapters.outage import Outage

__all__ = ["Listener"]

#: Longest wait for a message before the lengths are read again, seconds: a message that was lost costs no more.
_LISTEN_S: Final = 5.0
#: Seconds between two looks where the server does not track, and at whether it was armed for other queues.
_LOOK_S: Final = 0.05
#: Longest wait for the lengths, seconds.
_ANSWER_S: Final = 5.0


class Listener:
    """A thread that calls when there may be something in a queue.

    Args:
        connection: Redis; a connection of its own is made to the same server.
        call: Called on the thread, once for each time it was armed.
        outage: Is told when Redis does not answer.
    """

    def __init__(self, connection: Redis, call: Callable[[], None], outage: Outage) -> None:
        self._pool = connection.connection_pool
        self._keys: Sequence[str] = ()
        self._call = call
        self._outage = outage
        self._armed = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._link: AbstractConnection | None = None
        self._tracks = True

    def arm(self, keys: Sequence[str]) -> None:
        """Call once when there is something in one of these queues, now or later."""
        self._keys = keys
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="listener", daemon=True)
            self._thread.start()
        self._armed.set()

    def close(self) -> None:
        """End the thread soon; it is not waited for."""
        self._closed.set()
        self._armed.set()

    def _serve(self) -> None:
        while not self._closed.is_set():
            self._armed.wait()
            if self._closed.is_set():
                break
            try:
                heard = self._listen()
            except (RedisError, OSError) as error:
                if self._closed.is_set():
                    break
                self._outage.began(error)
                self._drop()
                self._closed.wait(_LOOK_S)
                continue
            if heard:
                self._armed.clear()
                self._call()
        self._drop()

    def _listen(self) -> bool:
        """Whether there is something, after waiting for it a while."""
        link = self._link or self._connected()
        keys = self._keys
        for key in keys:
            link.send_command("LLEN", key)
        lengths: list[Any] = [link.read_response() for _ in keys]
        if any(lengths):
            return True
        if not keys or not self._tracks:
            self._closed.wait(_LOOK_S)
            return False
        until_s = time.monotonic() + _LISTEN_S
        while keys == self._keys and time.monotonic() < until_s:  # it may be armed anew, for other queues
            if link.can_read(_LOOK_S):
                return True
        return False

    def _connected(self) -> AbstractConnection:
        """A connection that tracks; where that is refused, one that does not."""
        try:
            link = self._connect(protocol=3)
            link.send_command("CLIENT", "TRACKING", "ON")
            link.read_response()
        except ResponseError:
            self._drop()
            self._tracks = False
            return self._connect()
        self._tracks = True
        return link

    def _connect(self, **settings: Any) -> AbstractConnection:
        settings = {**self._pool.connection_kwargs, "socket_timeout": _ANSWER_S, **settings}
        link: AbstractConnection = self._pool.connection_class(**settings)
        self._link = link
        link.connect()
        return link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.disconnect()
            self._link = None
