"""A bench's result as the versioned document ``jobctl.bench/1`` and as one plain sentence.

Objects named wait, service and sojourn hold seconds; every other scalar carries its unit in its name. What was not
measured is null, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from jobctl.apps.bench.course import course_of, enqueue_signal_of, signals_of
from jobctl.apps.bench.driver import BenchConfig, BenchResult, Prediction
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import digest
from jobctl.core.chaos import PlayedFault
from jobctl.core.crew import GeneratorUse
from jobctl.core.documents import BENCH_SCHEMA
from jobctl.core.gate_figures import goodput_per_s
from jobctl.core.gating import GateResult
from jobctl.core.sizing import replicas_needed
from jobctl.core.slo import DEFAULT_OBJECTIVE
from jobctl.core.units import SECONDS_PER_DAY
from jobctl.core.workload import Workload

__all__ = ["sentence", "to_document"]

_NUMBER_WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def to_document(result: BenchResult, host: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """The result as JSON-able values; finite numbers, strings, null.

    Args:
        result: The result.
        host: What machine it ran on.
        versions: Versions of jobctl, Python and what it stood on.
    """
    summary = result.summary
    return {
        "schema": BENCH_SCHEMA,
        "verdict": result.judgement.verdict.value,
        "reasons": list(result.judgement.reasons),
        "interrupted": result.interrupted,
        "aborted": result.aborted,
        "gates": [_gate(gate) for gate in result.gates],
        "errors": [{"error": error, "jobs": jobs} for error, jobs in result.errors],
        "started_at": datetime.fromtimestamp(result.started_at_s, UTC).isoformat(timespec="milliseconds"),
        "config": _config(result.config),
        "offered": {
            "jobs": summary.offered_jobs,
            "rate_per_s": summary.offered_per_s,
            "schedule_lag_s": {
                "p50": summary.schedule_lag.census(0.50),
                "p99": summary.schedule_lag.census(0.99),
                "max": summary.schedule_lag.max,
            },
            "dropped": result.dropped,
        },
        "achieved": {"jobs": summary.achieved_jobs, "rate_per_s": summary.achieved_per_s},
        "goodput_per_s": goodput_per_s(result.records, summary.window, result.config.gates),
        "jobs": asdict(summary.counts),
        "signals": {**signals_of(summary), "enqueue": enqueue_signal_of(result)},
        "utilisation": summary.utilisation,
        "usage": None if result.usage is None else asdict(result.usage),
        "backlog": {
            "max": summary.backlog.max,
            "slope_per_s": summary.backlog.slope_per_s,
            "series": list(summary.backlog.series),
        },
        "predicted": _predicted(result.predicted),
        "faults": [_fault(fault) for fault in result.faults],
        **course_of(result),
        "sentence": sentence(result),
        "generator": _generator(result.generator),
        "tool_statistics": [dict(row) for row in result.tool_statistics],
        "host": dict(host),
        "versions": dict(versions),
        "maximum": None,
        "comparison": None,
    }


def _config(config: BenchConfig) -> dict[str, Any]:
    """What was asked."""
    spec = config.spec
    return {
        "per_day": config.rate_per_s * SECONDS_PER_DAY,
        "rate_per_s": config.rate_per_s,
        "duration_s": spec.duration_s,
        "warmup_s": spec.warmup_s,
        "arrivals": str(spec.arrivals),
        "seed": spec.seed,
        "replicas": config.replicas,
        "concurrency": config.concurrency,
        "job": ", ".join(workload.job_type for workload in spec.workloads),
        "scenario": config.scenario,
        "schedule_digest": digest(spec.schedule()),
        "shape": None if config.shape is None else str(config.shape),
        "time_scale": config.time_scale,
        "stages": [asdict(stage) for stage in spec.stages],
        "mix": [_job_type(spec, workload) for workload in spec.workloads],
        "chaos": [str(fault) for fault in config.chaos],
        "mock": None if config.mock is None else _options(config.mock),
    }


def _generator(use: GeneratorUse | None) -> dict[str, Any] | None:
    return None if use is None else {**asdict(use), "cpu_s_per_job": use.cpu_s_per_job}


def _options(words: Sequence[str]) -> list[str]:
    """Options and their values, ``--latency``, ``constant:1s``, as one text each: ``latency constant:1s``."""
    return [f"{flag.removeprefix('--')} {value}" for flag, value in zip(words[::2], words[1::2], strict=True)]


def sentence(result: BenchResult) -> str:
    """The run in one plain sentence, with the replicas that its own figures call for.

    A rate that changes is sized for its peak. Where jobs are unfinished or most of them failed, the service times are
    those of a few and size nothing.
    """
    summary, config = result.summary, result.config
    if config.replicas is None or config.concurrency is None or summary.utilisation is None:
        return f"At {summary.offered_per_s:.3g} jobs/s {summary.achieved_per_s:.3g} jobs/s came out."
    noun = "replica" if config.replicas == 1 else "replicas"
    verb = "was" if config.replicas == 1 else "were"
    is_steady = config.is_steady or config.peak_per_s <= summary.offered_per_s
    peak = "" if is_steady else f" (peak {config.peak_per_s:.3g})"
    busy = (
        f"At {summary.offered_per_s:.3g} jobs/s{peak} {_word(config.replicas)} {noun} of {config.concurrency} slots "
        f"{verb} {summary.utilisation:.0%} busy"
    )
    if not summary.offered_jobs:
        return busy + "."
    if summary.counts.in_flight or not summary.service.mean or summary.achieved_jobs < summary.offered_jobs / 2:
        return busy + "; too few jobs finished to say what would carry it."
    needed = replicas_needed(
        arrival_rate_per_s=summary.offered_per_s if is_steady else config.peak_per_s,
        mean_service_s=summary.service.mean,
        service_scv=1.0 if summary.service.scv is None else summary.service.scv,
        concurrency=config.concurrency,
        objective=DEFAULT_OBJECTIVE,
    )
    what = "it" if is_steady else "its peak"
    if needed is None:
        return f"{busy}; no number of replicas would carry {what}."
    return f"{busy}; {_word(needed)} would carry {what}, {_word(needed + 1)} with one spare."


def _job_type(spec: LoadSpec, workload: Workload) -> dict[str, Any]:
    """One type of the mix; its queue without what is this run's own in the name."""
    return {
        "job": workload.job_type,
        "function": workload.function,
        "share": workload.share,
        "queue": None if workload.queue is None else workload.queue.removeprefix(f"{spec.queue}-"),
        "service_law": workload.service_law,
        "latency_law": workload.latency_law,
        "failure_rate": workload.failure_rate,
    }


def _gate(result: GateResult) -> dict[str, Any]:
    gate = result.gate
    return {
        "name": gate.name or str(gate),
        "check": str(gate),
        "job": gate.job,
        "window_s": gate.window_s,
        "for_s": gate.for_s,
        "min_samples": gate.min_samples,
        "severity": gate.severity.value,
        "abort": gate.abort,
        "verdict": result.verdict.value,
        "value": result.value,
        "threshold": gate.threshold,
        "unit": gate.unit.value,
        "samples": result.samples,
        "reason": result.reason,
        "failed_windows": [list(window) for window in result.failed_windows],
    }


def _fault(fault: PlayedFault) -> dict[str, Any]:
    return {
        "kind": fault.kind.value,
        "at_s": fault.at_s,
        "until_s": fault.until_s,
        "replica": fault.replica,
        "what": fault.what if fault.problem is None else f"{fault.what} ({fault.problem})",
    }


def _predicted(predicted: Prediction | None) -> dict[str, Any] | None:
    if predicted is None:
        return None
    wait = predicted.wait
    return {
        "utilisation": predicted.utilisation,
        "wait": {
            "p_wait": wait.p_wait,
            "mean": _finite(wait.mean_s),
            "p95": _finite(wait.quantile_s(0.95)),
            "p99": _finite(wait.quantile_s(0.99)),
        },
        "method": wait.method,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _word(number: int) -> str:
    return _NUMBER_WORDS[number] if number < len(_NUMBER_WORDS) else str(number)
