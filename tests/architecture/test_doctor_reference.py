"""What docs/reference/doctor.md says of the checks is what they are."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from jobctl.adapters.rq_desk import DEAD_TTL_S
from jobctl.apps.doctor.examination import CHECKS
from jobctl.apps.doctor.findings import Level
from jobctl.apps.doctor.redis_checks import DEAD_BYTES, DEAD_KEPT_S
from jobctl.apps.doctor.set_up import Intent
from jobctl.core.facts import OLDEST_REDIS
from jobctl.core.operations import STOP_S, Thresholds
from jobctl.core.railway import CUT_OFF

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "doctor.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))


def row(name: str) -> str:
    """The line of a check."""
    return next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))


def test_every_check_stands_in_its_group_in_the_order_of_the_screen_under_its_title() -> None:
    listed = [
        (name, group, title)
        for group, text in SECTIONS.items()
        for name, title in re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", text, re.MULTILINE)
    ]

    assert listed == [(check.name, check.group.value, check.title) for check in CHECKS]


def test_every_check_has_its_condition_its_reason_and_its_remedy() -> None:
    for check in CHECKS:
        cells = [cell.strip() for cell in row(check.name).strip("|").split("|")]
        assert len(cells) == 5
        assert all(cells)


def test_the_page_and_the_code_name_the_same_levels() -> None:
    """A row that speaks of a warning or a failure belongs to a check that can give one, and the other way round."""
    for check in CHECKS:
        code = " ".join(_constants(check.judge))
        for level, word in ((Level.WARN, "warn"), (Level.FAIL, "fail")):
            told = re.search(rf"\b{word}s?\b", row(check.name).split("|")[3]) is not None
            assert told == (level.name.lower() in code.split()), f"{check.name}: {word}"


def _constants(function: object) -> set[str]:
    """Names that a function uses, those of the functions it closes over included."""
    found: set[str] = set()
    code = getattr(function, "__code__", None)
    if code is not None:
        found |= set(code.co_names)
    for cell in getattr(function, "__closure__", None) or ():
        if callable(cell.cell_contents):
            found |= _constants(cell.cell_contents)
    return found


def test_the_bounds_that_the_page_gives_are_those_of_the_code() -> None:
    thresholds, intent = Thresholds(), Intent(today=date(2026, 1, 1))

    assert f"below Redis {OLDEST_REDIS[0]}.{OLDEST_REDIS[1]};" in row("redis-version")
    assert f"({thresholds.redis_memory * 100:.0f} %)" in row("redis-memory")
    assert f"({thresholds.key_usd:.0f} USD)" in row("openrouter-key-limit")
    assert f"({thresholds.credit_usd:.0f} USD)" in row("openrouter-credit")
    assert f"{intent.job_timeout_s:.0f} s without" in row("fleet-drain")
    assert f"and {STOP_S} s" in row("railway-draining")
    assert CUT_OFF in row("railway-cut-off")
    assert f"{DEAD_BYTES / 1000:g} kB, {DEAD_KEPT_S / 86_400:.0f} days" in PAGE


def test_what_the_doctor_takes_for_granted_of_the_worker_is_so() -> None:
    assert DEAD_KEPT_S == DEAD_TTL_S
