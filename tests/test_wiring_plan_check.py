from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from jobctl.core.arrivals import POISSON
from jobctl.core.demand import Retries, Upstream
from jobctl.core.service import Constant, Empirical, Exponential, Gamma, Law, Lognormal, parse_law
from jobctl.core.validation import Rehearsal
from jobctl.wiring.plan_check import law_text, prepare

REHEARSAL = Rehearsal(
    arrival_rate_per_s=20.0,
    arrivals=POISSON,
    service=Exponential(0.5),
    replicas=2,
    concurrency=5,
    duration_s=100.0,
    warmup_s=10.0,
    retries=Retries(attempts=4, failure_rate=0.2, failed_ratio=3.0, base_s=0.25, cap_s=2.0),
    job_timeout_s=1.0,
)


def test_jobs_sleep_for_what_was_drawn_for_them_and_fail_as_often() -> None:
    """Of 2,000 jobs, with S exponential of mean 0.5 s: an attempt fails with 0.2 + 0.8 exp(-2) = 0.308."""
    config = prepare(REHEARSAL).config
    payloads = config.spec.workloads[0].payloads
    failing = [seconds for args, _ in payloads if len(args) == 2 for seconds in args[1]]
    fails = 0.2 + 0.8 * math.exp(-2)

    assert config.spec.workloads[0].job_type == "sleep"
    assert len(payloads) == len(config.spec.schedule())
    assert max(failing) == 1.0
    assert max(args[0] for args, _ in payloads) <= 1.0
    assert len(failing) / len(payloads) == pytest.approx(fails / (1 - fails), rel=0.15)
    assert config.injected_share == pytest.approx(fails**4)
    assert (config.replicas, config.concurrency, config.spec.warmup_s) == (2, 5, 10.0)


def test_the_same_seed_draws_the_same_run() -> None:
    def drawn(seed: int) -> tuple[object, ...]:
        spec = prepare(replace(REHEARSAL, seed=seed)).config.spec
        return spec.workloads[0].payloads[:50], spec.schedule()

    assert drawn(1) == drawn(1) != drawn(2)


def test_workers_hear_of_the_retries_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobctl.toml").write_text('database_url = "postgres://here/db"\nattempts = 9\n')
    monkeypatch.setenv("REDIS_URL", "redis://somebody.else/0")
    prepared = prepare(REHEARSAL)
    settings = prepared.settings

    assert (settings.attempts, settings.retry_base_s, settings.retry_cap_s) == (4, 0.25, 2.0)
    assert (settings.redis_url, settings.database_url) == (None, None)
    assert (prepared.secluded, prepared.own_workers, prepared.config.mock) == (True, False, None)


def test_behind_a_limit_jobs_call_a_mock_whose_latency_is_the_law() -> None:
    limited = replace(REHEARSAL, upstream=Upstream(rpm=600.0, burst=5), retries=Retries(), job_timeout_s=None)
    prepared = prepare(limited)

    assert prepared.config.spec.workloads[0].job_type == "chat_completion"
    assert prepared.config.mock == ("--latency", "exponential:0.5s")
    assert (prepared.settings.openrouter_rpm, prepared.settings.openrouter_burst) == (600.0, 5)


@pytest.mark.parametrize("law", [Constant(0.5), Exponential(0.25), Gamma(0.3, 2.5), Lognormal(-1.2, 0.7)])
def test_the_mock_reads_the_law_that_is_meant(law: Law) -> None:
    read = parse_law(law_text(law))

    assert type(read) is type(law)
    assert (read.mean_s, read.scv) == pytest.approx((law.mean_s, law.scv))


def test_a_law_without_a_text_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        law_text(Empirical((1.0, 2.0)))
