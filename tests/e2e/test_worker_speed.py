"""How the worker compares with RQ's own in the same run, and how the benchmark that says so counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import workers
from workers import Failed, Figures, Ring, Scenario

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup

#: Shorter than in the benchmark: what is asserted here leaves room.
EMPTY = Scenario("empty jobs", "empty", 25, 12_000, 1.5)


@pytest.fixture
def ring() -> Iterator[Ring]:
    """Where workers meet."""
    with ProcessGroup() as group:
        embedded_redis.start(group)
        with workers.http_server(group) as url:
            yield Ring(group, url)


def measure(ring: Ring, name: str, scenario: Scenario = EMPTY) -> Figures:
    """One run of one worker."""
    (contender,) = (one for one in workers.own() if name in one.name)
    return ring.run(contender, scenario)


@pytest.mark.serial
def test_an_empty_job_costs_a_tenth_of_what_rqs_worker_takes_and_less_than_a_round_trip(ring: Ring) -> None:
    stock, ours = measure(ring, "SimpleWorker"), measure(ring, "jobctl work")

    assert ours.per_s >= 10 * stock.per_s
    assert ours.cpu_ms <= 0.35
    assert ours.trips < 1
    assert ours.commands <= 26


def test_a_worker_that_does_nothing_is_a_failure_that_says_what_it_said(ring: Ring) -> None:
    (simple,) = (one for one in workers.own() if "SimpleWorker" in one.name)
    idle = workers.replace(simple, work=["sh", "-c", "echo no time >&2; exit 3"])

    with pytest.raises(Failed, match="it ended with 3; it said: no time"):
        ring.run(idle, EMPTY)


def test_a_worker_whose_books_lack_jobs_is_a_failure(ring: Ring) -> None:
    (threads,) = (one for one in workers.SOURCES["threads"]())
    forgetful = workers.replace(threads, booked=lambda _, count: count - 30)

    with pytest.raises(Failed, match="500 jobs of 500 ended, but its books show 470"):
        ring.run(forgetful, Scenario("empty jobs", "empty", 25, 500, 1.0), booking_s=0.1)


def test_commands_inside_scripts_count_and_a_script_is_one_trip(ring: Ring) -> None:
    before = ring.counters()
    ring.redis.eval("for i = 1, 10 do redis.call('INCR', 'n') end", 0)
    after = ring.counters()

    assert (after.commands - before.commands, after.reads - before.reads) == (11, 1)


@pytest.mark.parametrize(
    ("ends_s", "all_done", "per_s"),
    [
        ([0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8], True, 10.0),  # four whole rounds: from the first to the third
        ([0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8], False, 10.0),  # cut: to the fourth
        ([0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8], False, 10.0),  # a round that was cut in two does not count
        ([0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 1.8], True, 10.0),  # nor does the emptying of slots
    ],
)
def test_the_steady_rate_is_that_between_whole_rounds(ends_s: list[float], all_done: bool, per_s: float) -> None:
    assert workers.steady_per_s(ends_s, 2, all_done=all_done) == pytest.approx(per_s)
