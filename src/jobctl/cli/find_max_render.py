"""A search for the maximum as a person sees it: a line for each probe, and the answer with a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from jobctl.core.units import format_duration

if TYPE_CHECKING:
    from jobctl.core.probing import Finding, Probe

__all__ = ["SearchView", "render_maximum"]

_STYLES: Final = {"kept": "green", "broken": "red", "inconclusive": "yellow"}
_WORDS: Final = {"kept": "held", "broken": "failed", "inconclusive": "not told"}


class SearchView:
    """Progress of a search: what each probe told, and on a terminal what the one under way does.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def progress(self, probe: Probe, message: Mapping[str, Any]) -> None:
        """Show one ``progress`` message of a probe."""
        if not self._console.is_terminal:
            return
        line = (
            f"{probe.phase}: {probe.rate_per_s:.4g} jobs/s, {message['elapsed_s']:.0f} of {probe.length_s:.0f} s, "
            f"backlog {message['backlog']}"
        )
        if self._status is None:
            self._status = self._console.status(line)
            self._status.start()
        self._status.update(line)

    def show(self, finding: Finding) -> None:
        """Show what a probe told."""
        probe = finding.probe
        why = f": {finding.reason}" if finding.reason else ""
        self._console.print(
            f"{probe.phase:<8}{probe.rate_per_s:>9.4g} jobs/s for {format_duration(probe.length_s)}  "
            f"[{_STYLES[finding.verdict]}]{_WORDS[finding.verdict]}[/]{escape(why)}",
            highlight=False,
        )

    def close(self) -> None:
        """Remove what is shown of the probe under way."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def render_maximum(console: Console, document: Mapping[str, Any]) -> None:
    """Print the answer of a ``jobctl.bench/1`` document that holds one."""
    maximum = document["maximum"]
    console.print()
    console.print(Text(maximum["sentence"], style="bold"))
    verdict = document["verdict"]
    words = {"kept": "found", "broken": "BROKEN", "inconclusive": "INCONCLUSIVE"}
    console.print(Text(f"Verdict: {words[verdict]}", style=f"bold {_STYLES[verdict]}"))
    for reason in document["reasons"]:
        console.print(f"  - {escape(reason)}", highlight=False)
    console.print()
    console.print(_probes(maximum["probes"]))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in _rows(document, maximum):
        grid.add_row(name, value)
    console.print(grid, highlight=False)


def _rows(document: Mapping[str, Any], maximum: Mapping[str, Any]) -> list[tuple[str, str]]:
    config = document["config"]
    rows = [("load", f"{escape(config['job'])}, {config['arrivals']} arrivals, seed {config['seed']}")]
    if maximum["capacity_per_s"] is not None:
        error = f" ± {maximum['capacity_error_per_s']:.2g}" if maximum["capacity_error_per_s"] else ""
        rows.append(
            ("capacity", f"{maximum['capacity_per_s']:.4g}{error} jobs/s came out while jobs waited throughout")
        )
    if maximum["per_replica_per_s"] is not None:
        rows.append(("per replica", f"{maximum['per_replica_per_s']:.4g} jobs/s"))
    rows.append(("objectives", f"{'; '.join(maximum['objectives'])}; no rising backlog"))
    if maximum["confidence"] is not None:
        rows.append(
            ("errors", f"low end {maximum['low_error']:.1%}, high end {maximum['high_error']:.1%} likely to be wrong")
        )
    rows.append(("took", format_duration(maximum["elapsed_s"])))
    return rows


def _probes(probes: list[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("phase")
    for name in ("rate /s", "seconds", "out /s", "p95 wait", "busy"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for probe in probes:
        reason = f": {escape(probe['reason'])}" if probe["reason"] else ""
        table.add_row(
            probe["phase"],
            f"{probe['rate_per_s']:.4g}",
            f"{probe['push_s'] + probe['duration_s']:.0f}",
            "-" if probe["throughput_per_s"] is None else f"{probe['throughput_per_s']:.4g}",
            "-" if probe["wait_p95_s"] is None else format_duration(probe["wait_p95_s"]),
            "-" if probe["utilisation"] is None else f"{probe['utilisation']:.0%}",
            f"[{_STYLES[probe['verdict']]}]{_WORDS[probe['verdict']]}[/]{reason}",
        )
    return table
