"""Run RQ's own tests with our worker in place of RQ's, and with RQ's ``SimpleWorker`` in the same place.

    python scripts/rq_suite.py [--modules test_worker ...] [-k EXPRESSION] [--worker jobctl.Worker] [--jobs 4]

The tests come from the source distribution of the RQ that is installed, fetched once by its locked hash into
``.tools/rq-suite``; RQ itself is the one installed. Wherever the tests, their fixtures and the commands that they start
say ``Worker`` or ``SimpleWorker``, they get the class under test. Each group of modules has a process and a Redis
server of its own. Every test that ``SimpleWorker`` passes has to pass with ours, but for those listed, with the reason,
in ``docs/rq-compatibility.md``; so ``SimpleWorker`` runs those that ours fails or that are listed, and what one of them
should pass and fails is tried once more, alone. Exit code 1 when one is left, or when the document lists a test that
is not there or that ``SimpleWorker`` does not pass either.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from rq_suite_plugin import BEGUN, ENDED, OUTCOMES, WORKER

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup

REPOSITORY: Final = Path(__file__).resolve().parent.parent
STORE: Final = REPOSITORY / ".tools" / "rq-suite"
DOCUMENT: Final = REPOSITORY / "docs" / "rq-compatibility.md"

OURS: Final = "jobctl.Worker"
STOCK: Final = "rq.worker.SimpleWorker"
#: Those of RQ's test modules that use a worker and are not about the processes that RQ's own workers fork. A process
#: runs one group after the other: the groups take about as long as each other, most of it asleep.
GROUPS: Final = (
    ("test_worker",),
    ("test_commands", "test_group", "test_job_dependency"),
    (
        *("test_dependencies", "test_executions", "test_results", "test_rate_limit", "test_webhooks"),
        *("test_retry", "test_callbacks", "test_repeat", "test_job_lifecycle"),
    ),
)
MODULES: Final = tuple(module for group in GROUPS for module in group)
#: What pytest may take to its first test, and the Redis server to its first answer, seconds.
_START_S: Final = 60.0
_READY_S: Final = 5.0
_LOOK_S: Final = 0.02

_PORT: Final = "RQ_SUITE_PORT"
_SCRATCH: Final = "RQ_SUITE_SCRATCH"
#: What the tests take for granted (a Redis at the usual port, fixed paths in /tmp) and what they get instead, so that
#: several can run at a time: file, text, replacement.
_MOVES: Final = (
    ("__init__.py", "{'db': dbnum}", f"{{'db': dbnum, 'port': int(os.environ['{_PORT}'])}}"),
    ("__init__.py", "with Redis() as", f"with Redis(port=int(os.environ['{_PORT}'])) as"),
    ("test_worker.py", "127.0.0.1:6379", f'127.0.0.1:{{os.environ["{_PORT}"]}}'),
    ("test_worker.py", "'/tmp/", f"os.environ['{_SCRATCH}'] + '/"),
)


class SuiteError(Exception):
    """The suite cannot be run; the message says why."""


@dataclass
class Outcomes:
    """What came of the tests of one worker.

    Attributes:
        by_test: Outcome by test: passed, failed or skipped.
        texts: What pytest said of those that failed.
    """

    by_test: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, test: str, outcome: str, text: str) -> None:
        """Note an outcome; a failure in any phase of a test outweighs the others."""
        if self.by_test.get(test) != "failed":
            self.by_test[test] = outcome
        if outcome == "failed":
            self.texts[test] = text

    def update(self, other: Outcomes) -> None:
        """Take over what another run says."""
        self.by_test.update(other.by_test)
        self.texts.update(other.texts)

    def __str__(self) -> str:
        counts = Counter(self.by_test.values())
        return ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run RQ's own tests with our worker and with RQ's SimpleWorker.")
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=MODULES, metavar="MODULE", help="only these")
    parser.add_argument("-k", dest="expression", default="", help="only tests that match, as pytest's -k")
    parser.add_argument("--worker", default=OURS, help="the class under test (%(default)s)")
    parser.add_argument("--jobs", type=int, default=4, help="processes at a time (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="name failures without their tracebacks")
    given = parser.parse_args(arguments)
    try:
        return 0 if compare(given.worker, given.modules, given.expression, given.jobs, given.quiet) else 1
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2


def compare(worker: str, modules: Sequence[str], expression: str, jobs: int, quiet: bool) -> bool:
    """Run both, print what differs; whether ours passes whatever it should.

    Raises:
        SuiteError: The tests cannot be had or run.
    """
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rq-suite-") as directory, ProcessGroup() as group:
        suite = Suite(Path(directory), group)
        unpack(Path(directory))
        choice = ["-k", expression] if expression else []
        groups = [[f"tests/{module}.py" for module in group if module in modules] for group in GROUPS]
        ours = Outcomes()
        with ThreadPoolExecutor(jobs) as pool:
            for part in pool.map(lambda group: suite.run(worker, group, choice), filter(None, groups)):
                ours.update(part)
        listed = exceptions(DOCUMENT.read_text(encoding="utf-8"))
        unsure = [test for test, outcome in ours.by_test.items() if outcome == "failed" or test in listed]
        stock = suite.run(STOCK, unsure) if unsure else Outcomes()
        again(suite, worker, ours, [test for test in differing(stock, ours) if test not in listed])
        again(suite, STOCK, stock, [test for test in listed if stock.by_test.get(test) == "failed"])
    print(f"{worker}: {ours}")
    print(f"of those that it fails or may fail, {STOCK}: {stock}")
    problems = judge(stock, ours, listed, whole=not expression and set(modules) == set(MODULES))
    for problem, test in problems:
        print(f"{problem}: {test}")
        if not quiet and test in ours.texts:
            print(ours.texts[test], end="\n\n")
    print(f"{len(problems)} to mend, {time.monotonic() - begun_s:.0f} s")
    return not problems


def again(suite: Suite, worker: str, outcomes: Outcomes, tests: Sequence[str]) -> None:
    """Try failed tests once more, each alone: RQ's tests sleep and compare, and the machine may have been busy."""
    for test in tests:
        if suite.run(worker, [test]).by_test.get(test) == "passed":
            print(f"passed with {worker} at the second try, alone: {test}")
            outcomes.by_test[test] = "passed"


def differing(stock: Outcomes, ours: Outcomes) -> list[str]:
    """The tests that RQ's worker passes and ours does not."""
    return [test for test, outcome in stock.by_test.items() if outcome == "passed" != ours.by_test.get(test)]


def judge(stock: Outcomes, ours: Outcomes, listed: Sequence[str], *, whole: bool) -> list[tuple[str, str]]:
    """What has to be mended.

    Args:
        stock: RQ's own worker.
        ours: Ours.
        listed: The tests that ours need not pass.
        whole: Whether all tests were run, so that the list can be judged too.

    Returns:
        Problem and test.
    """
    problems = [("only RQ's worker passes", test) for test in differing(stock, ours) if test not in listed]
    if not ours.by_test:
        problems.append(("no test was found", "tests"))
    if whole:
        problems += [("listed, but RQ's worker does not pass", t) for t in listed if stock.by_test.get(t) != "passed"]
    return problems


def exceptions(document: str) -> list[str]:
    """The tests in the first column of the document's table; each has a reason in the second.

    Raises:
        SuiteError: One has none.
    """
    rows = re.findall(r"^\| `(tests/\S+)` \|(.*)\|$", document, re.M)
    for test, reason in rows:
        if not reason.strip():
            raise SuiteError(f"{DOCUMENT.name}: no reason is given for {test}")
    return [test for test, _ in rows]


# ------------------------------------------------------------------------------------------------------------ running


class Suite:
    """RQ's tests, unpacked.

    Args:
        directory: Where.
        group: Keeps the Redis servers.
        limit_s: What a single test may take, seconds; the longest takes some five.
    """

    def __init__(self, directory: Path, group: ProcessGroup, limit_s: float = 30.0) -> None:
        self._limit_s = limit_s
        self._directory = directory
        self._group = group
        self._starting = threading.Lock()

    def run(self, worker: str, tests: Sequence[str], choice: Sequence[str] = ()) -> Outcomes:
        """Run tests with one worker.

        A test that ends the process or does not come to an end has failed, and those after it get a new process.

        Args:
            worker: The path of its class.
            tests: Files, or single tests.
            choice: Options for pytest.
        """
        outcomes = Outcomes()
        with self._redis() as port, tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            while fatal := self._run_on(outcomes, worker, tests, choice, port, Path(scratch)):
                outcomes.add(fatal, "failed", "it ended the process, or did not come to an end")
        return outcomes

    def _run_on(
        self, outcomes: Outcomes, worker: str, tests: Sequence[str], choice: Sequence[str], port: int, scratch: Path
    ) -> str | None:
        """Run the tests that have no outcome yet; the one at which the process ended, None when all had their turn."""
        log, said = scratch / "outcomes", scratch / "said"
        log.write_bytes(b"")
        done = [argument for test in outcomes.by_test for argument in ("--deselect", test)]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "rq_suite_plugin", "-p", "no:cacheprovider"]
        binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        paths = [str(self._directory), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("JOBCTL_", "RQ_", "PYTEST_"))},
            **{WORKER: worker, OUTCOMES: str(log), _PORT: str(port), _SCRATCH: str(scratch)},
            **{"RQ_WORKER_CLASS": worker, "PATH": binaries, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            **{"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # RQ's tests want none of ours, and each start loads them
        }
        options = ["-c", os.devnull, "--rootdir", str(self._directory), "-W", "ignore", *choice, *done]
        with said.open("wb") as stream:
            process = subprocess.Popen(
                [*command, *options, *tests],
                cwd=self._directory,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # some tests signal their whole process group
            )
        try:
            while process.poll() is None and time.time() - log.stat().st_mtime < self._limit(log):
                time.sleep(_LOOK_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        begun, ended = None, False
        for line in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
            if line["outcome"] == ENDED:
                ended = True
            elif line["outcome"] == BEGUN:
                begun = str(line["test"])
            else:
                outcomes.add(line["test"], line["outcome"], line["text"])
        if process.returncode in {0, 1, 5}:  # passed, failed, nothing was selected
            return None
        if process.returncode > 0 or begun is None:
            raise SuiteError(f"RQ's tests cannot be run:\n{said.read_text(encoding='utf-8', errors='replace')}")
        if ended:
            raise SuiteError(f"{worker}: its threads or children live on after the last test, {begun}")
        return begun

    def _limit(self, log: Path) -> float:
        """How old the last outcome may be; before the first one modules are imported."""
        return self._limit_s if log.stat().st_size else _START_S

    @contextmanager
    def _redis(self) -> Iterator[int]:
        """A Redis server on a port of its own: RQ's tests want one on TCP."""
        with self._starting:  # a port that was free a moment ago is not given twice
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = int(listener.getsockname()[1])
            options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            process = self._group.spawn(
                [str(embedded_redis.find_server()), *options, "--dir", str(self._group.directory)],
                name="Redis",
                env={**os.environ, "LC_ALL": "C"},
            )
            self._wait_for(process, port)
        try:
            yield port
        finally:
            self._group.stop(process)

    @staticmethod
    def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
        deadline_s = time.monotonic() + _READY_S
        with Redis(port=port) as client:
            while process.poll() is None and time.monotonic() < deadline_s:
                with suppress(RedisError):
                    if client.info("server")["process_id"] == process.pid:
                        return
                time.sleep(_LOOK_S)
        raise SuiteError(f"the Redis server for RQ's tests did not start on port {port}")


# ----------------------------------------------------------------------------------------------------------- the tests


def unpack(directory: Path) -> None:
    """Put the tests into a directory, and move what they take for granted.

    Raises:
        SuiteError: They cannot be had, or are not those that we know.
    """
    with tarfile.open(archive()) as tar:
        root = f"rq-{version('rq')}/"
        members = [member for member in tar.getmembers() if member.name.startswith(root + "tests/")]
        for member in members:
            member.name = member.name.removeprefix(root)
        tar.extractall(directory, members, filter="data")
    for name, text, replacement in _MOVES:
        file = directory / "tests" / name
        source = file.read_text(encoding="utf-8")
        if text not in source:
            raise SuiteError(f"RQ {version('rq')}: tests/{name} says {text} no more")
        file.write_text(source.replace(text, replacement), encoding="utf-8")


def archive() -> Path:
    """The source distribution of the installed RQ, fetched where it is not there yet.

    Raises:
        SuiteError: It cannot be fetched, or the lock does not know it.
    """
    release = version("rq")
    file = STORE / f"rq-{release}.tar.gz"
    locked = (REPOSITORY / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    entry = re.search(rf"^rq=={re.escape(release)}(?: \\\n +--hash=sha256:\w{{64}})+", locked, re.M)
    if entry is None:
        raise SuiteError(f"RQ {release} is installed, and requirements/runtime.txt locks another")
    if not file.exists():
        _download(entry[0])
    if hashlib.sha256(file.read_bytes()).hexdigest() not in entry[0]:
        raise SuiteError(f"{file} is not what requirements/runtime.txt locks; remove it")
    return file


def _download(requirement: str) -> None:
    """Fetch one source distribution; pip wants to read its metadata, for which the build tools are installed here."""
    with tempfile.TemporaryDirectory() as temporary:
        (requirements := Path(temporary, "rq.txt")).write_text(requirement + "\n", encoding="utf-8")
        how = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes", "--quiet"]
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", *how]
        done = subprocess.run(
            [*command, "--dest", temporary, "--requirement", str(requirements)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SuiteError(f"RQ's source distribution cannot be fetched:\n{done.stderr.strip()}")
        STORE.mkdir(parents=True, exist_ok=True)
        for fetched in Path(temporary).glob("*.tar.gz"):
            partial = STORE / f"{fetched.name}.{os.getpid()}"
            partial.write_bytes(fetched.read_bytes())
            partial.replace(STORE / fetched.name)


if __name__ == "__main__":
    sys.exit(main())
