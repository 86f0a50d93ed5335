"""Huey without results: ``on_huey.py fill JOB COUNT``; its own command runs the consumer."""

from __future__ import annotations

import os
import sys

import jobs
from huey import RedisHuey

huey = RedisHuey("bench", results=False, url="unix://" + os.environ["BENCH_REDIS"])
TASKS = {job.__name__: huey.task()(job) for job in (jobs.empty, jobs.call, jobs.sleep)}

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", job, count]:
            for _ in range(int(count)):
                TASKS[job]()
