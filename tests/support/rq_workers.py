"""RQ's own worker, for what it does to jobs."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker


def work_off(redis: Redis, *names: str, serializer: Any = None) -> None:
    """Let RQ's worker run what waits in these queues, here.

    Not by its ``work``: whenever that ends, RQ waits a second for a thread of its own.
    """
    queues = [Queue(name, connection=redis, serializer=serializer) for name in names]
    worker = SimpleWorker(queues, connection=redis, serializer=serializer)
    worker.log.disabled = True
    worker.register_birth()
    while found := Queue.dequeue_any(queues, None, connection=redis, serializer=serializer):
        worker.execute_job(*found)
    worker.register_death()
    worker.log.disabled = False
