"""How exactly ``jobctl mock`` keeps its latencies, and what a call costs it.

    python benchmarks/mock_latency.py [--rate 200] [--duration 10] [--repeats 3]

Open loop: calls leave on a Poisson schedule, whatever the mock does, over as many connections as that takes. A call's
error is what was observed (first byte written until last byte read) minus what the mock drew for it, which /generation
tells; so it holds the mock's own lateness, both sides' event loops and the loopback. Figures are the median of the
repeats, each against a mock of its own in a process of its own.
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
from statistics import median
from typing import cast
from urllib.parse import urlsplit

import psutil
import uvloop

CASES = [
    ("plain, constant 0.2 s", "constant:200ms", False),
    ("plain, lognormal 1 s", "lognormal:mean=1s,p95=2s", False),
    ("stream, constant 1 s", "constant:1s", True),
    ("plain, openrouter", "openrouter", False),
]
KEY = "sk-or-v1-benchmark"
#: The mock knows a generation only this long after the call.
SETTLE_S = 1.0


@dataclass(frozen=True)
class Figures:
    """One case, once."""

    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms: float
    send_lag_p99_ms: float


class Connection(asyncio.Protocol):
    """A keep-alive connection with one call in flight, timed in the protocol itself."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[float, bytes]] | None = None
        self._answer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._complete():
            assert self.done is not None
            self.done.set_result((time.monotonic(), bytes(self._answer)))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(ConnectionError("the mock hung up"))

    async def exchange(self, request: bytes) -> tuple[float, bytes]:
        """Send, wait for the whole answer; seconds it took and its bytes."""
        self._answer.clear()
        self.done = asyncio.get_running_loop().create_future()
        sent_s = time.monotonic()
        self.transport.write(request)
        received_s, answer = await self.done
        return received_s - sent_s, answer

    def _complete(self) -> bool:
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator:
            return False
        if b"transfer-encoding: chunked" in head:
            return body.endswith(b"0\r\n\r\n")
        return len(body) == int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


@contextmanager
def running_mock(latency: str) -> Iterator[tuple[psutil.Process, str, int]]:
    """A mock in a process of its own: the process, its host and its port."""
    command = [sys.executable, "-m", "jobctl", "mock", "--port", "0", "--latency", latency]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
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
    process: psutil.Process, host: str, port: int, *, rate: float, duration: float, stream: bool
) -> Figures:
    """Send the schedule and compare each call with its draw."""
    loop = asyncio.get_running_loop()
    body = json.dumps(
        {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello " * 20}], "stream": stream}
    ).encode()
    post = _request("POST", "/api/v1/chat/completions", host, body)
    idle: list[Connection] = []

    async def connected() -> Connection:
        while idle and idle[-1].transport.is_closing():
            idle.pop()
        return idle.pop() if idle else (await loop.create_connection(Connection, host, port))[1]

    async def call() -> tuple[float, str]:
        connection = await connected()
        took_s, answer = await connection.exchange(post)
        idle.append(connection)
        return took_s, answer.partition(b'"id":')[2].split(b'"')[1].decode()

    async def drawn_s(generation: str) -> float:
        connection = await connected()
        _, answer = await connection.exchange(_request("GET", f"/api/v1/generation?id={generation}", host))
        idle.append(connection)
        data = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
        return float(data["latency"] + data["generation_time"]) / 1000

    await asyncio.gather(*(call() for _ in range(20)))  # warm-up: imports, connections
    rng, due_s, lags, calls = random.Random(1), 0.0, [], []
    before_s, start_s = cpu_s(process), time.monotonic() + 0.1
    while (due_s := due_s + rng.expovariate(rate)) < duration:
        wait_s = start_s + due_s - time.monotonic()
        await asyncio.sleep(max(wait_s, 0))
        lags.append(time.monotonic() - start_s - due_s)
        calls.append(asyncio.create_task(call()))
    results = await asyncio.gather(*calls)
    cpu_ms = (cpu_s(process) - before_s) / len(calls) * 1000
    await asyncio.sleep(SETTLE_S)
    errors_ms = [(took_s - await drawn_s(generation)) * 1000 for took_s, generation in results]
    for connection in idle:
        connection.transport.close()
    return Figures(
        len(calls),
        *(at_rank(errors_ms, q) for q in (0.5, 0.95, 0.99, 1.0)),
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
    options = parser.parse_args()
    gc.freeze()
    gc.disable()  # a collection here would be counted as the mock's lateness
    columns = ("calls", "p50", "p95", "p99", "max", "CPU ms/call", "send lag p99")
    print(f"error in ms at {options.rate:g} calls/s, median of {options.repeats}")
    print(f"{'case':24}" + "".join(f"{column:>14}" for column in columns))
    for name, latency, stream in CASES:
        runs = []
        for _ in range(options.repeats):
            with running_mock(latency) as (process, host, port):
                run = measure(process, host, port, rate=options.rate, duration=options.duration, stream=stream)
                runs.append(uvloop.run(run))
        figures = [median(values) for values in zip(*(vars(run).values() for run in runs), strict=True)]
        print(f"{name:24}{figures[0]:>14.0f}" + "".join(f"{value:>14.3f}" for value in figures[1:]), flush=True)


if __name__ == "__main__":
    main()
