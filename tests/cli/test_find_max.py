"""What a search refuses before anything is started."""

from __future__ import annotations

import pytest

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import run


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--find-max", "--duration", "10s"], "--duration"),
        (["--find-max", "--warmup", "1s"], "--warmup"),
        (["--find-max", "--shape", "ramp"], "--shape"),
        (["--find-max", "--max-width", "0"], "--max-width"),
        (["--find-max", "--max-width", "nan"], "--max-width"),
        (["--find-max", "--max-width", "200%"], "--max-width"),
        (["--find-max", "--max-rate", "0"], "--max-rate"),
        (["--find-max", "--max-rate", "5", "--rate", "6"], "--max-rate"),
        (["--find-max", "--within", "0"], "--within"),
        (["--find-max", "--slo", "p95 weit <= 1s"], "--slo"),
        (["--find-max", "--slo", "drain 100 jobs <= 5m"], "--slo"),
        (["--find-max", "--slo", "p95 wait <= 1s over every hour"], "--slo"),
        (["--max-width", "5%"], "--max-width"),
        (["--within", "3m"], "--within"),
        (["--slo", "p95 wait <= 1s"], "--slo"),
    ],
)
def test_bad_input_is_one_line_that_names_the_option(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["bench", *words])

    assert ended.value.code == ExitStatus.USAGE
    out, err = capsys.readouterr()
    (line,) = err.strip().splitlines()
    assert out == ""
    assert named in line
    assert ";" in line, "it says the remedy"
