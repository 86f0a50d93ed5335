"""The settings of OpenRouter's limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.core.limiting import Limit
from jobctl.errors import InvalidOption
from jobctl.settings import Settings, load

MODEL = "openai/gpt-4o-mini"


def from_file(text: str, directory: Path, **env: str) -> Settings:
    (directory / "jobctl.toml").write_text(text, encoding="utf-8")
    return load({}, env=env, directory=directory)


def test_nothing_is_limited_unless_it_is_said(tmp_path: Path) -> None:
    settings = load({}, env={}, directory=tmp_path)

    assert settings.limits.of(MODEL) == Limit(None, None, 0)
    assert settings.queue_models is None
    assert settings.limiter_failure == "open"


def test_a_model_may_differ_and_takes_what_it_does_not_say_from_the_default(tmp_path: Path) -> None:
    text = f'openrouter_rpm = 600\nopenrouter_tpm = "100k"\n[openrouter.limits."{MODEL}"]\nrpm = 20\nburst = 2\n'
    settings = from_file(text, tmp_path, OPENROUTER_TPM="200k")

    assert settings.limits.of(MODEL) == Limit(20, 200_000, 2)
    assert settings.limits.of("other/model") == Limit(600, 200_000, 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'[openrouter.limits."{MODEL}"]\nrpm = 0', f"openrouter.limits.{MODEL}.rpm: must be above 0, got '0'"),
        (f'[openrouter.limits."{MODEL}"]\nrpm = "many"', f"openrouter.limits.{MODEL}.rpm: 'many' is not a number"),
        (f'[openrouter.limits."{MODEL}"]\nburst = -1', f"openrouter.limits.{MODEL}.burst: -1 is out of range"),
        (
            f'[openrouter.limits."{MODEL}"]\nrps = 1',
            f"openrouter.limits.{MODEL}: unknown key 'rps'; known keys: rpm, tpm",
        ),
        ("openrouter = 5", "openrouter: holds more than the table 'limits'; write [openrouter.limits."),
        ("[openrouter]\nrpm = 5", "openrouter: holds more than the table 'limits'"),
        ("[openrouter]\nlimits = 5", "openrouter.limits: holds what is no table"),
        ("[openrouter.limits]\nrpm = 5", "openrouter.limits: holds what is no table"),
        ('queue_models = "llm"', "queue_models: 'llm' names no queue and model; give llm=openai/gpt-4o-mini"),
        ('queue_models = "llm=a b"', "queue_models: 'llm=a b' names no queue and model"),
        ('queue_models = "=a/b"', "queue_models: '=a/b' names no queue and model"),
        ('queue_models = "x=a/b,x=c/d"', "queue_models: 'x=a/b,x=c/d' names the queue 'x' twice"),
        ('limiter_failure = "ajar"', "limiter_failure: 'ajar' is no such choice; give open or closed"),
        ("openrouter_rpm = -5", "openrouter_rpm: must be above 0, got '-5'"),
        ("openrouter_burst = 1.5", "openrouter_burst: '1.5' is not a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption) as caught:
        from_file(text, tmp_path)

    assert str(caught.value).startswith(f"jobctl.toml: {problem}")
    assert len(str(caught.value).splitlines()) == 1
