from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.cli.main import run
from jobctl.settings import FIELDS


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a file, an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """Run ``jobctl config``: its exit code, setting -> (value, origin), and its standard error."""
    with pytest.raises(SystemExit) as ended:
        run(["config", *arguments])
    said = capsys.readouterr()
    rows = [line.split(maxsplit=2) for line in said.out.splitlines()]
    return int(str(ended.value.code)), {name: (value, origin) for name, value, origin in rows}, said.err


def test_it_prints_every_setting_with_its_value_and_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("jobctl.toml").write_text('queues = ["urgent"]\nconcurrency = 3\n')
    monkeypatch.setenv("JOB_CONCURRENCY", "4")
    monkeypatch.setenv("REDIS_URL", "redis://joe:secret@host/1")
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-secret")

    status, shown, complaint = ask(capsys, "--openrouter-url", "https://proxy/v1/")

    assert (status, complaint) == (0, "")
    assert shown == {
        "redis_url": ("redis://joe:***@host/1", "env REDIS_URL"),
        "queues": ("urgent", "file jobctl.toml"),
        "concurrency": ("4", "env JOB_CONCURRENCY"),
        "openrouter_url": ("https://proxy/v1", "flag --openrouter-url"),
        "openrouter_api_key": ("***", "env OPENROUTER_API_KEY"),
        "call_timeout_s": ("120", "default"),
        "attempts": ("5", "default"),
        "retry_base_s": ("2", "default"),
        "retry_cap_s": ("300", "default"),
        "drain_timeout_s": ("25", "default"),
        "recover_after_s": ("30", "default"),
        "abandon_limit": ("3", "default"),
        "allow": ("everything", "default"),
        "database_url": ("(unset)", "default"),
        "db_pool_size": ("(unset)", "default"),
        "db_timeout_s": ("10", "default"),
        "sentry_dsn": ("(unset)", "default"),
        "sentry_traces_sample_rate": ("0", "default"),
        "sentry_errors": ("dead", "default"),
        "metrics_port": ("(unset)", "default"),
        "metrics_host": ("0.0.0.0", "default"),
        "planned_replicas": ("(unset)", "default"),
        "openrouter_rpm": ("(unset)", "default"),
        "openrouter_tpm": ("(unset)", "default"),
        "openrouter_burst": ("0", "default"),
        "queue_models": ("(unset)", "default"),
        "limiter_failure": ("open", "default"),
    }


def test_what_is_not_set_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = ask(capsys)

    assert shown["redis_url"] == ("(unset)", "default")


def test_a_flag_wins(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_CONCURRENCY", "4")

    _, shown, _ = ask(capsys, "--concurrency", "5")

    assert shown["concurrency"] == ("5", "flag --concurrency")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--concurrency", "0"], "--concurrency"),
        (["--concurrency", "abc"], "--concurrency"),
        (["--queues", "a,a"], "--queues"),
        (["--redis-url", "http://joe:secret@host"], "--redis-url"),
        (["--openrouter-url", "joe:secret@nowhere"], "--openrouter-url"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_bad_flag_is_one_line_and_exit_code_two(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, shown, complaint = ask(capsys, *arguments)

    assert status == 2
    assert shown == {}
    assert len(complaint.splitlines()) == 1
    assert named in complaint
    assert "secret" not in complaint
    assert ";" in complaint


def test_a_bad_variable_is_one_line_and_exit_code_two(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_CONCURRENCY", "many")

    status, _, complaint = ask(capsys)

    assert status == 2
    assert complaint == (
        "jobctl: JOB_CONCURRENCY: 'many' is not a whole number; give a whole number of at least 1 and at most 10000\n"
    )


def test_a_bad_file_is_one_line_and_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    Path("jobctl.toml").write_text("queue = 'high'\n")

    status, _, complaint = ask(capsys)

    assert status == 2
    assert complaint == "jobctl: jobctl.toml: unknown key 'queue'; did you mean 'queues'?\n"
