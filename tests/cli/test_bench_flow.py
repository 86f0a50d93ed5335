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


def test_a_file_that_cannot_be_written_keeps_no_other_from_it(tmp_path: Path) -> None:
    screen = StringIO()
    outputs = Outputs(str(tmp_path / "gone" / "r.json"), None, {Form.MARKDOWN: str(tmp_path / "r.md")})

    with pytest.raises(InvalidOption, match="--json"):
        deliver({**make_document(), "maximum": None}, cast("Any", None), outputs, Console(file=screen, width=100))

    assert "Verdict" in screen.getvalue()
    assert (tmp_path / "r.md").exists()
