from __future__ import annotations

import pytest

from jobctl.adapters.memory import MemoryFleet, VirtualClock
from jobctl.apps.bench.collector import Collector
from jobctl.core.clocks import ClockOffset
from jobctl.core.records import JobRecord, Outcome
from jobctl.ports import JobRequest
from support.loads import START_S, asked_seconds, make_spec


class EndsBetweenTheLooks(MemoryFleet):
    """A fleet whose running job ends after the census looked it up and before it looks where open jobs are."""

    def still_known(self, job_ids: list[str]) -> set[str]:
        return set()


def test_a_job_that_ends_between_two_looks_of_the_census_is_finished_and_not_lost() -> None:
    clock = VirtualClock(START_S)
    fleet = EndsBetweenTheLooks(clock, service_s=asked_seconds)
    fleet.enqueue_many([JobRequest("run-0", "f", (1.0,))])
    look_up = fleet.look_up

    def look_and_let_time_pass(job_ids: list[str]) -> list[object]:
        found = look_up(job_ids)
        clock.sleep(2.0)
        return found  # type: ignore[return-value]

    fleet.look_up = look_and_let_time_pass  # type: ignore[method-assign, assignment]
    (record,) = Collector(make_spec(), fleet).census(START_S, [0.0], [START_S])

    assert record.outcome is Outcome.FINISHED


def test_a_job_that_was_seen_to_end_and_then_removed_is_not_lost() -> None:
    clock = VirtualClock(START_S)
    fleet = MemoryFleet(clock, service_s=asked_seconds)
    fleet.enqueue_many([JobRequest("run-0", "f", (1.0,)), JobRequest("run-1", "f", (1.0,))])
    collector = Collector(make_spec(), fleet)
    clock.sleep(3.0)
    assert [position for position, _ in collector.poll()] == [0, 1]

    fleet.look_up = MemoryFleet(clock).look_up  # type: ignore[method-assign]
    records = list(collector.census(START_S, [0.0, 0.0], [START_S, START_S]))

    assert [record.outcome for record in records] == [Outcome.FINISHED, Outcome.FINISHED]


def skewed(behind_s: float, *, tells_clock: bool, jobs: int = 20) -> tuple[list[JobRecord], list[str]]:
    """What is told of jobs of a second each, one after the other, whose worker's clock is behind."""
    clock = VirtualClock(START_S)
    fleet = MemoryFleet(clock, slots=jobs, service_s=asked_seconds, behind_s=behind_s, tells_clock=tells_clock)
    fleet.enqueue_many([JobRequest(f"run-{position}", "f", (1.0,)) for position in range(jobs)])
    clock.sleep(3.0)
    collector = Collector(make_spec(), fleet)
    collector.compare_clocks(ClockOffset(0.0, 0.0))
    records = list(collector.census(START_S, [0.0] * jobs, [START_S] * jobs))
    return records, list(collector.doubts())


@pytest.mark.parametrize("behind_s", [-5.0, 0.0, 5.0])
def test_the_instants_of_a_worker_whose_clock_is_wrong_are_told_in_the_generators(behind_s: float) -> None:
    records, doubts = skewed(behind_s, tells_clock=True)

    assert {(record.started_s, record.finished_s) for record in records} == {(START_S, START_S + 1.0)}
    assert doubts == []


def test_a_worker_that_does_not_tell_its_clock_is_doubted_when_its_jobs_start_before_they_were_sent() -> None:
    records, doubts = skewed(5.0, tells_clock=False)

    assert {record.wait_s for record in records} == {0.0}
    assert all(record.service_s is not None and record.service_s >= 0 for record in records)
    assert doubts == [
        "20 jobs started up to 5.000 s before they were sent: the clock of worker memory is not known",
    ]


def test_a_few_jobs_that_look_a_moment_early_are_a_busy_machine() -> None:
    records, doubts = skewed(0.003, tells_clock=False, jobs=4)

    assert {record.wait_s for record in records} == {0.0}
    assert doubts == []


def test_a_clock_that_is_set_during_the_run_is_named() -> None:
    clock = VirtualClock(START_S)
    collector = Collector(make_spec(), MemoryFleet(clock))
    for offset_s in (0.0, 0.0, -30.0):
        collector.compare_clocks(ClockOffset(offset_s, 0.001))

    assert list(collector.doubts()) == [
        "the clock of this generator moved by -30.000 s against Redis' during the run",
    ]
