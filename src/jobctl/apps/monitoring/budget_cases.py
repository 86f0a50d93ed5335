"""Cases for the alerts on budgets: each pair of windows fires alone, and is quiet when one of its windows is.

A share that is just above a burn rate lies between it and everything. Where two stretches must not dilute each other,
one has a hundred times as many jobs a minute as the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from jobctl.apps.monitoring.budgets import FAST, FEWEST, SLOW, WINDOWS_S, Budget, Burn, success_budget, wait_budgets
from jobctl.apps.monitoring.rule_cases import Case, Firing, Stretch, counted
from jobctl.core.operations import Operations
from jobctl.core.slo import Objective

__all__ = ["budget_cases"]

_Series = Callable[[tuple[Stretch, ...]], Mapping[str, str]]


def budget_cases(operations: Operations) -> Iterator[Case]:
    """Those of every budget that is watched."""
    success = success_budget(operations)
    if success is not None:
        yield from _cases(success, (success,), _ended)
    budgets = dict(zip(operations.wait_objectives, wait_budgets(operations), strict=True))
    for objective, budget in budgets.items():
        rivals = tuple(other for one, other in budgets.items() if one.threshold_s == objective.threshold_s)
        # Objectives of one bound hear of the same waits; the strictest is quiet only when the others are.
        if budget.share == min(rival.share for rival in rivals):
            yield from _cases(budget, rivals, _waited(objective))


def _cases(budget: Budget, rivals: tuple[Budget, ...], series: _Series) -> Iterator[Case]:
    """All of one budget.

    Args:
        budget: Which.
        rivals: The budgets that what happens is about, this one included.
        series: What happens, as series.
    """

    def case(name: str, story: str, *stretches: Stretch, fires: Burn | None = None) -> Case:
        minutes = sum(stretch.minutes for stretch in stretches)
        firing: tuple[Firing, ...] = ()
        if fires is not None:
            wrong = _share(stretches, WINDOWS_S[fires.long] // 60)
            firing = tuple(
                Firing(rival.labels, (f"{100 * wrong:.4g}%",)) for rival in rivals if wrong > fires.rate * rival.share
            )
        return Case(budget.alert + name, f"{budget.promise}: {story}", series(stretches), minutes, firing)

    many, few, some = 1 / budget.share, (FEWEST - 1) / 60, (FEWEST + 0.5) / 60
    nine, ten = "nine go wrong, and nothing else happens", "ten go wrong, and nothing else happens"
    if budget.burns(FAST[:1]):
        above, below = _around(budget, FAST[0])
        good = Stretch(300, many)
        yield case("BurnsFast", "it burns for an hour", good, Stretch(60, many, above), fires=FAST[0])
        yield case("BurnsFast", "it burned until now", good, Stretch(54, many, above), Stretch(6, many / 100, below))
        yield case("BurnsFast", "it burns only now", good, Stretch(54, many, below), Stretch(6, many, above))
        yield case("BurnsFast", f"all was well until {ten}", good, Stretch(60, some, 1.0), fires=FAST[0])
        yield case("BurnsFast", nine, Stretch(60, few, 1.0))
    if budget.burns(FAST[1:]):
        above, below = _around(budget, FAST[1])
        yield case("BurnsFast", "it burns for six hours", Stretch(360, many, above), fires=FAST[1])
        yield case("BurnsFast", f"in six hours {ten}", Stretch(360, some / 6, 1.0), fires=FAST[1])
        yield case("BurnsFast", "it burned for hours", Stretch(328, many, above), Stretch(32, many / 100, below))
        yield case("BurnsFast", "it burns for half an hour", Stretch(328, many, below), Stretch(32, many, above))
    if budget.burns(SLOW[:1]):
        above, below = _around(budget, SLOW[0])
        # Few lately, more before, and very many before that: six hours are good, a day is not.
        early, between, lately = Stretch(120, 100 * many, above), Stretch(240, many / 10), many / 1000
        calm = Stretch(120, 100 * many, below)
        yield case("BurnsSlowly", "it burns over a day", early, between, Stretch(120, lately, above), fires=SLOW[0])
        yield case("BurnsSlowly", "it burned over a day, until now", early, between, Stretch(120, lately, below))
        yield case("BurnsSlowly", "it burns for two hours", calm, between, Stretch(120, lately, above))
    above, below = _around(budget, SLOW[1])
    yield case("BurnsSlowly", "it burns for long", Stretch(400, many, above), fires=SLOW[1])
    yield case(
        "BurnsSlowly", "it burned for long, until now", Stretch(60, 100 * many, above), Stretch(380, many, below)
    )
    yield case("BurnsSlowly", "it burns for six hours", Stretch(60, 100 * many, below), Stretch(380, many, above))
    yield case("BurnsSlowly", ten, Stretch(60, some, 1.0), fires=SLOW[1])
    yield case("BurnsSlowly", nine, Stretch(60, few, 1.0))


def _around(budget: Budget, burn: Burn) -> tuple[float, float]:
    """A share that burns a little faster, and one that burns a little slower."""
    bound = burn.rate * budget.share
    return min(1.05 * bound, (bound + 1) / 2), 0.95 * bound


def _share(stretches: tuple[Stretch, ...], minutes: int) -> float:
    """The share that went wrong in the last so many minutes."""
    happened = wrong = 0.0
    for stretch in reversed(stretches):
        count = min(stretch.minutes, minutes) * stretch.per_minute
        happened, wrong = happened + count, wrong + count * stretch.wrong
        minutes -= min(stretch.minutes, minutes)
    return wrong / happened


def _ended(stretches: tuple[Stretch, ...]) -> Mapping[str, str]:
    """Jobs that end on two workers, and many tries that do not end them."""
    worker = 'jobctl_jobs_finished_total{{instance="10.0.0.{number}:9100",queue="default",outcome="{outcome}"}}'
    good = counted(*((one.minutes, one.per_minute * (1 - one.wrong)) for one in stretches))
    dead = counted(*((one.minutes, one.per_minute * one.wrong) for one in stretches))
    series = {worker.format(number=1, outcome="succeeded"): good, worker.format(number=2, outcome="dead"): dead}
    for outcome in ("retried", "postponed", "returned", "late"):
        series[worker.format(number=2, outcome=outcome)] = counted(*((one.minutes, 1000) for one in stretches))
    return series


def _waited(objective: Objective) -> _Series:
    """Attempts of two workers that wait; those that wait too long are one worker's."""

    def series(stretches: tuple[Stretch, ...]) -> Mapping[str, str]:
        named = 'jobctl_job_wait_seconds_{kind}{{instance="10.0.0.{number}:9100",queue="default"{le}}}'
        bound = f',le="{float(objective.threshold_s)!r}"'
        good = counted(*((one.minutes, one.per_minute * (1 - one.wrong)) for one in stretches))
        late = counted(*((one.minutes, one.per_minute * one.wrong) for one in stretches))
        return {
            named.format(kind="bucket", number=1, le=bound): good,
            named.format(kind="count", number=1, le=""): good,
            named.format(kind="bucket", number=2, le=bound): counted(*((one.minutes, 0) for one in stretches)),
            named.format(kind="count", number=2, le=""): late,
        }

    return series
