"""The soak at full length: half an hour at 50 jobs a second. SOAK_S sets another length, in seconds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from redis import Redis

from support.soaking import Soak, soak

LASTS_S = float(os.environ.get("SOAK_S") or 1800)

Figure = Callable[[str, str, str], None]


def test_half_an_hour_at_50_jobs_a_second_leaves_nothing_behind(
    redis: Redis, redis_url: str, tmp_path: Path, figure: Figure
) -> None:
    plan = Soak(
        lasts_s=LASTS_S,
        warm_up_s=LASTS_S / 6,
        sample_s=max(1.0, LASTS_S / 360),
        result_ttl_s=min(60, int(LASTS_S / 18)),
    )
    soaked = soak(plan, redis, redis_url, tmp_path)

    samples = soaked.samples
    first, last = samples[0], samples[-1]
    what = f"soak: {LASTS_S:.0f} s at 50 jobs/s"
    most_keys = max(sample.keys for sample in samples)
    figure(f"{what}: jobs enqueued, finished", f"{soaked.enqueued}, {soaked.finished}", "the same")
    figure(f"{what}: RSS after the first sixth", f"{first.rss / 1e6:.1f} MB", "")
    figure(f"{what}: its growth from then on", f"{soaked.rss_growth_mb:.1f} MB", "at most 5 MB")
    figure(f"{what}: slope of the line through all samples", f"{soaked.rss_slope_mb_per_h:.1f} MB/h", "")
    figure(f"{what}: keys of Redis, then and at most", f"{first.keys}, {most_keys}", "bounded")
    figure(f"{what}: threads, then and at the end", f"{first.threads}, {last.threads}", "constant")
    figure(f"{what}: file descriptors, then and at the end", f"{first.files}, {last.files}", "constant")

    assert soaked.finished == soaked.enqueued
    assert soaked.rss_growth_mb <= 5.0
    assert soaked.lasting_growth == {}
    assert most_keys <= 1.2 * first.keys
    assert {sample.threads for sample in samples} == {first.threads}
    assert max(sample.files for sample in samples) <= first.files + 2
