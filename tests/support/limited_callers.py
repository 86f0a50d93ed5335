"""Processes that call OpenRouter as workers with a limiter do: jobs that are postponed come back when they were told.

Run as a program it is one such process: it reads a :class:`Plan` as JSON from its argument, calls until the plan's end
and writes how it went.
"""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextvars import Context
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parent


@dataclass(frozen=True)
class Plan:
    """What one process does.

    Attributes:
        url: OpenRouter.
        redis_url: The fleet's Redis.
        rpm: Calls in any window; None for no limit.
        burst: Calls by which a window may exceed it.
        demand_per_s: New jobs a second of this process.
        ends_s: When it stops, seconds since the epoch.
        tuning: Constants of the limiter that differ.
        threads: Its slots.
    """

    url: str
    redis_url: str
    rpm: int | None
    burst: int
    demand_per_s: float
    ends_s: float
    tuning: dict[str, float]
    threads: int = 25


@dataclass(frozen=True)
class Tally:
    """How it went: for each job that was done how often it was postponed, and errors of those that were not."""

    postponed: list[int]
    errors: list[str]


class Fleet:
    """So many processes of a plan."""

    def __init__(self, plan: Plan, processes: int) -> None:
        words = [sys.executable, str(Path(__file__)), json.dumps(asdict(plan))]
        self._processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(processes)]

    def tallies(self, timeout_s: float) -> list[Tally]:
        """Wait for their end."""
        outputs = [process.communicate(timeout=timeout_s)[0] for process in self._processes]
        assert [process.returncode for process in self._processes] == [0] * len(outputs)
        return [Tally(**json.loads(output)) for output in outputs]

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def most_in_a_window(instants: Sequence[float], window_s: float) -> int:
    """The most arrivals that any window saw."""
    ordered, start, most = sorted(instants), 0, 0
    for end, instant in enumerate(ordered):
        while ordered[start] <= instant - window_s:
            start += 1
        most = max(most, end - start + 1)
    return most


def longest_gap(instants: Sequence[float]) -> tuple[float, float]:
    """Where nobody came for longest: since when, and how long."""
    length_s, since_s = max((later - earlier, earlier) for earlier, later in pairwise(sorted(instants)))
    return since_s, length_s


class _Process:
    def __init__(self, plan: Plan) -> None:
        from redis import Redis

        from jobctl.adapters.openrouter import OpenRouterClient
        from jobctl.adapters.redis_limiter import RedisLimiter
        from jobctl.core.limiting import Limit, Limits, Tuning

        limiter = RedisLimiter(
            Redis.from_url(plan.redis_url), "fleet", Limits(Limit(plan.rpm, None, plan.burst)), Tuning(**plan.tuning)
        )
        self._client = OpenRouterClient(plan.url, "sk-or-v1-test", timeout_s=60, limiter=limiter)
        self._plan = plan
        self._turn = threading.Condition()
        now_s = time.time()
        count = int((plan.ends_s - now_s) * plan.demand_per_s)
        #: When a job comes, its number, what it holds, and how often it was postponed.
        self._jobs = [(now_s + number / plan.demand_per_s, number, "", 0) for number in range(count)]
        self.tally = Tally([], [])

    def run(self) -> None:
        threads = [threading.Thread(target=self._slot) for _ in range(self._plan.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _slot(self) -> None:
        while (job := self._next()) is not None:
            Context().run(self._call, *job[1:])

    def _next(self) -> tuple[float, int, str, int] | None:
        with self._turn:
            while (now_s := time.time()) < self._plan.ends_s:
                if self._jobs and self._jobs[0][0] <= now_s:
                    return heapq.heappop(self._jobs)
                self._turn.wait(min(self._jobs[0][0] if self._jobs else now_s + 1, self._plan.ends_s) - now_s)
        return None

    def _call(self, number: int, permits: str, postponed: int) -> None:
        from jobctl.adapters.permits import hold
        from jobctl.errors import Postponed, UpstreamError

        hold(permits)
        messages: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
        try:
            self._client.chat(messages=messages, model="openai/gpt-4o-mini")
        except Postponed as later:
            with self._turn:
                heapq.heappush(self._jobs, (time.time() + later.delay_s, number, later.permits, postponed + 1))
                self._turn.notify()
        except UpstreamError as error:
            self.tally.errors.append(str(error))
        else:
            self.tally.postponed.append(postponed)


if __name__ == "__main__":
    sys.path[0] = str(SUPPORT.parent)
    process = _Process(Plan(**json.loads(sys.argv[1])))
    process.run()
    print(json.dumps(asdict(process.tally)))
