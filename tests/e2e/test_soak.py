"""A worker under a steady load takes no more than it did after its warm-up: the full run's twin of some seconds."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from support.soaking import Soak, soak


def test_a_steady_load_leaves_nothing_behind(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    soaked = soak(Soak(lasts_s=10.0, warm_up_s=5.0, sample_s=0.5, result_ttl_s=2), redis, redis_url, tmp_path)

    first, last = soaked.samples[0], soaked.samples[-1]
    assert soaked.finished == soaked.enqueued
    assert soaked.rss_growth_mb <= 5.0
    assert soaked.lasting_growth == {}
    assert last.keys <= 1.2 * first.keys
    assert {sample.threads for sample in soaked.samples} == {first.threads}
    assert max(sample.files for sample in soaked.samples) <= first.files + 2
