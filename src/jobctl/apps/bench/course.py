"""How a run went, as JSON-able values: by job type, by worker, over time, and as distributions to compute with again.

All instants are seconds since the run's start. What was not measured is None, never 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from jobctl.apps.bench.driver import BenchResult
from jobctl.core.quantiles import QUANTILES, Sample
from jobctl.core.records import Outcome
from jobctl.core.summary import Summary, drain_of, summarise
from jobctl.core.timeline import SIGNALS, Timeline, cut_blocks, timeline_of

__all__ = ["course_of", "enqueue_signal_of", "signals_of"]


def course_of(result: BenchResult) -> dict[str, Any]:
    """The parts of the document that tell how the run went.

    Args:
        result: The result.
    """
    summary, config, records = result.summary, result.config, result.records
    timeline = timeline_of(records, result.started_at_s, summary.window.end_s, config.concurrency)
    blocks = cut_blocks(records, summary.window)
    samples = {name: getattr(summary, name) for name in SIGNALS}
    return {
        "by_job": _by_job(result),
        "replicas": _replicas(result),
        "drain_s": drain_of(records),
        "cost": _cost(result),
        "timeline": _timeline(timeline),
        "spectrum": {name: [list(point) for point in sample.spectrum()] for name, sample in samples.items()},
        "histograms": {
            name: sample.encoded() for name, sample in {**samples, "schedule_lag": summary.schedule_lag}.items()
        },
        "blocks": {
            "length_s": blocks.length_s,
            "offered": list(blocks.offered),
            "failed": list(blocks.failed),
            **{name: [sample.encoded() for sample in signal] for name, signal in blocks.signals.items()},
        },
    }


def signals_of(summary: Summary) -> dict[str, Any]:
    """Wait, service and sojourn with their quantiles and intervals."""
    return {name: _signal(getattr(summary, name)) for name in SIGNALS}


def enqueue_signal_of(result: BenchResult) -> dict[str, Any] | None:
    """Likewise how long Redis took to take each job; None where that was not noted."""
    window = result.summary.window
    taken = [record.enqueue_s for record in result.records if window.holds(record.intended_s)]
    sample = Sample(seconds for seconds in taken if seconds is not None)
    return _signal(sample) if len(sample) else None


def _signal(sample: Sample) -> dict[str, Any]:
    return {
        "n": len(sample),
        "mean": sample.mean,
        "scv": sample.scv,
        **{name: sample.quantile(q) for name, q in QUANTILES.items()},
        "max": sample.max,
        "intervals": {name: sample.interval(q) for name, q in QUANTILES.items()},
    }


def _by_job(result: BenchResult) -> list[dict[str, Any]]:
    """Each type of the mix for itself; the slots are those of all types, so the load of one says nothing of them."""
    spec, rows = result.config.spec, []
    for workload in spec.workloads:
        summary = result.summary
        if len(spec.workloads) > 1:
            records = [record for record in result.records if record.job_type == workload.job_type]
            summary = summarise(records, result.summary.window, None)
        rows.append(
            {
                "job": workload.job_type,
                "share": workload.share,
                "queue": spec.queue_of(workload),
                "jobs": asdict(summary.counts),
                "signals": signals_of(summary),
            }
        )
    return rows


def _replicas(result: BenchResult) -> list[dict[str, Any]]:
    """What each worker did over the window."""
    window, concurrency = result.summary.window, result.config.concurrency
    jobs: Counter[str] = Counter()
    busy_s: dict[str, float] = defaultdict(float)
    for record in result.records:
        if record.worker is None or record.started_s is None or record.outcome is Outcome.LOST:
            continue
        jobs[record.worker] += window.holds(record.started_s)
        end_s = window.end_s if record.finished_s is None else record.finished_s
        busy_s[record.worker] += window.overlap_s(record.started_s, end_s)
    return [
        {
            "name": worker,
            "jobs": jobs[worker],
            "utilisation": None if concurrency is None else busy_s[worker] / (concurrency * window.length_s),
        }
        for worker in sorted(jobs)
    ]


def _cost(result: BenchResult) -> dict[str, float] | None:
    costs = [record.cost_usd for record in result.records if record.cost_usd is not None]
    return {"usd": sum(costs), "usd_per_job": sum(costs) / len(costs)} if costs else None


def _timeline(timeline: Timeline) -> dict[str, Any]:
    return {
        "step_s": timeline.step_s,
        "offered": list(timeline.offered),
        "achieved": list(timeline.achieved),
        "failed": list(timeline.failed),
        "backlog": list(timeline.backlog),
        "in_service": list(timeline.in_service),
        **{
            name: {"p50": _rounded(spread.p50), "p95": _rounded(spread.p95), "max": _rounded(spread.max)}
            for name, spread in timeline.signals.items()
        },
        "busy": {worker: [round(share, 4) for share in shares] for worker, shares in timeline.busy.items()},
    }


def _rounded(values: tuple[float | None, ...]) -> list[float | None]:
    """To the microsecond, which is what the clocks tell."""
    return [None if value is None else round(value, 6) for value in values]
