"""Budgets of what may go wrong, and alerts when they burn too fast.

A promise leaves a budget: ``error_rate <= 1%`` that one job in a hundred fails for good, ``p95 wait <= 1s`` that one
attempt in twenty waits longer. The *burn rate* is the share that goes wrong over the share that may: at 1 a budget of
30 days lasts exactly 30 days. Rates and windows are those of Google's Site Reliability Workbook, chapter 5, table 5-8
(multiwindow, multi-burn-rate alerts) and the rules below it, which have the third line too, for a budget of 30 days::

    burns   over          and still over   uses of the budget   who is told
    14.4    1 h           5 min            2 %                  page
     6      6 h           30 min           5 %                  page
     3      1 d           2 h              10 %                 ticket
     1      3 d           6 h              10 %                 ticket

The long window says that it matters, the short one that it goes on. As these alerts need no time to be sure, they have
no ``for``.

*Few jobs.* Three jobs of which two fail are no outage. So a long window has to hold at least :data:`FEWEST` jobs that
went wrong. Where a fleet keeps its promise exactly, and a window is just large enough for ten to be that burn rate, ten
or more come by chance in 4e-9 of such windows at 14.4, in 1e-5 at 6 and in 0.24 % at 3 (Poisson with a mean of ten
divided by the burn rate).

*What counts.* Jobs that ended for good: ``succeeded``, ``dead`` or ``stopped``. An attempt that is retried, postponed,
returned or late is no end: the job goes on. Of waits, every attempt counts. Where no job ended there is no ratio, and
nothing burns; that jobs do not even begin is what other alerts notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jobctl.apps.monitoring.times import Times
from jobctl.core.metered import ENDED_FOR_GOOD
from jobctl.core.operations import FASTEST_BURN, Operations
from jobctl.core.rules import Alert, Recording, Urgency
from jobctl.core.slo import Objective

__all__ = [
    "FAST",
    "FEWEST",
    "SLOW",
    "WINDOWS_S",
    "Budget",
    "Burn",
    "burn_alerts",
    "burn_recordings",
    "success_budget",
    "wait_budgets",
]

#: The windows of the recorded series by the end of their names, seconds.
WINDOWS_S: Final = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
#: Jobs that have to go wrong in a long window before anybody is told.
FEWEST: Final = 10


@dataclass(frozen=True, slots=True)
class Burn:
    """A burn rate that somebody is told of.

    Attributes:
        rate: So many times faster than the budget allows.
        long: The window that says that it matters.
        short: The window that says that it goes on.
    """

    rate: float
    long: str
    short: str


#: Burns that page.
FAST: Final = (Burn(FASTEST_BURN, "1h", "5m"), Burn(6.0, "6h", "30m"))
#: Burns that make a ticket.
SLOW: Final = (Burn(3.0, "1d", "2h"), Burn(1.0, "3d", "6h"))


@dataclass(frozen=True, slots=True)
class Budget:
    """What may go wrong of what happens.

    Attributes:
        alert: The first part of its alerts' names.
        promise: As it is written.
        share: How much of it may go wrong.
        ratio: The recorded share that goes wrong, without its window.
        wrong: How often it went wrong, likewise.
        labels: Of the two; empty where there is one series of each.
        summary: One line that begins with the share that goes wrong.
        first: What to do first.
    """

    alert: str
    promise: str
    share: float
    ratio: str
    wrong: str
    labels: Mapping[str, str]
    summary: str
    first: str

    @property
    def selector(self) -> str:
        """The labels as a selector; empty where there are none."""
        return "".join(f'{{{name}="{value}"}}' for name, value in self.labels.items())

    def burns(self, burns: tuple[Burn, ...]) -> tuple[Burn, ...]:
        """Those that can be: more than everything cannot go wrong."""
        return tuple(burn for burn in burns if burn.rate * self.share < 1)


def success_budget(operations: Operations) -> Budget | None:
    """The budget of jobs that fail for good; None where nothing is promised."""
    share = operations.error_rate
    if share is None:
        return None
    promise = f"error_rate <= {100 * share:.10g}%"
    return Budget(
        "JobctlSuccessBudget",
        promise,
        share,
        "jobctl:error_ratio:rate",
        "jobctl:jobs_dead:increase",
        {},
        f"of the jobs that end fail for good; {100 * share:.10g}% may",
        "See which jobs they are and why: `jobctl dead list`.",
    )


def wait_budgets(operations: Operations) -> tuple[Budget, ...]:
    """The budgets of attempts that wait too long, one for each objective that can be watched."""
    return tuple(map(_wait_budget, operations.wait_objectives))


def _wait_budget(objective: Objective) -> Budget:
    assert objective.quantile is not None  # a mean is not watched
    share = round(1 - objective.quantile, 12)
    return Budget(
        "JobctlWaitBudget",
        str(objective),
        share,
        "jobctl:wait_miss_ratio:rate",
        "jobctl:waits_missed:increase",
        {"objective": str(objective)},
        f"of the attempts wait longer than {objective.threshold_s:g} s; {100 * share:.10g}% may",
        "See what holds the fleet back: slots, OpenRouter's limit, or workers that do not take jobs.",
    )


def burn_recordings(operations: Operations, times: Times, window: str) -> Iterator[Recording]:
    """What is recorded of one of :data:`WINDOWS_S`: how often it went wrong, and the share that this is."""
    span = times.window(WINDOWS_S[window])
    ended = "|".join(ENDED_FOR_GOOD)
    yield Recording(
        f"jobctl:jobs_dead:increase{window}", f'sum(increase(jobctl_jobs_finished_total{{outcome="dead"}}[{span}]))'
    )
    yield Recording(
        f"jobctl:jobs_ended:increase{window}",
        f'sum(increase(jobctl_jobs_finished_total{{outcome=~"{ended}"}}[{span}]))',
    )
    yield Recording(
        f"jobctl:error_ratio:rate{window}",
        f"jobctl:jobs_dead:increase{window} / (jobctl:jobs_ended:increase{window} > 0)",
    )
    if operations.wait_objectives:
        yield Recording(f"jobctl:waits:increase{window}", f"sum(increase(jobctl_job_wait_seconds_count[{span}]))")
    for objective in operations.wait_objectives:
        within = f'sum(increase(jobctl_job_wait_seconds_bucket{{le="{float(objective.threshold_s)!r}"}}[{span}]))'
        missed = f'jobctl:waits_missed:increase{window}{{objective="{objective}"}}'
        labels = {"objective": str(objective)}
        yield Recording(f"jobctl:waits_missed:increase{window}", f"jobctl:waits:increase{window} - {within}", labels)
        yield Recording(
            f"jobctl:wait_miss_ratio:rate{window}",
            f"sum({missed}) / (jobctl:waits:increase{window} > 0)",
            labels,
        )


def burn_alerts(budget: Budget) -> Iterator[Alert]:
    """The page and the ticket of a budget, as far as it can burn so fast."""
    for burns, name, urgency in (
        (budget.burns(FAST), "BurnsFast", Urgency.PAGE),
        (budget.burns(SLOW), "BurnsSlowly", Urgency.TICKET),
    ):
        if not burns:
            continue
        rates = " or ".join(f"{burn.rate:g} times too fast for {burn.long}" for burn in burns)
        yield Alert(
            budget.alert + name,
            "\nor\n".join(_burning(budget, burn) for burn in burns),
            0.0,
            urgency,
            f"{{{{ $value | humanizePercentage }}}} {budget.summary}",
            f"The budget that {budget.promise} leaves burns {rates}. {budget.first}",
            budget.labels,
        )


def _burning(budget: Budget, burn: Burn) -> str:
    bound = f"{burn.rate * budget.share:.10g}"
    return (
        "(\n"
        f"  {budget.ratio}{burn.long}{budget.selector} > {bound}\n"
        f"  and {budget.ratio}{burn.short}{budget.selector} > {bound}\n"
        f"  and {budget.wrong}{burn.long}{budget.selector} >= {FEWEST}\n"
        ")"
    )
