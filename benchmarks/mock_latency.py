"""How exactly ``jobctl mock`` keeps its latencies, and what a call costs it.

    python benchmarks/mock_latency.py [--rate 200] [--duration 10] [--repeats 3]

Open loop: calls leave on a Poisson schedule, whatever the mock does, over as many connections as that takes. A call's
error is what was observed (request written until last byte read) minus what the mock drew for it, which /generation
tells; so it holds the mock's own lateness, both sides' event loops and the loopback. Early counts as an error too:
percentiles are those of its size.

The rows called "floor" show how much of that is not the mock's: the same client, schedule and latency against a server
that parses nothing and writes canned bytes (``bare_server.py``). Figures are the median of the repeats, each against a
server of its own in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast
from urllib.parse import urlsplit

import psutil
import uvloop

from jobctl.adapters.processes import keep_time


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: What is measured.
        arguments: Of the program that serves.
        stream: Whether answers are streamed.
        known_s: How long each call should take; None to ask the mock.
    """

    name: str
    arguments: Sequence[str]
    stream: bool = False
    known_s: float | None = None


MOCK = ("-m", "jobctl", "mock", "--port", "0", "--latency")
BARE = (str(Path(__file__).with_name("bare_server.py")),)
CASES = [
    Case("floor: plain 0.2 s", (*BARE, "0", "0.2", "0"), known_s=0.2),
    Case("plain, constant 0.2 s", (*MOCK, "constant:200ms")),
    Case("plain, lognormal 1 s", (*MOCK, "lognormal:mean=1s,p95=2s")),
    Case("plain, openrouter", (*MOCK, "openrouter")),
    Case("floor: 20 writes in 1 s", (*BARE, "0.4", "1", "20"), stream=True, known_s=1.0),
    Case("stream, constant 1 s", (*MOCK, "constant:1s"), stream=True),
    Case("stream, lognormal 1 s", (*MOCK, "lognormal:mean=1s,p95=2s"), stream=True),
    Case("floor: 20 writes in 4 s", (*BARE, "0.8", "4", "20"), stream=True, known_s=4.0),
    Case("stream, openrouter", (*MOCK, "openrouter"), stream=True),
]
KEY = "sk-or-v1-benchmark"
#: The mock knows a generation only this long after the call.
SETTLE_S = 1.0
WARM_UP_CALLS = 20


@dataclass(frozen=True)
class Figures:
    """One case, once."""

    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    early_ms: float
    cpu_ms: float
    send_lag_p99_ms: float


class Connection(asyncio.Protocol):
    """A keep-alive connection with one call in flight, timed in the protocol itself."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[float, bytes]] | None = None
        self._answer = bytearray()
        self._length: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        self._answer += data
        if self._complete():
            assert self.done is not None
            self.done.set_result((now_s, bytes(self._answer)))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(ConnectionError("the server hung up"))

    async def exchange(self, request: bytes) -> tuple[float, bytes]:
        """Send, wait for the whole answer; seconds it took and its bytes."""
        self._answer.clear()
        self._length = None
        self.done = asyncio.get_running_loop().create_future()
        sent_s = time.monotonic()
        self.transport.write(request)
        received_s, answer = await self.done
        return received_s - sent_s, answer

    def _complete(self) -> bool:
        """Whether the answer is all there; its head is read once, for a stream brings many parts."""
        if self._length is None:
            head, separator, _ = self._answer.partition(b"\r\n\r\n")
            if not separator:
                return False
            if b"transfer-encoding: chunked" in head:
                self._length = 0
            else:
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self._length = len(head) + len(separator) + int(length)
        return len(self._answer) == self._length if self._length else self._answer.endswith(b"\r\n0\r\n\r\n")


@contextmanager
def running(arguments: Sequence[str]) -> Iterator[tuple[psutil.Process, str, int]]:
    """A server in a process of its own: the process, its host and its port."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http://"))
            address = urlsplit(url)
            yield psutil.Process(process.pid), address.hostname or "", address.port or 0
        finally:
            process.terminate()


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(
    case: Case, process: psutil.Process, host: str, port: int, *, rate: float, duration: float
) -> Figures:
    """Send the schedule and compare each call with what it should take."""
    loop = asyncio.get_running_loop()
    body = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello " * 20}],
        "stream": case.stream,
    }
    post = _request("POST", "/api/v1/chat/completions", host, json.dumps(body).encode())
    idle: list[Connection] = []

    async def exchange(request: bytes) -> tuple[float, bytes]:
        while idle and idle[-1].transport.is_closing():
            idle.pop()
        connection = idle.pop() if idle else (await loop.create_connection(Connection, host, port))[1]
        took_s, answer = await connection.exchange(request)
        idle.append(connection)
        return took_s, answer

    async def expected_s(answer: bytes) -> float:
        if case.known_s is not None:
            return case.known_s
        generation = answer.partition(b'"id":')[2].split(b'"', 2)[1].decode()
        _, document = await exchange(_request("GET", f"/api/v1/generation?id={generation}", host))
        data = json.loads(document.partition(b"\r\n\r\n")[2])["data"]
        return float(data["latency"] + data["generation_time"]) / 1000

    await asyncio.gather(*(exchange(post) for _ in range(WARM_UP_CALLS)))  # imports, connections
    rng, due_s, lags, calls = random.Random(1), 0.0, [], []
    before_s, start_s = cpu_s(process), time.monotonic() + 0.1
    while (due_s := due_s + rng.expovariate(rate)) < duration:
        wait_s = start_s + due_s - time.monotonic()
        await asyncio.sleep(max(wait_s, 0))
        lags.append(time.monotonic() - start_s - due_s)
        calls.append(asyncio.create_task(exchange(post)))
    results = await asyncio.gather(*calls)
    cpu_ms = (cpu_s(process) - before_s) / len(calls) * 1000
    await asyncio.sleep(SETTLE_S if case.known_s is None else 0)
    errors_ms = [(took_s - await expected_s(answer)) * 1000 for took_s, answer in results]
    for connection in idle:
        connection.transport.close()
    sizes_ms = [abs(error_ms) for error_ms in errors_ms]
    return Figures(
        len(calls),
        *(at_rank(sizes_ms, q) for q in (0.5, 0.95, 0.99, 1.0)),
        max(0.0, -min(errors_ms)),
        cpu_ms,
        at_rank(lags, 0.99) * 1000,
    )


def at_rank(values: Sequence[float], q: float) -> float:
    """The smallest value that a share ``q`` of them does not exceed."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def _request(method: str, path: str, host: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=200.0, help="calls per second")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds of each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    options = parser.parse_args()
    keep_time()
    gc.disable()  # a collection here would be counted as the mock's lateness
    columns = ("calls", "p50", "p95", "p99", "max", "earliest", "CPU ms/call", "send lag p99")
    print(f"size of the error in ms at {options.rate:g} calls/s, median of {options.repeats}")
    print(f"{'case':24}" + "".join(f"{column:>13}" for column in columns))
    for case in CASES:
        if options.only not in case.name:
            continue
        runs = []
        for _ in range(options.repeats):
            with running(case.arguments) as (process, host, port):
                run = measure(case, process, host, port, rate=options.rate, duration=options.duration)
                runs.append(uvloop.run(run))
        figures = [median(values) for values in zip(*(vars(run).values() for run in runs), strict=True)]
        print(f"{case.name:24}{figures[0]:>13.0f}" + "".join(f"{value:>13.3f}" for value in figures[1:]), flush=True)


if __name__ == "__main__":
    main()
