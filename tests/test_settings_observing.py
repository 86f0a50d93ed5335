"""The settings of those who are told what happens: Sentry and Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentry_sdk.utils import Dsn

from jobctl.errors import InvalidOption
from jobctl.settings import FIELDS, Settings, load

DSN = "https://0123456789abcdef@o1.ingest.sentry.io/42"


def settled(directory: Path, **env: str) -> Settings:
    return load({}, env=env, directory=directory)


@pytest.mark.parametrize(
    "dsn",
    [
        "nonsense",
        "0123456789abcdef",
        "https://o1.ingest.sentry.io/42",
        "https://hunter22@o1.ingest.sentry.io/",
        "https://hunter22@o1.ingest.sentry.io/project",
        "redis://hunter22@host/42",
        "https://hunter22@host:99999/42",
        "https://hunter22@[::1/42",
    ],
)
def test_a_dsn_that_is_none_is_refused_without_showing_it(tmp_path: Path, dsn: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        settled(tmp_path, SENTRY_DSN=dsn)

    assert str(caught.value) == "SENTRY_DSN: is not a Sentry DSN; give https://KEY@HOST/PROJECT, as Sentry shows it"


@pytest.mark.parametrize("dsn", [DSN, "http://key:old-secret@sentry.local:9000/path/7", f" {DSN}\n"])
def test_a_dsn_is_kept_as_it_is_and_never_shown(tmp_path: Path, dsn: str) -> None:
    found = settled(tmp_path, SENTRY_DSN=dsn)

    assert found.sentry_dsn == dsn.strip()
    assert Dsn(found.sentry_dsn).project_id in {"42", "7"}
    assert found.shown(next(field for field in FIELDS if field.name == "sentry_dsn")) == "***"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SENTRY_TRACES_SAMPLE_RATE", "1.5"),
        ("SENTRY_TRACES_SAMPLE_RATE", "all"),
        ("JOB_SENTRY_ERRORS", "some"),
        ("JOB_METRICS_PORT", "70000"),
        ("JOB_METRICS_PORT", "-1"),
        ("JOB_PLANNED_REPLICAS", "0"),
    ],
)
def test_a_value_that_means_nothing_names_its_variable(tmp_path: Path, variable: str, text: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        settled(tmp_path, **{variable: text})

    assert caught.value.option == variable
    assert caught.value.remedy


def test_secrets_are_the_keys_and_the_passwords_of_urls(tmp_path: Path) -> None:
    found = settled(tmp_path, SENTRY_DSN=DSN, OPENROUTER_API_KEY="sk-or-x", REDIS_URL="redis://joe:hunter22@host/0")

    assert {DSN, "sk-or-x", "hunter22"} <= set(found.secrets())


def test_nobody_is_told_by_default(tmp_path: Path) -> None:
    found = settled(tmp_path)

    assert (found.sentry_dsn, found.metrics_port) == (None, None)
    assert (found.sentry_traces_sample_rate, found.sentry_errors, found.metrics_host) == (0.0, "dead", "0.0.0.0")
