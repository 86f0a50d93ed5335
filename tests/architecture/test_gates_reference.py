"""What docs/reference/gates.md and the example say of gates is what the parser knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from jobctl.core.gates import KEYS, SIGNALS, Severity, parse_gate, parse_gates_file

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "gates.md").read_text(encoding="utf-8")
LINES = sorted(
    set(re.findall(r"`([a-z_/.0-9 ]+ (?:<|<=|>|>=|==) [^`\n]+)`", PAGE)) | set(re.findall(r'"([a-z_.]+ <[^"]+)"', PAGE))
)


@pytest.mark.parametrize("line", LINES)
def test_every_gate_that_the_page_shows_is_one(line: str) -> None:
    assert parse_gate(line)


def test_the_page_shows_enough_of_them() -> None:
    assert len(LINES) >= 8


def test_the_page_lists_every_signal_in_the_order_of_judging_with_its_unit() -> None:
    rows = re.findall(r"^\| `([a-z_/]+)(?:\.[a-z_]+)?` \| ([a-zA-Z/]+) \|", PAGE, re.MULTILINE)
    units = dict(reversed(rows))

    assert list(dict.fromkeys(name for name, _ in rows)) == list(SIGNALS)
    assert {name: unit.replace("share", "") for name, unit in units.items()} == {
        name: signal.unit.value for name, signal in SIGNALS.items()
    }


def test_the_page_tells_how_many_jobs_each_figure_needs() -> None:
    for figure, needed in re.findall(r"^\| `([a-z_/.]+)` \| [^|]+ \| [^|]+ \| (\d+) \|", PAGE, re.MULTILINE):
        if figure != "schedule_lag":
            assert parse_gate(f"{figure} < {'1s' if figure == 'drain_time' else '1'}").min_samples == int(needed), (
                figure
            )


def test_the_page_shows_every_key_of_a_file() -> None:
    block = re.search(r"```toml\n(.+?)```", PAGE, re.DOTALL)
    assert block is not None
    content = tomllib.loads(block[1])

    first, second = parse_gates_file(content)
    assert (first.job, first.window_s, first.for_s, first.fewest, first.abort) == ("chat", 10.0, 20.0, 59, True)
    assert second.severity is Severity.WARNING
    assert {key for table in content["gate"] for key in table} == KEYS
