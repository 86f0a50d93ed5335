"""A comparison as the versioned document ``jobctl.compare/1``, and as Markdown.

Every scalar's unit stands beside it or in its name; what could not be told is null, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from jobctl.apps.compare.words import cells_of, sentence
from jobctl.core.markdown import plain, table
from jobctl.core.regression import Comparison, Finding, Line

__all__ = ["SCHEMA", "Side", "to_document", "to_markdown"]

#: The document's name and version.
SCHEMA: Final = "jobctl.compare/1"
_MARKS: Final[Mapping[str, str]] = {
    Finding.REGRESSION: "❌",
    Finding.IMPROVEMENT: "✅",
    Finding.NO_CHANGE: "✅",
    Finding.CANNOT_TELL: "⚠️",
}


@dataclass(frozen=True, slots=True)
class Side:
    """What one side is.

    Attributes:
        name: What it is called: files, a revision, a directory.
        revision: The commit, where there is one.
        versions: What it was measured with.
        host: The machine.
    """

    name: str
    revision: str | None
    versions: Mapping[str, Any]
    host: Mapping[str, Any]


def to_document(
    comparison: Comparison, baseline: Side, new: Side, allowed_differences: Sequence[str] = ()
) -> dict[str, Any]:
    """The comparison as JSON-able values.

    Args:
        comparison: The comparison.
        baseline: What was before.
        new: What is now.
        allowed_differences: What differs between the measurements and was allowed to.
    """
    first, repeat = comparison.rounds
    return {
        "schema": SCHEMA,
        "finding": comparison.finding.value,
        "sentence": sentence(comparison),
        "reasons": list(comparison.reasons),
        "confirmed": comparison.confirmed,
        "rounds": {"first": first, "repeat": repeat},
        "floors": asdict(comparison.floors),
        "baseline": asdict(baseline),
        "new": asdict(new),
        "differences": list(allowed_differences),
        "lines": [_line(line) for line in comparison.lines],
        "repeat": [_line(line) for line in comparison.repeat],
    }


def to_markdown(document: Mapping[str, Any]) -> str:
    """A comparison's document as Markdown: the lines that decide, and all of them folded."""
    return "\n\n".join(_parts(document)) + "\n"


def _parts(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {_MARKS[document['finding']]} jobctl compare: {document['finding']}"
    yield plain(f"{document['new']['name']} against {document['baseline']['name']}. {document['sentence']}")
    remarks = [*document["reasons"], *document["differences"]]
    if remarks:
        yield "\n".join(f"- {plain(remark)}" for remark in remarks)
    yield _table([line for line in document["lines"] if line["decides"]])
    yield "<details><summary>All lines</summary>"
    yield _table(document["lines"])
    yield "</details>"


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    heads = ["", "baseline", "new", "change", "interval", "finding"]
    return table(heads, [[line["name"], *cells_of(line), line["finding"]] for line in lines])


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "unit": line.unit,
        "baseline": line.baseline,
        "new": line.new,
        "change": line.change,
        "relative": line.relative,
        "interval": None if line.interval is None else list(line.interval),
        "relative_interval": None if line.relative_interval is None else list(line.relative_interval),
        "floor": line.floor,
        "confidence": line.confidence,
        "decides": line.decides,
        "finding": line.finding.value,
        "reason": line.reason,
    }
