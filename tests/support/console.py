"""The commands that a document shows, run in order in one shell, and what they print compared with what is shown.

Figures differ from run to run, and so do the width of columns and the ends of lines. What is shown is there if the
words between two lines `...` stand in the output, in that order and next to each other, with each number and its unit,
each drawn line and each finding of a comparison left open.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What may differ: a number with its unit, an interval or that there is none, a drawn line, a finding.
_NUMBER = r"[+-]?(?<![\w.])\d[\d.,]*"
_OPEN = re.compile(
    rf"{_NUMBER}(?:%?\.\.[+-]?\d[\d.,]*)?(?:\s?(?:µs|ms|min|s|h|pp)\b|%)?"
    r"|─+|\b(?:no change|improvement|regression|cannot tell|too few)\b"
)


def here(home: Path, *further: Path) -> dict[str, str]:
    """The environment of a person with this jobctl, and programs of further directories, on PATH and nothing set."""
    path = os.pathsep.join([str(Path(sys.executable).parent), *map(str, further), os.defpath])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"}


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
        """What is shown and is not there, or not in this order."""
        missing, position = [], 0
        for passage in re.split(r"^\.\.\.$", "\n".join(lines), flags=re.MULTILINE):
            found = re.compile(_pattern(passage)).search(self.output, position)
            if found is None:
                missing.append(passage.strip())
            else:
                position = found.end()
        return missing


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
        f'{{ {command}\n}} >"{results}/{number}.out" 2>&1; it=$?; echo $it >"{results}/{number}"; (exit $it)'
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


def _pattern(passage: str) -> str:
    """A regular expression: the words to the letter, any space between them, and what is open left open."""
    texts = [r"\s*".join(map(re.escape, text.split())) for text in _OPEN.split(passage)]
    return rf"\s*(?:{_OPEN.pattern})\s*".join(texts)
