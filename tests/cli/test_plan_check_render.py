from __future__ import annotations

from dataclasses import replace

from jobctl.apps.plan.check import Check
from jobctl.cli.plan_check_render import describe_check, describe_run
from jobctl.core.arrivals import POISSON
from jobctl.core.judging import Judgement
from jobctl.core.service import Exponential
from jobctl.core.slo import Verdict
from jobctl.core.validation import Comparison, Rehearsal, Replay, Validation

REHEARSAL = Rehearsal(
    arrival_rate_per_s=25.0,
    arrivals=POISSON,
    service=Exponential(0.8),
    replicas=1,
    concurrency=25,
    duration_s=60.0,
    warmup_s=6.0,
)
AGREES = Validation(
    REHEARSAL,
    1400,
    (Comparison("utilisation", 0.8, 0.75, 0.86, 0.81), Comparison("wait_p95_s", 0.2, 0.05, 0.9, 0.31)),
    Replay(0.050, 0.048),
    Judgement(Verdict.KEPT),
)


def test_the_run_is_introduced_with_what_differs_from_the_plan() -> None:
    check = Check(REHEARSAL, 10.0, 1, ("time runs 10 times faster", "the load is steady, at the planned peak"))

    assert list(describe_run(check)) == [
        "check: 1 worker of 25 slots, 25 jobs/s for 60 s, real Redis and real workers",
        "  time runs 10 times faster",
        "  the load is steady, at the planned peak",
    ]
    two = replace(check, rehearsal=replace(REHEARSAL, replicas=2))
    assert next(describe_run(two)).startswith("check: 2 workers of 25 slots")


def test_predicted_stands_beside_measured() -> None:
    lines = list(describe_check(AGREES))

    assert [line.split() for line in lines[1:3]] == [
        ["utilisation", "80.0%", "75.0%", "..", "86.0%", "81.0%", "agrees"],
        ["wait", "p95", "0.200", "s", "0.0500", "s", "..", "0.900", "s", "0.310", "s", "agrees"],
    ]
    assert "mean wait 0.0480 s, measured 0.0500 s, allowed to differ by 0.00980 s: agrees" in lines[4]
    assert lines[5:] == ["check: kept, 1,400 jobs"]


def test_what_disagrees_stands_out_and_the_reasons_follow_the_verdict() -> None:
    broken = replace(
        AGREES,
        comparisons=(Comparison("wait_p95_s", 0.2, 0.05, 0.9, 1.31),),
        replay=Replay(0.5, 0.1),
        judgement=Judgement(Verdict.BROKEN, ("replay: too long", "predict: too long")),
    )
    lines = list(describe_check(broken))

    assert lines[1].endswith("OUTSIDE")
    assert lines[3].endswith("DISAGREES")
    assert lines[-3:] == ["check: broken, 1,400 jobs", "  replay: too long", "  predict: too long"]


def test_without_figures_only_the_verdict_is_said() -> None:
    nothing = Validation(REHEARSAL, 3, (), None, Judgement(Verdict.INCONCLUSIVE, ("too few jobs",)))

    assert list(describe_check(nothing)) == ["check: inconclusive, 3 jobs", "  too few jobs"]
