"""The wheel in an empty virtual environment, outside the repository, with what it declares and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import psutil
import pytest
from lock import REPOSITORY

import jobctl
from support.environments import make_environment

SCENARIOS = sorted(path.stem for path in (REPOSITORY / "loadtests" / "scenarios").glob("*.toml"))

Jobctl = Callable[..., subprocess.CompletedProcess[str]]


def build_wheel(directory: Path) -> Path:
    """Build the wheel with the locked build backend."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(REPOSITORY))
    return next(directory.glob("*.whl"))


def run(*command: str) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def declared(wheel: Path) -> list[str]:
    """What the wheel says it requires."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist", [])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the environment's programs."""
    root = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(root)
    programs = make_environment(root / "venv", declared(wheel))
    target = ["--python", str(programs / "python")]
    run(sys.executable, "-m", "uv", "pip", "install", "--no-cache", "--offline", "--no-deps", *target, str(wheel))
    return programs


@pytest.fixture
def run_jobctl(installed: Path, tmp_path: Path) -> Jobctl:
    """Runs the installed ``jobctl`` in a directory of its own, with a bare environment."""

    def run_it(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed / "jobctl"), *arguments],
            cwd=tmp_path,
            env={"PATH": os.defpath, "HOME": str(tmp_path), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run_it


def test_the_installed_package_is_the_one_that_runs(run_jobctl: Jobctl, installed: Path) -> None:
    done = subprocess.run(
        [str(installed / "python"), "-c", "import jobctl; print(jobctl.__file__)"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installed.parent)
    assert run_jobctl("--version").stdout == f"jobctl {jobctl.__version__}\n"


def test_the_packaged_scenarios_are_found(run_jobctl: Jobctl) -> None:
    done = run_jobctl("bench", "--scenario", "nope")
    assert done.returncode == 2
    assert SCENARIOS
    assert ", ".join(SCENARIOS) in done.stderr


def test_a_bench_runs_to_its_end_and_leaves_no_process(run_jobctl: Jobctl, installed: Path) -> None:
    done = run_jobctl("bench", "--rate", "20", "--duration", "3s", "--max-schedule-lag", "10s", "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = json.loads(done.stdout)["jobs"]
    assert jobs["scheduled"] > 0
    assert jobs["finished"] == jobs["enqueued"] == jobs["scheduled"]
    assert jobs["lost"] == 0
    assert [process.cmdline() for process in psutil.process_iter() if _started_by(process, installed)] == []


def test_what_watches_a_fleet_is_begun_from_the_package(run_jobctl: Jobctl, tmp_path: Path) -> None:
    begun, made = run_jobctl("monitoring", "init"), run_jobctl("monitoring", "render")

    assert (begun.returncode, made.returncode) == (0, 0), begun.stderr + made.stderr
    compose = tmp_path / "monitoring" / "docker-compose.yml"
    assert compose.read_bytes() == (REPOSITORY / "monitoring" / "docker-compose.yml").read_bytes()
    assert (tmp_path / "monitoring" / "prometheus" / "prometheus.yml").is_file()


def _started_by(process: psutil.Process, installed: Path) -> bool:
    try:
        return any(str(installed) in word for word in process.cmdline())
    except psutil.Error:
        return False
