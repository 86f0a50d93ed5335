"""How well a load generator keeps its schedule, and what it costs.

    python benchmarks/generator.py [--duration 20] [--http-rate 500]

First jobctl's own: jobs that nobody runs, enqueued into a Redis of its own at a constant rate by one process and by
two (led by a master, as `jobctl bench --processes 2` does). Lag is from the instant at which a job was meant to arrive
until its round trip began; CPU is that of the generators while they sent, following the jobs included.

Then the same pacer beside other tools, all against one HTTP server that notes when each request is there. So the
figures are the server's and no tool's own. A tool is asked for a constant rate; its error is how late the n-th request
was after the first one plus n times the interval, less the smallest such lateness, for a tool may choose when it
begins. In the second half of the table the server answers nothing for a second in the middle: who waits for answers
before it sends goes on late or never makes up for it.

jobctl   core.pacing and a greenlet for each request
locust   plain Locust: users with constant_throughput(10), as many as the rate needs
hey      hey -q 10 -c N: as many workers, each with a rate of its own
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from jobctl.adapters import embedded_redis
from jobctl.adapters.load_process import LoadProcess
from jobctl.adapters.processes import ProcessGroup, keep_time
from jobctl.adapters.redis_connection import connect
from jobctl.apps.bench.session import read_records
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import CONSTANT, Stage
from jobctl.core.crew import Crew, GeneratorUse
from jobctl.core.quantiles import Sample
from jobctl.core.workload import make_workload
from jobctl.wiring.load import agree_start, new_run_id

ROOT: Final = Path(__file__).resolve().parent.parent
LOCUSTFILE: Final = ROOT / "loadtests" / "locustfile.py"
HEY: Final = ROOT / ".tools" / "bin" / "hey"
#: Requests a second of one Locust user, and of one worker of hey.
EACH_PER_S: Final = 10
STALL_S: Final = 1.0
LIMIT_S: Final = 0.05
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def main() -> int:
    """Measure, print, and return 1 when the schedule was not kept."""
    if len(sys.argv) > 1 and sys.argv[1] in ROLES:
        return ROLES[sys.argv[1]](*sys.argv[2:]) or 0
    parser = argparse.ArgumentParser(description="How well a load generator keeps its schedule.")
    parser.add_argument("--duration", type=float, default=20.0)
    parser.add_argument("--http-rate", type=int, default=500)
    asked = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load average before: {os.getloadavg()[0]:.2f}")
    print(f"\nJobs into Redis, {asked.duration:g} s each")
    print(f"{'jobs/s':>7} {'processes':>9} {'sent':>8} {'lag p50':>9} {'p99':>9} {'max':>9} {'CPU a job':>10}")
    kept = [_enqueue(rate, processes, asked.duration) for rate, processes in ((500, 1), (2000, 1), (4000, 2))]
    print(f"\nRequests to one HTTP server, {asked.http_rate}/s asked, {asked.duration:g} s each")
    print(f"{'':8} {'':10} {'of schedule':>11} {'late p50':>9} {'p99':>9} {'max':>9}")
    errors = {
        (tool, stall): _request(tool, asked.http_rate, asked.duration, stall)
        for stall in (False, True)
        for tool in ("jobctl", "locust", "hey")
    }
    beaten = [
        tool
        for (tool, stall), error_s in errors.items()
        if error_s is not None and error_s < (errors["jobctl", stall] or 0.0) * 0.9
    ]
    return 0 if all(kept) and not beaten else 1


# --------------------------------------------------------------------------------------------------------- into Redis


def _enqueue(rate: int, processes: int, duration_s: float) -> bool:
    """Fire a schedule that nobody works off, print a row, and say whether it was kept."""
    spec = LoadSpec(
        run_id=new_run_id(),
        arrivals=CONSTANT,
        stages=(Stage.steady(float(rate), duration_s),),
        seed=1,
        warmup_s=0.0,
        workloads=(make_workload("noop"),),
        queue="benchmark",
        job_timeout_s=60,
        drain_s=0.0,
    )
    lags_s: list[float | None] = []
    end = None
    with ProcessGroup() as group:
        url = embedded_redis.start(group).url
        with connect(url) as connection:
            load = LoadProcess(group, LOCUSTFILE, spec.to_json(), url, Crew(processes))
            for message in load.events():
                match message["event"]:
                    case "ready":
                        agree_start(connection, spec.run_id)
                    case "records":
                        lags_s += [record.schedule_lag_s for record in read_records(message["records"])]
                    case "end":
                        end = message
            load.close()
    if end is None:
        raise SystemExit("the generator ended without a result")
    use, lag = GeneratorUse(**end["generator"]), Sample(seconds for seconds in lags_s if seconds is not None)
    p50, p99 = lag.census(0.5), lag.census(0.99)
    cpu_s = use.cpu_s_per_job
    print(
        f"{rate:7} {processes:9} {use.sent:8} {_ms(p50)} {_ms(p99)} {_ms(lag.max)} "
        f"{'-' if cpu_s is None else f'{cpu_s * 1e6:.0f} us':>10}",
        flush=True,
    )
    return end["dropped"] == 0 and p99 is not None and p99 < LIMIT_S


# --------------------------------------------------------------------------------------------------------- over HTTP


class Target(asyncio.Protocol):
    """One connection of a server that notes when requests are there; one read is one request."""

    arrived: Final = array("d")
    stall_s: tuple[float, float] = (0.0, 0.0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Note the request and answer it, after the stall if there is one."""
        now_s = time.monotonic()
        self.arrived.append(now_s)
        since_s = now_s - self.arrived[0]
        begin_s, end_s = self.stall_s
        if begin_s <= since_s < end_s:
            asyncio.get_running_loop().call_later(end_s - since_s, self._transport.write, _ANSWER)
        else:
            self._transport.write(_ANSWER)


def serve(stall_begin_s: str, stall_end_s: str) -> None:
    """Serve until standard input ends, then print when each request was there."""

    async def run() -> None:
        Target.stall_s = float(stall_begin_s), float(stall_end_s)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Target, "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        keep_time()
        await loop.run_in_executor(None, sys.stdin.read)
        sys.stdout.write("\n".join(map(repr, Target.arrived)))

    uvloop.run(run())


def paced(port: str, rate: str, duration_s: str) -> None:
    """The pacer of jobctl at that rate; gevent must patch its process before anything else is imported."""
    script = Path(__file__).with_name("generator_pacer.py")
    subprocess.run([sys.executable, str(script), port, rate, duration_s], check=False)


def users(port: str, rate: str, duration_s: str) -> None:
    """Plain Locust at that rate."""
    script = Path(__file__).with_name("generator_locustfile.py")
    count = str(round(float(rate) / EACH_PER_S))
    options = ["--headless", "--only-summary", "-u", count, "-r", count, "-t", f"{float(duration_s):g}s"]
    _quiet([sys.executable, "-m", "locust", "-f", str(script), "--host", f"http://127.0.0.1:{port}", *options])


def hey(port: str, rate: str, duration_s: str) -> None:
    """hey at that rate."""
    count = str(round(float(rate) / EACH_PER_S))
    _quiet([str(HEY), "-c", count, "-q", str(EACH_PER_S), "-z", f"{float(duration_s):g}s", f"http://127.0.0.1:{port}/"])


def _quiet(command: Sequence[str]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, check=False)


ROLES: Final[dict[str, Callable[..., Any]]] = {"serve": serve, "jobctl": paced, "locust": users, "hey": hey}


def _request(tool: str, rate: int, duration_s: float, stall: bool) -> float | None:
    """Let a tool send requests, print a row, and return the p99 of its error in seconds; None where it is missing."""
    name = "stalled" if stall else "steady"
    if tool == "hey" and not HEY.exists():
        print(f"{tool:8} {name:10} is not here; python scripts/tools.py hey unpacks it")
        return None
    middle_s = duration_s / 2
    stalled = (middle_s, middle_s + STALL_S) if stall else (0.0, 0.0)
    command = [sys.executable, __file__, "serve", *map(str, stalled)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, __file__, tool, port, str(rate), str(duration_s)], timeout=duration_s * 3, check=False
            )
        arrived = sorted(map(float, server.communicate("")[0].split()))
    wanted = round(rate * duration_s)
    late_s = [instant_s - n / rate for n, instant_s in enumerate(arrived[:wanted])]
    if not late_s:
        raise SystemExit(f"{tool} sent nothing")
    error = Sample(seconds - min(late_s) for seconds in late_s)
    in_time = sum(instant_s < arrived[0] + duration_s for instant_s in arrived)
    p99 = error.census(0.99)
    print(
        f"{tool:8} {name:10} {min(in_time / wanted, 1):11.1%} {_ms(error.census(0.5))} {_ms(p99)} {_ms(error.max)}",
        flush=True,
    )
    return p99


def _ms(seconds: float | None) -> str:
    return f"{'-':>9}" if seconds is None else f"{seconds * 1000:7.2f}ms"


if __name__ == "__main__":
    sys.exit(main())
