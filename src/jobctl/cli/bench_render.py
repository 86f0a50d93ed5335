"""A bench as a person sees it: progress while it runs, the report at the end.

All of it goes to standard error when the JSON goes to standard output, so that a pipe gets the document alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jobctl.core.gate_figures import format_figure
from jobctl.core.overall import overall, overall_in_words
from jobctl.core.units import format_duration, format_interval

__all__ = ["ProgressView", "render_report"]

_STYLES: Final = {"kept": "bold green", "broken": "bold red", "regression": "bold red", "inconclusive": "bold yellow"}
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_SPARK_WIDTH: Final = 60
#: The widest that what must hold may be, so that a row fits 100 columns.
_GATE_WIDTH: Final = 54
#: The same of a job type's name.
_JOB_WIDTH: Final = 36
#: Seconds between two lines where there is no terminal.
_LINE_EVERY_S: Final = 5.0
#: How jobs fail whose model the mock does not serve, whichever client told them.
_UNKNOWN_MODEL: Final = "is not a valid model ID"


class ProgressView:
    """Progress: a bar on a terminal, a line every few seconds elsewhere.

    Args:
        console: Where to write.
        duration_s: Length of the schedule.
    """

    def __init__(self, console: Console, duration_s: float) -> None:
        self._console = console
        self._duration_s = duration_s
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next_line_s = 0.0
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[counters]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("load", total=duration_s, counters="")
            self._bar.start()

    def show(self, message: Mapping[str, Any]) -> None:
        """Show one ``progress`` message."""
        counters = "  ".join(f"{name} {message[name]}" for name in ("sent", "ended", "failed", "backlog"))
        draining = message["elapsed_s"] > self._duration_s
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                completed=min(message["elapsed_s"], self._duration_s),
                counters=counters,
                description="drain" if draining else "load",
            )
        elif time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + _LINE_EVERY_S
            self._console.print(
                f"{message['elapsed_s']:6.1f} s  {counters}{'  (draining)' if draining else ''}", highlight=False
            )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()


def render_report(console: Console, document: Mapping[str, Any]) -> None:
    """Print a ``jobctl.bench/1`` document for a person."""
    config, jobs, offered = document["config"], document["jobs"], document["offered"]
    console.print()
    console.print(Text(document["sentence"], style="bold"))
    console.print(_verdict_line(document))
    for reason in document["reasons"]:
        console.print(f"  - {escape(reason)}", highlight=False)
    for entry in document["errors"]:
        console.print(f"    {entry['jobs']} x {escape(entry['error'])}", highlight=False)
    if config.get("mock") is not None and any(_UNKNOWN_MODEL in entry["error"] for entry in document["errors"]):
        console.print("    the mock serves another model with --serve-model AUTHOR/SLUG", highlight=False)
    console.print()
    if document["gates"]:
        console.print(_gates(document["gates"]))
        console.print()
    console.print(_signals(document["signals"]))
    if len(document["by_job"]) > 1:
        console.print()
        console.print(_by_job(document["by_job"]))
    rows = [
        ("load", _load(config)),
        (
            "offered",
            f"{offered['jobs']} jobs in the window, {offered['rate_per_s']:.4g}/s of {config['rate_per_s']:.4g}/s "
            f"asked; achieved {document['achieved']['rate_per_s']:.4g}/s",
        ),
        ("schedule lag", _lag(offered)),
        *([("generator", _generator(use))] if (use := document.get("generator")) else []),
        ("jobs", _equation(jobs)),
        ("also", f"{jobs['duplicated']} duplicated, {jobs['retried']} retried"),
        ("utilisation", _utilisation(document)),
        ("backlog", f"at most {document['backlog']['max']}, trend {document['backlog']['slope_per_s']:+.3f} jobs/s"),
        *(("fault", _fault(fault)) for fault in document.get("faults", ())),
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in rows:
        grid.add_row(name, value)
    grid.add_row("", _spark(document["backlog"]["series"]))
    console.print(grid, highlight=False)


def _verdict_line(document: Mapping[str, Any]) -> Text:
    verdict = document["verdict"]
    gates, warns = document["gates"], any(gate["verdict"] != "kept" for gate in document["gates"])
    held = ["every gate held but warnings" if warns else "every gate held"]
    if all(gate["severity"] == "warning" for gate in gates):
        held = []
    if not document["jobs"]["lost"]:  # a gate may have allowed some
        held.append("no job lost")
    finding = None if document["comparison"] is None else document["comparison"]["finding"]
    whole, words = overall(verdict, finding), overall_in_words(verdict, finding)
    if words == "kept":
        words = f"kept ({', '.join([*held, 'failures within bounds', 'no rising backlog'])})"
    elif whole != "kept":
        words = words.replace(whole, whole.upper(), 1)
    suffix = ""
    if document["interrupted"]:
        suffix = " (interrupted; figures are of what happened so far)"
    elif document["aborted"] is not None:
        suffix = f" (ended early: {document['aborted']})"
    return Text(f"Verdict: {words}{suffix}", style=_STYLES[whole])


def _gates(gates: Sequence[Mapping[str, Any]]) -> Table:
    """One gate a row: what must hold, what was measured, how it stands."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("gate", overflow="fold", max_width=_GATE_WIDTH)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("jobs", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for gate in gates:
        name = gate["check"] if gate["name"] == gate["check"] else f"{gate['name']}: {gate['check']}"
        warning = " (warning)" if gate["severity"] == "warning" and gate["verdict"] != "kept" else ""
        table.add_row(
            escape(name),
            format_figure(gate["value"], gate["unit"]),
            f"{gate['samples']:,}",
            Text(f"{gate['verdict']}{warning}", style=_STYLES[gate["verdict"]]),
        )
    return table


def _signals(signals: Mapping[str, Any]) -> Table:
    """Statistics down, signals across; beside each quantile the interval it lies in."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    names = ("wait", "service", "sojourn")
    for name in names:
        table.add_column(f"{name:>8}")
    table.add_row("n", *(f"{signals[name]['n']:>8}" for name in names))
    table.add_row("mean", *(f"{_seconds(signals[name]['mean']):>8}" for name in names))
    for q in ("p50", "p90", "p95", "p99"):
        table.add_row(q, *(_quantile(signals[name][q], signals[name]["intervals"][q]) for name in names))
    table.add_row("max", *(f"{_seconds(signals[name]['max']):>8}" for name in names))
    return table


def _by_job(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One type of the mix a row; `jobs` are those of the window that ended, as in the signals above."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("job", overflow="fold", max_width=_JOB_WIDTH)
    for name in ("share", "jobs", "wait p50", "wait p95", "service mean", "sojourn p95"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        wait, service, sojourn = (row["signals"][name] for name in ("wait", "service", "sojourn"))
        table.add_row(
            escape(row["job"]),
            f"{row['share']:.1%}",
            f"{sojourn['n']:,}",
            *map(_seconds, (wait["p50"], wait["p95"], service["mean"], sojourn["p95"])),
        )
    return table


def _quantile(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "[dim]too few samples[/dim]"
    # Values that follow one another too closely tell less than their number says: too few for an interval.
    bounds = "too few" if interval is None else format_interval(*interval)
    return f"{_seconds(value):>8} [dim]{bounds}[/dim]"


def _seconds(value: float | None) -> str:
    return "-" if value is None else format_duration(value)


def _load(config: Mapping[str, Any]) -> str:
    """What was asked for; of the shape nothing where the rate was simply steady."""
    words = [config["job"]]
    if config["scenario"] is not None:
        words.append(f"scenario {config['scenario']}")
    if config["shape"] not in (None, "steady"):
        fast = "" if config["time_scale"] is None else f" {config['time_scale']:,.4g} times as fast"
        words.append(f"{config['shape']}{fast}")
    duration_s, warmup_s = (f"{round(config[name], 3):,.10g} s" for name in ("duration_s", "warmup_s"))
    if not (config["shape"] or "").startswith("replay:"):
        words.append(f"{config['arrivals']} arrivals")
    return f"{escape(', '.join(words))}, {duration_s} of which {warmup_s} warm-up, seed {config['seed']}"


def _generator(use: Mapping[str, Any]) -> str:
    """Who generated the load, and what that took."""
    noun = "process" if use["processes"] == 1 else "processes"
    cost_s = use["cpu_s_per_job"]
    return f"{use['processes']} {noun}" + ("" if cost_s is None else f", {_seconds(cost_s)} of CPU a job")


def _lag(offered: Mapping[str, Any]) -> str:
    lag = offered["schedule_lag_s"]
    figures = ", ".join(f"{name} {_seconds(lag[name])}" for name in ("p50", "p99", "max"))
    return f"{figures}; {offered['dropped']} dropped"


def _equation(jobs: Mapping[str, int]) -> str:
    return (
        f"scheduled {jobs['scheduled']} = enqueued {jobs['enqueued']} + rejected {jobs['rejected']};  "
        f"enqueued {jobs['enqueued']} = finished {jobs['finished']} + failed {jobs['failed']} + "
        f"in flight {jobs['in_flight']} + lost {jobs['lost']}"
    )


def _utilisation(document: Mapping[str, Any]) -> str:
    predicted = document["predicted"]
    if document["utilisation"] is None:
        return "not known: give --replicas and --concurrency of your workers"
    measured = f"measured {document['utilisation']:.1%}"
    if predicted is None:
        return measured
    wait = predicted["wait"]
    waits = "without end" if wait["mean"] is None else f"mean {_seconds(wait['mean'])}, p95 {_seconds(wait['p95'])}"
    return f"{measured}, predicted {predicted['utilisation']:.1%}; predicted wait {waits} ({predicted['method']})"


def _fault(fault: Mapping[str, Any]) -> str:
    until_s = fault["until_s"]
    lasting = "for good" if until_s is None else f"to {until_s:.1f} s"
    return f"{fault['kind']} from {fault['at_s']:.1f} s {lasting}: {escape(fault['what'])}"


def _spark(series: list[int]) -> str:
    """The backlog over the window as a line of blocks; each shows the most of its stretch."""
    width = min(_SPARK_WIDTH, len(series))
    edges = [len(series) * position // width for position in range(width + 1)]
    peaks = [max(series[first:beyond]) for first, beyond in pairwise(edges)]
    highest = max(peaks) or 1
    return "".join(_BLOCKS[-(-peak * (len(_BLOCKS) - 1) // highest)] for peak in peaks)
