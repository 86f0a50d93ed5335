"""Only the codec unpickles, and only the worker reads jobs by the code of RQ that does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Modules that run whatever a text or some bytes say.
UNSAFE = {"pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle"}
#: What of RQ unpickles with the serializer it was given, or RQ's default one.
READERS = {"fetch", "fetch_many", "fetch_job", "fetch_latest", "get_jobs", "get_meta", "latest_result", "return_value"}


def modules() -> Iterator[Path]:
    yield from [*ROOT.glob("src/jobctl/**/*.py"), *ROOT.glob("loadtests/*.py")]


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> set[str]:
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def called(path: Path) -> set[str]:
    calls = (node.func for node in nodes(path) if isinstance(node, ast.Call))
    return {function.attr for function in calls if isinstance(function, ast.Attribute)}


def test_nothing_but_the_codec_imports_what_unpickles() -> None:
    assert {path.name for path in modules() if imported(path) & UNSAFE} == {"rq_codec.py"}


@pytest.mark.parametrize("reader", sorted(READERS))
def test_nothing_but_the_worker_reads_jobs_as_rq_does(reader: str) -> None:
    using = {path.name for path in modules() if "rq" in imported(path) and reader in called(path)}

    assert using <= {"rq_worker.py"}
