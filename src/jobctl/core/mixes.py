"""A mix of job types: which share each has of all jobs, and which type the next job is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from jobctl.core.service import parse_law
from jobctl.core.units import parse_positive, parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = ["NamedShare", "even_shares", "parse_named_share", "parse_share", "type_at"]

#: Shares of a mix sum to 1 but for rounding.
_ROUNDING: Final = 1e-6


class NamedShare(NamedTuple):
    """One type of jobs in a mix.

    Attributes:
        name: What it is called.
        share: Of all jobs.
        law: Of the time that a job holds its slot, as text.
    """

    name: str
    share: float
    law: str


def parse_named_share(text: str) -> NamedShare:
    """Read ``NAME SHARE LAW``, such as ``summary 0.3 lognormal:mean=8s,p95=20s``; a duration is an exponential's mean.

    Raises:
        InvalidValue: It is something else.
    """
    words = text.split(maxsplit=2)
    remedy = 'write NAME SHARE LAW, such as "summary 0.3 exponential:8s"'
    if len(words) != 3:
        raise InvalidValue(f"{text!r} is no job type", remedy)
    name, share_text, law = words
    try:
        share = parse_share(share_text)
        if ":" not in law and not law.strip().isalpha():  # a law may need no parameters
            law = f"exponential:{parse_positive_duration(law)!r}s"
        parse_law(law)
    except InvalidValue as error:
        raise InvalidValue(f"{text!r}: {error.problem}", remedy) from None
    return NamedShare(name, share, law)


def parse_share(text: str) -> float:
    """Read a share: ``0.3`` or ``30%``.

    Raises:
        InvalidValue: It is not above 0.
    """
    share = parse_positive(text.removesuffix("%"))
    return share / 100 if text.endswith("%") else share


def even_shares(named: Sequence[tuple[str, float]]) -> list[float]:
    """The shares of a mix, so that they sum to 1 exactly where they did but for rounding.

    Args:
        named: Name and share of each type.

    Raises:
        InvalidValue: A name comes twice, or the sum is another.
    """
    names = [name for name, _ in named]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidValue(f"names {twice!r} twice", "give each type once")
    total = math.fsum(share for _, share in named)
    if abs(total - 1) > _ROUNDING:
        raise InvalidValue(f"has shares that sum to {total:.6g}", "make them sum to 1")
    return [share / total for _, share in named]


def type_at(shares: Sequence[float], seed: int, position: int) -> int:
    """Which type of a mix the job at a position of the schedule is, as an index.

    Each position is a draw of its own, a hash of seed and position as a number of 0 to 1 against the cumulated shares:
    it depends on no other position, so every process tells the same without drawing those before it.

    Args:
        shares: Of each type; they sum to 1.
        seed: Seed of the mix; the arrivals and service times have others.
        position: The job's place in the schedule.
    """
    last = len(shares) - 1
    if not last:
        return 0
    drawn = hashlib.blake2b(f"mix:{seed}:{position}".encode(), digest_size=8).digest()
    left = int.from_bytes(drawn) / 2.0**64
    for nth, share in enumerate(shares):
        left -= share
        if left < 0:
            return nth
    return last
