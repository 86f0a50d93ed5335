from __future__ import annotations

from jobctl.adapters.memory import MemoryFleet, VirtualClock
from jobctl.apps.bench.collector import Collector
from jobctl.core.records import Outcome
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
