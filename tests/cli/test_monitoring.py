from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lock import REPOSITORY

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import run

RENDERED = {
    "prometheus/prometheus.yml",
    "prometheus/alerts/recording-rules.yml",
    "prometheus/alerts/worker-alerts.yml",
    "prometheus/tests/budget-alerts.test.yml",
    "prometheus/tests/worker-alerts.test.yml",
    "alertmanager/alertmanager.yml",
    "fleet.yml",
    "grafana/dashboards/worker-dashboard.json",
}
BY_HAND = {
    "slo.toml",
    "docker-compose.yml",
    "README.md",
    "secrets/.gitignore",
    "grafana/provisioning/dashboards/jobctl.yml",
    "grafana/provisioning/datasources/prometheus.yml",
}

Jobctl = Callable[..., tuple[int, str, str]]


def files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def jobctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Jobctl:
    """Runs a command in an empty directory: its exit code and what it says on either stream."""
    monkeypatch.chdir(tmp_path)

    def run_it(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(["monitoring", *words])
        said = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run_it


def test_a_beginner_gets_all_that_is_written_by_hand_and_is_told_what_comes_next(jobctl: Jobctl) -> None:
    status, said, complaints = jobctl("init")

    assert (status, complaints, files(Path("monitoring"))) == (0, "", BY_HAND)
    *written, first, second = said.splitlines()
    assert written == [f"monitoring/{name}: written" for name in sorted(BY_HAND, key=said.index)]
    assert "monitoring/slo.toml" in first
    assert "jobctl monitoring render --slo-file monitoring/slo.toml" in second
    for name in BY_HAND:
        assert (Path("monitoring") / name).read_bytes() == (REPOSITORY / "monitoring" / name).read_bytes()


def test_only_its_owner_may_enter_the_place_of_the_secrets_and_git_takes_none(jobctl: Jobctl) -> None:
    jobctl("init")

    assert stat.S_IMODE(Path("monitoring/secrets").stat().st_mode) == 0o700
    subprocess.run(["git", "init", "-q"], check=True)
    Path("monitoring/secrets/redis_password").write_text("secret")
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "monitoring/secrets"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.split() == ["monitoring/secrets/.gitignore"]


def test_what_somebody_changed_is_never_written_over(jobctl: Jobctl) -> None:
    Path("watch").mkdir()
    Path("watch/slo.toml").write_text("mine")

    status, said, complaints = jobctl("init", "watch")

    assert (status, said, files(Path("watch"))) == (2, "", {"slo.toml"})
    assert "'watch/slo.toml' is there, and is not what ships; move it away, or give another directory" in complaints
    assert len(complaints.splitlines()) == 1


def test_a_second_beginning_writes_what_is_missing(jobctl: Jobctl) -> None:
    jobctl("init")
    Path("monitoring/docker-compose.yml").unlink()

    status, said, _ = jobctl("init")

    assert status == 0
    assert [line for line in said.splitlines() if "written" in line] == ["monitoring/docker-compose.yml: written"]


def test_a_directory_that_cannot_be_made_is_refused_in_one_line(jobctl: Jobctl) -> None:
    Path("file").write_text("")

    status, _, complaints = jobctl("init", "file/inside")

    assert (status, len(complaints.splitlines())) == (2, 1)
    assert "DIRECTORY" in complaints


def test_rendered_files_are_written_once_and_then_are_as_they_should_be(jobctl: Jobctl) -> None:
    jobctl("init")

    status, said, _ = jobctl("render")
    assert (status, {line.removeprefix("monitoring/") for line in said.splitlines()}) == (
        0,
        {f"{name}: written" for name in RENDERED},
    )
    assert files(Path("monitoring")) == RENDERED | BY_HAND
    assert jobctl("render")[1] == f"monitoring: {len(RENDERED)} files are as they should be\n"
    assert jobctl("render", "--check")[0] == 0


def test_a_check_writes_nothing_and_names_what_differs(jobctl: Jobctl) -> None:
    jobctl("init")
    jobctl("render")
    file = Path("monitoring/alertmanager/alertmanager.yml")
    file.write_text("changed by hand")
    Path("monitoring/fleet.yml").unlink()

    status, said, complaints = jobctl("render", "--check")

    assert (status, said) == (ExitStatus.BROKEN, "")
    assert set(complaints.splitlines()) == {
        "monitoring/alertmanager/alertmanager.yml: is not what it should be",
        "monitoring/fleet.yml: is not what it should be",
    }
    assert file.read_text() == "changed by hand"
    assert not Path("monitoring/fleet.yml").exists()


def test_a_change_of_slo_toml_is_a_drift_until_it_is_rendered(jobctl: Jobctl) -> None:
    jobctl("init")
    jobctl("render")
    slo = Path("monitoring/slo.toml")
    slo.write_text(slo.read_text().replace("replicas = 2", "replicas = 5"))

    assert "monitoring/fleet.yml: is not what it should be" in jobctl("render", "--check")[2]
    jobctl("render")
    assert yaml.safe_load(Path("monitoring/fleet.yml").read_text())["services"]["worker"]["deploy"]["replicas"] == 5


def test_what_was_committed_is_what_slo_toml_makes(jobctl: Jobctl) -> None:
    status, _, complaints = jobctl("render", "--check", "--slo-file", str(REPOSITORY / "monitoring" / "slo.toml"))

    assert (status, complaints) == (0, "")


def test_alerts_can_be_tried_in_a_hurry_elsewhere_and_with_secrets_elsewhere(jobctl: Jobctl) -> None:
    jobctl("init")

    assert jobctl("render", "fast", "--time-scale", "60", "--secrets", "/home/me/secrets")[0] == 0
    document = yaml.safe_load(Path("fast/alertmanager/alertmanager.yml").read_text())
    assert document["route"]["routes"][0]["repeat_interval"] == "1m"  # an hour, 60 times faster
    assert "/home/me/secrets/slack_url" in Path("fast/alertmanager/alertmanager.yml").read_text()
    assert files(Path("fast")) == {name for name in RENDERED if "/tests/" not in name}  # they tell of life's windows


def test_secrets_are_named_by_their_whole_path_wherever_alertmanager_is_started(jobctl: Jobctl) -> None:
    jobctl("init")

    assert jobctl("render", "--secrets", "mine")[0] == 0
    assert f"{Path.cwd()}/mine/slack_url" in Path("monitoring/alertmanager/alertmanager.yml").read_text()


def test_what_was_begun_elsewhere_is_made_there_by_naming_it_once(jobctl: Jobctl) -> None:
    jobctl("init", "mine")

    assert jobctl("render", "mine")[0] == 0
    assert files(Path("mine")) == RENDERED | BY_HAND


def test_it_says_so_when_nobody_is_told(jobctl: Jobctl) -> None:
    Path("slo.toml").write_text('[[objective]]\nslo = "p95 wait <= 1s"\n')

    assert "nobody is told: [notify] names no email" in jobctl("render")[2]


def test_it_says_so_when_the_addresses_are_still_those_of_the_example(jobctl: Jobctl) -> None:
    jobctl("init")
    said = "nobody is there: oncall@example.com, smtp.example.com:587, https://hooks.example.com/jobctl; give your own"

    assert jobctl("render")[2].startswith(said)
    assert jobctl("render", "--check")[2] == ""


def test_it_says_which_promise_no_alert_watches(jobctl: Jobctl) -> None:
    Path("slo.toml").write_text('[[objective]]\nslo = "p50 wait <= 1s"\n[notify.webhook]\nurl = "http://h/"\n')

    assert jobctl("render")[2].startswith("not watched: p50 wait <= 1 s: ")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["render"], "--slo-file"),
        (["render", "--slo-file", "nothing.toml"], "nothing.toml"),
        (["render", "--time-scale", "0"], "--time-scale"),
        (["render", "--time-scale", "often"], "--time-scale"),
        (["render", "--time-scale", "1e300"], "--time-scale"),
        (["render", "--secrets", ""], "--secrets"),
        (["rendr"], "did you mean 'render'?"),
    ],
)
def test_bad_input_is_one_line_that_names_the_option(jobctl: Jobctl, words: list[str], named: str) -> None:
    status, said, complaints = jobctl(*words)

    assert (status, said, len(complaints.splitlines())) == (2, "", 1)
    assert named in complaints


def test_a_key_that_means_nothing_is_named_with_its_file(jobctl: Jobctl) -> None:
    Path("slo.toml").write_text('[[objective]]\nslo = "p95 wait <= 1s"\n[notify.webhook]\nurl = "example.com"\n')

    status, _, complaints = jobctl("render")

    assert status == 2
    assert "slo.toml" in complaints
    assert "[notify.webhook] url" in complaints
