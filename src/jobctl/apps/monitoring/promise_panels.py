"""Panels that answer whether what was promised is kept, and what holds the fleet back if it is not."""

from __future__ import annotations

from typing import Final

from jobctl.apps.monitoring.asking import JOBS, quantiles, rate_window
from jobctl.apps.monitoring.budgets import FAST, SLOW, WINDOWS_S, Budget, Burn, success_budget, wait_budgets
from jobctl.apps.monitoring.rules import alerts
from jobctl.apps.monitoring.times import Times
from jobctl.core.operations import Operations
from jobctl.core.panels import Form, Panel, Query, Row, State, Step, Tone, Unit
from jobctl.core.rules import Urgency
from jobctl.core.units import SECONDS_PER_DAY

__all__ = ["limits", "promises"]

#: A budget is for so many seconds.
_PERIOD_S: Final = 30 * SECONDS_PER_DAY
#: The windows in which a budget is seen burning: the fast page's, and the slow ticket's.
_BURNING: Final = (FAST[0].long, SLOW[-1].long)
#: What went wrong is added up in pieces so long.
_PIECE: Final = "5m"
#: What holds a fleet back, by the alert that would say so; the first that holds is named.
_LIMITS: Final = (
    ("JobctlRedisDown", State(7, "Redis is away or full", Tone.ALARM)),
    ("JobctlFleetDown", State(6, "no worker answers", Tone.ALARM)),
    ("JobctlBreakerOpen", State(5, "OpenRouter fails", Tone.ALARM)),
    ("JobctlLimiterBound", State(4, "rate limit", Tone.WARNING)),
    ("JobctlJobsStuck", State(3, "stuck, slots are free", Tone.ALARM)),
    ("JobctlFleetUndersized", State(2, "slots", Tone.WARNING)),
)
_UNKNOWN: Final = State(1, "not known", Tone.PLAIN)
_NOTHING: Final = State(0, "nothing", Tone.GOOD)
#: Who is told of an alert.
_URGENCIES: Final = (
    (Urgency.WATCHDOG, State(0, "the watch works", Tone.GOOD)),
    (Urgency.TICKET, State(1, "ticket", Tone.WARNING)),
    (Urgency.PAGE, State(2, "page", Tone.ALARM)),
)


def promises(operations: Operations, times: Times) -> Row:
    """What is left of each budget, how fast it goes, and the waits against what was promised of them."""
    budgets = _budgets(operations)
    wait = _waits(operations, times, width=10 if budgets else 24)
    title = "Is what was promised kept?"
    if not budgets:
        return Row(title, (wait,))
    left = Panel(
        "Error budgets left, of 30 days",
        "Of what may go wrong in 30 days, how much has not gone wrong yet. Below 0 the promise is broken; from 25 %"
        " down, put off whatever is risky. Jobs are counted, so a quiet day weighs little. It is no older than"
        " Prometheus' data.",
        tuple(Query(_left(budget, counted, times), budget.promise) for budget, counted in budgets),
        Unit.SHARE,
        form=Form.FIGURE,
        width=5,
        steps=(Step(None, Tone.ALARM), Step(0.0, Tone.WARNING), Step(0.25, Tone.GOOD)),
        floor=None,
        nothing="no job yet",
    )
    burn = Panel(
        "How fast the budgets burn",
        f"1 uses a budget up in exactly 30 days. Somebody is paged {_told(FAST)}; there is a ticket {_told(SLOW)}."
        " What to do is in the panel on what holds the fleet back.",
        tuple(
            Query(f"{budget.ratio}{window}{budget.selector} / {budget.share:.10g}", f"{budget.promise}, {window}")
            for budget, _ in budgets
            for window in _BURNING
        ),
        Unit.TIMES,
        width=9,
        steps=(
            Step(None, Tone.GOOD),
            *(Step(burn.rate, Tone.WARNING) for burn in reversed(SLOW)),
            *(Step(burn.rate, Tone.ALARM) for burn in reversed(FAST)),
        ),
    )
    return Row(title, (left, burn, wait))


def limits(operations: Operations, times: Times) -> Row:
    """What holds the fleet back, by the conditions of the alerts, and which alerts fire."""
    binds = Panel(
        "What holds the fleet back",
        "Which limit binds, from the alerts' own conditions, before they have lasted long enough to fire. slots: jobs"
        " wait and every slot is busy, so more replicas help. rate limit: OpenRouter's allowance is used up, more"
        " replicas do not help. stuck: jobs wait although slots are free; look at the workers' logs. not known:"
        " nothing reads the queues.",
        (Query(_binding(operations, times), "limit"),),
        Unit.COUNT,
        form=Form.STATES,
        width=12,
        height=7,
        states=(_NOTHING, _UNKNOWN, *(state for _, state in reversed(_LIMITS))),
    )
    firing = Panel(
        "Alerts that fire",
        "By who is told: a page wakes somebody, a ticket is looked at the same day. JobctlWatchdog always fires; when"
        " it does not, nobody is told of anything. The runbook has a section for each.",
        (Query(_firing(), "{{alertname}}"),),
        Unit.COUNT,
        form=Form.STATES,
        width=12,
        height=7,
        states=tuple(state for _, state in _URGENCIES),
        nothing="not even the watchdog: alerts are not evaluated",
    )
    return Row("What holds it back?", (binds, firing))


def _firing() -> str:
    """The state of each alert that fires."""
    fires = 'max by (alertname) (ALERTS{{alertstate="firing",severity="{}"}}) * {}'
    return "\nor ".join(fires.format(urgency.value, state.value) for urgency, state in _URGENCIES)


def _budgets(operations: Operations) -> tuple[tuple[Budget, str], ...]:
    """What may go wrong, each with the series that counts how often it could have."""
    success = success_budget(operations)
    waits = [(budget, "jobctl:waits:increase") for budget in wait_budgets(operations)]
    return (*([] if success is None else [(success, "jobctl:jobs_ended:increase")]), *waits)


def _told(burns: tuple[Burn, ...]) -> str:
    return " or ".join(f"above {burn.rate:g} for {burn.long}" for burn in burns)


def _left(budget: Budget, counted: str, times: Times) -> str:
    """The share of a budget that is left: what went wrong in its time, in pieces that two series hold already."""
    pieces = f"[{times.window(_PERIOD_S)}:{times.window(WINDOWS_S[_PIECE])}]"
    wrong = f"sum(sum_over_time({budget.wrong}{_PIECE}{budget.selector}{pieces}))"
    return f"1 - {wrong} / (sum(sum_over_time({counted}{_PIECE}{pieces})) > 0) / {budget.share:.10g}"


def _waits(operations: Operations, times: Times, width: int) -> Panel:
    """How long attempts wait, with the lines that were promised."""
    window = rate_window(times)
    objectives = operations.wait_objectives
    promised_of = [one.quantile for one in objectives if one.quantile is not None]
    measured = quantiles(f"jobctl_job_wait_seconds_bucket{{{JOBS}}}", window, promised_of)
    promised = [Query(f"vector({one.threshold_s:.10g})", f"promised: {one}", target=True) for one in objectives]
    return Panel(
        "Waits",
        "How long attempts wait for a slot, over five minutes, of the queues and job types that were chosen. The"
        " dashed line is what was promised of the whole fleet. Between two buckets of the histogram a quantile is"
        " interpolated.",
        (*measured, *promised),
        Unit.SECONDS,
        width=width,
        nothing="no attempt began",
    )


def _binding(operations: Operations, times: Times) -> str:
    """The state of the first limit that binds, else whether that can be known at all."""
    conditions = {alert.name: alert.expr for alert in alerts(operations, times.time_scale)}
    held = [f"group({conditions[name]}) * {state.value}" for name, state in _LIMITS]
    unknown = f"absent({times.last('jobctl_workers')}) * {_UNKNOWN.value}"
    return "\nor ".join([*held, unknown, f"vector({_NOTHING.value})"])
