"""The speed and the size of the worker, beside RQ's own in the same run: medians of three, on a quiet machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import pytest
import workers
from workers import Contender, Figures, Ring

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup

Figure = Callable[[str, str, str], None]
Measure = Callable[[Contender, str], Figures]
ROUNDS = 3
PLAN = workers.scenarios(30_000, quick=False)


@pytest.fixture(scope="module")
def measure() -> Iterator[Measure]:
    """Measures a worker in a scenario: the median of each figure."""
    with ProcessGroup() as group:
        embedded_redis.start(group)
        with workers.http_server(group) as url:
            ring = Ring(group, url)

            def take(contender: Contender, scenario: str) -> Figures:
                runs = [ring.run(contender, PLAN[scenario]) for _ in range(ROUNDS)]
                values = zip(*(vars(run).values() for run in runs), strict=True)
                return Figures(*map(statistics.median, values))

            yield take


def named(name: str) -> Contender:
    """One of our own two."""
    (contender,) = (one for one in workers.own() if name in one.name)
    return contender


def test_empty_jobs(measure: Measure, figure: Figure) -> None:
    stock, ours = measure(named("SimpleWorker"), "empty"), measure(named("jobctl work"), "empty")
    figure("empty jobs, 25 slots", f"{ours.per_s:,.0f}/s", ">= 3,000/s")
    figure("the same beside RQ's SimpleWorker", f"{ours.per_s / stock.per_s:.1f} times", ">= 10 times")
    figure("the same: CPU", f"{ours.cpu_ms:.3f} ms a job", "<= 0.35 ms")
    figure("the same: Redis commands", f"{ours.commands:.1f} a job", "<= 26")
    figure("the same: round trips", f"{ours.trips:.2f} a job", "< 1")
    figure("the same: memory (PSS)", f"{ours.pss_mb:.0f} MB", "<= 60 MB")

    assert ours.per_s >= max(3000, 10 * stock.per_s)
    assert ours.cpu_ms <= 0.35
    assert ours.commands <= 26
    assert ours.trips < 1
    assert ours.pss_mb <= 60


@pytest.mark.parametrize(("scenario", "promised"), [("call25", 0.97), ("call100", 0.90), ("sleep", 0.95)])
def test_jobs_that_wait(measure: Measure, figure: Figure, scenario: str, promised: float) -> None:
    ours, given = measure(named("jobctl work"), scenario), PLAN[scenario]
    share = ours.steady_per_s * given.service_s / given.slots
    figure(f"{given.name}: share of the limit", f"{share:.3f}", f">= {promised:.2f}")
    assert share >= promised
    if scenario == "sleep":
        figure(f"{given.name}: memory (PSS)", f"{ours.pss_mb:.0f} MB", "<= 120 MB")
        assert ours.pss_mb <= 120


def test_memory_with_postgres_sentry_and_metrics(measure: Measure, figure: Figure) -> None:
    with workers.all_on(named("jobctl work")) as everything:
        ours = measure(everything, "empty")
    figure("empty jobs with Postgres, Sentry and metrics, 25 slots: memory (PSS)", f"{ours.pss_mb:.0f} MB", "<= 90 MB")
    assert ours.pss_mb <= 90
