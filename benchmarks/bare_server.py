"""A server that does as little as a server can: the floor of any latency measured over HTTP on this machine.

    python benchmarks/bare_server.py FIRST_S TOTAL_S WRITES

It reads no request, only notices that one came, and answers with canned bytes: the whole answer after TOTAL_S seconds
when WRITES is 0, else that many parts of a stream from FIRST_S to TOTAL_S. It has the same event loop as the mock and,
like the mock, keeps time; so what is late here is late because of the machine, the timers, the loopback or the client.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from typing import Final, cast

import uvloop

from jobctl.adapters.processes import keep_time

#: As long as the mock's answers: 250 words of one token, or events of about 300 bytes.
_ANSWER: Final = b"x" * 1700
_EVENT: Final = b"x" * 300
_PLAIN: Final = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(_ANSWER), _ANSWER)
_HEAD: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_PART: Final = b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT)
_END: Final = b"0\r\n\r\n"


class Bare(asyncio.Protocol):
    """One connection."""

    def __init__(self, first_s: float, total_s: float, writes: int) -> None:
        self._instants = [first_s + (total_s - first_s) * n / (writes - 1) for n in range(writes)] or [total_s]
        self._stream = writes > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        self._arrived_s = time.monotonic()
        if self._stream:
            self._transport.write(_HEAD)
        self._wait(0)

    def _wait(self, position: int) -> None:
        wait_s = self._arrived_s + self._instants[position] - time.monotonic()
        asyncio.get_running_loop().call_later(max(wait_s, 0), partial(self._write, position))

    def _write(self, position: int) -> None:
        if not self._stream:
            self._transport.write(_PLAIN)
        elif position == len(self._instants) - 1:
            self._transport.write(_PART + _END)
        else:
            self._transport.write(_PART)
            self._wait(position + 1)


async def serve(first_s: float, total_s: float, writes: int) -> None:
    """Serve until stopped, and say where."""
    server = await asyncio.get_running_loop().create_server(partial(Bare, first_s, total_s, writes), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    keep_time()
    uvloop.run(serve(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
