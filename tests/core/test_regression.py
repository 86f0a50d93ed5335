"""Two sides and the verdict on their difference, against worked figures and against what simulation knows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.regression import (
    FALSE_ALARMS_BEFORE_REPEAT,
    Comparison,
    Finding,
    Floors,
    Line,
    compare,
    conclude,
    suspects,
)
from jobctl.core.resampling import Round, Run, Stretch, Tally
from jobctl.errors import InvalidValue
from support.comparisons import played, rounds, tally

FLOORS = Floors()


def run_of(*stretches: list[float], failed: int = 0, schedule: str = "same", lost: int = 0) -> Run:
    """A run of stretches of a second, each with these durations on every signal."""
    made = [
        Stretch(len(values), failed, {name: tally(values) for name in ("service", "sojourn", "wait")})
        for values in stretches
    ]
    return Run(1.0, tuple(made), schedule, lost=lost)


def steady(value_s: float, *, stretches: int = 12, jobs: int = 20, **more: object) -> Run:
    return run_of(*[[value_s] * jobs] * stretches, **more)  # type: ignore[arg-type]


def line(lines: tuple[Line, ...], name: str) -> Line:
    return next(line for line in lines if line.name == name)


def verdict(first: list[Round], second: list[Round] | None = None, floors: Floors = FLOORS) -> Comparison:
    lines = compare(first, floors, false_alarms=FALSE_ALARMS_BEFORE_REPEAT)
    suspected = suspects(lines)
    again = compare(second, floors, only=suspected) if second and suspected else ()
    return conclude(lines, again, (len(first), len(second or ())), floors)


def nearly_full(seed: int, noise: random.Random) -> Run:
    """Other services at the same arrivals, on slots that are nearly full; the bench could bound no sojourn."""
    run = played(seed, noise, rate_per_s=95.0, mean_s=0.05, sigma=0.8, slots=5, duration_s=20.0, run_noise=0.0)
    return replace(run, schedule="same", unsure=frozenset({"sojourn", "wait"}))


def test_one_run_on_slots_that_are_nearly_full_shows_no_regression_of_sojourns() -> None:
    noise = random.Random(1)
    comparisons = [
        compare([Round(nearly_full(seed, noise), nearly_full(seed + 50, noise))], FLOORS) for seed in range(4)
    ]
    sojourns = [line(lines, "sojourn.mean") for lines in comparisons]

    assert {sojourn.finding for sojourn in sojourns} == {Finding.CANNOT_TELL}
    assert any(abs(sojourn.relative or 0.0) > 0.5 for sojourn in sojourns), "chance alone moves them by half"
    assert all("compare 3 rounds" in (sojourn.reason or "") for sojourn in sojourns)


def test_three_rounds_on_slots_that_are_nearly_full_tell_of_sojourns() -> None:
    one, other = (replace(steady(value_s), unsure=frozenset({"sojourn"})) for value_s in (0.5, 0.6))

    assert suspects(compare([Round(one, other)] * 2, FLOORS)) == ("service.mean",)
    assert "sojourn.mean" in suspects(compare([Round(one, other)] * 3, FLOORS))


def test_a_constant_that_grew_by_a_fifth_is_a_regression_of_a_fifth() -> None:
    lines = compare([Round(steady(0.5), steady(0.6))], FLOORS)

    mean = line(lines, "service.mean")
    assert (mean.baseline, mean.new, mean.finding) == (pytest.approx(0.5), pytest.approx(0.6), Finding.REGRESSION)
    assert mean.relative == pytest.approx(0.2)
    assert mean.interval == (pytest.approx(0.1), pytest.approx(0.1)), "nothing varies"
    assert mean.floor == pytest.approx(0.025), "5 % of half a second, which is more than 5 ms"


@pytest.mark.parametrize(
    ("before_s", "after_s", "finding"),
    [
        (0.500, 0.524, Finding.NO_CHANGE),
        (0.500, 0.526, Finding.REGRESSION),
        (0.500, 0.476, Finding.NO_CHANGE),
        (0.500, 0.474, Finding.IMPROVEMENT),
        (0.010, 0.014, Finding.NO_CHANGE),
        (0.010, 0.016, Finding.REGRESSION),
    ],
    ids=["+4.8 %", "+5.2 %", "-4.8 %", "-5.2 %", "+40 % but 4 ms", "6 ms"],
)
def test_a_change_counts_beyond_the_larger_floor(before_s: float, after_s: float, finding: Finding) -> None:
    lines = compare([Round(steady(before_s), steady(after_s))], FLOORS)

    assert line(lines, "service.mean").finding is finding
    assert line(lines, "sojourn.mean").finding is finding


def test_percentiles_are_those_of_all_jobs_together_and_never_averaged() -> None:
    """99 jobs of 10 ms and one of a second in each of two stretches out of twelve: p95 is 10 ms, p99 is 10 ms."""
    spiky = [[0.01] * 99 + [1.0]] * 2 + [[0.01] * 100] * 10
    lines = compare([Round(run_of(*spiky), run_of(*spiky))], FLOORS)

    assert line(lines, "service.p99").baseline == pytest.approx(0.01)
    assert line(lines, "service.mean").baseline == pytest.approx((1198 * 0.01 + 2 * 1.0) / 1200)


def test_more_failed_jobs_are_a_regression_whatever_they_took() -> None:
    lines = compare([Round(steady(0.1), steady(0.1, failed=4))], FLOORS)

    errors = line(lines, "error_rate")
    assert (errors.baseline, errors.new, errors.finding) == (0.0, 0.2, Finding.REGRESSION)


def test_jobs_that_no_longer_finish_lower_the_throughput() -> None:
    missing = [Stretch(20, 0, {"service": tally([0.1] * 15)}) for _ in range(12)]
    lines = compare([Round(steady(0.1), Run(1.0, tuple(missing), "same"))], FLOORS)

    assert line(lines, "throughput").finding is Finding.REGRESSION
    assert line(lines, "sojourn.mean").finding is Finding.CANNOT_TELL


def test_a_higher_throughput_is_an_improvement() -> None:
    missing = [Stretch(20, 0, {"service": tally([0.1] * 15)}) for _ in range(12)]
    lines = compare([Round(Run(1.0, tuple(missing), "same"), steady(0.1))], FLOORS)

    assert line(lines, "throughput").finding is Finding.IMPROVEMENT


def test_where_jobs_were_lost_before_more_of_them_are_no_news_and_not_nothing() -> None:
    more, as_many = (verdict([Round(steady(0.1, lost=1), steady(0.1, lost=now))]) for now in (9, 1))

    assert (more.finding, more.reasons) == (Finding.CANNOT_TELL, ("lost: 1 before and 9 now",))
    assert as_many.finding is Finding.NO_CHANGE


def test_a_lost_job_is_a_fact_and_needs_no_statistics() -> None:
    found = verdict([Round(steady(0.1), steady(0.1, lost=1))])

    assert found.finding is Finding.REGRESSION
    assert "lost went from 0 to 1" in found.reasons


@pytest.mark.parametrize(("stretches", "jobs"), [(12, 2), (4, 20)], ids=["24 jobs", "4 stretches"])
def test_too_little_never_passes(stretches: int, jobs: int) -> None:
    runs = steady(0.1, stretches=stretches, jobs=jobs), steady(0.1, stretches=stretches, jobs=jobs)
    found = verdict([Round(*runs)])

    assert found.finding is Finding.CANNOT_TELL
    assert any("needed" in reason or "stretches" in reason for reason in found.reasons)


def test_what_varies_too_much_to_rule_out_three_floors_cannot_be_told() -> None:
    rng = random.Random(1)
    runs = [run_of(*[[rng.expovariate(1) for _ in range(10)] for _ in range(12)], schedule=name) for name in "ab"]
    found = verdict([Round(*runs)])

    assert found.finding is Finding.CANNOT_TELL
    assert any(reason.startswith("service.mean: too few jobs, or they vary too much") for reason in found.reasons)


def test_a_p95_decides_with_fifty_jobs_above_it() -> None:
    few, many = steady(0.1, jobs=83), steady(0.1, jobs=84)  # of twelve stretches: 996 and 1008

    assert not line(compare([Round(few, few)], FLOORS), "service.p95").decides
    assert line(compare([Round(many, many)], FLOORS), "service.p95").decides


def test_a_p99_is_not_told_from_fewer_jobs_than_bound_it() -> None:
    """An upper bound of p99 takes 299 jobs."""
    lines = compare([Round(steady(0.1), steady(0.1))], FLOORS)
    p99 = line(lines, "service.p99")

    assert (p99.baseline, p99.finding) == (None, Finding.CANNOT_TELL)
    assert p99.reason == "240 jobs do not tell it, 299 would"


def test_the_same_jobs_on_both_sides_cancel_out() -> None:
    """Exponential times vary by their mean, so 240 of them tell it to 6 %; as pairs they tell a change exactly."""
    rng = random.Random(2)
    times = [[0.05 + rng.expovariate(1) for _ in range(20)] for _ in range(12)]
    slower = [[1.1 * value for value in values] for values in times]
    paired = line(compare([Round(run_of(*times), run_of(*slower))], FLOORS), "service.mean")
    other = Round(run_of(*times), run_of(*slower, schedule="another"))
    unpaired = line(compare([other], FLOORS), "service.mean")

    assert paired.interval is not None
    assert unpaired.interval is not None
    assert paired.relative == pytest.approx(0.1, abs=0.005)
    assert paired.finding is Finding.REGRESSION
    assert unpaired.finding is Finding.CANNOT_TELL
    assert paired.interval[1] - paired.interval[0] < 0.1 * (unpaired.interval[1] - unpaired.interval[0])


def test_what_differs_from_run_to_run_widens_the_interval_of_three_rounds() -> None:
    """One version, on a machine that is 10 % slower in every other run: no run shows it, three rounds do."""
    levels = [(0.50, 0.55), (0.55, 0.50), (0.50, 0.55)]
    one_round = compare([Round(*(steady(level) for level in levels[0]))], FLOORS)
    three = compare([Round(*(steady(level) for level in pair)) for pair in levels], FLOORS)

    assert line(one_round, "service.mean").finding is Finding.REGRESSION
    assert line(three, "service.mean").finding is Finding.CANNOT_TELL


def test_a_regression_counts_once_a_repeat_has_found_it() -> None:
    slower, same = Round(steady(0.5), steady(0.6)), Round(steady(0.5), steady(0.5))

    alone, confirmed, denied = verdict([slower]), verdict([slower], [slower]), verdict([slower], [same])
    assert (alone.finding, alone.confirmed) == (Finding.REGRESSION, False)
    assert "not confirmed by a repeat" in alone.reasons
    assert (confirmed.finding, confirmed.confirmed) == (Finding.REGRESSION, True)
    assert (denied.finding, denied.confirmed) == (Finding.NO_CHANGE, False)
    assert "service.mean: a repeat did not find the regression that was suspected" in denied.reasons


def test_a_measurement_in_doubt_cannot_tell_whatever_it_shows() -> None:
    lines = compare([Round(steady(0.5), steady(0.6))], FLOORS)
    found = conclude(lines, (), (1, 0), FLOORS, ["the generator fell behind"])

    assert (found.finding, found.reasons) == (Finding.CANNOT_TELL, ("the generator fell behind",))


def test_the_same_seed_draws_the_same() -> None:
    one = rounds(1, 1, random.Random(1))

    assert compare(one, FLOORS, seed=3) == compare(one, FLOORS, seed=3)
    assert compare(one, FLOORS, seed=3) != compare(one, FLOORS, seed=4)


@pytest.mark.parametrize("wrong", [{"relative": 0.0}, {"relative": -0.1}, {"absolute_s": float("nan")}])
def test_a_floor_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValue):
        Floors(**wrong)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), slower=st.floats(0.5, 2.0))
def test_the_interval_holds_the_estimate(seed: int, slower: float) -> None:
    lines = compare(rounds(seed, 1, random.Random(seed), slower=slower), FLOORS)

    for each in lines:
        if each.interval is not None and each.change is not None:
            assert each.interval[0] - 1e-12 <= each.change <= each.interval[1] + 1e-12


def test_intervals_of_autocorrelated_waits_hold_the_truth_as_often_as_they_say() -> None:
    """Two unpaired runs of the same queue at a utilisation of 0.8: the true change is 0.

    Each bound holds with 95 %, so both with 90 %: 90 of 100 are expected, with a standard deviation of 3.
    """
    noise, held = random.Random(7), 0
    for seed in range(100):
        pair = [played(1000 + 2 * seed + side, noise, run_noise=0.0, duration_s=30.0) for side in (0, 1)]
        mean = line(compare([Round(*pair)], FLOORS, seed=seed, only=["sojourn.mean"]), "sojourn.mean")
        assert mean.interval is not None
        held += mean.interval[0] <= 0 <= mean.interval[1]
    assert held >= 81, held


@pytest.mark.parametrize(
    ("comparisons", "count"),
    [pytest.param(100, 1, marks=pytest.mark.proof, id="100 of one round"), pytest.param(12, 4, id="12 of four")],
)
def test_of_100_comparisons_of_the_same_thing_5_are_wrong_at_most_and_of_15_percent_90_are_found(
    comparisons: int, count: int
) -> None:
    """The scaled twin of the proof: real runs differ by 2 % in speed, and jobs wait for each other."""
    noise = random.Random(5)
    found = {
        slower: sum(
            verdict(
                rounds(seed, count, noise, slower=slower, duration_s=6.0),
                rounds(seed + 5000, count, noise, slower=slower, duration_s=6.0),
            ).finding
            is Finding.REGRESSION
            for seed in range(comparisons)
        )
        for slower in (1.0, 1.15)
    }

    assert found[1.0] <= 0.05 * comparisons
    assert found[1.15] >= 0.90 * comparisons


def test_a_histogram_of_nothing_is_empty() -> None:
    assert Tally.of([]) == Tally()
