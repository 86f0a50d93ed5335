"""A worker under a steady load for long, and what it takes of the machine and of Redis meanwhile."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from support.chaos import replica
from support.waiting import wait_until

#: One in so many jobs is a coroutine, and one in so many fails at first, so that its retry is scheduled.
_COROUTINES, _RETRIES = 5, 10
_JOB_S = 0.02
#: More jobs than that are never in the system at once: on average one that runs and one or two whose retry waits.
_IN_SYSTEM = 15


@dataclass(frozen=True)
class Soak:
    """How a worker is soaked.

    Attributes:
        lasts_s: How long.
        warm_up_s: From then on nothing may grow.
        sample_s: Seconds between two samples.
        rate_per_s: Jobs a second.
        result_ttl_s: How long Redis keeps a job that ended, whole seconds; less than the warm-up.
    """

    lasts_s: float
    warm_up_s: float
    sample_s: float
    rate_per_s: float = 50.0
    result_ttl_s: int = 60


@dataclass(frozen=True)
class Sample:
    """What the worker and Redis hold at one moment.

    Attributes:
        at_s: Seconds since the load began.
        rss: Bytes of the worker.
        threads: Threads of the worker.
        files: File descriptors of the worker.
        keys: Keys of Redis.
        lasting: How many of them live for ever, by what they are called without the ids in their names.
    """

    at_s: float
    rss: int
    threads: int
    files: int
    keys: int
    lasting: Counter[str]


@dataclass(frozen=True)
class Soaked:
    """Samples, those of the warm-up left out, and how many jobs were enqueued and had finished at the end."""

    samples: list[Sample]
    enqueued: int
    finished: int

    @property
    def rss_growth_mb(self) -> float:
        """Between the medians of the first and the last tenth, MB."""
        tenth = max(1, len(self.samples) // 10)
        first, last = (median(s.rss for s in part) for part in (self.samples[:tenth], self.samples[-tenth:]))
        return float(last - first) / 1e6

    @property
    def rss_slope_mb_per_h(self) -> float:
        """Of the least-squares line through all samples."""
        times, sizes = [s.at_s for s in self.samples], [s.rss / 1e6 for s in self.samples]
        mean_t, mean_s = sum(times) / len(times), sum(sizes) / len(sizes)
        spread = sum((t - mean_t) ** 2 for t in times)
        return 3600 * sum((t - mean_t) * (s - mean_s) for t, s in zip(times, sizes, strict=True)) / spread

    @property
    def lasting_growth(self) -> dict[str, int]:
        """Keys that live for ever and became more than jobs in the system come and go, by what they are called."""
        growth = Counter(self.samples[-1].lasting)
        growth.subtract(self.samples[0].lasting)
        return {name: count for name, count in growth.items() if count > _IN_SYSTEM}


def soak(plan: Soak, redis: Redis, redis_url: str, directory: Path) -> Soaked:
    """Run a worker under a steady load."""
    samples: list[Sample] = []
    with replica(directory, redis_url, "--metrics-port", "0", "--retry-base", "0.5") as worker:
        process = psutil.Process(worker.process.pid)
        load = _Load(plan, redis)
        load.burst()  # uses every slot at once, and so starts all threads
        began_s = time.monotonic()
        thread = threading.Thread(target=load.run, args=(began_s + plan.lasts_s,))
        thread.start()
        try:
            while (at_s := time.monotonic() - began_s) < plan.lasts_s:
                if at_s >= plan.warm_up_s:
                    samples.append(_sample(at_s, process, redis))
                time.sleep(plan.sample_s)
        finally:
            thread.join()
        wait_until(lambda: _is_done(redis))
        finished = sum(int(redis.hget(key, "successful_job_count") or 0) for key in redis.keys("rq:worker:*"))
        assert worker.stop() == 0
    return Soaked(samples, load.enqueued, finished)


class _Load:
    """Jobs at a steady rate."""

    def __init__(self, plan: Soak, redis: Redis) -> None:
        self._queue = Queue("q", connection=redis, serializer=JSONSerializer)
        self._plan = plan
        self.enqueued = 0

    def burst(self) -> None:
        for _ in range(100):
            self._enqueue("fail_first")

    def run(self, until_s: float) -> None:
        due_s = time.monotonic()
        while (now_s := time.monotonic()) < until_s:
            if now_s < due_s:
                time.sleep(due_s - now_s)
            due_s += 1 / self._plan.rate_per_s
            if self.enqueued % _RETRIES == 0:
                self._enqueue("fail_first")
            elif self.enqueued % _COROUTINES == 1:
                self._enqueue("rest_on_the_loop")
            else:
                self._enqueue("rest")

    def _enqueue(self, function: str) -> None:
        self._queue.enqueue(f"support.chaos_jobs.{function}", _JOB_S, result_ttl=self._plan.result_ttl_s)
        self.enqueued += 1


def _is_done(redis: Redis) -> bool:
    """Whether no job waits, runs or is scheduled, at one moment: it passes from the one to the other."""
    with redis.pipeline() as pipeline:
        pipeline.llen("rq:queue:q").zcard("rq:wip:q").zcard("rq:scheduled:q")
        return not any(pipeline.execute())


def _sample(at_s: float, process: psutil.Process, redis: Redis) -> Sample:
    names = list(redis.scan_iter(count=1000))
    with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.ttl(name)
        ttls = pipeline.execute()
    lasting = Counter(_kind(name.decode()) for name, ttl in zip(names, ttls, strict=True) if ttl == -1)
    with process.oneshot():
        size, threads, files = process.memory_info().rss, process.num_threads(), process.num_fds()
    return Sample(at_s, size, threads, files, len(names), lasting)


def _kind(name: str) -> str:
    """A key's name without the ids in it."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}", "*", name)
