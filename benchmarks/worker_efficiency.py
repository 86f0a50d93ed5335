"""How close a worker of 25 slots comes to the limit when jobs wait for a 200 ms HTTP call.

    python benchmarks/worker_efficiency.py [--jobs 1500] [--concurrency 25] [--repeats 3] [--only SUBJECT ...]

Closed: the queue is filled first, then the worker starts. The limit is concurrency / 0.2 s. What counts is the time
from the first start of a job to the last finish, as RQ's own books have them; booting and one job for each slot, with
which modules are imported and connections made, come before that. "Steady" leaves out the first and the last rounds
too: at the end slots run dry one by one, which costs half a call on average whatever the worker does. CPU is that of
the worker's whole process tree; memory is its proportional set size (PSS) half-way. HTTP server, Redis and worker share
the machine's cores. Every subject is run in each round, one after the other; figures are medians.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

import psutil
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.worker_pool import WorkerPool

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup

CALL_S = 0.2
HERE = Path(__file__)
JOBS = HERE.with_name("efficiency_jobs.py")
QUEUE = "efficiency"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'

# ---------------------------------------------------------------------------------------------------- the HTTP server


class Answering(asyncio.Protocol):
    """Answers each request after the call time, measured from its last byte."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(CALL_S, self.transport.write, ANSWER)


def serve() -> None:
    """Serve on a free port and print its URL."""
    import uvloop

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.serve_forever()

    uvloop.run(main())


def pool(workers: int) -> None:
    """RQ's own pool at its best: what jobs need is imported once, before the forks, and nothing is logged."""
    import_module(JOBS.stem)
    WorkerPool([QUEUE], Redis.from_url(os.environ["REDIS_URL"]), num_workers=workers).start(logging_level="ERROR")


# ----------------------------------------------------------------------------------------------------- what is measured


@dataclass(frozen=True)
class Subject:
    """A worker and the job it is given."""

    name: str
    job: str
    argv: Sequence[str]


@dataclass(frozen=True)
class Figures:
    """One run."""

    jobs_per_s: float
    share: float
    steady_share: float
    cpu_ms: float
    pss_mb: float


def subjects(concurrency: int) -> list[Subject]:
    ours = [sys.executable, "-m", "jobctl", "work", "--queues", QUEUE, "--concurrency", str(concurrency)]
    pool = [sys.executable, str(HERE), "--pool", str(concurrency)]
    return [
        Subject("jobctl, def, shared httpx.Client", "shared_httpx", ours),
        Subject("jobctl, async def, shared httpx.AsyncClient", "shared_httpx_async", ours),
        Subject("jobctl, def, http.client, a connection each", "connection_each", ours),
        Subject(f"rq worker-pool, {concurrency} forks, a connection each", "connection_each", pool),
    ]


def measure(subject: Subject, url: str, redis: Redis, redis_url: str, jobs: int, concurrency: int) -> Figures:
    """One run of one subject."""
    redis.flushall()
    warm_up = [f"warm-{number}" for number in range(concurrency)]
    ids = [f"job-{number}" for number in range(jobs)]
    function = f"{JOBS.stem}.{subject.job}"
    queue = Queue(QUEUE, connection=redis)
    queue.enqueue_many(
        [Queue.prepare_data(function, args=(url,), job_id=job_id, result_ttl=3600) for job_id in warm_up + ids]
    )
    with _worker(subject, redis_url) as process:
        before = _wait(subject, process, queue, len(warm_up))
        before_s = _cpu_s(process)
        _wait(subject, process, queue, len(warm_up) + jobs // 2)
        pss_mb = _pss_mb(process)
        _wait(subject, process, queue, len(warm_up) + jobs)
        cpu_s = _cpu_s(process) - before_s
    started, ended = zip(*(_instants(redis, job_id) for job_id in ids), strict=True)
    jobs_per_s = jobs / (max(ended) - min(started))
    done = len(warm_up) + jobs - before
    share, steady_share = (rate * CALL_S / concurrency for rate in (jobs_per_s, _steady_per_s(started, concurrency)))
    return Figures(jobs_per_s, share, steady_share, 1000 * cpu_s / done, pss_mb)


def _steady_per_s(started: Sequence[float], concurrency: int) -> float:
    """Jobs per second between two starts that lie whole rounds of the slots apart, well inside the run."""
    instants = sorted(started)
    last = (len(instants) // concurrency - 2) * concurrency
    return (last - concurrency) / (instants[last] - instants[concurrency])


def _wait(subject: Subject, process: subprocess.Popen[bytes], queue: Queue, wanted: int) -> int:
    """Wait until that many jobs are done; the number that are."""
    deadline_s = time.monotonic() + 120
    while (done := queue.finished_job_registry.get_job_count(cleanup=False)) < wanted:
        if queue.failed_job_registry.get_job_count(cleanup=False):
            failed = Job.fetch(queue.failed_job_registry.get_job_ids(cleanup=False)[0], connection=queue.connection)
            raise SystemExit(f"{subject.name}: a job failed: {failed.latest_result().exc_string}")
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit(f"{subject.name}: the worker ended or stands still; {done} of {wanted} jobs are done")
        time.sleep(0.02)
    return done


@contextmanager
def _worker(subject: Subject, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "RQ_REDIS_URL": redis_url, "REDIS_URL": redis_url}
    process = subprocess.Popen(subject.argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        tree = [process, *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            for member in tree:
                member.kill()
            process.wait()


def _instants(redis: Redis, job_id: str) -> tuple[float, float]:
    from datetime import datetime

    started, ended = redis.hmget(f"rq:job:{job_id}", "started_at", "ended_at")
    return tuple(datetime.fromisoformat(text.decode()).timestamp() for text in (started, ended))  # type: ignore[return-value]


def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process tree, those of its ended and awaited members included."""
    total = 0.0
    for member in _tree(process):
        try:
            total += sum(member.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def _pss_mb(process: subprocess.Popen[bytes]) -> float:
    total = 0
    for member in _tree(process):
        try:
            total += member.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1500)
    parser.add_argument("--concurrency", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", help="part of a subject's name")
    options = parser.parse_args()
    chosen = [
        subject
        for subject in subjects(options.concurrency)
        if not options.only or any(part in subject.name for part in options.only)
    ]
    runs: dict[str, list[Figures]] = {subject.name: [] for subject in chosen}
    with ProcessGroup() as group:
        redis_url = embedded_redis.start(group).url
        server = group.spawn([sys.executable, str(HERE), "--serve"], stdout=subprocess.PIPE)
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        with Redis.from_url(redis_url) as redis:
            for _ in range(options.repeats):
                for subject in chosen:
                    runs[subject.name].append(
                        measure(subject, url, redis, redis_url, options.jobs, options.concurrency)
                    )
                    print(f"  {subject.name}: {runs[subject.name][-1]}", file=sys.stderr)
    print(
        f"{options.jobs} jobs of {CALL_S:g} s, c = {options.concurrency}, limit {options.concurrency / CALL_S:g} jobs/s"
    )
    print(f"{'worker and job':<46} {'jobs/s':>7} {'of limit':>8} {'steady':>7} {'CPU ms/job':>10} {'PSS MB':>7}")
    for name, figures in runs.items():
        rows = [statistics.median(values) for values in zip(*(vars(one).values() for one in figures), strict=True)]
        print(f"{name:<46} {rows[0]:>7.1f} {rows[1]:>8.3f} {rows[2]:>7.3f} {rows[3]:>10.2f} {rows[4]:>7.0f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve"]:
            serve()
        case ["--pool", workers]:
            pool(int(workers))
        case _:
            main()
