"""How wide a report is."""

from __future__ import annotations

import pytest

from jobctl.cli.consoles import open_console


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


def _no_terminal(*_: object) -> None:
    raise OSError
