"""``jobctl dead``: list, show, retry and purge the jobs that failed for good."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer

from jobctl import settings
from jobctl.apps.dead.dead import Selection, change, find, select, to_json
from jobctl.apps.dead.dead import show as show_details
from jobctl.cli.help_panels import PanelledCommand
from jobctl.cli.json_output import write_document
from jobctl.cli.options import Json, WorkersRedisUrl, check_writable, duration_option, parser
from jobctl.core.units import parse_whole
from jobctl.core.words import count_of
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.ports import DeadJob, DeadJobDetails, DeadSet

__all__ = ["dead"]

dead = typer.Typer(
    help="Jobs that failed for good: RQ's failed jobs of all queues. Nothing of theirs is run or unpickled.",
    rich_markup_mode=None,
)

#: How many jobs are listed unless told otherwise.
_LISTED: Final = 50
#: The longest cell of a list, characters.
_LONGEST_CELL: Final = 80

JobIds = Annotated[list[str] | None, typer.Argument(metavar="[JOB_ID]...", help="Ids of jobs.", show_default=False)]
OfQueue = Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Only jobs of this queue.")]
OfType = Annotated[
    str | None,
    typer.Option(
        "--type", metavar="PATH", help="Only jobs of this function, such as myapp.tasks.send or 'myapp.tasks.*'."
    ),
]
OlderThan = Annotated[
    float | None, duration_option("--older-than", "Only jobs that died at least so long ago (7d).", positive=False)
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", parser=parser(partial(parse_whole, minimum=1)), metavar="N", help="At most N jobs, the latest."
    ),
]
All = Annotated[bool, typer.Option("--all", help="All jobs.")]


@dead.command("list", cls=PanelledCommand)
def list_(
    queue: OfQueue = None,
    job_type: OfType = None,
    older_than: OlderThan = None,
    limit: Limit = _LISTED,
    json_target: Json = None,
    redis_url: WorkersRedisUrl = None,
) -> None:
    """List dead jobs, the latest first."""
    check_writable(json_target)
    dead_set = _open(redis_url)
    limit = _LISTED if limit is None else limit
    found = list(islice(select(dead_set, Selection(queue, job_type, older_than), time.time()), limit + 1))
    jobs = found[:limit]
    if json_target is not None:
        write_document(json_target, {"jobs": [to_json(job) for job in jobs]})
    else:
        _render_list(jobs)
    if len(found) > limit:
        typer.echo(f"there are more; give --limit N, now {limit}", err=True)


@dead.command("show", cls=PanelledCommand, short_help="Show all that is kept of one dead job.")
def show(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="Id of a dead job.", show_default=False)],
    json_target: Json = None,
    redis_url: WorkersRedisUrl = None,
) -> None:
    """Show all that is kept of one dead job, with its traceback.

    Arguments are shown when they are JSON; a pickle is not opened.
    """
    check_writable(json_target)
    details = show_details(_open(redis_url), job_id)
    if json_target is not None:
        write_document(json_target, to_json(details))
    else:
        _render_details(details)


@dead.command("retry", cls=PanelledCommand, short_help="Put dead jobs at the end of their queues.")
def retry(
    job_ids: JobIds = None,
    queue: OfQueue = None,
    job_type: OfType = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    every: All = False,
    redis_url: WorkersRedisUrl = None,
) -> None:
    """Put dead jobs at the end of their queues, with all their attempts: by id, by a selection, or --all."""
    selection = Selection(queue, job_type, older_than, limit)
    _check_choice(job_ids, selection, every)
    dead_set = _open(redis_url)
    changed, gone = change(dead_set.retry, _chosen(dead_set, job_ids, selection))
    typer.echo(_told("put back", changed, gone))


@dead.command("purge", cls=PanelledCommand, short_help="Remove dead jobs with their data and results.")
def purge(
    job_ids: JobIds = None,
    queue: OfQueue = None,
    job_type: OfType = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do remove jobs that are not named one by one.")] = False,
    redis_url: WorkersRedisUrl = None,
) -> None:
    """Remove dead jobs with their data and results: by id, by a selection, or --all; the latter two need --yes."""
    selection = Selection(queue, job_type, older_than, limit)
    _check_choice(job_ids, selection, every)
    if not job_ids and not yes:
        raise InvalidOption("--yes", "is missing, and removed jobs cannot be had back", "list them first, then add it")
    dead_set = _open(redis_url)
    changed, gone = change(dead_set.purge, _chosen(dead_set, job_ids, selection))
    typer.echo(_told("removed", changed, gone))


def _open(redis_url: str | None) -> DeadSet:
    from jobctl.wiring.dead import open_dead_set

    return open_dead_set(settings.load({"redis_url": redis_url}))


def _check_choice(job_ids: Sequence[str] | None, selection: Selection, every: bool) -> None:
    """Refuse a choice that says nothing, or two things."""
    remedy = "give ids, or --queue, --type or --older-than, or --all"
    if job_ids and (selection.narrows or selection.limit is not None or every):
        raise InvalidOption("JOB_ID", "cannot be combined with a selection", remedy)
    if every and selection.narrows:
        raise InvalidOption("--all", "cannot be combined with a selection", remedy)
    if not job_ids and not selection.narrows and not every:
        raise InvalidOption("JOB_ID", "is missing", remedy)


def _chosen(dead_set: DeadSet, job_ids: Sequence[str] | None, selection: Selection) -> list[DeadJob]:
    return find(dead_set, job_ids) if job_ids else list(select(dead_set, selection, time.time()))


def _told(verb: str, changed: int, gone: int) -> str:
    return f"{verb} {count_of(changed, 'job')}" + (f"; {gone} more had gone meanwhile" if gone else "")


# ----------------------------------------------------------------------------------------------------------- rendering


def _render_list(jobs: Sequence[DeadJob]) -> None:
    if not jobs:
        typer.echo("no dead jobs")
        return
    rows = [("JOB", "QUEUE", "TYPE", "DIED (UTC)", "ATTEMPTS", "REASON", "ERROR")]
    rows += [
        (
            _printable(job.job_id),
            _cell(job.queue),
            _cell(job.job_type) or "-",
            _instant(job.died_s),
            str(job.attempts),
            _cell(job.reason) or "-",
            _cell(job.error) or "-",
        )
        for job in jobs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        typer.echo("  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]))


def _render_details(details: DeadJobDetails) -> None:
    job = details.job
    arguments = f"not shown ({details.encoding}, {details.size} bytes)"
    if details.args is not None:
        arguments = json.dumps({"args": details.args, "kwargs": details.kwargs}, ensure_ascii=False)
    rows = {
        "job": job.job_id,
        "queue": job.queue,
        "type": job.job_type or "-",
        "description": details.description or "-",
        "created": _instant(details.created_s),
        "enqueued": _instant(details.enqueued_s),
        "started": _instant(details.started_s),
        "died": _instant(job.died_s),
        "attempts": str(job.attempts),
        "reason": job.reason or "-",
        "arguments": arguments,
        "meta": "-" if details.meta is None else json.dumps(details.meta, ensure_ascii=False),
    }
    for name, text in rows.items():
        typer.echo(f"{name:<12}{_printable(text)}")
    typer.echo("")
    for line in (details.traceback.strip() or "no traceback is kept").splitlines():
        typer.echo(_printable(line))


def _instant(instant_s: float | None) -> str:
    return "-" if instant_s is None else datetime.fromtimestamp(instant_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cell(text: str) -> str:
    text = _printable(text)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 3]}..."


def _printable(text: str) -> str:
    """Without what a terminal would obey: it may come from anybody who can write to Redis."""
    return "".join(character if character.isprintable() else " " for character in text)
