"""Documents ``jobctl.bench/1`` with every section filled, made from a seed: figures that differ from each other."""

from __future__ import annotations

import math
import random
from typing import Any

from jobctl.core.quantiles import QUANTILES, Sample

#: Objects of a document that may be null, or that documents of earlier releases lack.
OPTIONAL = (
    "aborted", "gates", "by_job", "faults", "replicas", "timeline", "spectrum", "drain_s",
    "goodput_per_s", "cost", "generator", "maximum", "comparison", "usage", "predicted", "utilisation",
)  # fmt: skip


def make_type(job: str, share: float) -> dict[str, Any]:
    """One type of a mix."""
    laws = {"service_law": "exponential:2s", "latency_law": None, "failure_rate": 0.0}
    return {"job": job, "function": "jobctl.tasks.sleep", "share": share, "queue": None, **laws}


def make_document(
    *,
    rate_per_s: float = 5.0,
    duration_s: float = 60.0,
    workers: int = 2,
    steps: int = 250,
    seed: int = 1,
    **changes: Any,
) -> dict[str, Any]:
    """A document of a run in which the mock was away for a while and a replica was killed."""
    rng = random.Random(seed)
    warmup_s, drain_s = duration_s / 10, duration_s / 20
    jobs = round(rate_per_s * duration_s)
    wait = [rng.lognormvariate(-6, 1.0) for _ in range(min(jobs, 2000))]
    service = [rng.lognormvariate(-0.2, 0.5) for _ in wait]
    samples = {"wait": wait, "service": service, "sojourn": [sum(pair) for pair in zip(wait, service, strict=True)]}
    enqueue = make_signal([rng.uniform(2e-4, 2e-3) for _ in wait])
    signals = {"enqueue": enqueue, **{name: make_signal(values) for name, values in samples.items()}}
    names = [f"bench-host-{4711 + number}-replica-{number}" for number in range(1, workers + 1)]
    counts = make_counts(jobs)
    document = {
        "schema": "jobctl.bench/1",
        "verdict": "broken",
        "reasons": ["gate users do not wait: wait.p95 is 1.52 s, allowed 1 s"],
        "interrupted": False,
        "aborted": None,
        "errors": [{"error": "UpstreamStatus: 503 <upstream> is down & out", "jobs": 2}],
        "started_at": "2026-11-25T20:01:02.345+00:00",
        "config": {
            "per_day": rate_per_s * 86_400, "rate_per_s": rate_per_s, "duration_s": duration_s, "warmup_s": warmup_s,
            "arrivals": "poisson", "seed": 1, "replicas": workers, "concurrency": 25, "job": "chat, summary",
            "scenario": None, "schedule_digest": "68471f7e3cc3036a", "shape": "steady", "time_scale": 1.0,
            "stages": [{"duration_s": duration_s, "start_per_s": rate_per_s, "end_per_s": rate_per_s}],
            "mix": [make_type("chat", 0.7), make_type("summary", 0.3)],
            "chaos": ["mock_outage@20s+10s", "replica_killed:2@40s"],
            "mock": None,
        },
        "offered": {
            "jobs": counts["scheduled"] - 7, "rate_per_s": rate_per_s * 0.9876,
            "schedule_lag_s": {"p50": 0.000765, "p99": 0.0013091, "max": 0.00217}, "dropped": 0,
        },
        "achieved": {"jobs": counts["finished"] - 5, "rate_per_s": rate_per_s * 0.9765},
        "goodput_per_s": rate_per_s * 0.9321,
        "drain_s": drain_s,
        "jobs": counts,
        "signals": signals,
        "by_job": [
            {"job": job, "share": share, "queue": job, "jobs": make_counts(round(jobs * share)),
             "signals": {"enqueue": None, **{name: make_signal(values[start::3]) for name, values in samples.items()}}}
            for start, (job, share) in enumerate({"chat": 0.7, "summary": 0.3}.items())
        ],
        "utilisation": 0.2345,
        "usage": {"cpu_s_per_job": 0.0054, "cpu_share_per_replica": 0.0135, "memory_bytes_per_replica": 51_875_840},
        "backlog": {"max": 53, "slope_per_s": 0.0123, "series": [rng.randrange(5) for _ in range(240)]},
        "predicted": {
            "utilisation": 0.2222, "wait": {"p_wait": 0.01, "mean": 0.00123, "p95": 0.0, "p99": 0.0456},
            "method": "M/G/c, Kimura",
        },
        "gates": [
            make_gate("users do not wait", "wait.p95 < 1s", "broken", 1.5234567, 1.0, "s", reason="too slow",
                      failed_windows=[[20.0, 30.0], [30.0, 40.0]], job="chat", window_s=10.0),
            make_gate("lost == 0", "lost == 0", "kept", 0, 0, "jobs"),
            make_gate("error_rate < 1%", "error_rate < 1%", "kept", 0.0033, 0.01, ""),
            make_gate("cost.per_job < 0.01", "cost.per_job < 0.01", "inconclusive", None, 0.01, "USD",
                      reason="no job told its cost", severity="warning"),
        ],
        "faults": [
            {"kind": "mock_outage", "at_s": duration_s / 3, "until_s": duration_s / 2, "replica": None,
             "what": "the mock answered 503"},
            {"kind": "replica_killed", "at_s": duration_s * 2 / 3, "until_s": None, "replica": 2,
             "what": "replica 2 killed"},
        ],
        "replicas": [
            {"name": name, "jobs": jobs // workers, "utilisation": rng.uniform(0.1, 0.9)} for name in names
        ],
        "timeline": make_timeline(rng, rate_per_s, duration_s, drain_s, names, steps),
        "spectrum": {name: make_spectrum(values, jobs) for name, values in samples.items()},
        "histograms": dict.fromkeys((*samples, "schedule_lag")),
        "cost": {"usd": 1.2345, "usd_per_job": 0.00045},
        "generator": {"processes": 2, "sent": jobs, "cpu_s": 0.00021 * jobs, "cpu_s_per_job": 0.00021},
        "maximum": make_maximum(),
        "comparison": make_comparison(),
        "sentence": "At 4.94 jobs/s two replicas of 25 slots were 23% busy; one would carry it, two with one spare.",
        "tool_statistics": [],
        "host": {"system": "Linux", "release": "6.18.44", "machine": "x86_64", "cpus": 2, "name": "vm"},
        "versions": {"python": "3.11.7", "redis_server": "9.1.2", "jobctl": "0.1.0", "rq": "3.0.0"},
    }  # fmt: skip
    return {**document, **changes}


def make_maximum() -> dict[str, Any]:
    probe = {
        "rate_per_s": 64.0, "duration_s": 5.0, "push_s": 0.0, "phase": "double", "verdict": "kept", "reason": None,
        "throughput_per_s": 63.9, "growth_per_s": 0.1, "wait_p95_s": 0.0012, "utilisation": 0.26,
    }  # fmt: skip
    broken = {
        **probe, "rate_per_s": 512.0, "verdict": "broken", "reason": "the backlog grew", "wait_p95_s": None,
        "throughput_per_s": 248.9, "utilisation": 1.0,
    }  # fmt: skip
    return {
        "low_per_s": 245.5, "high_per_s": 252.25, "width": 0.0275, "confidence": 0.95, "low_error": 0.03,
        "high_error": 0.02, "capacity_per_s": 248.9, "capacity_error_per_s": 0.8, "per_replica_per_s": 122.75,
        "reached": True, "stopped_by": "found", "limit": "slots", "evidence": "slots were 100% busy",
        "objectives": ["p95 wait <= 1 s"], "promised_per_s": None, "max_width": 0.05, "elapsed_s": 93.0,
        "sentence": "The fleet sustains 245.5 jobs/s and not 252.2: its slots are full.", "probes": [probe, broken],
    }  # fmt: skip


def make_comparison() -> dict[str, Any]:
    line = {
        "name": "service.mean", "unit": "s", "baseline": 0.85, "new": 0.98, "change": 0.13, "relative": 0.153,
        "interval": [0.11, 0.15], "relative_interval": [0.129, 0.176], "floor": 0.0425, "confidence": 0.99,
        "decides": True, "finding": "regression", "reason": None,
    }  # fmt: skip
    nothing = dict.fromkeys(("baseline", "new", "change", "relative", "interval", "relative_interval", "floor"))
    unknown = {
        **line, **nothing, "name": "wait.p99", "confidence": None, "decides": False, "finding": "cannot tell",
        "reason": "too few jobs",
    }  # fmt: skip
    side = {"name": "main (0123456789ab)", "revision": "0123456789ab", "versions": {}, "host": {}}
    return {
        "schema": "jobctl.compare/1", "finding": "regression", "sentence": "A regression over 4 rounds and 4 more.",
        "reasons": ["service.mean rose by 15 %"], "confirmed": True, "rounds": {"first": 4, "repeat": 4},
        "floors": {"relative": 0.05, "absolute_s": 0.005, "share": 0.01}, "baseline": side,
        "new": {**side, "name": "the code here", "revision": None}, "differences": [], "lines": [line, unknown],
        "repeat": [line],
    }  # fmt: skip


def make_counts(jobs: int) -> dict[str, int]:
    return {
        "scheduled": jobs, "enqueued": jobs, "rejected": 0, "finished": jobs - 2, "failed": 2, "in_flight": 0,
        "lost": 0, "duplicated": 1, "retried": 4, "attempts": jobs + 4, "failed_attempts": 6,
    }  # fmt: skip


def make_signal(values: list[float]) -> dict[str, Any]:
    sample = Sample(values)
    return {
        "n": len(sample),
        "mean": sample.mean,
        "scv": sample.scv,
        **{name: sample.quantile(q) for name, q in QUANTILES.items()},
        "max": sample.max,
        "intervals": {name: sample.interval(q) and list(sample.interval(q) or ()) for name, q in QUANTILES.items()},
    }


def make_gate(
    name: str, check: str, verdict: str, value: float | None, threshold: float, unit: str, **changes: Any
) -> dict[str, Any]:
    gate = {
        "name": name, "check": check, "job": None, "window_s": None, "for_s": None, "min_samples": 59,
        "severity": "error", "abort": False, "verdict": verdict, "value": value, "threshold": threshold, "unit": unit,
        "samples": 270, "reason": None, "failed_windows": [],
    }  # fmt: skip
    return {**gate, **changes}


def make_timeline(
    rng: random.Random, rate_per_s: float, duration_s: float, drain_s: float, names: list[str], steps: int
) -> dict[str, Any]:
    step_s = (duration_s + drain_s) / steps
    busy = {name: [rng.uniform(0.1, 0.9) for _ in range(steps)] for name in names}

    def spread(scale: float) -> dict[str, list[float | None]]:
        rows = [sorted(rng.lognormvariate(math.log(scale), 0.6) for _ in range(3)) for _ in range(steps)]
        return {
            key: [row[at] if rng.random() < 0.8 else None for row in rows]
            for at, key in enumerate(("p50", "p95", "max"))
        }

    def counts(mean: float) -> list[int]:
        return [max(0, round(rng.gauss(mean, math.sqrt(mean)))) for _ in range(steps)]

    peak = [round(50 * math.exp(-(((place - 110) / 25) ** 2))) for place in range(steps)]
    return {
        "step_s": step_s,
        "offered": [
            count if place * step_s < duration_s else 0 for place, count in enumerate(counts(rate_per_s * step_s))
        ],
        "achieved": counts(rate_per_s * step_s),
        "failed": [1 if place in {100, 120} else 0 for place in range(steps)],
        "backlog": peak,
        "in_service": counts(max(1.0, rate_per_s)),
        "wait": spread(0.003),
        "service": spread(0.9),
        "sojourn": spread(1.0),
        "busy": busy,
    }


def make_spectrum(values: list[float], jobs: int) -> list[list[float]]:
    ordered = sorted(values)
    nines = math.log10(max(10, jobs))
    shares = [1 - 10 ** (-nines * place / 59) for place in range(60)]
    return [[100 * share, ordered[min(len(ordered) - 1, int(share * len(ordered)))]] for share in shares]
