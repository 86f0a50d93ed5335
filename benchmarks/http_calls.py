"""What a call to OpenRouter costs its client, by the number of calls in flight from one process.

    python benchmarks/http_calls.py [--duration 2] [--repeats 5] [--calls 25 100 250]

The server answers after 200 ms with a completion of OpenRouter's in one chunk, from a process of its own and as cheaply
as it can. Each client runs in a process of its own too. Every caller sends its next call when the last one is answered
and its JSON parsed; connecting is not in the figures.

share   Calls per second as a share of what 200 ms allow: calls in flight / 0.2 s.
ms      CPU time of the client's process for a call, milliseconds.

Figures are medians of the repeats, which take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final, cast

import httpx
import uvloop

from jobctl.adapters.http_calls import HttpCaller
from jobctl.adapters.http_connection import Connection
from jobctl.adapters.openrouter import OpenRouterClient
from jobctl.adapters.processes import keep_time

CALL_S: Final = 0.2
TIMEOUT_S: Final = 60.0
PATH: Final = "/api/v1/chat/completions"
MESSAGES: Final = [{"role": "user", "content": "hello world " * 40}]
MODEL: Final = "meta-llama/llama-3.3-70b-instruct"
BODY: Final = json.dumps({"model": MODEL, "messages": MESSAGES, "max_tokens": 250}).encode()
KEY: Final = "sk-or-v1-benchmark"
HEADERS: Final = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
COMPLETION: Final = {
    "id": "gen-1753000000-AbCdEfGhIjKlMnOpQrSt",
    "provider": "DeepInfra",
    "model": MODEL,
    "object": "chat.completion",
    "created": 1753000000,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "message": {"role": "assistant", "content": "lorem ipsum dolor sit amet " * 40, "refusal": None},
        }
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 250, "total_tokens": 370, "cost": 0.000123},
}

Call = Callable[[], object]
AsyncCall = Callable[[], Awaitable[object]]


# -------------------------------------------------------------------------------------------------------------- server


class Server(asyncio.Protocol):
    """One connection."""

    _DATA: Final = json.dumps(COMPLETION).encode()
    _HEAD: Final = (
        b"HTTP/1.1 200 OK\r\nDate: Mon, 20 Jul 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nAccess-Control-Allow-Origin: *\r\n"
        b"Vary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\nServer: cloudflare\r\n"
        b"CF-RAY: 95f0a1b2c3d4e5f6-FRA\r\nReferrer-Policy: no-referrer\r\n\r\n"
    )
    _ANSWER: Final = b"%s%x\r\n%s\r\n0\r\n\r\n" % (_HEAD, len(_DATA), _DATA)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        if data.endswith(BODY[-20:]):  # some clients send the head by itself
            asyncio.get_running_loop().call_later(CALL_S, self._transport.write, self._ANSWER)


async def serve() -> None:
    """Serve until stopped, and say where."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1000)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


# ------------------------------------------------------------------------------------------------------------- clients


def _ours(origin: str) -> Callable[[], Call]:
    client = OpenRouterClient(f"{origin}/api/v1", KEY, timeout_s=TIMEOUT_S)
    return lambda: lambda: client.chat(messages=MESSAGES, model=MODEL, max_tokens=250)


def _caller(origin: str) -> Callable[[], Call]:
    caller = HttpCaller()
    return lambda: lambda: json.loads(caller.post(origin + PATH, BODY, HEADERS, time.monotonic() + TIMEOUT_S).body)


def _connection(origin: str) -> Callable[[], Call]:
    url, tls = httpx.URL(origin + PATH), ssl.create_default_context()
    timeout = httpx.Timeout(TIMEOUT_S).as_dict()

    def make() -> Call:
        connection = Connection(tls, lambda opened: None)

        def call() -> object:
            request = httpx.Request("POST", url, headers=HEADERS, content=BODY, extensions={"timeout": timeout})
            return json.loads(connection.handle_request(request).read())

        return call

    return make


def _posting(client: httpx.Client, origin: str) -> Call:
    return lambda: json.loads(client.post(origin + PATH, content=BODY, headers=HEADERS).content)


def _shared(origin: str) -> Callable[[], Call]:
    client = httpx.Client(timeout=TIMEOUT_S, limits=httpx.Limits())
    return lambda: _posting(client, origin)


def _each(origin: str) -> Callable[[], Call]:
    tls = httpx.create_ssl_context()
    return lambda: _posting(httpx.Client(timeout=TIMEOUT_S, verify=tls), origin)


def _standard(origin: str) -> Callable[[], Call]:
    def make() -> Call:
        connection = http.client.HTTPConnection(httpx.URL(origin).netloc.decode(), timeout=TIMEOUT_S)

        def call() -> object:
            connection.request("POST", PATH, BODY, HEADERS)
            return json.loads(connection.getresponse().read())

        return call

    return make


def _awaiting(client: httpx.AsyncClient, origin: str) -> AsyncCall:
    async def call() -> object:
        return json.loads((await client.post(origin + PATH, content=BODY, headers=HEADERS)).content)

    return call


def _async_shared(origin: str) -> Callable[[], AsyncCall]:
    client = httpx.AsyncClient(timeout=TIMEOUT_S, limits=httpx.Limits())
    return lambda: _awaiting(client, origin)


def _async_each(origin: str) -> Callable[[], AsyncCall]:
    tls = httpx.create_ssl_context()
    return lambda: _awaiting(httpx.AsyncClient(timeout=TIMEOUT_S, verify=tls), origin)


THREADS: Final[dict[str, Callable[[str], Callable[[], Call]]]] = {
    "jobctl OpenRouterClient": _ours,
    "jobctl HttpCaller": _caller,
    "jobctl Connection, no deadline": _connection,
    "httpx.Client for each thread": _each,
    "httpx.Client, shared": _shared,
    "http.client for each thread": _standard,
}
TASKS: Final[dict[str, Callable[[str], Callable[[], AsyncCall]]]] = {
    "httpx.AsyncClient for each task": _async_each,
    "httpx.AsyncClient, shared": _async_shared,
}


# ----------------------------------------------------------------------------------------------------------- measuring


def on_threads(make: Callable[[], Call], callers: int, duration_s: float) -> tuple[float, float]:
    """Calls per second, and CPU seconds for each."""
    ready = threading.Barrier(callers + 1)
    done: list[tuple[int, float]] = []

    def run() -> None:
        call = make()
        call()
        ready.wait()
        calls, started_s = 0, time.monotonic()
        while (elapsed_s := time.monotonic() - started_s) < duration_s:
            call()
            calls += 1
        done.append((calls, elapsed_s))

    threads = [threading.Thread(target=run) for _ in range(callers)]
    for thread in threads:
        thread.start()
    ready.wait()
    cpu_s = time.process_time()
    for thread in threads:
        thread.join()
    return _rate(done, time.process_time() - cpu_s)


async def on_tasks(make: Callable[[], AsyncCall], callers: int, duration_s: float) -> tuple[float, float]:
    """Calls per second, and CPU seconds for each."""
    done: list[tuple[int, float]] = []

    async def run(call: AsyncCall) -> None:
        calls, started_s = 0, time.monotonic()
        while (elapsed_s := time.monotonic() - started_s) < duration_s:
            await call()
            calls += 1
        done.append((calls, elapsed_s))

    all_calls = [make() for _ in range(callers)]
    await asyncio.gather(*[call() for call in all_calls])
    cpu_s = time.process_time()
    await asyncio.gather(*[run(call) for call in all_calls])
    return _rate(done, time.process_time() - cpu_s)


def _rate(done: list[tuple[int, float]], cpu_s: float) -> tuple[float, float]:
    return sum(calls / elapsed_s for calls, elapsed_s in done), cpu_s / sum(calls for calls, _ in done)


def _measure_here(name: str, origin: str, callers: int, duration_s: float) -> None:
    """Measure in this process, and print the figures."""
    if name in THREADS:
        rate, cpu_s = on_threads(THREADS[name](origin), callers, duration_s)
    else:
        rate, cpu_s = asyncio.run(on_tasks(TASKS[name](origin), callers, duration_s))
    print(json.dumps([rate * CALL_S / callers, cpu_s * 1000]), flush=True)
    os._exit(0)  # no client's farewell belongs to the figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=2.0, help="seconds for each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--calls", type=int, nargs="+", default=[25, 100, 250], help="calls in flight")
    options = parser.parse_args()
    figures: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        origin = server.stdout.readline().strip()
        for _ in range(options.repeats):
            for callers in options.calls:
                for name in [*THREADS, *TASKS]:
                    command = [sys.executable, __file__, "one", name, origin, str(callers), str(options.duration)]
                    share, cpu_ms = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                    figures.setdefault((name, callers), []).append((share, cpu_ms))
        server.terminate()
    print(f"{'':33}" + "".join(f"{f'{callers} in flight':>18}" for callers in options.calls))
    print(f"{'':33}" + f"{'share':>10}{'ms':>8}" * len(options.calls))
    for name in [*THREADS, *TASKS]:
        row = [tuple(map(median, zip(*figures[name, callers], strict=True))) for callers in options.calls]
        print(f"{name:33}" + "".join(f"{share:10.2f}{cpu_ms:8.2f}" for share, cpu_ms in row))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {options.repeats}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            keep_time()
            uvloop.run(serve())
        case ["one", name, origin, callers, duration_s]:
            _measure_here(name, origin, int(callers), float(duration_s))
        case _:
            main()
