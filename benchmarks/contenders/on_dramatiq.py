"""Dramatiq with its default middleware: ``on_dramatiq.py fill JOB COUNT``; its own command runs the worker."""

from __future__ import annotations

import os
import sys

import dramatiq
import jobs
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url="unix://" + os.environ["BENCH_REDIS"]))


@dramatiq.actor(queue_name="bench")
def empty() -> None:
    jobs.empty()  # a result that is not kept would be logged


@dramatiq.actor(queue_name="bench")
def call() -> None:
    jobs.call()


@dramatiq.actor(queue_name="bench")
def sleep() -> None:
    jobs.sleep()


ACTORS = {actor.actor_name: actor for actor in (empty, call, sleep)}

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", job, count]:
            for _ in range(int(count)):
                ACTORS[job].send()
