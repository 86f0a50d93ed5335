"""Comparisons of one recorded load on real parts: how often they cry wolf, and how often they miss one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jobctl.apps.compare.trial import judge_rounds
from jobctl.core.regression import Finding, Floors
from jobctl.core.resampling import Round
from support.recorded import recorder

COMPARISONS = 100
SLOWER = 1.15

Figure = Callable[[str, str, str], None]


def regressions(rounds: Sequence[Round]) -> int:
    """Comparisons of one round each that found a regression; the round after it is the repeat."""
    found = 0
    for place, measured in enumerate(rounds):
        again = rounds[(place + 1) % len(rounds)]
        comparison = judge_rounds([measured], Floors(), lambda _, again=again: [again])  # type: ignore[misc]
        found += comparison.finding is Finding.REGRESSION
    return found


def test_the_same_thing_is_hardly_ever_a_regression_and_15_percent_more_nearly_always(
    tmp_path: Path, figure: Figure
) -> None:
    """The sides are interleaved: the load as it is, the same again, and with every job 15 % longer."""
    with recorder(tmp_path) as load:
        runs = [(load.run(), load.run(), load.run(SLOWER)) for _ in range(COMPARISONS)]
    false = regressions([Round(baseline, same) for baseline, same, _ in runs])
    true = regressions([Round(baseline, slower) for baseline, _, slower in runs])
    figure(f"{COMPARISONS} comparisons of one recorded load with itself: regressions found", str(false), "at most 5")
    figure(f"{COMPARISONS} comparisons with every job 15 % longer: regressions found", str(true), "at least 90")

    assert false <= 0.05 * COMPARISONS
    assert true >= 0.90 * COMPARISONS
