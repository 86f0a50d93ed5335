"""How wide a report is."""

from __future__ import annotations

import pytest

from jobctl.cli.consoles import fold, open_console


@pytest.mark.parametrize(("told", "columns"), [(None, 100), ("72", 72), ("", 100)])
@pytest.mark.parametrize("aside", [True, False])
def test_a_report_in_a_log_is_a_hundred_columns_wide_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: str | None, columns: int, aside: bool
) -> None:
    monkeypatch.setattr("os.get_terminal_size", _no_terminal)
    monkeypatch.delenv("COLUMNS", raising=False)
    if told is not None:
        monkeypatch.setenv("COLUMNS", told)

    assert open_console(aside=aside).width == columns


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (None, "p95 wait    2 replicas carry the re-run jobs"),  # a pipe
        (80, "p95 wait    2 replicas carry the re-run jobs"),
        (36, "p95 wait    2 replicas carry the\n  re-run jobs"),
        (1, "p95 wait    2 replicas\n  carry the re-run jobs"),
    ],
)
def test_a_line_is_broken_between_words_and_its_columns_stay(width: int | None, expected: str) -> None:
    assert fold("p95 wait    2 replicas carry the re-run jobs", width, indent=2) == expected


def _no_terminal(*_: object) -> None:
    raise OSError
