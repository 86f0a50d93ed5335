"""Make what is computed in docs/HIGH_LOAD_OPTIMIZATION.md: its tables, its picture, and what its benches came to.

::

    python scripts/high_load.py [--check]

Every figure of the tables and the picture is the answer of a command of ``jobctl plan --audit``, carried out here as it
stands in the document. Plans are seeded, so the answers do not differ from machine to machine. What is shown of a bench
is read from ``docs/figures/shown_benches.txt``, where ``make proof`` wrote it. ``--check`` writes nothing and fails if
something is out of date.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import made_files
from typer.testing import CliRunner

from jobctl.cli.main import app
from jobctl.core.charts import Axis, Chart, Panel, Point, Series, Threshold, draw, theme_style, to_svg
from jobctl.settings import FIELDS

REPOSITORY: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = REPOSITORY / "docs" / "HIGH_LOAD_OPTIMIZATION.md"
RECORD: Final = REPOSITORY / "docs" / "figures" / "shown_benches.txt"
PICTURE: Final = REPOSITORY / "docs" / "images" / "replicas-by-service-time.svg"

#: The report's table and its claims; the command of every row adds a mean service time, and what is varied.
AUDIT: Final = 'plan --audit "2:450k,3:1.35M,5:2.25M" --claim 33x@135k --claim 10x@450k'
#: Mean service times of the first table, seconds.
SERVICE_S: Final = (0.5, 1.0, 2.0, 4.8, 8.0, 20.0)
#: Those of the picture.
DRAWN_S: Final = (0.5, 1.0, 2.0, 3.0, 4.8, 6.0, 8.0, 12.0, 16.0, 20.0)
#: The mean service time of the second table, and what is varied there, with what it means.
VARIED_S: Final = 4.8
VARIATIONS: Final = {
    "": "jobs arrive evenly over the day, at random, none fails",
    "--spare 0": "no replica may be gone",
    "--concurrency 50": "50 slots each",
    "--failure-rate 0.1": "a tenth of the attempts fails, as long as the others",
    "--failure-rate 0.1 --failed-ratio 3x": "failed attempts are timeouts, three times as long",
    "--peak-factor 2.5": "the busiest rate of the day is 2.5 times its mean",
    "--arrivals batch:50": "jobs come 50 at once",
    "--upstream-rpm 1200": "OpenRouter allows 1,200 calls a minute",
    "--upstream-rpm 600": "OpenRouter allows 600 calls a minute",
}
#: What is shown of a bench's report: its verdict, and then lines by how they begin, with what goes on below them.
_PASSAGES: Final = (
    re.compile(r"^At .+\nVerdict: .+\n(?:  - .+\n)*", re.MULTILINE),
    re.compile(r"^jobs  .+\n(?: {14}\w.*\n)*also  .+\n", re.MULTILINE),
    re.compile(r"^fault  .+\n", re.MULTILINE),
)
#: A block of commands, and a bench in it with what is shown of it. What is in another block is not run.
_BLOCK: Final = re.compile(r"^```console\n.*?^```$", re.MULTILINE | re.DOTALL)
_BENCH: Final = re.compile(r"^\$ (jobctl bench .+)\n(?:(?!\$ |```).*\n)*", re.MULTILINE)
_DOTS: Final = "...\n"
_WIDTH: Final = 640.0
_HEIGHT: Final = 90.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    purpose = "Make what is computed in docs/HIGH_LOAD_OPTIMIZATION.md."
    return made_files.run("high_load", purpose, contents, arguments)


def contents() -> dict[Path, str]:
    """What the document and the picture have to hold."""
    times_s = sorted({*SERVICE_S, *DRAWN_S})
    with ProcessPoolExecutor() as processes:
        varied = [processes.submit(asked, varying(options)) for options in VARIATIONS]
        judged = dict(zip(times_s, processes.map(asked, map(taking, times_s)), strict=True))
    document = DOCUMENT.read_text(encoding="utf-8")
    document = _put(document, "by service time", by_service_time(judged))
    document = _put(document, "by what is varied", by_variation([answer.result() for answer in varied]))
    document = told(document, RECORD.read_text(encoding="utf-8"))
    picture = to_svg([draw(needed(judged), _WIDTH)], theme_style()) + "\n"
    return {DOCUMENT: document, PICTURE: picture}


def taking(service_s: float) -> str:
    """The command that judges the report's table at a mean service time."""
    return f"{AUDIT} --service-time {service_s:g}s"


def varying(options: str) -> str:
    """The command that judges it with something else varied."""
    return f"{taking(VARIED_S)} {options}".rstrip()


def asked(command: str) -> dict[str, Any]:
    """What ``jobctl COMMAND`` answers, as its document, in an environment in which nothing is set."""
    unset = dict.fromkeys(field.env for field in FIELDS)
    result = CliRunner().invoke(app, [*shlex.split(command), "--json", "-"], env=unset)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def by_service_time(judged: dict[float, dict[str, Any]]) -> Iterator[str]:
    """A table: what becomes of the report's figures at each mean service time."""
    yield "| mean service time | 50 slots carry | at 135k | at 450k | 2 for 450k | 3 for 1.35M | 5 for 2.25M |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for service_s in SERVICE_S:
        answer = judged[service_s]
        carried = f"{answer['rows'][0]['ceiling_per_s']:.3g} jobs/s"
        claims = [f"{claim['headroom_x']:.3g}x" for claim in answer["claims"]]
        yield _row(f"{service_s:g} s", carried, *claims, *map(_told, answer["rows"]))


def by_variation(answers: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table: the replicas that are needed at one service time when something else is different."""
    yield "| option | which means | 450k | 1.35M | 2.25M |"
    yield "| --- | --- | --- | --- | --- |"
    for (options, meaning), answer in zip(VARIATIONS.items(), answers, strict=True):
        needs = [str(row["needed"] or "never") for row in answer["rows"]]
        yield _row(f"`{options}`" if options else "", meaning, *needs)


def told(document: str, record: str) -> str:
    """The document with what each of its benches came to below its command."""
    measured = dict(re.findall(r"^\$ (jobctl bench .+)\n((?:(?!\$ ).*\n)*)", record, re.MULTILINE))

    def shown(match: re.Match[str]) -> str:
        if match[1] not in measured:
            raise SystemExit(f"high_load: {RECORD.name} has no {match[1]}; run: make proof")
        passages = [found[0] for pattern in _PASSAGES if (found := pattern.search(measured[match[1]]))]
        return f"$ {match[1]}\n{_DOTS.join(passages)}{_DOTS}"

    return _BLOCK.sub(lambda block: _BENCH.sub(shown, block[0]), document)


def needed(judged: dict[float, dict[str, Any]]) -> Chart:
    """Replicas that are needed against service time, beside those that the report has, for each of its volumes."""
    panels, sentences = [], []
    for place, row in enumerate(judged[DRAWN_S[0]]["rows"]):
        claimed, volume = row["replicas"], f"{row['jobs_per_day']:,.0f} jobs/day"
        needs = [judged[service_s]["rows"][place]["needed"] for service_s in DRAWN_S]
        points = tuple(Point(index, need) for index, need in enumerate(needs))
        threshold = Threshold(claimed, f"the report's {claimed}")
        panels.append(Panel(f"Replicas, {volume}", (Series("", points),), thresholds=(threshold,), height=_HEIGHT))
        sentences.append(
            f"{volume}: {needs[0]} at {DRAWN_S[0]:g} s to {needs[-1]} at {DRAWN_S[-1]:g} s, not {claimed}."
        )
    ticks = tuple((index + 0.5, f"{service_s:g} s") for index, service_s in enumerate(DRAWN_S))
    axis = Axis(0, len(DRAWN_S), ticks, name="mean service time")
    return Chart(
        "Replicas that are needed, one of them a spare, by mean service time", " ".join(sentences), axis, tuple(panels)
    )


def _told(row: dict[str, Any]) -> str:
    """A row of the audit in a cell."""
    if not row["kept"]:
        return f"**too few**, {row['needed']}"
    return "yes" if row["needed"] <= row["replicas"] else f"no spare, {row['needed']}"


def _put(document: str, name: str, lines: Iterator[str]) -> str:
    """The document with these lines between the two comments of that name."""
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->\n)", re.DOTALL)
    made, number = place.subn(lambda match: "".join([match[1], *(f"{line}\n" for line in lines), match[2]]), document)
    if number != 1:
        raise SystemExit(f"high_load: {DOCUMENT.name} has {number} places for the table {name}")
    return made


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
