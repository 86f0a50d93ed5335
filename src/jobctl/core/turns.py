"""Whose turn it is: queues by weight, without starvation.

Smooth weighted round-robin, as nginx balances its upstreams (commit 52327e0627f49dbda1e8db695e63a4b0af4448b7, 2012).
Each queue has a credit, at first 0. For each turn every queue gains its weight, the one with the most credit is picked
(the first of equals), and it pays the sum of all weights. With weights w and their sum W:

* in each W turns from the start, queue i has exactly w_i: after W turns all credits are 0 again;
* so each queue has at least one turn in each cycle of W, however small its weight;
* turns of one queue are spread over the cycle: 5, 1, 1 gives a a b a c a a, not a a a a a b c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from jobctl.core.units import parse_whole
from jobctl.errors import InvalidValue

__all__ = ["MOST_WEIGHT", "Turns", "parse_weighted"]

#: The largest weight: the lightest queue beside one of it waits for at most so many turns.
MOST_WEIGHT: Final = 1000
_parse_weight: Final = partial(parse_whole, minimum=1, maximum=MOST_WEIGHT)


class Turns:
    """An endless, deterministic order of turns.

    Args:
        weights: Of each queue, whole numbers from 1.

    Raises:
        ValueError: There is none, or one is less than 1.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        if not weights or min(weights) < 1:
            raise ValueError(f"weights must be whole numbers from 1, got {list(weights)}")
        self._weights = tuple(weights)
        self._total = sum(weights)
        self._credits = [0] * len(weights)

    def next(self, count: int) -> list[int]:
        """The queues, by their place in the weights, whose turns are the next ``count``."""
        return [self._turn() for _ in range(count)]

    def _turn(self) -> int:
        self._credits = [credit + weight for credit, weight in zip(self._credits, self._weights, strict=True)]
        picked = self._credits.index(max(self._credits))
        self._credits[picked] -= self._total
        return picked


def parse_weighted(text: str) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Read names of queues, all with a weight (``high:6,default:3,low:1``) or none with one (``high,default,low``).

    Returns:
        The names, and their weights or None.

    Raises:
        InvalidValue: A name is empty or comes twice, a weight is no whole number from 1, or only some have one.
    """
    pairs: list[Sequence[str]] = [part.strip().split(":", 1) for part in text.split(",")]
    names = tuple(pair[0].strip() for pair in pairs)
    if not all(names):
        raise InvalidValue(f"{text!r} names an empty queue", "give names with commas between, such as high,default,low")
    blank = next((name for name in names if name.split() != [name]), None)
    if blank is not None:
        raise InvalidValue(f"{blank!r} has a blank in it", "put commas between names, such as high,default,low")
    if len(set(names)) != len(names):
        raise InvalidValue(f"{text!r} names a queue twice", "name each queue once, most urgent first")
    weights: Mapping[str, str] = {pair[0].strip(): pair[1] for pair in pairs if len(pair) == 2}
    if not weights:
        return names, None
    bare = next((name for name in names if name not in weights), None)
    if bare is not None:
        raise InvalidValue(
            f"{text!r} gives {bare!r} no weight", "give all queues a weight or none, such as high:6,default:3,low:1"
        )
    return names, tuple(_weight(name, weights[name]) for name in names)


def _weight(name: str, text: str) -> int:
    try:
        return _parse_weight(text)
    except InvalidValue as error:
        raise InvalidValue(f"the weight of {name!r}: {error.problem}", error.remedy) from None
