"""What ``jobctl doctor`` shows.

On a terminal: a line for each group with all that is well, below it what is to be mended. In a pipe: a line for each
check. What was not checked is told once for each reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from jobctl.apps.doctor.examination import Examination
from jobctl.apps.doctor.findings import Check, Finding, Level, worst
from jobctl.core.words import count_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["describe", "show"]

_MARKS: Final = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗", Level.UNCHECKED: "·"}
_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red", Level.UNCHECKED: "dim"}
_WORDS: Final = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "FAIL", Level.UNCHECKED: "-"}
#: Columns of the names beside the marks.
_NAMES: Final = 17
_Findings = Sequence[tuple[Check, Finding]]


def show(examination: Examination, console: Console, *, verbose: bool) -> None:
    """Show what was found.

    Args:
        examination: It.
        console: Where to.
        verbose: Show each check on a terminal, too.
    """
    if not console.is_terminal:
        for line in describe(examination):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    from rich.text import Text

    console.print(_table(examination, verbose=verbose))
    console.print()
    level = worst(level for level, count in examination.counts.items() if count)
    console.print(Text(_summary(examination), style=_STYLES[level]))


def describe(examination: Examination) -> Iterator[str]:
    """Every check on a line, and its remedy on the next one; the sum at the end."""
    for group, found in groupby(examination.findings, key=lambda pair: pair[0].group):
        findings = list(found)
        for check, finding in findings:
            if finding.level is not Level.UNCHECKED:
                yield f"{_WORDS[finding.level]:<4}  {group} / {check.title}: {finding.detail}"
                if finding.remedy:
                    yield f"{'':<6}{finding.remedy}"
        for (why, how), titles in _unchecked(findings).items():
            yield f"{_WORDS[Level.UNCHECKED]:<4}  {group} / {', '.join(titles)}: not checked, {why}; {how}"
    yield _summary(examination)


def _summary(examination: Examination) -> str:
    counts = examination.counts
    told = [
        f"{counts[Level.OK]} ok",
        count_of(counts[Level.WARN], "warning"),
        count_of(counts[Level.FAIL], "failure"),
        f"{counts[Level.UNCHECKED]} not checked",
    ]
    return ", ".join(told)


def _table(examination: Examination, *, verbose: bool) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=_NAMES)
    table.add_column(ratio=1, overflow="fold")
    for group, found in groupby(examination.findings, key=lambda pair: pair[0].group):
        _add_group(table, group, list(found), verbose=verbose)
    return table


def _add_group(table: Table, group: str, findings: _Findings, *, verbose: bool) -> None:
    """A group: what is well on one line, what is not below it with its remedy, and what nobody looked at."""
    from rich.text import Text

    level = worst(finding.level for _, finding in findings)
    well = [] if verbose else [finding.detail for _, finding in findings if finding.level is Level.OK]
    table.add_row(_mark(level), Text(group, style="bold"), Text(" · ".join(well), style="dim"))
    for check, finding in findings:
        if finding.level in {Level.WARN, Level.FAIL} or (verbose and finding.level is Level.OK):
            table.add_row(_mark(finding.level), Text(f"  {check.title}"), _told(finding))
    for (why, how), titles in _unchecked(findings).items():
        table.add_row(
            _mark(Level.UNCHECKED),
            Text("  not checked", style="dim"),
            Text(f"{', '.join(titles)}: {why}; {how}", style="dim"),
        )


def _told(finding: Finding) -> Text:
    from rich.text import Text

    text = Text(finding.detail, style="" if finding.level is not Level.OK else "dim")
    return text.append(f"\n→ {finding.remedy}", style="cyan") if finding.remedy else text


def _unchecked(findings: _Findings) -> dict[tuple[str, str], list[str]]:
    """The titles of checks that were not made, by the reason."""
    titles: dict[tuple[str, str], list[str]] = defaultdict(list)
    for check, finding in findings:
        if finding.level is Level.UNCHECKED:
            titles[finding.detail, finding.remedy].append(check.title)
    return titles


def _mark(level: Level) -> Text:
    from rich.text import Text

    return Text(_MARKS[level], style=_STYLES[level])
