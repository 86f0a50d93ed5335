"""A fleet of ``jobctl work`` behind a limit, and a mock that knows when each model was called."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue
from starlette.types import Message, Receive, Scope, Send

from support.benches import environment
from support.servers import FaultyMock

CALL = "jobctl.apps.work.tasks.chat_completion"


class ModelMock(FaultyMock):
    """The mock, and for each model when it was called.

    Attributes:
        called_s: The monotonic instants of each model's calls.
        refusals: Headers for the next call of a model.
        refused_s: When it was refused.
    """

    def __init__(self, latency_s: float) -> None:
        super().__init__(latency_s=latency_s)
        self.called_s: dict[str, list[float]] = defaultdict(list)
        self.refusals: dict[str, dict[str, str]] = {}
        self.refused_s: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        model = json.loads(message["body"])["model"]
        self.called_s[model].append(time.monotonic())
        refusal = self.refusals.pop(model, None)
        if refusal is not None:
            self.refused_s[model] = self.called_s[model][-1]
        self.demands = [] if refusal is None else [refusal]
        messages: list[Message] = [message]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        await super().__call__(scope, again, send)


@contextmanager
def workers(
    count: int, directory: Path, redis_url: str, url: str, *words: str
) -> Iterator[list[subprocess.Popen[str]]]:
    """So many workers that listen; they are drained in the end."""
    settings = {"REDIS_URL": redis_url, "OPENROUTER_API_KEY": "sk-or-v1-test", "OPENROUTER_BASE_URL": url}
    fleet = [
        subprocess.Popen(
            [sys.executable, "-m", "jobctl", "work", *words],
            cwd=directory,
            env=environment(directory, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for worker in fleet:
            assert worker.stdout is not None
            assert "listening on" in worker.stdout.readline()
        yield fleet
    finally:
        for worker in fleet:
            worker.terminate()
        for worker in fleet:
            try:
                worker.communicate(timeout=20)
            finally:
                worker.kill()


def demand(redis: Redis, models: dict[str, str], per_s: float, until_s: float) -> dict[str, list[str]]:
    """Enqueue calls at that rate into each queue for its model, until a monotonic instant; ids of the jobs by queue."""
    began_s, sent, ids = time.monotonic(), 0, defaultdict[str, list[str]](list)
    while (now_s := time.monotonic()) < until_s:
        due = int((now_s - began_s) * per_s) + 1 - sent
        sent += due
        for queue, model in models.items():
            data = [Queue.prepare_data(CALL, args=("hello", model), result_ttl=600) for _ in range(due)]
            ids[queue] += [job.id for job in Queue(queue, connection=redis).enqueue_many(data)]
        time.sleep(0.1)
    return dict(ids)


def kept(redis: Redis, job_ids: Sequence[str], name: str) -> list[Any]:
    """A field of each job."""
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in job_ids:
            pipeline.hget(f"rq:job:{job_id}", name)
        return pipeline.execute()
