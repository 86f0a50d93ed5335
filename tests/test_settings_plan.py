"""The ``[plan]`` table of ``jobctl.toml``, and how it stands to flags, the environment and the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobctl.apps.plan.request import INPUTS, FailedTime, Level, PlanRequest
from jobctl.core.arrivals import ArrivalKind, Arrivals
from jobctl.core.demand import Hold, JobType
from jobctl.core.prices import RAILWAY
from jobctl.core.profiles import Spike
from jobctl.core.service import Exponential
from jobctl.core.shapes import ShapeKind, WantedShape
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Window
from jobctl.core.tiers import parse_tier
from jobctl.errors import InvalidOption
from jobctl.settings import load_plan

#: For each input: how it is written in TOML, and what that means.
VALUES: dict[str, tuple[str, Any]] = {
    "per_day": ("450000", 450_000.0),
    "rate": ("2.5", 2.5),
    "service_time": ('"8s"', 8.0),
    "concurrency": ("10", 10),
    "peak_factor": ("2.5", 2.5),
    "shape": ('"replay:a.csv"', WantedShape(ShapeKind.REPLAY, "a.csv")),
    "source": ('"bench.json"', "bench.json"),
    "slo": ('["p95 wait <= 1s", "cover 99% of the day"]', (DEFAULT_OBJECTIVE, Cover(0.99))),
    "spare": ("0", 0),
    "replicas": ("3", 3),
    "arrivals": ('"batch:50"', Arrivals(ArrivalKind.BATCH, 50)),
    "spike": ('"5000@14:30"', (Spike(5000, 52_200.0),)),
    "time_scale": ("2", 2.0),
    "service_rule": ('"1.0 + 0.05 * tokens"', "1.0 + 0.05 * tokens"),
    "service_scv": ("0", 0.0),
    "service_p50": ('"6s"', 6.0),
    "service_p95": ('"20s"', 20.0),
    "job_type": (
        '["a 30% exponential:8s", "b 0.7 2s"]',
        (JobType("a", 0.3, Exponential(8.0)), JobType("b", 0.7, Exponential(2.0))),
    ),
    "job_timeout": ("30", 30.0),
    "cpu_per_job": ('"20ms"', 0.02),
    "memory": ('"300MB"', 3e8),
    "attempts": ("3", 3),
    "failure_rate": ("0.05", 0.05),
    "failed_ratio": ('"3x"', FailedTime(ratio=3.0)),
    "retry_base": ('"1s"', 1.0),
    "retry_factor": ("3", 3.0),
    "retry_cap": ('"1m"', 60.0),
    "retry_jitter": ("0.5", 0.5),
    "upstream_rpm": ("600", 600.0),
    "upstream_burst": ("30", 30),
    "upstream_tpm": ('"200k"', 200_000.0),
    "tokens_per_job": ("1500", 1500.0),
    "calls_per_job": ("2", 2.0),
    "upstream_wait": ('"slot"', "slot"),
    "db_tier": ('"small:direct"', parse_tier("small:direct")),
    "db_max_clients": ("400", 400),
    "db_connections_per_replica": ("5", 5),
    "db_hold": ('"job"', Hold.JOB),
    "db_share": ("0.1", 0.1),
    "slo_file": ('"gates.toml"', "gates.toml"),
    "window": ('"whole day"', Window.WHOLE_DAY),
    "max_replicas": ("10", 10),
    "platform": ('"pro"', "pro"),
    "budget": ("0", 0.0),
    "seed": ("0", 0),
}
NAMES = [told.name for told in INPUTS]
KEYS = {told.name: told.key for told in INPUTS}


def from_file(text: str, directory: Path, env: dict[str, str] | None = None, **flags: object) -> PlanRequest:
    """The request that a file, an environment and flags make."""
    (directory / "jobctl.toml").write_text(text, encoding="utf-8")
    return load_plan(flags, env=env or {}, directory=directory)[0]


def source(request: PlanRequest, name: str) -> str:
    return request.sources[name].text


@pytest.mark.parametrize("name", NAMES)
def test_every_input_may_stand_in_the_file(name: str, tmp_path: Path) -> None:
    text, meant = VALUES[name]
    request = from_file(f"[plan]\n{KEYS[name]} = {text}\n", tmp_path)
    assert getattr(request, name) == meant
    assert source(request, name) == "file jobctl.toml"
    assert request.level(name) is Level.FILE


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_hides_the_file_even_where_it_is_nothing(name: str, tmp_path: Path) -> None:
    text, _ = VALUES[name]
    given = [DEFAULT_OBJECTIVE] if name in ("slo", "spike", "job_type") else 0
    request = from_file(f"[plan]\n{KEYS[name]} = {text}\n", tmp_path, **{name: given})
    assert getattr(request, name) == (tuple(given) if isinstance(given, list) else given)
    assert request.level(name) is Level.FLAG
    assert source(request, name) == f"flag {next(told.flag for told in INPUTS if told.name == name)}"


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_said_is_not_there(name: str, tmp_path: Path) -> None:
    request = load_plan({}, env={}, directory=tmp_path)[0]
    if name in ("concurrency", "attempts", "retry_base", "retry_cap", "upstream_burst"):
        assert request.level(name) is Level.DEFAULT
        assert source(request, name) == "default"
    else:
        assert not getattr(request, name)
        assert name not in request.sources


@pytest.mark.parametrize(
    ("name", "setting", "variable"),
    [
        ("concurrency", "concurrency", "JOB_CONCURRENCY"),
        ("attempts", "attempts", "JOB_ATTEMPTS"),
        ("retry_base", "retry_base_s", "JOB_RETRY_BASE"),
        ("retry_cap", "retry_cap_s", "JOB_RETRY_CAP"),
        ("upstream_rpm", "openrouter_rpm", "OPENROUTER_RPM"),
        ("upstream_burst", "openrouter_burst", "OPENROUTER_BURST"),
        ("upstream_tpm", "openrouter_tpm", "OPENROUTER_TPM"),
        ("db_connections_per_replica", "db_pool_size", "JOB_DB_POOL_SIZE"),
    ],
)
def test_a_setting_of_the_workers_counts_below_the_table_and_the_environment_above(
    name: str, setting: str, variable: str, tmp_path: Path
) -> None:
    table = f"{setting} = 7\n[plan]\n"
    alone = from_file(table, tmp_path)
    assert (getattr(alone, name), source(alone, name)) == (7, "file jobctl.toml")
    both = from_file(f"{table}{KEYS[name]} = 8\n", tmp_path)
    assert (getattr(both, name), source(both, name)) == (8, "file jobctl.toml")
    overruled = from_file(f"{table}{KEYS[name]} = 8\n", tmp_path, env={variable: "9"})
    assert (getattr(overruled, name), source(overruled, name)) == (9, f"env {variable}")
    flagged = from_file(f"{table}{KEYS[name]} = 8\n", tmp_path, env={variable: "9"}, **{name: 10})
    assert (getattr(flagged, name), flagged.level(name)) == (10, Level.FLAG)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[plan]\npeak_fctor = 2\n", "did you mean 'peak_factor'?"),
        ("[plan]\nzzz = 2\n", "known keys: per_day, rate,"),
        ("[plan]\njson = 'a'\n", "unknown key 'json'"),
        ("[plan]\nrate = -1\n", "jobctl.toml: plan.rate:"),
        ("[plan]\nrate = nan\n", "jobctl.toml: plan.rate:"),
        ("[plan]\nspike = ['10@9:00', 'x']\n", "jobctl.toml: plan.spike:"),
        ("[plan]\nslo = 'p95 weight <= 1s'\n", "did you mean 'wait'?"),
        ("[plan.rate]\nx = 1\n", "jobctl.toml: plan.rate: is a table"),
        ("plan = 5\n", "jobctl.toml: plan: 5 is no table"),
        ("[plan]\nprices = 5\n", "jobctl.toml: plan.prices: is no table"),
        ("[plan.prices]\nvcpu = 1\n", "jobctl.toml: plan.prices: unknown key 'vcpu'"),
        ("[plna]\n", "did you mean 'plan'?"),
    ],
)
def test_a_table_that_means_nothing_is_one_line_that_names_the_place(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption) as refusal:
        from_file(text, tmp_path)
    assert named in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_own_prices_stand_in_a_table_and_without_one_the_platforms_hold(tmp_path: Path) -> None:
    own = from_file('[plan.prices]\nvcpu_minute_usd = 0.001\nsource = "our bill"\n', tmp_path).prices
    assert own is not None
    assert (own.vcpu_minute_usd, own.gb_minute_usd, own.source) == (0.001, RAILWAY.gb_minute_usd, "our bill")
    assert load_plan({}, env={}, directory=tmp_path / "elsewhere")[0].prices is None


def test_the_table_is_nothing_to_other_commands(tmp_path: Path) -> None:
    _, settings = load_plan({}, env={}, directory=tmp_path)
    assert settings.concurrency == 25
