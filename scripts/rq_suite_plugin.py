"""A pytest plugin for RQ's own tests: one class stands for RQ's workers, and every outcome is written down at once.

``rq_suite.py`` starts pytest with it. The environment says which class, and where the outcomes go.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Final

import pytest

#: Path of the class that stands for ``SimpleWorker`` and ``Worker``, such as ``jobctl.Worker``.
WORKER: Final = "RQ_SUITE_WORKER"
#: File to which one line of JSON is added for each outcome.
OUTCOMES: Final = "RQ_SUITE_OUTCOMES"

#: What stands there for a test that begins, and for the end of all, beside pytest's passed, failed and skipped.
BEGUN: Final = "begun"
ENDED: Final = "ended"


def pytest_configure() -> None:
    """Replace the names that the tests import; they import them later, each module for itself."""
    module, _, name = os.environ[WORKER].rpartition(".")
    worker = getattr(import_module(module), name)
    for place in (import_module("rq"), import_module("rq.worker")):
        vars(place).update(SimpleWorker=worker, Worker=worker)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down which test begins: it may end the process."""
    _write(test=nodeid, outcome=BEGUN)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what came of one of a test's three phases."""
    if report.when == "call" or not report.passed:
        _write(test=report.nodeid, outcome=report.outcome, text=report.longreprtext)


def pytest_sessionfinish() -> None:
    """Write down that all tests had their turn."""
    _write(test="", outcome=ENDED)


def _write(**line: str) -> None:
    with open(os.environ[OUTCOMES], "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
