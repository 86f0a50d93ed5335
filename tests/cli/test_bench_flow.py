"""What a bench leaves behind when not all of it can be written."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from jobctl.apps.report.forms import Form
from jobctl.cli.bench_flow import Outputs, deliver
from jobctl.errors import InvalidOption
from support.whole_documents import make_document


def test_a_file_that_cannot_be_written_keeps_no_other_from_it_and_each_that_cannot_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen, gone = StringIO(), str(tmp_path / "gone" / "r")
    forms = {Form.HTML: gone, Form.MARKDOWN: str(tmp_path / "r.md"), Form.CSV: gone}
    outputs = Outputs(gone, None, forms)

    with pytest.raises(InvalidOption, match="--csv"):
        deliver({**make_document(), "maximum": None}, cast("Any", None), outputs, Console(file=screen, width=100))

    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["--html:", "--json:"]
    assert "Verdict" in screen.getvalue()
    assert (tmp_path / "r.md").exists()
