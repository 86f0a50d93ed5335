"""Panels about OpenRouter: what it answers, what it allows, what it costs."""

from __future__ import annotations

from jobctl.apps.monitoring.asking import quantiles, rate, rate_window
from jobctl.apps.monitoring.times import Times
from jobctl.core.operations import Operations
from jobctl.core.panels import Form, Panel, Query, Row, State, Step, Tone, Unit
from jobctl.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

__all__ = ["spending", "upstream"]


def upstream(operations: Operations, times: Times) -> Row:
    """What OpenRouter answers, how soon, and what the limiter and the breaker make of it."""
    window = rate_window(times)
    answers = "jobctl_upstream_responses_total"
    refused, most = rate(f'{answers}{{status="429"}}', window), operations.thresholds.rate_limited
    by_status = Panel(
        "Answers, by status",
        "OpenRouter's answers a second, timeout and disconnected among them. 402: buy credit. 401 or 403: the key."
        " 429: the limit. 5xx and timeouts heal by retries, and open the breaker if they last.",
        (Query(rate(answers, window, "status"), "{{status}}"),),
        Unit.CALLS_PER_S,
        stacked=True,
        nothing="no call",
    )
    limited = Panel(
        "429, of all answers",
        "Calls that OpenRouter refused because of its limit. A few are found on the way to the limit; above the line"
        " the workers' own limit is set too high, or somebody else uses the key.",
        (Query(f"({refused} or vector(0)) / {rate(answers, window)}", "429"),),
        Unit.SHARE,
        steps=(Step(None, Tone.GOOD), Step(most, Tone.WARNING)),
        nothing="no call",
    )
    latency = Panel(
        "Latency of calls",
        "Time of one call, whatever its end. It is most of a job's service time: when it doubles, so do the slots"
        " needed.",
        quantiles("jobctl_upstream_latency_seconds_bucket", window),
        Unit.SECONDS,
        nothing="no call",
    )
    headroom = Panel(
        "Left of the allowance, by model",
        "The share of the limiter's allowance that is left. At 0 the limit is what holds the fleet back; replicas do"
        " not help.",
        (Query("min by (model) (jobctl_limiter_headroom)", "{{model}}"),),
        Unit.SHARE,
        ceiling=1.0,
        nothing="no limiter, or no call in the last hour",
    )
    held = Panel(
        "Waits for the allowance",
        "How long the limiter made a call or a job wait. It is no wait for a slot: jobs of a limited model wait here"
        " first.",
        quantiles("jobctl_limiter_wait_seconds_bucket", window),
        Unit.SECONDS,
        nothing="nobody waited",
    )
    breaker = Panel(
        "Circuit breaker, by model",
        "open: calls failed so often that none is made for now. Jobs are postponed and spend no attempt.",
        (Query("max by (model) (jobctl_breaker_open)", "{{model}}"),),
        Unit.COUNT,
        form=Form.STATES,
        states=(State(0, "closed", Tone.GOOD), State(1, "open", Tone.ALARM)),
        nothing="no limiter, or no call in the last hour",
    )
    return Row("OpenRouter", (by_status, limited, latency, headroom, held, breaker))


def spending(operations: Operations, times: Times) -> Row:
    """What it costs, and for how long the money lasts."""
    window, hour, day = rate_window(times), times.window(SECONDS_PER_HOUR), times.window(SECONDS_PER_DAY)
    cost = "jobctl_cost_usd_total"
    credit, key = "max(jobctl_openrouter_credit_usd)", "max(jobctl_openrouter_key_remaining_usd)"
    per_s = rate(cost, hour)
    thresholds = operations.thresholds
    tokens = Panel(
        "Tokens, by kind",
        "Tokens billed a second. Completion tokens cost more, and make the latency.",
        (Query(rate("jobctl_tokens_total", window, "kind"), "{{kind}}"),),
        Unit.TOKENS_PER_S,
        stacked=True,
        nothing="no call",
    )
    hourly = Panel(
        "Cost an hour, by model",
        "US dollars an hour at the rate of the last hour, as OpenRouter billed them to jobs of the workers that are"
        " watched.",
        (Query(f"{rate(cost, hour, 'model')} * {SECONDS_PER_HOUR:g}", "{{model}}"),),
        Unit.USD,
        stacked=True,
        nothing="nothing was spent",
    )
    daily = Panel(
        "Cost of the last 24 hours",
        "US dollars, at each moment over the day before it.",
        (Query(f"sum(increase({cost}[{day}]))", "24 h"),),
        Unit.USD,
        nothing="nothing was spent",
    )
    return Row(
        "What it costs",
        (
            _money(
                "Credit left",
                credit,
                thresholds.credit_usd,
                "Credit that was bought and not used; without a management key it is not known.",
            ),
            _money(
                "Left of the key's limit",
                key,
                thresholds.key_usd,
                "What the key's own limit leaves of it; without a limit it is not known.",
            ),
            Panel(
                "The money lasts for",
                "At the cost of the last hour: the credit, and what the key's own limit leaves. The shorter one"
                " counts.",
                (
                    Query(f"{credit} / ({per_s} > 0)", "credit"),
                    Query(f"{key} / ({per_s} > 0)", "key"),
                ),
                Unit.SECONDS,
                form=Form.FIGURE,
                width=12,
                height=4,
                steps=(
                    Step(None, Tone.ALARM),
                    Step(SECONDS_PER_DAY, Tone.WARNING),
                    Step(7 * SECONDS_PER_DAY, Tone.GOOD),
                ),
                nothing="not known",
            ),
            tokens,
            hourly,
            daily,
        ),
    )


def _money(title: str, expr: str, least_usd: float, meaning: str) -> Panel:
    """A figure that is bad below a threshold, and nearly so below twice that."""
    return Panel(
        title,
        f"{meaning} It is asked for each minute. Below {least_usd:g} USD there is a ticket: buy credit, or raise the"
        " limit.",
        (Query(expr, title.lower()),),
        Unit.USD,
        form=Form.FIGURE,
        width=6,
        height=4,
        steps=(Step(None, Tone.ALARM), Step(least_usd, Tone.WARNING), Step(2 * least_usd, Tone.GOOD)),
        nothing="not known",
    )
