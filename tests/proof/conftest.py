"""Every test in this directory is a proof: minutes long, run by ``make proof`` alone, its figures written down."""

from __future__ import annotations

import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent
FIGURES = HERE.parents[1] / "docs" / "figures" / "proofs.md"
ROWS = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, so that none can be forgotten."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.proof)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Takes what was measured, its value and what was promised."""
    rows = request.config.stash.setdefault(ROWS, [])

    def take(what: str, value: str, promised: str) -> None:
        rows.append(f"| {what} | {value} | {promised} |")

    return take


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the figures down, with the machine they were measured on; those of a part are only shown."""
    rows = session.config.stash.get(ROWS, [])
    if not rows:
        return
    machine = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `make proof`: {psutil.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}."
    )
    table = "\n".join(["| what | measured | promised |", "| --- | --- | --- |", *rows])
    if session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        print(f"\n{table}")
        return
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(f"# Figures of the proofs\n\n{machine}\n\n{table}\n", encoding="utf-8")
