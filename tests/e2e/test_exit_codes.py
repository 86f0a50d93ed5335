"""Every exit code of `jobctl bench`, each reached by the real command; what could not be measured never passes.

What input means nothing (2) is told in tests/cli/test_bench.py; both signals (105) are sent in tests/e2e/test_bench.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.cli.exit_status import ExitStatus
from support.benches import environment, run

#: Sixty jobs in a second, on a machine that may be busy with something else.
QUICK = (
    *("--rate", "60", "--duration", "1s", "--warmup", "0", "--max-schedule-lag", "10s"),
    *("--job", "noop", "--replicas", "1"),
)
KEPT, BROKEN, INCONCLUSIVE = ExitStatus.PASS, ExitStatus.BROKEN, ExitStatus.INCONCLUSIVE


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        pytest.param(("--gate", "lost == 0", "--gate", "wait.p50 < 10s"), KEPT, "", id="all gates hold"),
        pytest.param(("--gate", "wait.p50 < 1us"), BROKEN, "wait.p50 < 1 µs: measured", id="one does not"),
        pytest.param(("--gate", "wait.p99 < 10s"), INCONCLUSIVE, "too few jobs", id="one cannot be told"),
        pytest.param(("--rate", "0.001"), INCONCLUSIVE, "too few jobs: 0", id="no job at all"),
    ],
)
def test_the_exit_code_says_how_the_run_stands(
    words: tuple[str, ...], status: ExitStatus, reason: str, tmp_path: Path
) -> None:
    code, document, bench = run(*QUICK, *words, directory=tmp_path)

    assert code == status, bench.output
    assert document["verdict"] == {KEPT: "kept", BROKEN: "broken", INCONCLUSIVE: "inconclusive"}[status]
    assert any(reason in line for line in document["reasons"]) or status is KEPT
    assert "gate " in bench.output or not document["gates"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        '[[gate]]\ncheck = "weit.p95 < 1s"\n',
        '[[gate]]\ncheck = "wait.p95 < 1s"\nmin_samples = nan\n',
        "[[gate]\n",
    ],
)
def test_a_file_that_holds_no_sound_gate_starts_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "gates.toml").write_text(content)
    code, document, bench = run(*QUICK, "--gates", "gates.toml", directory=tmp_path)

    assert code == ExitStatus.USAGE
    assert document == {}
    (line,) = bench.output.strip().splitlines()
    assert "gates.toml" in line


def test_a_gate_may_end_the_run_as_soon_as_it_is_broken(tmp_path: Path) -> None:
    (tmp_path / "gates.toml").write_text('[[gate]]\ncheck = "backlog.max < 50"\nabort = true\n')
    words = (*QUICK, "--rate", "100", "--duration", "10m", "--job", "sleep", "--service-time", "1s")
    code, document, bench = run(*words, "--concurrency", "2", "--gates", "gates.toml", directory=tmp_path)

    assert code == BROKEN, bench.output
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
