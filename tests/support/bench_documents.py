"""Documents of benches that nobody ran, with what a comparison reads of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobctl.core.quantiles import Sample


def bench_document(
    stretches: Sequence[Sequence[float]],
    *,
    failed: int = 0,
    config: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A document of jobs that took so long, by the second in which they arrived.

    Args:
        stretches: Seconds that each job of each stretch took, on every signal.
        failed: Jobs that failed, in each stretch.
        config: What was asked otherwise than usual.
        host: The machine, likewise.
    """
    encoded = [Sample(values).encoded() for values in stretches]
    return {
        "schema": "jobctl.bench/1",
        "verdict": "kept",
        "reasons": [],
        "interrupted": False,
        "config": {"rate_per_s": 5.0, "job": "sleep", "seed": 1, "schedule_digest": "d1", **(config or {})},
        "offered": {"dropped": 0, "schedule_lag_s": {"p99": 0.001}},
        "jobs": {"lost": 0, "rejected": 0, "duplicated": 0},
        "blocks": {
            "length_s": 1.0,
            "offered": [len(values) for values in stretches],
            "failed": [failed] * len(stretches),
            **dict.fromkeys(("wait", "service", "sojourn"), encoded),
        },
        "host": {"name": "here", "cpus": 2, **(host or {})},
        "versions": {"jobctl": "1.0"},
    }
