"""What the mock decides for a call: how long it takes, how it is spread over a stream, and which fault strikes.

Seeded: call number n gets the same draws whatever happened before, so two runs that send the same calls in the same
order see the same latencies and faults.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobctl.core.service import Law
from jobctl.core.units import parse_fraction
from jobctl.errors import InvalidValue

__all__ = ["Behaviour", "Fault", "OpenRouterLaw", "Timing", "parse_fault"]

_MEAN_TOKENS: Final = 250
#: The share of an answer's time that passes before its first token, for laws of the whole answer.
_FIRST_TOKEN_SHARE: Final = 0.4


class Fault(StrEnum):
    """What can go wrong, by the word that asks for it."""

    PAYMENT = "402"
    FORBIDDEN = "403"
    TIMEOUT = "408"
    RATE_LIMIT = "429"
    INTERNAL = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    #: 402 that heals: too many requests in flight for the balance, with Retry-After.
    BUDGET = "budget"
    #: 403 with a moderation report.
    MODERATION = "moderation"
    #: A stream that ends with an error event; a plain answer whose choice carries the error.
    MIDSTREAM = "midstream"
    #: The connection is cut after some content.
    DISCONNECT = "disconnect"
    #: The first token, or the whole answer, comes late; keep-alive bytes flow meanwhile.
    SLOW = "slow"
    #: HTTP 200 with the error inside.
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one call takes.

    Attributes:
        first_token_s: From the request's arrival to the first token.
        total_s: From the request's arrival to the end of the answer.
        completion_tokens: Tokens of the answer.
    """

    first_token_s: float
    total_s: float
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class OpenRouterLaw:
    """Latency as published for hosted models in 2026, as a choice rather than a fact.

    Time to first token: lognormal, median 0.7 s, sigma 0.5, and 1.5 % of calls 5 to 10 times slower (modelstats.ai
    percentiles need a tail beside a lognormal body). Time per token: lognormal, median 12 ms, sigma 0.3. Length:
    exponential, mean 250 tokens (ServeGen, arXiv 2505.09999).
    """

    def draw(self, rng: random.Random, max_tokens: int | None) -> Timing:
        """One call."""
        first_token_s = rng.lognormvariate(-0.35667494393873245, 0.5)  # ln 0.7
        if rng.random() < 0.015:
            first_token_s *= rng.uniform(5, 10)
        per_token_s = rng.lognormvariate(-4.422848629194137, 0.3)  # ln 0.012
        tokens = _capped(rng, max_tokens)
        return Timing(first_token_s, first_token_s + (tokens - 1) * per_token_s, tokens)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the mock behaves.

    Attributes:
        law: Law of the whole answer's time, or OpenRouter's own.
        faults: Probability of each fault; they sum to at most 1.
        seed: Seed of every draw.
    """

    law: Law | OpenRouterLaw
    faults: Mapping[Fault, float]
    seed: int

    def __post_init__(self) -> None:
        if sum(self.faults.values()) > 1 + 1e-9:
            raise InvalidValue("the probabilities of all faults sum to more than 1", "lower them")

    def timing(self, call: int, max_tokens: int | None) -> Timing:
        """How long call number ``call`` takes."""
        rng = random.Random(f"timing:{self.seed}:{call}")
        if isinstance(self.law, OpenRouterLaw):
            return self.law.draw(rng, max_tokens)
        total_s = self.law.sample(rng)
        return Timing(total_s * _FIRST_TOKEN_SHARE, total_s, _capped(rng, max_tokens))

    def fault(self, call: int) -> Fault | None:
        """The fault that strikes call number ``call`` by chance, if any."""
        draw = random.Random(f"fault:{self.seed}:{call}").random()
        for fault, probability in self.faults.items():
            draw -= probability
            if draw < 0:
                return fault
        return None


def parse_fault(text: str) -> tuple[Fault, float]:
    """Read ``429=0.02``.

    Raises:
        InvalidValue: The kind is unknown, or the probability lies outside 0..1.
    """
    kind, separator, probability = text.partition("=")
    if not separator or kind not in set(Fault):
        raise InvalidValue(
            f"{text!r} is no fault", f"give KIND=PROBABILITY such as 429=0.02; kinds: {', '.join(Fault)}"
        )
    return Fault(kind), parse_fraction(probability)


def _capped(rng: random.Random, max_tokens: int | None) -> int:
    tokens = max(1, round(rng.expovariate(1 / _MEAN_TOKENS)))
    return tokens if max_tokens is None else min(tokens, max_tokens)
