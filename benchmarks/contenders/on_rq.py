"""RQ: ``on_rq.py fill JOB COUNT``, ``on_rq.py simple 1``, ``on_rq.py pool FORKS``. Jobs are logged by nobody."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker
from rq.worker_pool import WorkerPool

QUEUE = "bench"


def fill(queue: Queue, job: str, count: int) -> None:
    for begin in range(0, count, 1000):
        batch = range(begin, min(begin + 1000, count))
        queue.enqueue_many([Queue.prepare_data(f"jobs.{job}", job_id=f"job-{n}", result_ttl=3600) for n in batch])


def main() -> None:
    redis = Redis(unix_socket_path=os.environ["BENCH_REDIS"])
    match sys.argv[1:]:
        case ["fill", job, count]:
            fill(Queue(QUEUE, connection=redis), job, int(count))
        case ["simple", _]:
            SimpleWorker([QUEUE], connection=redis).work(logging_level="ERROR")
        case ["pool", forks]:
            import httpx  # noqa: F401  (what jobs need is imported once, before the forks)
            import jobs  # noqa: F401

            WorkerPool([QUEUE], redis, num_workers=int(forks)).start(logging_level="ERROR")


if __name__ == "__main__":
    main()
