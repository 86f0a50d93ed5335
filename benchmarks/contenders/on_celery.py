"""Celery, its pool of threads, results in Redis: ``on_celery.py fill JOB COUNT``, ``on_celery.py work SLOTS``."""

from __future__ import annotations

import os
import sys

import jobs
from celery import Celery

app = Celery("on_celery", broker="redis+socket://" + os.environ["BENCH_REDIS"])
app.conf.update(
    result_backend="redis+socket://" + os.environ["BENCH_REDIS"],
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
TASKS = {job.__name__: app.task(job, name=job.__name__) for job in (jobs.empty, jobs.call, jobs.sleep)}

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", job, count]:
            with app.producer_or_acquire() as producer:
                for _ in range(int(count)):
                    TASKS[job].apply_async(producer=producer)
        case ["work", slots]:
            quiet = ["--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
            app.worker_main(["worker", "--pool", "threads", "--concurrency", slots, *quiet])
