from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.chaos import (
    UNDISTURBED,
    Disturbance,
    FaultKind,
    PlayedFault,
    Target,
    Targets,
    TimedFault,
    check_faults,
    parse_chaos,
    parse_fault,
    parse_fault_table,
    stretched_faults,
    timetable,
    too_short_a_drain,
)
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.retrying import RetryPolicy
from jobctl.errors import InvalidValue

KILLED, FROZEN = FaultKind.REPLICA_KILLED, FaultKind.REPLICA_FROZEN
OUTAGE, STALLED = FaultKind.MOCK_OUTAGE, FaultKind.REDIS_STALLED
EVERYTHING = Targets(replicas=2, mock=True, redis=True)
#: Times as people write them: whole milliseconds up to a day.
TIMES = st.integers(1, 86_400_000).map(lambda ms: ms / 1000)


@st.composite
def timed_faults(draw: st.DrawFn) -> TimedFault:
    kind = draw(st.sampled_from(FaultKind))
    lasting = draw(st.none() | TIMES) if kind is KILLED else draw(TIMES)
    replica = draw(st.none() | st.integers(1, 100)) if kind.target is Target.REPLICA else None
    return TimedFault(kind, draw(TIMES), lasting, replica)


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mock_outage@20s+20s", TimedFault(OUTAGE, 20.0, 20.0)),
        ("replica_frozen:2@10s+5s", TimedFault(FROZEN, 10.0, 5.0, 2)),
        ("replica_frozen:all@10s+5s", TimedFault(FROZEN, 10.0, 5.0, None)),
        ("replica_frozen@1m+500ms", TimedFault(FROZEN, 60.0, 0.5, 1)),
        ("replica_killed@30s", TimedFault(KILLED, 30.0, None, 1)),
        (" Redis-Stalled @ 0s + 2s ", TimedFault(STALLED, 0.0, 2.0)),
    ],
)
def test_a_fault_is_read_as_it_is_typed(text: str, fault: TimedFault) -> None:
    assert parse_fault(text) == fault


@given(timed_faults())
def test_a_fault_as_text_reads_back_as_itself(fault: TimedFault) -> None:
    assert parse_fault(str(fault)) == fault


@given(
    st.text(max_size=40) | st.from_regex(r"(replica_killed|mock_outage)(:.{0,3})?@.{0,6}(\+.{0,6})?", fullmatch=True)
)
def test_any_text_is_a_fault_or_says_what_to_write(text: str) -> None:
    answer = reading(text)
    if isinstance(answer, InvalidValue):
        assert answer.problem
        assert answer.remedy
        assert len(str(answer)) < 300
    else:
        assert math.isfinite(answer.until_s)


def reading(text: str) -> TimedFault | InvalidValue:
    try:
        return parse_fault(text)
    except InvalidValue as error:
        return error


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no fault"),
        ("mock_outage", "is no fault"),
        ("mock_outtage@1s+1s", "did you mean 'mock_outage'?"),
        ("meteor@1s+1s", "kinds: mock_outage"),
        ("mock_outage@1s", "says not for how long"),
        ("mock_outage@1s+0s", "longer than 0"),
        ("mock_outage@-1s+1s", "not a duration"),
        ("mock_outage@1s+nan", "not a duration"),
        ("mock_outage:1@1s+1s", "strikes no replica"),
        ("replica_killed:0@1s", "is no replica"),
        ("replica_killed:x@1s", "is no replica"),
    ],
)
def test_what_is_no_fault_is_refused_with_a_hint(text: str, says: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_fault(text)
    assert says in str(refusal.value)


def test_none_stands_for_no_fault() -> None:
    assert parse_chaos("none") is None
    assert parse_chaos("replica_killed@3s") == TimedFault(KILLED, 3.0, None, 1)


@given(timed_faults())
def test_a_table_of_a_scenario_says_the_same_as_the_text(fault: TimedFault) -> None:
    table = {"kind": fault.kind.value, "at": fault.at_s}
    if fault.for_s is not None:
        table["for"] = f"{fault.for_s}s"
    if fault.kind.target is Target.REPLICA:
        table["replica"] = fault.replica or "all"
    assert parse_fault_table(table) == fault


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("mock_outage", "not a table"),
        ({"at": "1s"}, "no kind"),
        ({"kind": "mock_outage"}, "no at"),
        ({"kind": "mock_outage", "at": "1s", "fore": "1s"}, "did you mean 'for'?"),
        ({"kind": "mock_outage", "at": "1s", "for": True}, "not a duration"),
        ({"kind": "replica_killed", "at": "1s", "replica": 1.5}, "is no replica"),
    ],
)
def test_a_wrong_table_is_refused(table: object, says: str) -> None:
    with pytest.raises(InvalidValue, match=says.replace("?", r"\?")):
        parse_fault_table(table)


# ------------------------------------------------------------------------------------------------------------ checking


@pytest.mark.parametrize(
    ("fault", "targets", "says"),
    [
        ("mock_outage@30s+1s", EVERYTHING, "begins after the schedule of 30s"),
        ("mock_outage@25s+6s", EVERYTHING, "ends at 31s, after the schedule"),
        ("mock_outage@5s+6s", replace(EVERYTHING, mock=False), "starts none"),
        ("redis_stalled@5s+6s", replace(EVERYTHING, redis=False), "not the bench's own"),
        ("replica_killed@5s", replace(EVERYTHING, replicas=None), "--no-workers starts none"),
        ("replica_frozen:all@5s+1s", replace(EVERYTHING, replicas=None), "--no-workers starts none"),
        ("replica_killed:3@5s", EVERYTHING, "only 2 replicas"),
        ("replica_killed:2@5s", replace(EVERYTHING, replicas=1), "only 1 replica"),
    ],
)
def test_what_cannot_be_done_is_refused(fault: str, targets: Targets, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        check_faults([parse_fault(fault)], 30.0, targets)


@pytest.mark.parametrize(
    ("texts", "clash"),
    [
        (["mock_outage@5s+5s", "rate_limited@9s+5s"], True),
        (["mock_outage@5s+5s", "rate_limited@10s+5s"], False),
        (["mock_outage@5s+5s", "redis_stalled@6s+1s", "replica_frozen@6s+1s"], False),
        (["replica_frozen:1@5s+5s", "replica_frozen:2@5s+5s"], False),
        (["replica_frozen:1@5s+5s", "replica_killed:all@9s"], True),
        (["replica_killed:1@5s", "replica_frozen:1@20s+1s"], True),
        (["replica_killed:1@5s+5s", "replica_killed:1@12s+5s"], False),
    ],
)
def test_nothing_is_struck_twice_at_once(texts: list[str], clash: bool) -> None:
    faults = [parse_fault(text) for text in texts]
    for order in (faults, faults[::-1]):
        if clash:
            with pytest.raises(InvalidValue, match="at the same time"):
                check_faults(order, 30.0, EVERYTHING)
        else:
            check_faults(order, 30.0, EVERYTHING)


def test_faults_keep_their_places_in_a_longer_schedule() -> None:
    faults = [parse_fault("replica_frozen:2@10s+5s"), parse_fault("replica_killed@30s")]
    assert [str(fault) for fault in stretched_faults(faults, 2.0)] == [
        "replica_frozen:2@20s+10s",
        "replica_killed:1@60s",
    ]


@pytest.mark.parametrize(
    ("fault", "rate_per_s", "needed_s"),
    [
        ("replica_killed@25s", 1.0, 25),  # back at work at 55 s, the schedule ends at 30 s
        ("replica_frozen@10s+5s", 1.0, 15),
        ("redis_stalled@28s+2s", 1.0, 30),
        ("mock_outage@28s+2s", 1.0, 16),  # the wait before the last of five attempts: 2 s, 4 s, 8 s, 16 s
        ("mock_outage@5s+25s", 0.1, 30),  # the breaker: as long as the outage lasted and 5 s
        # 40 jobs; 10 retries are in reserve, 15 s at 0.1 x 4 + 0.2 a second add 9; the other 21 at 0.2 a second
        ("mock_outage@5s+10s", 4.0, 105),
    ],
)
def test_a_drain_is_too_short_where_struck_jobs_may_come_later(fault: str, rate_per_s: float, needed_s: float) -> None:
    assert short_drain(needed_s, fault, rate_per_s=rate_per_s) is None
    said = short_drain(needed_s - 1, fault, rate_per_s=rate_per_s)
    assert said is not None
    assert f"{needed_s} s after the schedule" in said
    assert f"--drain {needed_s + 10}s" in said


def test_without_faults_every_drain_is_long_enough() -> None:
    assert short_drain(0.0, rate_per_s=1000.0) is None


def short_drain(drain_s: float, *faults: str, rate_per_s: float) -> str | None:
    return too_short_a_drain(
        [parse_fault(fault) for fault in faults],
        30.0,
        drain_s,
        rate_per_s=rate_per_s,
        recover_after_s=30.0,
        retries=RetryPolicy(attempts=5, base_s=2.0, cap_s=300.0),
    )


# ------------------------------------------------------------------------------------------------------------- playing


@given(st.lists(timed_faults(), max_size=8))
def test_a_timetable_begins_each_fault_and_ends_each_that_ends_in_order_of_time(faults: list[TimedFault]) -> None:
    acts = timetable(faults)
    assert [act.at_s for act in acts] == sorted(act.at_s for act in acts)
    assert sorted(str(act.fault) for act in acts if act.begins) == sorted(map(str, faults))
    assert sum(not act.begins for act in acts) == sum(fault.for_s is not None for fault in faults)


def test_what_ends_does_so_before_what_begins_at_the_same_instant() -> None:
    faults = [parse_fault("rate_limited@10s+5s"), parse_fault("mock_outage@5s+5s")]
    assert [(act.at_s, act.begins) for act in timetable(faults)] == [(5, True), (10, False), (10, True), (15, False)]


# ------------------------------------------------------------------------------------------------------------- judging


def job(
    intended_s: float, finished_s: float | None, outcome: Outcome = Outcome.FINISHED, successes: int = 1
) -> JobRecord:
    return JobRecord("run-1", "sleep", intended_s, intended_s, intended_s, finished_s, outcome, successes=successes)


def disturbance(*faults: PlayedFault, replicas: int | None = 2) -> Disturbance:
    return Disturbance.of(faults, start_s=100.0, recover_after_s=3.0, replicas=replicas)


@pytest.mark.parametrize(
    ("kind", "intended_s", "finished_s", "struck"),
    [
        pytest.param(FROZEN, 105.0, 109.9, False, id="it had ended before"),
        pytest.param(FROZEN, 105.0, 110.0, True, id="it was there when the fault began"),
        pytest.param(FROZEN, 105.0, None, True, id="it never ended"),
        pytest.param(FROZEN, 112.0, 113.0, True, id="it came during the fault"),
        pytest.param(FROZEN, 118.0, 119.0, True, id="it came during the recovery"),
        pytest.param(FROZEN, 118.1, 119.0, False, id="it came later"),
        pytest.param(OUTAGE, 115.1, 116.0, False, id="the mock recovers at once"),
    ],
)
def test_a_job_is_struck_if_it_was_there(
    kind: FaultKind, intended_s: float, finished_s: float | None, struck: bool
) -> None:
    played = PlayedFault(kind, 10.0, 15.0, None, "")
    assert disturbance(played).struck(job(intended_s, finished_s)) is struck


def test_failures_and_duplicates_of_struck_jobs_are_excused_and_no_others() -> None:
    records = [
        job(111.0, 112.0, Outcome.FAILED, successes=0),
        job(111.0, 112.0, successes=2),
        job(111.0, 112.0),
        job(101.0, 102.0, Outcome.FAILED, successes=0),
        job(101.0, 102.0, successes=2),
    ]
    assert disturbance(PlayedFault(KILLED, 10.0, 11.0, 1, "")).excused(records) == (1, 1)
    assert UNDISTURBED.excused(records) == (0, 0)
    assert disturbance() == UNDISTURBED


def test_a_replica_that_stays_dead_is_a_smaller_fleet_from_then_on() -> None:
    dead = disturbance(PlayedFault(KILLED, 10.0, None, 1, ""))
    assert dead.replicas_lost == 1
    assert dead.calm_from_s == 110.0
    assert disturbance(PlayedFault(KILLED, 10.0, None, None, ""), replicas=3).replicas_lost == 3
    assert disturbance(PlayedFault(KILLED, 10.0, 12.0, 1, "")).replicas_lost == 0


def test_a_fault_that_was_not_played_is_a_problem_with_its_reason() -> None:
    played = PlayedFault(FROZEN, 10.0, 15.0, 1, "not done", problem="worker 1 had ended before")
    assert disturbance(played).problems == ("replica_frozen: worker 1 had ended before",)
