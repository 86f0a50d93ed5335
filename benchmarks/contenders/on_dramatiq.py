"""Dramatiq with its default middleware: ``on_dramatiq.py fill JOB COUNT``; its own command runs the worker."""

from __future__ import annotations

import os
import sys

import dramatiq
import jobs
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url="unix://" + os.environ["BENCH_REDIS"]))
ACTORS = {job.__name__: dramatiq.actor(job, queue_name="bench") for job in (jobs.empty, jobs.call, jobs.sleep)}

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", job, count]:
            for _ in range(int(count)):
                ACTORS[job].send()
