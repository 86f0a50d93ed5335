from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobctl.apps.work import tasks
from jobctl.errors import InvalidOption, Postponed
from jobctl.settings import FIELDS, QueueModels, Settings, load
from jobctl.wiring.limiter import bind_tasks_from_environment, make_gates, make_limiter
from support.servers import FaultyMock, serving

KEY = "sk-or-v1-test"
MODEL = "openai/gpt-4o-mini"

Load = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _unbound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that nobody has bound, away from any settings file."""
    monkeypatch.setattr(tasks, "_chat", None)
    monkeypatch.chdir(tmp_path)
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)


@pytest.fixture
def mock() -> Iterator[str]:
    with serving(FaultyMock()) as origin:
        yield f"{origin}/api/v1"


def test_without_a_key_there_is_nothing_to_limit(redis: Redis) -> None:
    settings = load({}, env={})

    assert make_limiter(settings, redis) is None
    assert make_gates(settings, None) == {}


def test_jobs_with_a_client_of_their_own_pass_the_gate_of_their_queue(redis: Redis) -> None:
    """Their key is their own business, so none is configured."""
    settings = load({}, env={"OPENROUTER_RPM": "600", "JOB_QUEUE_MODELS": f"llm={MODEL}"})

    assert make_gates(settings, make_limiter(settings, redis))["llm"].admit(100) == 12


def test_a_limit_of_nothing_is_refused(redis: Redis) -> None:
    with pytest.raises(InvalidOption, match=r"OPENROUTER_RPM: limits calls .* set OPENROUTER_API_KEY, or declare"):
        make_limiter(load({}, env={"OPENROUTER_RPM": "600"}), redis)


def test_a_model_for_a_queue_that_the_worker_does_not_serve_is_refused_on_the_command_line_only(redis: Redis) -> None:
    settings = load({"queue_models": QueueModels(typo=MODEL)}, env={})
    with pytest.raises(InvalidOption, match="'typo' is none of the worker's queues"):
        make_gates(settings, make_limiter(settings, redis))

    shared = load({}, env={"JOB_QUEUE_MODELS": f"typo={MODEL}"})
    assert list(make_gates(shared, make_limiter(shared, redis))) == ["typo"]


def test_the_limits_are_those_of_the_settings(redis: Redis) -> None:
    Path("jobctl.toml").write_text('openrouter_rpm = 600\n[openrouter.limits."a/b"]\nrpm = 60\n')
    limiter = make_limiter(load({}, env={"OPENROUTER_API_KEY": KEY}), redis)
    assert limiter is not None

    assert [limiter.acquire(model, calls=100).granted for model in ("a/b", MODEL)] == [2, 12]
    assert not any(KEY.encode() in key for key in redis.keys("*"))


def test_a_queue_that_declares_its_model_has_a_gate(redis: Redis) -> None:
    env = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_RPM": "600", "JOB_QUEUE_MODELS": f"llm={MODEL}"}
    settings = load({}, env=env)
    gates = make_gates(settings, make_limiter(settings, redis))

    assert list(gates) == ["llm"]
    assert gates["llm"].admit(100) == 12


@pytest.mark.parametrize(("choice", "granted"), [("open", 1), ("closed", 0)])
def test_what_holds_without_redis_is_a_choice(choice: str, granted: int) -> None:
    settings = load({}, env={"OPENROUTER_API_KEY": KEY, "JOB_LIMITER_FAILURE": choice})
    limiter = make_limiter(settings, Redis(unix_socket_path="/nowhere"))
    assert limiter is not None

    assert limiter.acquire(MODEL).granted == granted


def test_a_worker_that_jobctl_did_not_boot_shares_the_fleets_limit_and_waits(
    redis: Redis, redis_url: str, mock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", mock)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("OPENROUTER_RPM", "60")
    monkeypatch.setenv("JOB_CALL_TIMEOUT", "3s")
    monkeypatch.setenv("REDIS_URL", redis_url)
    others = make_limiter(load({}), redis)
    assert others is not None
    others.acquire(MODEL, calls=100)

    assert tasks.chat_completion("hello")["content"]
    others.acquire(MODEL, calls=100)
    monkeypatch.setenv("JOB_CALL_TIMEOUT", "100ms")
    bind_tasks_from_environment()
    with pytest.raises(Postponed):
        tasks.chat_completion("hello")


def test_a_redis_url_that_means_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("REDIS_URL", "redis://host:99999999/0")

    with pytest.raises(InvalidOption, match="REDIS_URL: is not a Redis URL"):
        bind_tasks_from_environment()
