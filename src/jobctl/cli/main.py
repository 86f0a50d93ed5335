"""The command line: one file per verb; this one lists them and turns every error into one line and one exit code."""

from __future__ import annotations

import re
import sys
from collections import UserDict
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from jobctl import __version__
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.help_panels import PanelledCommand
from jobctl.errors import InvalidValue, JobctlError, RunFailed, ServiceUnavailable

__all__ = ["app", "run"]

#: The verbs in the order that `jobctl --help` lists them, in one line each; each is a module of this package with a
#: function of its name, or a group of further verbs.
VERBS: Final = {
    "bench": "Offer a load on schedule, and judge what came out.",
    "report": "Tell the result of a bench again: a page, JUnit, Markdown, CSV, OpenMetrics.",
    "compare": "Say whether a new version is worse than the one before.",
    "plan": "Say how many replicas a volume needs.",
    "work": "Run jobs from RQ queues, up to N at once in one process.",
    "enqueue": "Put synthetic jobs on a queue, at once or at a rate.",
    "mock": "Serve OpenRouter's API on this machine.",
    "exporter": "Serve the whole fleet's metrics to Prometheus.",
    "doctor": "Check a set-up, and say what to mend.",
    "migrate": "Create or update the tables for results in Postgres.",
    "config": "Show each setting with its value and its origin.",
    "monitoring": "Make Prometheus' rules, Alertmanager's routes and Grafana's dashboard from slo.toml.",
    "deploy": "Make railway.json and its successor from slo.toml.",
    "dead": "List, show, retry or purge the jobs that failed for good.",
}


class _Commands(UserDict[str, Any]):
    """Each verb's command, made when somebody asks for it: to import all verbs costs a start 0.1 s of CPU."""

    def __getitem__(self, verb: str) -> Any:
        return _command(verb, self.data[verb])


class _Verbs(TyperGroup):
    """The group of all verbs, of which a start imports the one that it runs, and none to list them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(VERBS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


app = typer.Typer(
    name="jobctl",
    cls=_Verbs,
    help="How many replicas do your background LLM jobs need, and does what you have hold?",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it costs half the CPU, and text in [brackets] is shown as it is
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

#: What typer makes of a KeyboardInterrupt.
_TYPER_INTERRUPTED: Final = 130


def _version(value: bool) -> None:
    if value:
        typer.echo(f"jobctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@cache
def _command(verb: str, summary: str) -> Any:
    """A verb with its options, which are read off its function once a process."""
    entry = getattr(import_module(f"jobctl.cli.{verb}"), verb)
    alone = typer.Typer(rich_markup_mode=None)
    if isinstance(entry, typer.Typer):
        alone.add_typer(entry, name=verb, short_help=summary)
    else:
        alone.command(verb, short_help=summary, cls=PanelledCommand)(entry)
    return get_group(alone).commands[verb]


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Args:
        arguments: The words after the program's name; those of the process when None.
    """
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no µ still gets its report
    try:
        status = get_group(app).main(args=words, prog_name="jobctl", standalone_mode=False)
        if status == _TYPER_INTERRUPTED:
            status = ExitStatus.INTERRUPTED
    except typer.TyperException as error:
        _complain(_one_line(error, words))
        status = ExitStatus.USAGE
    except (InvalidValue, ServiceUnavailable) as error:
        _complain(str(error))
        status = ExitStatus.USAGE
    except RunFailed as error:
        _complain(str(error))
        status = ExitStatus.INCONCLUSIVE
    except JobctlError as error:
        _complain(str(error))
        status = ExitStatus.INTERNAL
    except (typer.Abort, KeyboardInterrupt):
        # An interrupt that came while a string was executed, such as the body of a dataclass, makes CPython end by
        # SIGINT whatever the exit code (pythonrun.c, unhandled_keyboard_interrupt); executing another takes that back.
        exec("pass")
        status = ExitStatus.INTERRUPTED
    except OSError as error:
        _complain(f"the operating system refused: {error}")
        status = ExitStatus.INTERNAL
    sys.exit(status or ExitStatus.PASS)


def _complain(message: str) -> None:
    print(f"jobctl: {message}", file=sys.stderr)


def _one_line(error: typer.TyperException, words: list[str]) -> str:
    """A usage error as one line that names the option and the remedy."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    unknown = re.match("No such command '(.*?)'", message)
    if unknown is not None:
        known = list(getattr(getattr(context, "command", None), "commands", VERBS))
        near = get_close_matches(unknown[1], known, n=1)
        return f"no such command {unknown[1]!r}; " + (
            f"did you mean '{near[0]}'?" if near else f"try one of {', '.join(known)}"
        )
    verb = next((word for word in words if not word.startswith("-")), None)
    where = getattr(context, "command_path", f"jobctl {verb}" if verb in VERBS else "jobctl")
    return message if ";" in message else f"{message}; see {where} --help"
