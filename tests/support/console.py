"""The commands that a document shows, run in order in one shell, and what they print compared with what is shown.

Figures differ from run to run, and so does how wide a terminal is: a shown line matches one of the real ones if both
say the same with every number and its unit left open and any space between words. A line `...` stands for any number of
lines; lines of one command come in the order shown.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A number with what may follow it, an interval, or `-` where there is none.
_FIGURE = re.compile(r"[+-]?\d[\d.,]*(?:\.\.[\d.,]+)?(?:\s?(?:µs|ms|min|s|h)\b|%)?")
_ANY_FIGURE = r"[+-]?\d[\d.,]*(?:\.\.[\d.,]+)?(?:\s?(?:µs|ms|min|s|h)\b|%)?"


@dataclass(frozen=True)
class Shown:
    """A command of a document.

    Attributes:
        command: What follows the prompt.
        lines: What is shown below it.
    """

    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """What a command really did.

    Attributes:
        status: Its exit code.
        output: What it printed, either way.
    """

    status: int
    output: str

    def missing(self, lines: Sequence[str]) -> list[str]:
        """The shown lines that the output has not, in this order."""
        real = iter(self.output.splitlines())
        return [line for line in lines if line != "..." and not any(_matches(line, other) for other in real)]


def commands(document: Path) -> list[Shown]:
    """The commands of all console blocks; one may go on after a backslash."""
    return [one for block in _BLOCK.findall(document.read_text(encoding="utf-8")) for one in _shown(block)]


def _shown(block: str) -> Iterator[Shown]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        found = re.match(r"(?:.*\\\n)*.*", part)
        assert found is not None
        yield Shown(found[0], tuple(line for line in part[found.end() :].splitlines() if line.strip()))


def run(commands: Sequence[str], directory: Path, environment: Mapping[str, str], timeout_s: float) -> list[Ran]:
    """Run commands one after the other in one shell, so that `cd` and `export` last."""
    results = directory / ".results"
    results.mkdir()
    script = "\n".join(
        f'{{ {command}\n}} >"{results}/{number}.out" 2>&1; status=$?; echo $status >"{results}/{number}"; (exit $status)'
        for number, command in enumerate(commands)
    )
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script],
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        timeout=timeout_s,
        check=False,
    )
    return [
        Ran(int((results / str(number)).read_text()), (results / f"{number}.out").read_text(encoding="utf-8"))
        for number in range(len(commands))
    ]


def _matches(shown: str, real: str) -> bool:
    words = re.split(r"\s+", shown.strip())
    pattern = r"\s+".join(
        _ANY_FIGURE.join(re.escape(piece) for piece in _FIGURE.split(word)) if _FIGURE.search(word) else re.escape(word)
        for word in words
    )
    return re.fullmatch(pattern, real.strip()) is not None
