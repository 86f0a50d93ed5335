"""The fleet's limit at full length, by workers: 600 calls a minute to each of two models, three times the demand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from redis import Redis

from support.limited_callers import most_in_a_window
from support.limited_workers import ModelMock, demand, kept, workers
from support.servers import serving

RPM = 600
STEADY_S = 130.0
RETRY_AFTER_S = 5.0

Figure = Callable[[str, str, str], None]


def test_four_workers_keep_600_rpm_use_it_and_fall_silent_for_a_retry_after(
    redis: Redis, redis_url: str, tmp_path: Path, figure: Figure
) -> None:
    models = {"mixed": "openai/gpt-4o-mini", "declared": "openai/gpt-4o"}
    mock, jobs = ModelMock(latency_s=0.5), dict[str, list[str]]()
    words = ["--queues", "mixed,declared", "--queue-model", f"declared={models['declared']}"]
    words += ["--openrouter-rpm", str(RPM)]
    with serving(mock) as origin, workers(4, tmp_path, redis_url, f"{origin}/api/v1", *words):
        ends_s = time.monotonic() + STEADY_S + RETRY_AFTER_S + 10
        source = Thread(target=lambda: jobs.update(demand(redis, models, 3 * RPM / 60, ends_s)))
        source.start()
        while len(mock.called_s) < 2:
            time.sleep(0.01)
        began_s = {model: mock.called_s[model][0] for model in models.values()}
        time.sleep(STEADY_S)
        refusal = {"X-Mock-Fault": "429", "X-Mock-Retry-After": f"{RETRY_AFTER_S:g}"}
        mock.refusals = dict.fromkeys(models.values(), refusal)
        source.join()

    for queue, model in models.items():
        called_s = mock.called_s[model]
        most = most_in_a_window(called_s, 60.0)
        used = sum(instant_s < began_s[model] + STEADY_S for instant_s in called_s) / (RPM / 60 * STEADY_S)
        later_s = [instant_s - mock.refused_s[model] for instant_s in called_s]
        silent_from_s = max(instant_s for instant_s in later_s if instant_s < 1)
        resumed_s = min(instant_s for instant_s in later_s if instant_s > 1)
        attempts = max(int(tries or 0) for tries in kept(redis, jobs[queue], "jobctl_attempts"))
        fleet = f"limit: 4 workers, {queue} queue, {RPM} RPM, demand {3 * RPM}"
        figure(f"{fleet}: most calls in any 60 s", str(most), f"at most {RPM}")
        figure(f"{fleet}: share of the allowance that was used", f"{used:.3f}", "at least 0.95")
        figure(f"{fleet}: last call after a 429", f"{silent_from_s * 1000:.0f} ms", "within 200 ms")
        figure(f"{fleet}: next call after it", f"{resumed_s:.2f} s", f"not before {RETRY_AFTER_S:g} s")
        figure(f"{fleet}: most attempts of a job", str(attempts), "1")

        assert most <= RPM
        assert used >= 0.95
        assert silent_from_s <= 0.2
        assert RETRY_AFTER_S - 0.01 <= resumed_s <= RETRY_AFTER_S + 1.5
        assert attempts == 1
        assert redis.zcard(f"rq:failed:{queue}") == 0
