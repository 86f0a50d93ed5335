from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.allowing import parse_allow
from jobctl.core.retrying import RetryPolicies, RetryPolicy
from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption
from jobctl.settings import FIELDS, QueueModels, Settings, load, mock_control

#: For each setting: text in the file, text in the environment, a parsed flag, and what the first two mean.
VALUES = {
    "redis_url": ("redis://file/0", "redis://env/0", "redis://flag/0", ("redis://file/0", "redis://env/0")),
    "queues": ("a,b", " c , d ", ("e",), (("a", "b"), ("c", "d"))),
    "concurrency": ("11", "12", 13, (11, 12)),
    "openrouter_url": ("https://file/v1/", "https://env/v1", "https://flag/v1", ("https://file/v1", "https://env/v1")),
    "openrouter_api_key": ("sk-or-file", "sk-or-env", "sk-or-flag", ("sk-or-file", "sk-or-env")),
    "call_timeout_s": ("11s", "2m", 13.0, (11.0, 120.0)),
    "attempts": ("7", "8", 9, (7, 8)),
    "retry_base_s": ("1s", "250ms", 4.0, (1.0, 0.25)),
    "retry_cap_s": ("1m", "2m", 4.0, (60.0, 120.0)),
    "drain_timeout_s": ("1m", "2m", 4.0, (60.0, 120.0)),
    "recover_after_s": ("1m", "2m", 4.0, (60.0, 120.0)),
    "abandon_limit": ("5", "6", 7, (5, 6)),
    "allow": ("a.b", "c.d", parse_allow("e"), (parse_allow("a.b"), parse_allow("c.d"))),
    "database_url": ("postgres://file/d", " host=env ", "postgres://flag/d", ("postgres://file/d", "host=env")),
    "db_pool_size": ("5", "6", 7, (5, 6)),
    "db_timeout_s": ("5s", "500ms", 4.0, (5.0, 0.5)),
    "sentry_dsn": ("https://f@s/1", " https://e@s/1 ", "https://g@s/1", ("https://f@s/1", "https://e@s/1")),
    "sentry_traces_sample_rate": ("0.5", "1", 0.25, (0.5, 1.0)),
    "sentry_errors": ("every", "dead", "every", ("every", "dead")),
    "metrics_port": ("9100", "0", 9101, (9100, 0)),
    "metrics_host": ("127.0.0.1", "::", "127.0.0.2", ("127.0.0.1", "::")),
    "planned_replicas": ("2", "3", 4, (2, 3)),
    "openrouter_rpm": ("600", "1k", 30.0, (600.0, 1000.0)),
    "openrouter_tpm": ("100k", "1M", 30.0, (100_000.0, 1_000_000.0)),
    "openrouter_burst": ("5", "0", 7, (5, 0)),
    "queue_models": (
        "llm=a/b",
        " llm = a/b , x=c/d:free ",
        QueueModels(llm="e/f"),
        ({"llm": "a/b"}, {"llm": "a/b", "x": "c/d:free"}),
    ),
    "limiter_failure": ("closed", " open ", "closed", ("closed", "open")),
}
NAMES = [field.name for field in FIELDS]
ENV = {field.name: field.env for field in FIELDS}


def from_file(text: str, directory: Path) -> Settings:
    """The settings of a file alone."""
    (directory / "jobctl.toml").write_text(text, encoding="utf-8")
    return load({}, env={}, directory=directory)


def origin(settings: Settings, name: str) -> str:
    return str(settings.origins[name])


def test_every_setting_is_tried_at_every_level() -> None:
    assert list(VALUES) == NAMES


def test_the_defaults_are_those_of_the_manual(tmp_path: Path) -> None:
    settings = load({}, env={}, directory=tmp_path)

    assert settings.redis_url is None
    assert settings.queues == ("high", "default", "low")
    assert settings.concurrency == 25
    assert settings.openrouter_url == "https://openrouter.ai/api/v1"
    assert settings.openrouter_api_key is None
    assert settings.call_timeout_s == 120.0
    assert settings.queues.weights is None
    assert settings.retries == RetryPolicies(RetryPolicy(attempts=5, base_s=2.0, cap_s=300.0))
    assert {origin(settings, name) for name in NAMES} == {"default"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_beats_a_default_the_environment_a_file_and_a_flag_the_environment(name: str, tmp_path: Path) -> None:
    file_text, env_text, flag_value, (file_value, env_value) = VALUES[name]
    env = {ENV[name]: env_text}

    file_only = from_file(f'{name} = "{file_text}"', tmp_path)
    with_env = load({}, env=env, directory=tmp_path)
    with_flag = load({name: flag_value}, env=env, directory=tmp_path)

    assert [getattr(settings, name) for settings in (file_only, with_env, with_flag)] == [
        file_value,
        env_value,
        flag_value,
    ]
    assert origin(file_only, name) == "file jobctl.toml"
    assert origin(with_env, name) == f"env {ENV[name]}"
    assert origin(with_flag, name).startswith("flag --")


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_variable_hides_no_lower_level(nothing: str, tmp_path: Path) -> None:
    (tmp_path / "jobctl.toml").write_text("concurrency = 7")

    assert load({}, env={"JOB_CONCURRENCY": nothing}, directory=tmp_path).concurrency == 7


def test_a_flag_that_was_not_given_hides_no_lower_level(tmp_path: Path) -> None:
    settings = load({"concurrency": None}, env={"JOB_CONCURRENCY": "7"}, directory=tmp_path)

    assert settings.concurrency == 7


def test_a_line_break_after_a_value_in_the_environment_is_dropped(tmp_path: Path) -> None:
    env = {
        "REDIS_URL": "redis://host/0\n",
        "OPENROUTER_API_KEY": "sk-or-x\n",
        "OPENROUTER_BASE_URL": "https://host/v1/\n",
    }
    settings = load({}, env=env, directory=tmp_path)

    assert settings.redis_url == "redis://host/0"
    assert settings.openrouter_api_key == "sk-or-x"
    assert settings.openrouter_url == "https://host/v1"


def test_a_file_may_use_toml_types(tmp_path: Path) -> None:
    settings = from_file('queues = ["urgent", "slow"]\nconcurrency = 7\ncall_timeout_s = 1.5', tmp_path)

    assert (settings.queues, settings.concurrency, settings.call_timeout_s) == (("urgent", "slow"), 7, 1.5)


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("JOB_CONCURRENCY", "0", "0 is out of range; give a whole number of at least 1 and at most 10000"),
        ("JOB_CONCURRENCY", "-3", "-3 is out of range"),
        ("JOB_CONCURRENCY", "10001", "10001 is out of range"),
        ("JOB_CONCURRENCY", "2.5", "'2.5' is not a whole number"),
        ("JOB_CONCURRENCY", "nan", "'nan' is not a whole number"),
        ("JOB_QUEUES", "a,,b", "'a,,b' names an empty queue"),
        ("JOB_QUEUES", "a,b,a", "'a,b,a' names a queue twice"),
        ("JOB_QUEUES", "a:0,b:1", "the weight of 'a': 0 is out of range; give a whole number of at least 1"),
        ("JOB_QUEUES", "a:-1,b:1", "the weight of 'a': -1 is out of range"),
        ("JOB_QUEUES", "a:6,b:many", "the weight of 'b': 'many' is not a whole number"),
        ("JOB_QUEUES", "a:6,b:", "the weight of 'b': '' is not a whole number"),
        ("JOB_QUEUES", "a:6,b", "'a:6,b' gives 'b' no weight; give all queues a weight or none"),
        ("JOB_QUEUES", "a:6,a:1", "'a:6,a:1' names a queue twice"),
        ("JOB_QUEUES", ":6,a:1", "':6,a:1' names an empty queue"),
        ("JOB_ATTEMPTS", "0", "0 is out of range; give a whole number of at least 1 and at most 1000"),
        ("JOB_ATTEMPTS", "-1", "-1 is out of range"),
        ("JOB_RETRY_BASE", "-1s", "'-1s' is not a duration"),
        ("JOB_CALL_TIMEOUT", "0", "must be longer than 0, got '0'"),
        ("JOB_CALL_TIMEOUT", "10parsecs", "'10parsecs' is not a duration"),
        ("JOB_CALL_TIMEOUT", "inf", "'inf' is not a duration"),
        ("OPENROUTER_BASE_URL", "openrouter.ai", "'openrouter.ai' is not an HTTP URL; give https://host/api/v1"),
        ("OPENROUTER_BASE_URL", "https://", "'https:' is not an HTTP URL"),
        ("DATABASE_URL", "mysql://joe:pw@host/db", "is not a Postgres connection string; give postgresql://user"),
        ("DATABASE_URL", "postgresql//joe:pw@host/db", "is not a Postgres connection string; give postgresql://user"),
        ("DATABASE_URL", "host", "is not a Postgres connection string; give postgresql://user"),
        ("JOB_DB_POOL_SIZE", "0", "0 is out of range; give a whole number of at least 1"),
        ("JOB_DB_TIMEOUT", "60s", "'60s' is too long; give less than 60s"),
        ("JOB_DB_TIMEOUT", "0", "must be longer than 0, got '0'"),
        ("REDIS_URL", "localhost:6379", "'localhost:6379' is not a Redis URL"),
        ("REDIS_URL", "http://host", "'http://host' is not a Redis URL"),
        ("REDIS_URL", "redis://", "'redis://' is not a Redis URL"),
        ("REDIS_URL", "unix:///", "'unix:///' is not a Redis URL"),
    ],
)
def test_a_bad_value_names_its_place_and_the_remedy(variable: str, text: str, problem: str, tmp_path: Path) -> None:
    name = next(name for name in NAMES if ENV[name] == variable)

    with pytest.raises(InvalidOption) as in_env:
        load({}, env={variable: text}, directory=tmp_path)
    with pytest.raises(InvalidOption) as in_file:
        from_file(f'{name} = "{text}"', tmp_path)

    assert str(in_env.value).startswith(f"{variable}: {problem}")
    assert str(in_file.value).startswith(f"jobctl.toml: {name}: {problem}")
    assert "; " in str(in_env.value)


def test_a_bad_value_that_a_higher_level_hides_does_no_harm(tmp_path: Path) -> None:
    assert load({"concurrency": 5}, env={"JOB_CONCURRENCY": "none"}, directory=tmp_path).concurrency == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("concurency = 5", "jobctl.toml: unknown key 'concurency'; did you mean 'concurrency'?"),
        ("[zzz]\nx = 5", "jobctl.toml: unknown key 'zzz'; known keys: redis_url, queues"),
        ("concurrency = true", "jobctl.toml: concurrency: 'True' is not a whole number"),
        ("concurrency = [1, 2]", "jobctl.toml: concurrency: '1,2' is not a whole number"),
        ("queues = []", "jobctl.toml: queues: '' names an empty queue"),
        ('openrouter_api_key = ""', "jobctl.toml: openrouter_api_key: is empty"),
        ("retry = 5", "jobctl.toml: retry: 5 is no table; write [retry.default]"),
        ("[retry]\nattempts = 5", "jobctl.toml: retry.attempts: 5 is no table; write it below [retry.default]"),
        ("[retry.default]\nattempts = -1", "jobctl.toml: attempts: -1 is out of range"),
        ('[retry."a.b"]\nattempts = 0', "jobctl.toml: retry.a.b: attempts: 0 is out of range"),
        ('[retry."a.b"]\nbase = "soon"', "jobctl.toml: retry.a.b: base: 'soon' is not a duration"),
        ('[retry."a.b"]\nretry_on = [1]', "jobctl.toml: retry.a.b: retry_on: [1] is no list of names"),
        ('[retry."a.b"]\natempts = 5', "jobctl.toml: retry.a.b: unknown key 'atempts'; did you mean 'attempts'?"),
        ('[retry."a.b"]\nx = 5', "jobctl.toml: retry.a.b: unknown key 'x'; known keys: attempts, base, cap"),
        ("[retry.a.b]\nattempts = 5", "jobctl.toml: retry.a: holds further tables; put the dotted path in quotes"),
        (
            "attempts = 3\n[retry.default]\nattempts = 5",
            "jobctl.toml: retry.default.attempts: is given as attempts too",
        ),
        ("[retries.default]\nattempts = 5", "jobctl.toml: unknown key 'retries'; did you mean 'retry'?"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_line(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption) as caught:
        from_file(text, tmp_path)

    assert str(caught.value).startswith(problem)
    assert len(str(caught.value).splitlines()) == 1


def test_queues_may_have_weights_in_text_and_in_a_list(tmp_path: Path) -> None:
    text = from_file('queues = "high:6, default:3,low:1"', tmp_path).queues
    listed = from_file('queues = ["high:6", "default:3", "low:1"]', tmp_path)

    assert (text, text.weights) == (("high", "default", "low"), (6, 3, 1))
    assert listed.queues.weights == (6, 3, 1)
    assert listed.shown(next(field for field in FIELDS if field.name == "queues")) == "high:6,default:3,low:1"


def test_a_job_types_policy_starts_from_the_default_one_whatever_level_that_came_from(tmp_path: Path) -> None:
    (tmp_path / "jobctl.toml").write_text(
        '[retry.default]\nbase = "1s"\ncap = "1m"\nnever_retry = ["KeyError"]\n'
        '[retry."myapp.send"]\nattempts = 9\nretry_on = "OSError"\n[retry."myapp.*"]\ncap = 5\n'
    )
    retries = load({"retry_base_s": 0.5}, env={"JOB_ATTEMPTS": "4"}, directory=tmp_path).retries

    assert retries.default == RetryPolicy(4, 0.5, 60.0, never_retry=("KeyError",))
    assert retries.of("myapp.send") == RetryPolicy(9, 0.5, 60.0, ("OSError",), ("KeyError",))
    assert retries.of("myapp.other") == RetryPolicy(4, 0.5, 5.0, never_retry=("KeyError",))
    assert retries.of("other.task") == retries.default


@pytest.mark.parametrize("content", [b"concurrency = ", b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "jobctl.toml"
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(InvalidOption) as caught:
        load({}, env={}, directory=tmp_path)

    assert "jobctl.toml: cannot be read (" in str(caught.value)
    assert str(caught.value).endswith("; mend the file or remove it")
    assert len(str(caught.value).splitlines()) == 1


def test_the_file_is_looked_for_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobctl.toml").write_text("concurrency = 7")
    monkeypatch.chdir(tmp_path)

    assert load({}, env={}).concurrency == 7


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://joe:secret@host/0", "redis://joe:***@host/0"),
        ("redis://joe@host/0", "redis://joe@host/0"),
        ("rediss://joe:s@cr:et/@host", "rediss://joe:***@host"),
        ("unix:///run/redis.sock?db=1&password=secret", "unix:///run/redis.sock?db=1&password=***"),
        ("rediss://host/0?ssl_password=secret&db=1", "rediss://host/0?ssl_password=***&db=1"),
        ("redis://host:6379/0?password=p@ss:word", "redis://host:6379/0?password=***"),
    ],
)
def test_the_password_in_a_url_is_masked(url: str, shown: str, tmp_path: Path) -> None:
    settings = load({}, env={"REDIS_URL": url}, directory=tmp_path)

    assert settings.redis_url == url
    assert settings.masked_redis_url == shown


def test_a_key_is_masked_whole_and_an_http_url_loses_its_password(tmp_path: Path) -> None:
    env = {"OPENROUTER_API_KEY": "sk-or-v1-secret://x", "OPENROUTER_BASE_URL": "https://joe:secret@proxy/v1"}
    settings = load({}, env=env, directory=tmp_path)
    shown = {field.name: settings.shown(field) for field in FIELDS}

    assert shown["openrouter_api_key"] == "***"
    assert shown["openrouter_url"] == "https://joe:***@proxy/v1"


@pytest.mark.parametrize("variable", ["REDIS_URL", "OPENROUTER_BASE_URL"])
@pytest.mark.parametrize("scheme", ["ftp://", ""])
def test_a_refused_url_does_not_show_its_password(scheme: str, variable: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption) as caught:
        load({}, env={variable: f"{scheme}joe:secret@host/0"}, directory=tmp_path)

    assert f"{scheme}joe:***@host/0" in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://joe:secret@host:6543/db?sslmode=require", "postgresql://joe:***@host:6543/db?sslmode=require"),
        ("postgres://host/db?user=joe&password=secret", "postgres://host/db?user=joe&password=***"),
        ("postgres://host/db?sslpassword=secret&user=joe", "postgres://host/db?sslpassword=***&user=joe"),
        ("host=h user=joe password=secret dbname=db", "host=h user=joe password=*** dbname=db"),
        ("password = 'se \\' cret@h' host=h", "password = *** host=h"),
        ("host=h password='secret dbname=db", "host=h password=***"),
        ("host=h password=se\\ cret dbname=db", "host=h password=*** dbname=db"),
    ],
)
def test_the_password_in_a_connection_string_is_masked(dsn: str, shown: str, tmp_path: Path) -> None:
    settings = load({}, env={"DATABASE_URL": dsn}, directory=tmp_path)

    assert settings.database_url == dsn
    assert settings.shown(next(field for field in FIELDS if field.name == "database_url")) == shown


def test_none_keeps_no_results_although_a_variable_of_the_jobs_names_a_database(tmp_path: Path) -> None:
    env = {"DATABASE_URL": "postgres://host/db"}

    settings = load(
        {"database_url": next(one for one in FIELDS if one.name == "database_url").parse("none")},
        env=env,
        directory=tmp_path,
    )

    assert settings.database_url is None
    assert str(settings.origins["database_url"]) == "flag --database-url"


def test_a_refused_connection_string_shows_nothing_of_itself(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption) as caught:
        load({}, env={"DATABASE_URL": "postgresql//joe:secret@host/0"}, directory=tmp_path)

    assert "secret" not in str(caught.value)


@given(
    user=st.text("abc", max_size=3),
    password=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1).map(
        lambda text: f"<{text}>"
    ),
)
def test_no_password_before_the_host_survives_masking(user: str, password: str) -> None:
    shown = without_password(f"redis://{user}:{password}@host:6379/0")

    assert shown == f"redis://{user}:***@host:6379/0"


@given(st.text())
def test_masking_is_done_once_and_for_all(text: str) -> None:
    assert without_password(without_password(text)) == without_password(text)


def test_a_mock_is_under_control_of_whoever_gave_it_a_secret() -> None:
    assert mock_control({"JOBCTL_MOCK_CONTROL": "open-sesame"}) == "open-sesame"
    assert mock_control({"JOBCTL_MOCK_CONTROL": ""}) is None
    assert mock_control({}) is None
