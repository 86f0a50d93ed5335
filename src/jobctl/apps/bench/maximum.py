"""The highest sustained rate as an answer: what was asked, what limits it, the verdict, one sentence, the document."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from jobctl.apps.bench.driver import BenchConfig, BenchResult
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import Stage
from jobctl.core.gates import Severity
from jobctl.core.gating import GateResult
from jobctl.core.limiting import Limits, ScopeStatus, Tuning
from jobctl.core.probing import Cause, Finding, Phase, Probe
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.searching import Aim, Bracket, KnownLimit, Stop
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, Verdict
from jobctl.core.units import format_duration
from jobctl.core.usage import Usage
from jobctl.core.words import count_of

__all__ = [
    "FoundMaximum",
    "Limit",
    "WantedMaximum",
    "aim_of",
    "held_to_gates",
    "held_to_upstream",
    "limit_ahead",
    "limit_of",
    "longer_within",
    "probe_config",
    "sentence",
    "to_maximum",
    "verdict_of",
]

#: The first rate, as a share of the slots a second, and where the slots are not known.
_FIRST_PER_SLOT: Final = 0.5
_FIRST_PER_S: Final = 5.0
_SLOWEST_FIRST_PER_S: Final = 2.0
#: How long a probe that is no confirmation waits for its last jobs, beside the time of a job: what is left is removed.
_DRAIN_S: Final = 3.0
#: How likely a gate is taken to be wrong, which does not say so itself.
_GATE_ERROR: Final = 0.05
#: What limits of an upstream count in, seconds: a rate that holds for less may only use up what they allow.
_MINUTE_S: Final = 60.0
#: How likely refusals above a known limit are taken to have another cause.
_REFUSED_ERROR: Final = 0.01
#: So much longer than it needs a search is given.
_SPARE: Final = 1.2
#: From this share on slots, a core or the limiter's rate count as used up.
_FULL: Final = 0.93


class Limit(StrEnum):
    """What keeps a fleet from more."""

    SLOTS = "slots"
    CPU = "cpu of the workers"
    LIMITER = "limiter"
    UPSTREAM = "upstream"
    OBJECTIVE = "objective"
    ERRORS = "errors"
    GENERATOR = "generator"
    CAP = "highest rate tried"
    UNKNOWN = "not known"


#: What more replicas have more of.
_BY_REPLICAS: Final = frozenset({Limit.SLOTS, Limit.CPU})
#: Why no rate failed.
_UNREACHED: Final = {
    Stop.CAP: (Limit.CAP, "the highest rate that was to be tried holds"),
    Stop.GENERATOR: (Limit.GENERATOR, "the load generator could offer no more"),
    Stop.TIME: (Limit.UNKNOWN, "the time was over before a rate failed"),
}


@dataclass(frozen=True, slots=True)
class WantedMaximum:
    """What a search was asked for.

    Attributes:
        max_width: The widest that the bracket may be: high / low - 1.
        max_per_s: The highest rate that may be tried; None for no bound.
        within_s: How long it may take.
        promised_per_s: The rate that the fleet must sustain; None without a promise.
        objectives: What a sustained rate keeps, beside a steady backlog and the bench's gates.
    """

    max_width: float = 0.05
    max_per_s: float | None = None
    within_s: float = 180.0
    promised_per_s: float | None = None
    objectives: tuple[Objective, ...] = (DEFAULT_OBJECTIVE,)


@dataclass(frozen=True, slots=True)
class FoundMaximum:
    """What a search found.

    Attributes:
        wanted: What was asked for.
        bracket: The answer.
        findings: What each probe told, in order.
        limit: What keeps the fleet from more.
        evidence: What shows that, in a few words.
        result: The run of the low end; the last one where no rate held.
        elapsed_s: How long it took.
        interrupted: Whether it was cut short.
        needed_s: How long it takes, as was foretold; None where the time seemed to do.
    """

    wanted: WantedMaximum
    bracket: Bracket
    findings: tuple[Finding, ...]
    limit: Limit
    evidence: str
    result: BenchResult
    elapsed_s: float
    interrupted: bool
    needed_s: float | None = None

    @property
    def confidence(self) -> float | None:
        """The bracket's; None where something is promised of the jobs and the low end was not sustained.

        What a short probe sees of a promise is little: its rate looked as if it kept it.
        """
        is_promised = bool(self.wanted.objectives or self.result.config.gates)
        return None if is_promised and not self.is_sustained else self.bracket.confidence

    @property
    def is_sustained(self) -> bool:
        """Whether the low end was held for as long as shows it, and not only in a short probe."""
        low = self.bracket.low
        return low is not None and low.probe.phase is Phase.SUSTAIN


def limit_ahead(models: Collection[str | None], limits: Limits, mock_rpm: float | None) -> KnownLimit | None:
    """The tightest limit that was configured and that every job meets; None without one.

    Args:
        models: That jobs call; None stands for jobs that call none.
        limits: What the workers are told.
        mock_rpm: What the mock admits in any minute.
    """
    if None in models:
        return None
    known = [] if mock_rpm is None else [KnownLimit(mock_rpm / _MINUTE_S, _MINUTE_S)]
    rpm = limits.of(next(iter(models)) or "").rpm if len(models) == 1 else None
    if rpm is not None:
        known.append(KnownLimit(rpm / Tuning().spread_s))
    return min(known, key=lambda limit: limit.rate_per_s, default=None)


def aim_of(wanted: WantedMaximum, slots: int | None, *, calls: bool, limit: KnownLimit | None = None) -> Aim:
    """What the search is told.

    Args:
        wanted: What was asked for.
        slots: Slots over all workers; None when they are not known.
        calls: Whether jobs may call an API, whose limits count in minutes.
        limit: The one that was configured.
    """
    first_per_s = _FIRST_PER_S if slots is None else max(_SLOWEST_FIRST_PER_S, slots * _FIRST_PER_SLOT)
    aim = Aim(
        start_per_s=wanted.promised_per_s or first_per_s,
        max_width=wanted.max_width,
        within_s=wanted.within_s,
        memory_s=_MINUTE_S if calls else 0.0,
        limit=limit,
    )
    return aim if wanted.max_per_s is None else replace(aim, most_per_s=wanted.max_per_s)


def probe_config(base: BenchConfig, probe: Probe, run_id: str, service_s: float | None) -> BenchConfig:
    """The bench that runs a probe.

    Args:
        base: The bench that the search is about.
        probe: What to run.
        run_id: Prefix of its job ids.
        service_s: How long a job takes, as far as that is known.
    """
    stages = [Stage.steady(probe.rate_per_s, probe.duration_s)]
    if probe.push_s:
        stages.insert(0, Stage.steady(2 * probe.rate_per_s, probe.push_s))
    confirms = probe.phase is Phase.SUSTAIN and not probe.push_s
    drain_s = base.spec.drain_s if confirms else min(base.spec.drain_s, _DRAIN_S + 2 * (service_s or 0.0))
    spec: LoadSpec = replace(
        base.spec,
        run_id=run_id,
        stages=tuple(stages),
        instants=None,
        warmup_s=probe.push_s or min(probe.duration_s / 3, probe.duration_s - 1.0),
        drain_s=drain_s,
        live=False,
    )
    gates = () if probe.push_s else tuple(replace(gate, abort=False) for gate in base.gates)
    return replace(base, spec=spec, rate_per_s=probe.rate_per_s, gates=gates)


def held_to_gates(finding: Finding, gates: Sequence[GateResult]) -> Finding:
    """A finding of a rate that holds, once the gates have their say; a short probe is too short for some of them."""
    if finding.verdict is not Verdict.KEPT or finding.probe.push_s:
        return finding
    counting = [result for result in gates if result.gate.severity is Severity.ERROR]
    broken = next((result for result in counting if result.verdict is Verdict.BROKEN), None)
    if broken is not None:
        reason = f"{broken.gate} is broken"
        return replace(finding, verdict=Verdict.BROKEN, reason=reason, cause=Cause.OBJECTIVE, error=_GATE_ERROR)
    unsure = next((result for result in counting if result.verdict is Verdict.INCONCLUSIVE), None)
    if unsure is not None and finding.probe.phase is Phase.SUSTAIN:
        return replace(
            finding, verdict=Verdict.INCONCLUSIVE, reason=f"{unsure.gate}: {unsure.reason}", cause=Cause.LENGTH
        )
    return finding


def held_to_upstream(
    finding: Finding,
    limit: KnownLimit | None,
    refused_at_s: float | None,
    started_at_s: float,
    records: Sequence[JobRecord],
) -> Finding:
    """A finding with the refusals of its probe: above a limit that is known they are the verdict.

    Unless calls that were sent late, and so came close together, explain them.

    Args:
        finding: What the probe told by itself.
        limit: The limit, as far as the search knows one.
        refused_at_s: When the upstream was first seen to refuse calls, seconds since the epoch; None if it was not.
        started_at_s: When the probe began.
        records: The jobs of all probes.
    """
    if refused_at_s is None:
        return finding
    accepted = sum(
        record.outcome is Outcome.FINISHED and refused_at_s - _MINUTE_S < (record.started_s or 0.0) <= refused_at_s
        for record in records
    )
    finding = replace(finding, refused_after_s=refused_at_s - started_at_s, accepted=accepted)
    if limit is None or not limit.window_s:
        return finding
    late_s = max((record.schedule_lag_s or 0.0 for record in records if record.intended_s >= started_at_s), default=0.0)
    beyond_s = limit.window_s * (finding.probe.rate_per_s / limit.rate_per_s - 1)
    if late_s >= beyond_s:
        return finding
    reason = f"the upstream refused calls from {format_duration(refused_at_s - started_at_s)} on"
    return replace(finding, verdict=Verdict.BROKEN, reason=reason, cause=Cause.REFUSED, error=_REFUSED_ERROR)


def limit_of(bracket: Bracket, high: BenchResult | None, limiters: Sequence[ScopeStatus]) -> tuple[Limit, str]:
    """What keeps the fleet from more, and what shows it.

    Args:
        bracket: The answer.
        high: The run of its high end.
        limiters: How the limiter of each model stood, from time to time during that run and after it.
    """
    finding = bracket.high
    if finding is None or high is None:
        return _UNREACHED.get(bracket.stop, (Limit.UNKNOWN, "no rate failed"))
    decided = {
        Cause.ERRORS: (Limit.ERRORS, finding.reason),
        Cause.REFUSED: (Limit.UPSTREAM, f"it accepted {finding.accepted} calls in a minute and refused more"),
    }
    if finding.cause in decided:
        return decided[finding.cause]
    busy = finding.utilisation
    if busy is not None and busy >= _FULL:
        return Limit.SLOTS, f"{busy:.0%} of the slots were busy"
    shown = _held_back(finding, limiters) or _worn_out(high.usage)
    if shown is not None:
        return shown
    if finding.cause is Cause.OBJECTIVE:
        return Limit.OBJECTIVE, finding.reason
    of_slots = "" if busy is None else f": {busy:.0%} of the slots were busy"
    return Limit.UNKNOWN, f"neither slots nor CPU nor a limit was used up{of_slots}"


def _worn_out(usage: Usage | None) -> tuple[Limit, str] | None:
    """Whether the workers' CPU was used up: each has one core for its Python."""
    if usage is None or usage.cpu_share_per_replica < _FULL:
        return None
    return Limit.CPU, f"each worker used {usage.cpu_share_per_replica:.0%} of a core"


def _held_back(finding: Finding, limiters: Sequence[ScopeStatus]) -> tuple[Limit, str] | None:
    """Whether calls were limited: by the upstream's refusals, or by the rate that the workers were told."""
    if finding.throughput_per_s is None:
        return None
    refused = next((scope for scope in limiters if scope.factor < 1 or scope.paused_s > 0), None)
    if refused is not None:
        return Limit.UPSTREAM, f"it refused calls to {refused.model}, and the workers held back"
    for scope in limiters:
        if scope.rate_per_s is not None and finding.throughput_per_s >= _FULL * scope.rate_per_s:
            return Limit.LIMITER, f"the workers send {scope.model} at most {scope.rate_per_s:.4g} calls/s"
    return None


def verdict_of(found: FoundMaximum) -> tuple[Verdict, tuple[str, ...]]:
    """Whether the question was answered and the promise kept, and why not."""
    bracket, promised = found.bracket, found.wanted.promised_per_s
    low = None if bracket.low is None else bracket.low.probe.rate_per_s
    high = None if bracket.high is None else bracket.high.probe.rate_per_s
    if promised is not None and high is not None and high <= promised:
        return Verdict.BROKEN, (f"{promised:.4g} jobs/s were promised, and {high:.4g} jobs/s failed",)
    if bracket.stop is Stop.LOWEST:
        return Verdict.BROKEN, ("even the lowest rate that was tried failed",)
    if promised is not None:
        is_below = low is not None and low >= promised
        if is_below and found.is_sustained:
            return Verdict.KEPT, ()
        seen = f"only a short probe held; give {_longer(found)}" if is_below else "the maximum was not told from it"
        return Verdict.INCONCLUSIVE, (f"{promised:.4g} jobs/s were promised, and {seen}",)
    if bracket.stop is Stop.FOUND:
        return Verdict.KEPT, ()
    return Verdict.INCONCLUSIVE, (_unanswered(found),)


def _unanswered(found: FoundMaximum) -> str:
    bracket = found.bracket
    if found.interrupted:
        return "the search was interrupted"
    if bracket.stop is Stop.CAP:
        return "maximum not reached: the highest rate that was to be tried holds; raise --max-rate"
    if bracket.stop is Stop.GENERATOR:
        confirmed = "maximum not reached" if bracket.high is None else "the ends were not confirmed"
        return f"{confirmed}: the load generator fell behind"
    return _out_of_time(found)


def _out_of_time(found: FoundMaximum) -> str:
    bracket = found.bracket
    if bracket.stop is Stop.REFUSED:
        accepted = next(finding.accepted for finding in found.findings if finding.accepted)
        longer = f"--within {math.ceil(found.wanted.within_s / 60) + 3}m"
        return (
            f"the upstream refused calls after it had accepted {accepted} in a minute; give {longer}, or tell the "
            "workers its limit (--openrouter-rpm)"
        )
    wanted = found.wanted
    longer = _longer(found)
    if bracket.width is None:
        return f"no bracket within {wanted.within_s:g} s; give {longer}"
    if bracket.width <= wanted.max_width:
        return f"the ends were not confirmed within {wanted.within_s:g} s; give {longer}"
    return (
        f"the bracket is {bracket.width:.1%} wide after {wanted.within_s:g} s, {wanted.max_width:.1%} was asked for; "
        f"give {longer}"
    )


def _longer(found: FoundMaximum) -> str:
    return "--within more" if found.needed_s is None else longer_within(found.needed_s)


def longer_within(needed_s: float) -> str:
    """The option that gives a search so much time and some more."""
    return f"--within {math.ceil(_SPARE * needed_s / 60)}m"


def sentence(found: FoundMaximum) -> str:
    """The answer in one plain sentence."""
    bracket, config = found.bracket, found.result.config
    fleet = _fleet(config)
    if bracket.low is None:
        failed = "" if bracket.high is None else f"; {bracket.high.probe.rate_per_s:.4g} jobs/s failed"
        return f"{fleet} sustained no rate{failed}; the limit: {found.limit} ({found.evidence})."
    low = _carried(bracket.low.probe)
    if bracket.high is None:
        return f"{fleet} {low}; maximum not reached: {found.evidence}."
    sure = "" if found.confidence is None else f", with {found.confidence:.1%} confidence"
    high = bracket.high.probe.rate_per_s
    return (
        f"{fleet} {low} and not {high:.4g} jobs/s ({bracket.width:.1%} apart{sure}); "
        f"the limit: {found.limit} ({found.evidence})."
    )


def _carried(probe: Probe) -> str:
    """What was shown of a rate that held."""
    if probe.phase is Phase.SUSTAIN:
        return f"sustained {probe.rate_per_s:.4g} jobs/s"
    return f"carried {probe.rate_per_s:.4g} jobs/s for {format_duration(probe.duration_s)}"


def _fleet(config: BenchConfig) -> str:
    if config.replicas is None or config.concurrency is None:
        return "The fleet"
    return f"{count_of(config.replicas, 'replica')} of {count_of(config.concurrency, 'slot')}"


def to_maximum(found: FoundMaximum) -> dict[str, Any]:
    """The answer as the ``maximum`` of a document; what was not measured is null."""
    bracket, config = found.bracket, found.result.config
    capacity = bracket.capacity
    low_per_s = None if bracket.low is None else bracket.low.probe.rate_per_s
    scales = found.limit in _BY_REPLICAS
    return {
        "low_per_s": low_per_s,
        "high_per_s": None if bracket.high is None else bracket.high.probe.rate_per_s,
        "width": bracket.width,
        "confidence": found.confidence,
        "low_error": bracket.low_error,
        "high_error": bracket.high_error,
        "capacity_per_s": None if capacity is None else capacity.rate_per_s,
        "capacity_error_per_s": None if capacity is None else capacity.error_per_s,
        "per_replica_per_s": low_per_s / config.replicas if low_per_s and config.replicas and scales else None,
        "reached": bracket.high is not None,
        "stopped_by": bracket.stop.value,
        "limit": found.limit.value,
        "evidence": found.evidence,
        "objectives": [*map(str, found.wanted.objectives), *map(str, config.gates)],
        "promised_per_s": found.wanted.promised_per_s,
        "max_width": found.wanted.max_width,
        "elapsed_s": found.elapsed_s,
        "sentence": sentence(found),
        "probes": [_probe_row(finding) for finding in found.findings],
    }


def _probe_row(finding: Finding) -> Mapping[str, Any]:
    return {
        "rate_per_s": finding.probe.rate_per_s,
        "duration_s": finding.probe.duration_s,
        "push_s": finding.probe.push_s,
        "phase": finding.probe.phase.value,
        "verdict": finding.verdict.value,
        "reason": finding.reason or None,
        "throughput_per_s": finding.throughput_per_s,
        "growth_per_s": finding.growth_per_s,
        "wait_p95_s": finding.wait_p95_s,
        "utilisation": finding.utilisation,
    }
