"""Several generators in virtual time, led as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.adapters.memory import MemoryFleet, VirtualClock
from jobctl.apps.bench.conductor import Conductor
from jobctl.apps.bench.session import LoadSession, read_records
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import POISSON, Stage
from jobctl.core.clocks import ClockOffset
from jobctl.core.crew import WHOLE, Shard
from jobctl.core.quantiles import QUANTILES, Sample
from jobctl.core.records import JobRecord
from jobctl.core.workload import make_workload
from support.loads import START_S, asked_seconds, make_spec

Messages = list[Mapping[str, Any]]


def spoken(
    spec: LoadSpec,
    shard: Shard = WHOLE,
    *,
    behind_s: float = 0.0,
    stop_after_s: float | None = None,
) -> Messages:
    """What a generator of a shard says, on slots without number; its clock, and its workers', may be behind Redis'."""
    said: Messages = []
    clock = VirtualClock(START_S - behind_s)
    fleet = MemoryFleet(clock, slots=10_000, service_s=asked_seconds, tells_clock=False)
    session = LoadSession(
        spec,
        fleet,
        fleet,
        clock,
        said.append,
        lambda sent: None,
        lambda job_type, sojourn_s, failed: None,
        shard=shard,
        compare_clock=lambda: ClockOffset(behind_s, 0.0),
        cpu_s=clock.now,
    )
    if stop_after_s is not None:
        sleep = clock.sleep

        def sleep_and_stop(seconds: float) -> None:
            sleep(seconds)
            if clock.now() >= START_S - behind_s + stop_after_s:
                session.stop()

        clock.sleep = sleep_and_stop  # type: ignore[method-assign]
    session.fire(START_S - behind_s)
    session.watch()
    session.count(list)
    return said


def led(spec: LoadSpec, speeches: Sequence[Messages | None]) -> Messages:
    """What the master says of generators that say this; one that says nothing is lost once all are ready."""
    said: Messages = []
    names = [f"generator-{number}" for number in range(len(speeches))]
    conductor = Conductor(spec, names, said.append, lambda: ClockOffset(0.0, 0.0))
    for name in names:
        conductor.hear(name, {"event": "ready"})
    for name, speech in zip(names, speeches, strict=True):
        for message in speech or ():
            conductor.hear(name, message)
        if speech is None:
            conductor.lose(name)
    assert conductor.over
    return said


def records_of(messages: Messages) -> list[JobRecord]:
    return [
        record
        for message in messages
        if message["event"] == "records"
        for record in read_records(list(message["records"]))
    ]


def end_of(messages: Messages) -> Mapping[str, Any]:
    assert [message["event"] for message in messages].count("end") == 1
    return messages[-1]


MIX = make_spec(
    arrivals=POISSON,
    stages=(Stage.steady(20.0, 5.0),),
    workloads=(
        replace(make_workload("sleep", service_law="exponential:0.2s"), job_type="short", share=0.7),
        replace(make_workload("sleep", service_law="gamma:mean=2s,scv=2"), job_type="long", share=0.3, queue="slow"),
    ),
)


@pytest.mark.parametrize("count", [2, 3])
def test_several_generators_offer_the_very_load_of_one(count: int) -> None:
    alone = records_of(spoken(MIX))
    together = records_of(led(MIX, [spoken(MIX, Shard(index, count)) for index in range(count)]))

    def told(record: JobRecord) -> tuple[Any, ...]:
        return record.job_id, record.job_type, record.intended_s, round(record.service_s or 0, 6), record.outcome

    assert list(map(told, together)) == list(map(told, alone))
    assert end_of(led(MIX, [spoken(MIX, Shard(index, count)) for index in range(count)]))["dropped"] == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=150), st.integers(1, 5))
def test_the_merged_shards_have_the_percentiles_of_the_pooled_run(values: list[float], count: int) -> None:
    pooled, merged = Sample(values), Sample()
    for index in range(count):
        merged.merge(Sample(values[index::count]))

    assert [merged.quantile(q) for q in QUANTILES.values()] == [pooled.quantile(q) for q in QUANTILES.values()]
    assert (len(merged), merged.max, merged.mean) == (len(pooled), pooled.max, pooled.mean)


def test_progress_is_summed_and_the_backlog_of_the_one_queue_is_not() -> None:
    said: Messages = []
    conductor = Conductor(make_spec(), ["a", "b"], said.append)
    report = {"elapsed_s": 1.0, "due": 5, "sent": 4, "refused": 1, "ended": 3, "failed": 2, "backlog": 7}
    conductor.hear("a", {"event": "progress", **report})
    conductor.hear("b", {"event": "progress", **report})
    conductor.hear("a", {"event": "progress", **report, "elapsed_s": 2.0})

    assert said[-1] == {
        "event": "progress",
        **{"elapsed_s": 2.0, "due": 10, "sent": 8, "refused": 2, "ended": 6, "failed": 4, "backlog": 7},
    }


def test_a_run_begins_once_all_are_ready() -> None:
    said: Messages = []
    conductor = Conductor(make_spec(), ["a", "b"], said.append)
    conductor.hear("a", {"event": "ready"})
    assert said == []
    conductor.hear("b", {"event": "ready"})
    assert said == [{"event": "ready"}]


def test_the_arrivals_of_a_lost_generator_count_as_never_sent() -> None:
    spec = make_spec()
    said = led(spec, [spoken(spec, Shard(0, 2)), None])

    assert len(records_of(said)) == 50
    assert end_of(said)["dropped"] == 50
    assert end_of(said)["doubts"] == ["1 of 2 load generators were lost; their arrivals count as never sent"]


def test_so_do_those_of_one_that_was_stopped_alone() -> None:
    spec = make_spec()
    said = led(spec, [spoken(spec, Shard(0, 2)), spoken(spec, Shard(1, 2), stop_after_s=4.0)])
    end = end_of(said)

    assert end["generator"]["sent"] + end["dropped"] == 100
    assert 25 <= end["dropped"] <= 32


@pytest.mark.parametrize("count", range(1, 20))
def test_what_a_generator_was_about_to_send_when_it_was_stopped_is_not_owed(count: int) -> None:
    spec = make_spec()
    said = spoken(spec, stop_after_s=spec.schedule()[count])

    assert (len(records_of(said)), end_of(said)["dropped"]) == (count, 0)


def test_a_run_whose_generators_are_all_lost_has_failed() -> None:
    said = led(make_spec(), [None, None])
    assert said[-1] == {"event": "failed", "reason": "all load generators were lost"}


def test_a_generator_that_is_lost_before_the_run_began_ends_it() -> None:
    said: Messages = []
    conductor = Conductor(make_spec(), ["a", "b"], said.append)
    conductor.hear("a", {"event": "ready"})
    conductor.lose("b")

    assert said == [{"event": "failed", "reason": "a load generator was lost before the run began"}]


def test_what_one_cannot_measure_nobody_has_measured() -> None:
    said: Messages = []
    conductor = Conductor(make_spec(), ["a", "b"], said.append)
    conductor.hear("a", {"event": "failed", "reason": "Redis is away"})
    conductor.hear("b", {"event": "end", "start_s": None})

    assert said == [{"event": "failed", "reason": "Redis is away"}]


def test_the_records_of_a_generator_whose_clock_is_wrong_are_told_in_the_masters_time() -> None:
    spec = make_spec()
    right = led(spec, [spoken(spec, Shard(0, 2)), spoken(spec, Shard(1, 2))])
    skewed = led(spec, [spoken(spec, Shard(0, 2)), spoken(spec, Shard(1, 2), behind_s=5.0)])

    def instants(record: JobRecord) -> tuple[Any, ...]:
        return record.intended_s, record.enqueued_s, record.started_s, record.finished_s, record.acknowledged_s

    for expected, found in zip(map(instants, records_of(right)), map(instants, records_of(skewed)), strict=True):
        assert found == pytest.approx(expected, abs=1e-6)
    assert end_of(skewed)["start_s"] == pytest.approx(START_S)


def test_messages_of_strangers_are_not_heard() -> None:
    said: Messages = []
    Conductor(make_spec(), ["a"], said.append).hear("stranger", {"event": "ready"})
    assert said == []


def test_what_sending_cost_is_summed() -> None:
    spec = make_spec()
    use = end_of(led(spec, [spoken(spec, Shard(0, 2)), spoken(spec, Shard(1, 2))]))["generator"]

    assert (use["processes"], use["sent"]) == (2, 100)
    assert use["cpu_s"] == pytest.approx(2 * 9.9, abs=0.3)  # virtual seconds pass for CPU seconds here
