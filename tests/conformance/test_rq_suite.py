"""RQ's own tests hold for our worker wherever they hold for RQ's, and the script that says so can say otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import rq_suite
from rq_suite import DOCUMENT, STOCK, Outcomes, Suite, SuiteError

from jobctl.adapters.processes import ProcessGroup


def script(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script as people do."""
    command = [sys.executable, str(Path(rq_suite.__file__)), *arguments]
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=170
    )


def outcomes(**by_test: str) -> Outcomes:
    """What came of tests."""
    return Outcomes(dict(by_test))


def run(tests: str, directory: Path) -> Outcomes:
    """Run tests of a module that a test wrote itself."""
    (directory / "tests").mkdir()
    (directory / "tests" / "test_own.py").write_text(tests, encoding="utf-8")
    with ProcessGroup() as group:
        return Suite(directory, group, limit_s=3.0).run(STOCK, ["tests/test_own.py"])


def test_what_rqs_worker_passes_ours_passes() -> None:
    done = script()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_that_forgets_results_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "forgetful.py").write_text(
        "from rq import SimpleWorker\n"
        "class Worker(SimpleWorker):\n"
        "    def handle_job_success(self, *args, **kwargs): pass\n",
        encoding="utf-8",
    )
    test = "test_job_successful_result"
    arguments = ["--quiet", "--modules", "test_results", "-k", test, "--worker", "forgetful.Worker"]
    done = script(*arguments, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1, done.stderr
    assert f"only RQ's worker passes: tests/test_results.py::TestResult::{test}" in done.stdout


def test_the_tests_get_the_class_under_test_by_every_name(tmp_path: Path) -> None:
    found = run(
        "import rq, rq.worker\n"
        "def test_names():\n"
        "    names = {rq.Worker, rq.SimpleWorker, rq.worker.Worker, rq.worker.SimpleWorker}\n"
        "    assert [name.__name__ for name in names] == ['SimpleWorker']\n",
        tmp_path,
    )
    assert found.by_test == {"tests/test_own.py::test_names": "passed"}


def test_a_test_that_ends_the_process_or_hangs_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    found = run(
        "import os, time\n"
        "def test_first(): pass\n"
        "def test_kills(): os.kill(os.getpid(), 9)\n"
        "def test_second(): pass\n"
        "def test_hangs(): time.sleep(60)\n"
        "def test_third(): assert False\n",
        tmp_path,
    )
    assert found.by_test == {
        "tests/test_own.py::test_first": "passed",
        "tests/test_own.py::test_kills": "failed",
        "tests/test_own.py::test_second": "passed",
        "tests/test_own.py::test_hangs": "failed",
        "tests/test_own.py::test_third": "failed",
    }


def test_tests_that_cannot_be_run_are_no_success(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"(?s)cannot be run.*module_that_is_not_there"):
        run("import module_that_is_not_there\n", tmp_path)


def test_a_thread_that_outlives_the_tests_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"live on after the last test, tests/test_own.py::test_leaves"):
        run(
            "import threading, time\ndef test_leaves(): threading.Thread(target=time.sleep, args=[60]).start()\n",
            tmp_path,
        )


@pytest.mark.parametrize(
    ("ours", "listed", "problems"),
    [
        (outcomes(a="passed", b="passed"), [], []),
        (outcomes(a="passed", b="failed"), [], [("only RQ's worker passes", "b")]),
        (outcomes(a="passed"), [], [("only RQ's worker passes", "b")]),
        (outcomes(a="passed", b="failed"), ["b"], []),
        (outcomes(a="passed", b="passed"), ["c"], [("listed, but RQ's worker does not pass", "c")]),
        (outcomes(a="passed", b="passed"), ["d"], [("listed, but RQ's worker does not pass", "d")]),
    ],
    ids=["all pass", "one fails", "one is missing", "a listed one fails", "RQ fails it too", "it is not there"],
)
def test_only_a_listed_test_may_fail_and_the_list_holds_no_others(
    ours: Outcomes, listed: Sequence[str], problems: list[tuple[str, str]]
) -> None:
    stock = outcomes(a="passed", b="passed", c="failed")
    assert rq_suite.judge(stock, ours, listed, whole=True) == problems


def test_no_test_at_all_is_no_success() -> None:
    assert rq_suite.judge(Outcomes(), Outcomes(), [], whole=False) == [("no test was found", "tests")]


def test_every_listed_test_has_a_reason() -> None:
    assert rq_suite.exceptions(DOCUMENT.read_text(encoding="utf-8"))
    with pytest.raises(SuiteError, match=r"no reason is given for tests/test_a.py::test_b"):
        rq_suite.exceptions("| `tests/test_a.py::test_b` | |\n")
