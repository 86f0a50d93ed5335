from __future__ import annotations

import math
from dataclasses import replace

import pytest

from jobctl.core.judging import Circumstances, Excuse, Judgement, failures_allowed, is_rising, judge, judge_books
from jobctl.core.quantiles import Sample
from jobctl.core.samples import MIN_JOBS
from jobctl.core.slo import Verdict
from jobctl.core.summary import Backlog, Counts, Load, Summary, Window

JOBS = 200
FLAT = Backlog(3, 0.0, (1, 2, 3) * 80)
GROWING = Backlog(239, 4.0, tuple(range(240)))


def summary(
    *,
    backlog: Backlog = FLAT,
    lag_s: float = 0.001,
    offered_jobs: int = JOBS,
    load: Load | None = None,
    **changes: int,
) -> Summary:
    counts = replace(Counts(JOBS, JOBS, 0, JOBS, 0, 0, 0, 0, 0, JOBS, 0), **changes)
    return Summary(
        window=Window(0.0, 60.0),
        counts=counts,
        offered_jobs=offered_jobs,
        achieved_jobs=counts.finished,
        schedule_lag=Sample([lag_s] * JOBS),
        arrival_scv=0.0,
        load=load,
        wait=Sample(),
        service=Sample([1.0] * JOBS),
        sojourn=Sample(),
        utilisation=0.5,
        backlog=backlog,
    )


#: Nothing happened beside the load.
USUAL = Circumstances(dropped=0, max_schedule_lag_s=0.02, injected_share=0.0)


def verdict_on(run: Summary, *, dropped: int = 0, injected_share: float = 0.0) -> Judgement:
    return judge(run, replace(USUAL, dropped=dropped, injected_share=injected_share))


def test_the_books_alone_say_nothing_of_the_load() -> None:
    full = summary(backlog=GROWING, load=Load(30.0, 25, JOBS, 2.0))

    assert verdict_on(full).verdict is Verdict.BROKEN
    assert judge_books(full, USUAL) == Judgement(Verdict.KEPT)
    assert judge_books(summary(lag_s=0.5), USUAL).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("run", "dropped", "injected_share", "verdict", "reason"),
    [
        pytest.param(summary(), 0, 0.0, Verdict.KEPT, "", id="all is well"),
        pytest.param(summary(lost=1), 0, 0.0, Verdict.BROKEN, "1 of 200 jobs were lost", id="one lost job breaks it"),
        pytest.param(summary(lost=1), 0, 0.5, Verdict.BROKEN, "lost", id="a lost job is never excused by faults"),
        pytest.param(summary(in_flight=2), 0, 0.0, Verdict.BROKEN, "2 jobs were still", id="unfinished jobs break it"),
        pytest.param(summary(duplicated=1), 0, 0.0, Verdict.BROKEN, "1 job ran to", id="a duplicate breaks it"),
        pytest.param(summary(duplicated=1), 0, 0.5, Verdict.KEPT, "", id="duplicates may come of faults"),
        pytest.param(summary(failed=2), 0, 0.0, Verdict.KEPT, "", id="one in a hundred may fail"),
        pytest.param(summary(failed=3), 0, 0.0, Verdict.BROKEN, "3 of 200 jobs failed", id="more may not"),
        pytest.param(summary(failed=110), 0, 0.5, Verdict.KEPT, "", id="failures may come of faults"),
        pytest.param(summary(failed=150), 0, 0.5, Verdict.BROKEN, "beyond the 50.00% injected", id="but not more"),
        pytest.param(summary(failed=200), 0, 0.0001, Verdict.BROKEN, "200 of 200", id="a rare fault excuses little"),
        pytest.param(summary(rejected=1), 0, 0.0, Verdict.INCONCLUSIVE, "refused 1", id="refused jobs: no verdict"),
        pytest.param(summary(), 1, 0.0, Verdict.INCONCLUSIVE, "1 arrival was", id="arrivals never sent: no verdict"),
        pytest.param(summary(lag_s=0.03), 0, 0.0, Verdict.INCONCLUSIVE, "fell behind", id="a late generator"),
        pytest.param(summary(lag_s=0.0199), 0, 0.0, Verdict.KEPT, "", id="lag within the tolerance"),
        pytest.param(
            summary(offered_jobs=MIN_JOBS - 1), 0, 0.0, Verdict.INCONCLUSIVE, "too few jobs: 19", id="too few jobs"
        ),
        pytest.param(summary(offered_jobs=0), 0, 0.0, Verdict.INCONCLUSIVE, "too few jobs: 0", id="none at all"),
        pytest.param(summary(backlog=GROWING), 0, 0.0, Verdict.BROKEN, "backlog grew by 4.00", id="a rising backlog"),
        pytest.param(
            summary(backlog=GROWING), 1, 0.0, Verdict.INCONCLUSIVE, "never sent", id="a trend without its load"
        ),
        pytest.param(
            summary(load=Load(1.9, 2, JOBS, 0.0)), 0, 0.0, Verdict.KEPT, "", id="an even load below the slots"
        ),
        pytest.param(
            summary(load=Load(2.0, 2, JOBS, 0.0)), 0, 0.0, Verdict.INCONCLUSIVE, "2 slots carry", id="a load that fills"
        ),
        pytest.param(
            summary(load=Load(1.9, 2, JOBS, 2.0)), 0, 0.0, Verdict.INCONCLUSIVE, "too near", id="a load that may fill"
        ),
        pytest.param(
            summary(load=Load(2.4, 2, JOBS, 2.0), backlog=GROWING), 0, 0.0, Verdict.BROKEN, "grew", id="and grows"
        ),
        pytest.param(summary(lost=1, rejected=1), 9, 0.0, Verdict.BROKEN, "lost", id="facts go before doubts"),
    ],
)
def test_a_run_is_judged(run: Summary, dropped: int, injected_share: float, verdict: Verdict, reason: str) -> None:
    judgement = verdict_on(run, dropped=dropped, injected_share=injected_share)
    assert judgement.verdict is verdict
    assert reason in " ".join(judgement.reasons)
    assert bool(judgement.reasons) == (verdict is not Verdict.KEPT)


def test_every_broken_fact_is_named() -> None:
    assert len(verdict_on(summary(lost=1, in_flight=1, duplicated=1, failed=50)).reasons) == 4


@pytest.mark.parametrize(
    ("series", "rising"),
    [
        pytest.param((), False, id="nothing was seen"),
        pytest.param((0,), False, id="a single look"),
        pytest.param((0, 50), False, id="two looks"),
        pytest.param((0, 25, 50), True, id="three looks that grow"),
        pytest.param((7,) * 240, False, id="high but level"),
        pytest.param(tuple(range(240)), True, id="grows to the end"),
        pytest.param(tuple(range(240))[::-1], False, id="drains"),
        pytest.param((0,) * 80 + (60,) * 80 + (0,) * 80, False, id="a stall that was made up for"),
        pytest.param((0,) * 160 + (60,) * 79 + (20,), False, id="a late stall that drains already"),
        pytest.param((0, 9) * 120, False, id="noise"),
        pytest.param((0,) * 120 + (10,) * 120, False, id="ten more are noise"),
    ],
)
def test_a_backlog_rises_or_does_not(series: tuple[int, ...], rising: bool) -> None:
    assert is_rising(Backlog(max(series, default=0), 0.0, series), JOBS, variability=0.0) is rising


def test_growth_is_noise_beside_what_so_many_uneven_jobs_do() -> None:
    series = (0,) * 120 + (50,) * 120
    assert is_rising(Backlog(50, 0.1, series), 500, variability=2.0)  # two of sqrt(5/9 x 500 x 2) are 47
    assert not is_rising(Backlog(50, 0.1, series), 600, variability=2.0)  # and of 600 jobs 52
    assert is_rising(Backlog(50, 0.1, series), 600, variability=1.0)


def test_failures_allowed_are_the_injected_share_as_chance_has_it_and_one_in_a_hundred() -> None:
    assert failures_allowed(1000, 0.0) == pytest.approx(10)
    assert failures_allowed(1000, 0.2) == pytest.approx(210 + 2.326 * math.sqrt(160), abs=0.01)
    assert failures_allowed(1000, 1.0) >= 1000


# ------------------------------------------------------------------------------------------------ faults on a timetable


@pytest.mark.parametrize(
    ("run", "excuse", "verdict", "reason"),
    [
        pytest.param(summary(failed=50), Excuse(failed=50), Verdict.KEPT, "", id="failures that a fault explains"),
        pytest.param(summary(failed=50), Excuse(failed=40), Verdict.BROKEN, "10 of 200", id="but not the others"),
        pytest.param(summary(duplicated=3), Excuse(duplicated=3), Verdict.KEPT, "", id="and duplicates"),
        pytest.param(summary(duplicated=3), Excuse(duplicated=2), Verdict.BROKEN, "no fault explains", id="one more"),
        pytest.param(summary(lost=1), Excuse(failed=9, duplicated=9), Verdict.BROKEN, "lost", id="never a lost job"),
        pytest.param(summary(in_flight=1), Excuse(failed=9), Verdict.BROKEN, "still waiting", id="nor unfinished ones"),
        pytest.param(summary(rejected=1), Excuse(failed=9), Verdict.INCONCLUSIVE, "refused", id="nor refused ones"),
        pytest.param(summary(lag_s=0.5), Excuse(failed=9), Verdict.INCONCLUSIVE, "fell behind", id="nor late arrivals"),
        pytest.param(
            summary(), Excuse(problems=("mock_outage: gone",)), Verdict.INCONCLUSIVE, "gone", id="a fault not played"
        ),
        pytest.param(
            summary(load=Load(30.0, 50, JOBS, 0.0)),
            Excuse(slots_lost=25),
            Verdict.INCONCLUSIVE,
            "25 slots",
            id="too few",
        ),
        pytest.param(
            summary(load=Load(20.0, 50, JOBS, 0.0)), Excuse(slots_lost=25), Verdict.KEPT, "", id="enough left"
        ),
        pytest.param(
            summary(load=Load(20.0, 50, JOBS, 0.0)), Excuse(slots_lost=50), Verdict.INCONCLUSIVE, "0 slots", id="none"
        ),
    ],
)
def test_faults_excuse_what_they_explain(run: Summary, excuse: Excuse, verdict: Verdict, reason: str) -> None:
    judgement = judge(run, replace(USUAL, excuse=excuse))
    assert judgement.verdict is verdict
    assert reason in " ".join(judgement.reasons)


#: Over a window of 60 s: 40 s of calm, a stall that adds 60 jobs in 10 s, then what the name says.
STALL = (2,) * 160 + tuple(2 + 60 * step // 40 for step in range(40))


@pytest.mark.parametrize(
    ("series", "calm_from_s", "verdict", "reason"),
    [
        pytest.param(STALL + (62,) * 40, 50.0, Verdict.KEPT, "", id="it grew during the fault alone"),
        pytest.param(STALL + tuple(range(62, 22, -1)), 50.0, Verdict.KEPT, "", id="it falls"),
        pytest.param(STALL + tuple(range(62, 142, 2)), 50.0, Verdict.BROKEN, "from 62 to 140", id="it still grows"),
        pytest.param((*STALL, *STALL[-40:]), 59.0, Verdict.INCONCLUSIVE, "too soon", id="nothing follows the fault"),
        pytest.param((2,) * 200 + STALL[-40:-1] + (3,), 60.0, Verdict.KEPT, "", id="it is gone at the end"),
    ],
)
def test_the_trend_is_that_after_the_last_fault(
    series: tuple[int, ...], calm_from_s: float, verdict: Verdict, reason: str
) -> None:
    run = summary(backlog=Backlog(max(series), 1.0, series))
    excuse = Excuse(calm_from_s=calm_from_s)
    judgement = judge(run, replace(USUAL, excuse=excuse))
    assert judgement.verdict is verdict
    assert reason in " ".join(judgement.reasons)
