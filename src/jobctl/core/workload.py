"""What a job is: its type, the function behind it, and the arguments one job after the other is given.

The synthetic types stand for what a background job does: call OpenRouter, hold a slot for a while, nothing at all.
Anything with a dot in it is a function of the user's own, by its path.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from typing import Any, Final

from jobctl.core.service import parse_law
from jobctl.core.units import parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = ["DEFAULT_JOB", "JOB_TYPES", "Payload", "Workload", "make_workload", "parse_service_law"]

#: Positional and keyword arguments of one job.
Payload = tuple[tuple[Any, ...], dict[str, Any]]

#: Synthetic job types and the functions behind them.
JOB_TYPES: Final = {name: f"jobctl.apps.work.tasks.{name}" for name in ("chat_completion", "sleep", "noop")}
#: The type when none is named.
DEFAULT_JOB: Final = "chat_completion"
_DEFAULT_SLEEP: Final = "constant:1s"
_PROMPTS: Final[tuple[Payload, ...]] = (
    ((), {"prompt": "Summarise this support ticket in one sentence: the export button does nothing."}),
    ((), {"prompt": "Classify the sentiment of: 'Delivery was late but the product is great.'"}),
    ((), {"prompt": "Write a product description of forty words for a folding bicycle."}),
)
_NO_ARGUMENTS: Final[Payload] = ((), {})


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs of one type.

    Attributes:
        job_type: The name figures are grouped by.
        function: Dotted path of the function to enqueue.
        payloads: Arguments, taken in turn.
        service_law: For ``sleep`` jobs: the law their seconds are drawn from, as text; None for others.
    """

    job_type: str
    function: str
    payloads: tuple[Payload, ...]
    service_law: str | None

    def arguments(self, seed: int) -> Iterator[Payload]:
        """Arguments of one job after the other, without end; the same seed draws the same."""
        if self.service_law is None:
            return cycle(self.payloads)
        law = parse_law(self.service_law)
        rng = random.Random(f"service:{seed}")
        return (((round(law.sample(rng), 6),), {}) for _ in repeat(None))


def parse_service_law(text: str) -> str:
    """Read how long jobs hold their slot: a duration (200ms), or a law such as ``exponential:200ms``.

    Returns:
        The law's text; a duration becomes a constant.

    Raises:
        InvalidValue: The text is neither.
    """
    if ":" in text or text.strip().isalpha():  # a law may need no parameters
        parse_law(text)
        return text.strip()
    return f"constant:{parse_positive_duration(text)!r}s"


def make_workload(
    job: str | None, *, payloads: Sequence[Payload] | None = None, service_law: str | None = None
) -> Workload:
    """Settle what is enqueued.

    Args:
        job: A synthetic type or a dotted path; None for the default type.
        payloads: Arguments that were given; None for the type's own.
        service_law: How long ``sleep`` jobs hold their slot, as text; None for the default.

    Raises:
        InvalidValue: There is no such job.
    """
    job_type = DEFAULT_JOB if job is None else job
    function = JOB_TYPES.get(job_type, job_type)
    if not all(part.isidentifier() for part in function.split(".")) or "." not in function:
        raise InvalidValue(
            f"{job_type!r} is no job", f"give {', '.join(JOB_TYPES)} or a dotted path such as myapp.tasks.f"
        )
    own = _PROMPTS if job_type == "chat_completion" else (_NO_ARGUMENTS,)
    law = (service_law or _DEFAULT_SLEEP) if job_type == "sleep" and not payloads else None
    return Workload(job_type, function, tuple(payloads or own), law)
