"""What a job is: its type, the function behind it, and the arguments one job after the other is given.

The synthetic types stand for what a background job does: call OpenRouter, hold a slot for a while, nothing at all.
Anything with a dot in it is a function of the user's own, by its path.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from typing import Any, Final

from jobctl.core.retrying import MOST_ATTEMPTS
from jobctl.core.service import Law, parse_law
from jobctl.core.units import parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = [
    "DEFAULT_JOB",
    "DEFAULT_MODEL",
    "JOB_TYPES",
    "Payload",
    "Workload",
    "draw_attempts",
    "make_workload",
    "parse_service_law",
    "sleep_payload",
]

#: Positional and keyword arguments of one job.
Payload = tuple[tuple[Any, ...], dict[str, Any]]

#: Synthetic job types and the functions behind them.
JOB_TYPES: Final = {name: f"jobctl.apps.work.tasks.{name}" for name in ("chat_completion", "sleep", "noop")}
#: The type when none is named.
DEFAULT_JOB: Final = "chat_completion"
#: The model that ``chat_completion`` jobs call when their arguments name none.
DEFAULT_MODEL: Final = "openai/gpt-4o-mini"
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
        failure_rate: For ``sleep`` jobs: the probability that an attempt fails; it holds its slot for a time of the
            same law.
        share: Its share of the jobs of a mix, 0 to 1.
        queue: The queue it goes to; None for the run's own.
        latency_law: For ``chat_completion`` jobs: the law by which a mock answers their model, as text; None for the
            mock's own.
    """

    job_type: str
    function: str
    payloads: tuple[Payload, ...]
    service_law: str | None
    failure_rate: float = 0.0
    share: float = 1.0
    queue: str | None = None
    latency_law: str | None = None

    @property
    def synthetic(self) -> str | None:
        """The synthetic type it is, whatever its name; None for a function of the user's own."""
        return next((name for name, function in JOB_TYPES.items() if function == self.function), None)

    @property
    def models(self) -> frozenset[str | None]:
        """The models that its jobs call; None stands for a job that calls none, or one that cannot be told."""
        if self.synthetic != DEFAULT_JOB:
            return frozenset({None})
        return frozenset(kwargs.get("model", DEFAULT_MODEL) for _, kwargs in self.payloads)

    def arguments(self, seed: int) -> Iterator[Payload]:
        """Arguments of one job after the other, without end; the same seed draws the same, for each name others."""
        if self.service_law is None:
            return cycle(self.payloads)
        law = parse_law(self.service_law)
        rng = random.Random(f"service:{self.job_type}:{seed}")
        if not self.failure_rate:
            return (sleep_payload(law.sample(rng)) for _ in repeat(None))
        return (sleep_payload(*draw_attempts(law, rng, self.failure_rate)) for _ in repeat(None))


def sleep_payload(seconds: float, failing: Sequence[float] = ()) -> Payload:
    """Arguments of a ``sleep`` job.

    Args:
        seconds: How long it holds its slot when it succeeds.
        failing: How long each of its first attempts holds the slot before it fails.
    """
    held_s = [round(failed_s, 6) for failed_s in failing]
    return ((round(seconds, 6), held_s) if held_s else (round(seconds, 6),)), {}


def draw_attempts(
    law: Law,
    rng: random.Random,
    failure_rate: float,
    *,
    failed_ratio: float = 1.0,
    failed_s: float | None = None,
    timeout_s: float = math.inf,
) -> tuple[float, list[float]]:
    """For how long the attempts of one job would hold a slot, each independent of the others.

    Args:
        law: Of an attempt that succeeds.
        rng: Source of chance.
        failure_rate: Probability that an attempt fails.
        failed_ratio: A failed one takes so many times the law's time.
        failed_s: Or this fixed time, seconds; None for the ratio.
        timeout_s: A longer attempt holds its slot for so long and has failed.

    Returns:
        The seconds of the attempt that succeeds, and those of the failed ones before it; no more than are ever tried.
    """
    failing: list[float] = []
    while True:
        seconds = law.sample(rng)
        if rng.random() < failure_rate:
            failing.append(min(timeout_s, seconds * failed_ratio if failed_s is None else failed_s))
        elif seconds > timeout_s:
            failing.append(timeout_s)
        else:
            return seconds, failing
        if len(failing) == MOST_ATTEMPTS:
            return timeout_s if math.isfinite(timeout_s) else seconds, failing


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
    job: str | None,
    *,
    payloads: Sequence[Payload] | None = None,
    service_law: str | None = None,
    failure_rate: float = 0.0,
) -> Workload:
    """Settle what is enqueued.

    Args:
        job: A synthetic type or a dotted path; None for the default type.
        payloads: Arguments that were given; None for the type's own.
        service_law: How long ``sleep`` jobs hold their slot, as text; None for the default.
        failure_rate: The probability that an attempt of a ``sleep`` job fails.

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
    return Workload(job_type, function, tuple(payloads or own), law, failure_rate if law else 0.0)
