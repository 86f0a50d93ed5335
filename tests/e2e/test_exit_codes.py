"""Every exit code of `jobctl bench`, each reached by the real command; what could not be measured never passes.

What input means nothing (2) is told in tests/cli/test_bench.py; SIGTERM (105) is sent in tests/e2e/test_bench.py and
SIGINT in test_many_generators.py. Gates that hold (0), one that is broken when all is told (99) and one of too few jobs
(97) are those of test_load_gate.py and test_howtos.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.cli import main
from jobctl.cli.exit_status import ExitStatus
from support.benches import environment, run

#: Sixty jobs in a second, on a machine that may be busy with something else.
QUICK = (
    *("--rate", "60", "--duration", "1s", "--warmup", "0", "--max-schedule-lag", "10s"),
    *("--job", "noop", "--replicas", "1"),
)


def test_a_run_of_no_job_at_all_is_inconclusive(tmp_path: Path) -> None:
    code, document, bench = run(*QUICK, "--rate", "0.001", directory=tmp_path)

    assert code == ExitStatus.INCONCLUSIVE, bench.output
    assert document["verdict"] == "inconclusive"
    assert any("too few jobs: 0" in line for line in document["reasons"])


@pytest.mark.parametrize(
    "content",
    [
        "",
        '[[gate]]\ncheck = "weit.p95 < 1s"\n',
        '[[gate]]\ncheck = "wait.p95 < 1s"\nmin_samples = nan\n',
        "[[gate]\n",
    ],
)
def test_a_file_that_holds_no_sound_gate_starts_nothing(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gates.toml").write_text(content)
    with pytest.raises(SystemExit) as ended:
        main.run(["bench", *QUICK, "--gates", "gates.toml", "--json", "r.json"])

    assert ended.value.code == ExitStatus.USAGE
    assert not (tmp_path / "r.json").exists()
    printed = capfd.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert (printed.out, "gates.toml" in line) == ("", True)


def test_a_gate_may_end_the_run_as_soon_as_it_is_broken(tmp_path: Path) -> None:
    (tmp_path / "gates.toml").write_text('[[gate]]\ncheck = "backlog.max < 50"\nabort = true\n')
    words = (*QUICK, "--rate", "100", "--duration", "10m", "--job", "sleep", "--service-time", "1s")
    code, document, bench = run(*words, "--concurrency", "2", "--gates", "gates.toml", directory=tmp_path)

    assert code == ExitStatus.BROKEN, bench.output
    assert "backlog.max < 50: broken" in document["aborted"]
    assert document["jobs"]["scheduled"] < 6_000
    assert document["interrupted"] is False
    assert bench.left_behind() == []


def test_what_is_nobodys_fault_but_ours_or_the_systems_is_one(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "jobctl", "bench", *QUICK, "--json", "-"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert result.returncode == ExitStatus.INTERNAL
    assert result.stderr.decode().splitlines()[-1].startswith("jobctl: ")
    assert os.strerror(28) in result.stderr.decode()
