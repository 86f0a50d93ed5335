"""Choose among the jobs that failed for good, and put them back to work or remove them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final

from jobctl.errors import InvalidOption
from jobctl.ports import DeadJob, DeadJobDetails, DeadSet

__all__ = ["Selection", "change", "find", "select", "show", "to_json"]

#: Jobs changed in one step: how many are under way when somebody presses Ctrl-C.
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs.

    Attributes:
        queue: Of this queue; None for all.
        job_type: Whose function has this dotted path, or one that this pattern (``myapp.tasks.*``) fits.
        older_than_s: That died at least so many seconds ago; those whose death is not dated never match.
        limit: At most so many, the latest.
    """

    queue: str | None = None
    job_type: str | None = None
    older_than_s: float | None = None
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out, other than by number."""
        return self.queue is not None or self.job_type is not None or self.older_than_s is not None

    def fits(self, job: DeadJob, now_s: float) -> bool:
        """Whether it means this job."""
        if self.job_type is not None and not fnmatchcase(job.job_type, self.job_type):
            return False
        return self.older_than_s is None or (job.died_s is not None and now_s - job.died_s >= self.older_than_s)


def select(dead: DeadSet, selection: Selection, now_s: float) -> Iterator[DeadJob]:
    """The jobs that are meant, the latest first, read as they are asked for.

    Raises:
        InvalidOption: There is no such queue.
    """
    queues = dead.queues()
    if selection.queue is not None:
        if selection.queue not in queues and not dead.count(selection.queue):
            near = get_close_matches(selection.queue, queues, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"known queues: {', '.join(queues) or 'none'}"
            raise InvalidOption("--queue", f"there is no queue {selection.queue!r}", known)
        queues = [selection.queue]
    latest_first = heapq.merge(*(dead.jobs(queue) for queue in queues), key=lambda job: -(job.died_s or 0.0))
    return islice((job for job in latest_first if selection.fits(job, now_s)), selection.limit)


def find(dead: DeadSet, job_ids: Sequence[str]) -> list[DeadJob]:
    """The dead jobs of these ids, each once.

    Raises:
        InvalidOption: One is not dead.
    """
    ids = list(dict.fromkeys(job_ids))
    jobs = dead.find(ids)
    missing = next((job_id for job_id, job in zip(ids, jobs, strict=True) if job is None), None)
    if missing is not None:
        raise InvalidOption("JOB_ID", f"no dead job has the id {missing!r}", "jobctl dead list shows those there are")
    return [job for job in jobs if job is not None]


def show(dead: DeadSet, job_id: str) -> DeadJobDetails:
    """All about one job.

    Raises:
        InvalidOption: It is not dead.
    """
    (job,) = find(dead, [job_id])
    details = dead.details(job)
    return details if details is not None else show(dead, job_id)  # it has gone meanwhile: say so


def change(do: Callable[[Sequence[DeadJob]], int], jobs: Iterator[DeadJob] | Sequence[DeadJob]) -> tuple[int, int]:
    """Retry or purge jobs.

    All are chosen before the first is changed: they are read page by page, and a change moves the pages.

    Args:
        do: :meth:`DeadSet.retry` or :meth:`DeadSet.purge`.
        jobs: The jobs.

    Returns:
        How many were changed, and how many were not dead any more.
    """
    chosen = list(jobs)
    changed = sum(do(chosen[first : first + _BATCH]) for first in range(0, len(chosen), _BATCH))
    return changed, len(chosen) - changed


def to_json(value: DeadJob | DeadJobDetails) -> dict[str, Any]:
    """A job as JSON knows it: field by field."""
    return asdict(value)
