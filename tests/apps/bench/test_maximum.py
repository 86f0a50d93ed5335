"""The answer of a search: its verdict, its sentence, what limits the fleet, and the document."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from jobctl.apps.bench.driver import BenchResult
from jobctl.apps.bench.maximum import (
    FoundMaximum,
    Limit,
    WantedMaximum,
    aim_of,
    held_to_gates,
    held_to_upstream,
    limit_ahead,
    limit_of,
    probe_config,
    sentence,
    to_maximum,
    verdict_of,
)
from jobctl.core.arrivals import Stage
from jobctl.core.gates import parse_gate
from jobctl.core.gating import GateResult
from jobctl.core.judging import Judgement
from jobctl.core.limiting import Limit as ModelLimit
from jobctl.core.limiting import Limits, ScopeStatus, Tuning
from jobctl.core.probing import Cause, Finding, Phase, Probe
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.searching import Bracket, Capacity, KnownLimit, Stop
from jobctl.core.slo import Verdict
from jobctl.core.summary import Window, summarise
from jobctl.core.usage import Usage
from support.loads import make_config, make_spec

LOW = Finding(Probe(243.0, 25.0, Phase.SUSTAIN), Verdict.KEPT, error=0.001, utilisation=0.98, wait_p95_s=0.002)
SHORT = replace(LOW, probe=replace(LOW.probe, phase=Phase.BISECT))
HIGH = Finding(
    Probe(255.0, 25.0, Phase.SUSTAIN, push_s=2.7),
    Verdict.BROKEN,
    "the backlog grew by 8.9 jobs/s",
    Cause.TREND,
    error=0.002,
    utilisation=1.0,
    throughput_per_s=247.0,
)
BRACKET = Bracket(LOW, HIGH, Capacity(247.0, 0.5), Stop.FOUND, low_error=0.001)


def result(**changes: Any) -> BenchResult:
    records = [
        JobRecord(f"run-{n}", "sleep", n / 10, n / 10, n / 10, n / 10 + 0.5, Outcome.FINISHED) for n in range(99)
    ]
    plain = BenchResult(
        config=make_config(make_spec()),
        started_at_s=0.0,
        summary=summarise(records, Window(1.0, 9.9), 50),
        dropped=0,
        judgement=Judgement(Verdict.KEPT),
        predicted=None,
        tool_statistics=(),
        interrupted=False,
    )
    return replace(plain, **changes)


def found(bracket: Bracket = BRACKET, **changes: Any) -> FoundMaximum:
    plain = FoundMaximum(
        wanted=WantedMaximum(),
        bracket=bracket,
        findings=(LOW, HIGH),
        limit=Limit.SLOTS,
        evidence="100% of the slots were busy",
        result=result(),
        elapsed_s=100.0,
        interrupted=False,
    )
    return replace(plain, **changes)


def promising(rate_per_s: float) -> WantedMaximum:
    return WantedMaximum(promised_per_s=rate_per_s)


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (found(), Verdict.KEPT, ""),
        (found(wanted=promising(240.0)), Verdict.KEPT, ""),
        (found(wanted=promising(243.0)), Verdict.KEPT, ""),
        (found(replace(BRACKET, low=SHORT), wanted=promising(240.0)), Verdict.INCONCLUSIVE, "only a short probe held"),
        (found(wanted=promising(250.0)), Verdict.INCONCLUSIVE, "was not told from it"),
        (found(wanted=promising(255.0)), Verdict.BROKEN, "promised"),
        (found(wanted=promising(400.0)), Verdict.BROKEN, "promised"),
        (found(replace(BRACKET, stop=Stop.TIME)), Verdict.INCONCLUSIVE, "were not confirmed within 180 s"),
        (found(replace(BRACKET, stop=Stop.TIME), wanted=WantedMaximum(0.01)), Verdict.INCONCLUSIVE, "4.9% wide after"),
        (found(Bracket(None, None, None, Stop.TIME)), Verdict.INCONCLUSIVE, "no bracket"),
        (found(Bracket(LOW, None, None, Stop.CAP)), Verdict.INCONCLUSIVE, "maximum not reached"),
        (found(Bracket(LOW, None, None, Stop.CAP), wanted=promising(200.0)), Verdict.KEPT, ""),
        (found(Bracket(LOW, None, None, Stop.GENERATOR)), Verdict.INCONCLUSIVE, "maximum not reached"),
        (found(Bracket(None, HIGH, None, Stop.LOWEST)), Verdict.BROKEN, "even the lowest rate"),
        (found(replace(BRACKET, stop=Stop.INTERRUPTED), interrupted=True), Verdict.INCONCLUSIVE, "interrupted"),
    ],
)
def test_the_verdict_is_about_the_question_and_about_what_must_be_carried(
    answer: FoundMaximum, verdict: Verdict, said: str
) -> None:
    given, reasons = verdict_of(answer)

    assert given is verdict
    assert said in " ".join(reasons)
    assert bool(reasons) == (verdict is not Verdict.KEPT)


def test_the_sentence_tells_both_ends_the_confidence_and_the_limit() -> None:
    assert sentence(found()) == (
        "2 replicas of 25 slots sustained 243 jobs/s and not 255 jobs/s (4.9% apart, with 99.7% confidence); "
        "the limit: slots (100% of the slots were busy)."
    )


def test_a_low_end_that_was_not_sustained_is_told_with_its_length() -> None:
    short = replace(LOW, probe=Probe(200.0, 4.0, Phase.DOUBLE))

    assert sentence(found(replace(BRACKET, low=short))).startswith(
        "2 replicas of 25 slots carried 200 jobs/s for 4 s and not 255 jobs/s"
    )


def test_of_a_fleet_whose_slots_nobody_told_the_sentence_says_the_fleet() -> None:
    config = replace(make_config(make_spec()), concurrency=None)

    assert sentence(found(result=result(config=config))).startswith("The fleet sustained 243 jobs/s")


def test_where_no_rate_holds_the_sentence_says_which_failed() -> None:
    told = sentence(found(Bracket(None, HIGH, None, Stop.LOWEST)))

    assert told.startswith("2 replicas of 25 slots sustained no rate; 255 jobs/s failed")


def test_without_a_high_end_the_sentence_says_that_the_maximum_was_not_reached() -> None:
    told = sentence(found(Bracket(LOW, None, None, Stop.CAP), limit=Limit.CAP, evidence="the highest rate holds"))

    assert told == "2 replicas of 25 slots sustained 243 jobs/s; maximum not reached: the highest rate holds."


def test_confidence_is_what_the_errors_of_both_ends_leave() -> None:
    maximum = to_maximum(found())

    assert maximum["confidence"] == pytest.approx(1 - maximum["low_error"] - maximum["high_error"])


def test_the_document_is_finite_json_and_null_where_nothing_was_measured() -> None:
    for answer in (found(), found(Bracket(None, None, None, Stop.TIME), limit=Limit.UNKNOWN)):
        text = json.dumps(to_maximum(answer), allow_nan=False)
        assert json.loads(text)["probes"][1]["wait_p95_s"] is None
    assert to_maximum(answer)["low_per_s"] is to_maximum(answer)["width"] is to_maximum(answer)["confidence"] is None


def test_jobs_per_replica_are_told_only_where_replicas_are_the_limit() -> None:
    assert to_maximum(found())["per_replica_per_s"] == pytest.approx(121.5)
    assert to_maximum(found(limit=Limit.LIMITER))["per_replica_per_s"] is None


def scope(**changes: Any) -> ScopeStatus:
    return replace(ScopeStatus("m", 19.4, 0.0, 0.0, 0.0, False, 1.0, 10.0), **changes)


IDLE = replace(HIGH, utilisation=0.04, throughput_per_s=19.4)
CPU = Usage(cpu_s_per_job=0.01, cpu_share_per_replica=0.97, memory_bytes_per_replica=1)


@pytest.mark.parametrize(
    ("finding", "usage", "limiters", "limit"),
    [
        (HIGH, None, (), Limit.SLOTS),
        (IDLE, None, (scope(),), Limit.LIMITER),
        (IDLE, None, (scope(factor=0.5),), Limit.UPSTREAM),
        (IDLE, None, (scope(paused_s=20.0),), Limit.UPSTREAM),
        (IDLE, None, (scope(), scope(paused_s=20.0), scope()), Limit.UPSTREAM),
        (IDLE, CPU, (scope(rate_per_s=500.0),), Limit.CPU),
        (IDLE, None, (scope(rate_per_s=500.0),), Limit.UNKNOWN),
        (replace(IDLE, cause=Cause.OBJECTIVE, reason="p95 wait <= 1 s is broken"), None, (), Limit.OBJECTIVE),
        (replace(IDLE, cause=Cause.ERRORS, reason="3 jobs were lost"), None, (), Limit.ERRORS),
        (IDLE, None, (), Limit.UNKNOWN),
    ],
)
def test_the_limit_is_named_by_what_was_used_up(
    finding: Finding, usage: Usage | None, limiters: tuple[ScopeStatus, ...], limit: Limit
) -> None:
    named, evidence = limit_of(replace(BRACKET, high=finding), result(usage=usage), limiters)

    assert named is limit
    assert evidence


def test_a_cap_and_a_generator_are_named_where_no_rate_failed() -> None:
    assert limit_of(Bracket(LOW, None, None, Stop.CAP), None, ())[0] is Limit.CAP
    assert limit_of(Bracket(LOW, None, None, Stop.GENERATOR), None, ())[0] is Limit.GENERATOR
    assert limit_of(Bracket(LOW, None, None, Stop.TIME), None, ())[0] is Limit.UNKNOWN


def gated(verdict: Verdict) -> tuple[GateResult, ...]:
    return (GateResult(parse_gate("sojourn.p95 < 1s"), verdict, 2.0, 100, "too slow"),)


def test_a_broken_gate_breaks_a_rate_that_held_and_an_unsure_one_leaves_a_confirmation_open() -> None:
    broken = held_to_gates(LOW, gated(Verdict.BROKEN))
    assert (broken.verdict, broken.cause) == (Verdict.BROKEN, Cause.OBJECTIVE)
    assert held_to_gates(LOW, gated(Verdict.INCONCLUSIVE)).verdict is Verdict.INCONCLUSIVE
    assert held_to_gates(LOW, gated(Verdict.KEPT)) is LOW

    short = replace(LOW, probe=Probe(50.0, 4.0, Phase.DOUBLE))
    assert held_to_gates(short, gated(Verdict.INCONCLUSIVE)) is short
    pushed = replace(LOW, probe=HIGH.probe)
    assert held_to_gates(pushed, gated(Verdict.BROKEN)) is pushed


def test_a_pushed_probe_doubles_its_rate_in_front_and_is_judged_behind() -> None:
    base = replace(make_config(make_spec(drain_s=60.0)), gates=(parse_gate("wait.p95 < 1s"),))

    pushed = probe_config(base, HIGH.probe, "abc", 0.2)
    assert pushed.spec.stages == (Stage.steady(510.0, 2.7), Stage.steady(255.0, 25.0))
    assert pushed.spec.warmup_s == 2.7
    assert pushed.spec.drain_s < 5.0, "what is left of it is removed"
    assert pushed.gates == ()
    assert (pushed.rate_per_s, pushed.spec.run_id) == (255.0, "abc")

    confirming = probe_config(base, LOW.probe, "abd", 0.2)
    assert confirming.spec.stages == (Stage.steady(243.0, 25.0),)
    assert confirming.spec.drain_s == 60.0
    assert confirming.gates == base.gates


def test_the_search_begins_at_what_must_be_carried_or_at_half_the_slots() -> None:
    assert aim_of(promising(7.0), 50, calls=False).start_per_s == 7.0
    assert aim_of(WantedMaximum(), 50, calls=False).start_per_s == 25.0
    assert aim_of(WantedMaximum(), 1, calls=False).start_per_s == 2.0
    assert aim_of(WantedMaximum(), None, calls=False).start_per_s == 5.0
    assert aim_of(WantedMaximum(), 50, calls=False).most_per_s == math.inf
    assert aim_of(WantedMaximum(max_per_s=80.0), 50, calls=True).most_per_s == 80.0


def test_refusals_above_a_limit_that_is_known_are_the_verdict_and_others_are_only_noted() -> None:
    limit = KnownLimit(20.0, 60.0)
    steady = replace(LOW, probe=Probe(20.6, 66.0, Phase.SUSTAIN))
    records = [JobRecord(f"r-{n}", "chat", n, n, n, n + 0.1, Outcome.FINISHED) for n in range(100)]

    refused = held_to_upstream(steady, limit, 90.5, 40.0, records)
    assert (refused.verdict, refused.cause) == (Verdict.BROKEN, Cause.REFUSED)
    assert refused.reason == "the upstream refused calls from 50.5 s on"
    assert refused.accepted == 60, "those that began in the minute before"

    below = replace(steady, probe=Probe(19.7, 66.0, Phase.SUSTAIN))
    assert held_to_upstream(below, limit, 90.5, 40.0, records).verdict is Verdict.KEPT
    assert held_to_upstream(steady, None, 90.5, 40.0, records).verdict is Verdict.KEPT
    assert held_to_upstream(steady, KnownLimit(20.0), 90.5, 40.0, records).verdict is Verdict.KEPT
    assert held_to_upstream(steady, limit, None, 40.0, records) is steady

    behind = replace(steady, verdict=Verdict.INCONCLUSIVE, cause=Cause.GENERATOR)
    late = JobRecord("r-100", "chat", 80.0, 80.5, 80.5, 80.6, Outcome.FINISHED)
    assert held_to_upstream(behind, limit, 90.5, 40.0, [*records, late]).cause is Cause.REFUSED
    later = replace(late, enqueued_s=82.0)
    assert held_to_upstream(behind, limit, 90.5, 40.0, [*records, later]).cause is Cause.GENERATOR, "40 calls at once"


def test_an_upstream_that_refused_is_the_limit_and_its_calls_of_a_minute_the_evidence() -> None:
    refused = replace(IDLE, cause=Cause.REFUSED, accepted=1200)

    assert limit_of(replace(BRACKET, high=refused), result(), ()) == (
        Limit.UPSTREAM,
        "it accepted 1200 calls in a minute and refused more",
    )
    early = found(Bracket(None, refused, None, Stop.REFUSED), findings=(LOW, refused))
    assert verdict_of(early) == (
        Verdict.INCONCLUSIVE,
        (
            "the upstream refused calls after it had accepted 1200 in a minute; give --within 6m, or tell the workers "
            "its limit (--openrouter-rpm)",
        ),
    )


def test_a_search_that_foretold_its_time_says_how_long_to_give_it() -> None:
    _, reasons = verdict_of(found(replace(BRACKET, stop=Stop.TIME), needed_s=300.0))

    assert reasons == ("the ends were not confirmed within 180 s; give --within 6m",)


def test_the_tightest_limit_that_every_job_meets_is_where_to_look() -> None:
    limits = Limits(by_model={"m": ModelLimit(rpm=1200.0)})
    evenly = KnownLimit(1200 / Tuning().spread_s)

    assert limit_ahead({"m"}, limits, None) == evenly
    assert limit_ahead({"m"}, limits, 1200.0) == evenly, "the workers keep within what the mock admits"
    assert limit_ahead({"m"}, limits, 600.0) == KnownLimit(10.0, 60.0)
    assert limit_ahead({"m", "n"}, limits, 600.0) == KnownLimit(10.0, 60.0), "the mock counts all models together"
    assert limit_ahead({"m", "n"}, limits, None) is None
    assert limit_ahead({"n"}, limits, None) is None
    assert limit_ahead({None}, limits, 600.0) is None, "its jobs call nothing"
    assert limit_ahead({"m", None}, limits, 600.0) is None
