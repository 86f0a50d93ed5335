"""What every kind of bench does alike: end at a signal, write down what was measured, show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import typer

from jobctl.cli.consoles import open_console
from jobctl.cli.json_output import write_document
from jobctl.cli.options import check_writable
from jobctl.cli.report_options import check_targets
from jobctl.cli.signals import end_at_a_signal, ignore_signals
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from rich.console import Console

    from jobctl.apps.bench.driver import BenchResult
    from jobctl.apps.report.forms import Form

__all__ = ["Outputs", "deliver", "measuring", "render", "say_on"]


class _View(Protocol):
    """Progress on the screen."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a bench writes what it found, beside the screen.

    Attributes:
        json_target: Where the document goes; None for nowhere, likewise the others.
        records: Where the jobs go, as CSV.
        reports: Where each form of report goes.
    """

    json_target: str | None
    records: str | None
    reports: Mapping[Form, str]

    @property
    def given(self) -> bool:
        """Whether anything is written at all."""
        return bool(self.reports) or (self.json_target, self.records) != (None, None)

    def check(self) -> None:
        """Refuse what cannot be written, before any work is done.

        Raises:
            InvalidOption: A place will not do, or two would write to it.
        """
        check_writable(self.json_target)
        check_writable(self.records, "--records")
        if self.records == "-":
            raise InvalidOption("--records", "needs a file of its own", "give a path such as records.csv")
        check_targets(self.reports, {"--json": self.json_target, "--records": self.records})

    def console(self) -> Console:
        """Where a person reads: standard error, where standard output is for a machine."""
        return open_console(aside="-" in (self.json_target, *self.reports.values()))


def say_on(console: Console) -> Callable[[str], None]:
    """Writes lines for the person who waits."""
    return partial(console.print, highlight=False, soft_wrap=True)


@contextmanager
def measuring(view: _View) -> Iterator[None]:
    """While a bench runs: a signal outside a load ends it at once, and once all is measured none does any more.

    Args:
        view: Shows the progress; it is closed at the end.
    """
    end_at_a_signal()
    try:
        yield
    except KeyboardInterrupt:
        view.close()
        typer.echo("jobctl: interrupted; there is no report", err=True)
        raise
    finally:
        view.close()
    ignore_signals()


def deliver(document: dict[str, Any], result: BenchResult, outputs: Outputs, console: Console) -> None:
    """Write down what was measured, and show it; what cannot be written keeps nothing else from it.

    Args:
        document: All of it.
        result: The run whose jobs are the records.
        outputs: Where it goes.
        console: Where a person reads.

    Raises:
        InvalidOption: A file cannot be written; of several the last, and the others were told before.
    """
    from jobctl.adapters.files import write_lines
    from jobctl.apps.bench.records import to_lines
    from jobctl.wiring.report import write_reports

    tell, complain = partial(typer.echo, nl=False), partial(typer.echo, err=True)
    failed: list[InvalidOption] = []

    def attempt(write: Callable[..., None], *given: object) -> None:
        try:
            write(*given)
        except InvalidOption as error:
            failed.append(error)

    with ExitStack() as last_comes_first:
        last_comes_first.callback(attempt, write_reports, document, outputs.reports, tell, complain)
        last_comes_first.callback(render, console, document)
        if outputs.records is not None:
            lines = to_lines(result.records, result.started_at_s)
            last_comes_first.callback(attempt, write_lines, outputs.records, lines, "--records")
        last_comes_first.callback(attempt, write_document, outputs.json_target, document)
    for error in failed[:-1]:
        complain(str(error))
    if failed:
        raise failed[-1]


def render(console: Console, document: Mapping[str, Any]) -> None:
    """Print a ``jobctl.bench/1`` document of any kind for a person."""
    from jobctl.cli.bench_render import render_report
    from jobctl.cli.compare_render import render_comparison
    from jobctl.cli.find_max_render import render_maximum
    from jobctl.core.words import writable_throughout

    document = writable_throughout(document)
    (render_report if document["maximum"] is None else render_maximum)(console, document)
    if document["comparison"] is not None:
        render_comparison(console, document["comparison"])
