"""What the mock decides for a call: how long it takes, how it is spread over a stream, and which fault strikes.

Seeded: call number n gets the same draws whatever happened before, so two runs that send the same calls in the same
order see the same latencies and faults.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from jobctl.core.service import Law, OpenRouter, draw_tokens
from jobctl.core.units import parse_fraction
from jobctl.errors import InvalidValue

__all__ = ["FAILOVER", "REFUSALS", "STATUS_FAULTS", "Behaviour", "Fault", "Timing", "parse_faults"]

#: Mean length of an answer where the law does not say it.
_MEAN_TOKENS: Final = 250.0
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


#: Faults that are an error status, before anything of an answer is sent.
STATUS_FAULTS: Final = frozenset(Fault) - {Fault.MIDSTREAM, Fault.DISCONNECT, Fault.SLOW, Fault.EMBEDDED}
#: Those of them that OpenRouter decides itself, at once; the others take as long as a first token.
REFUSALS: Final = frozenset({Fault.PAYMENT, Fault.BUDGET, Fault.FORBIDDEN, Fault.MODERATION, Fault.RATE_LIMIT})
#: Those of them that send a call on to the next of its models, for another provider may do better.
FAILOVER: Final = STATUS_FAULTS - {Fault.PAYMENT, Fault.BUDGET, Fault.FORBIDDEN}


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
class Behaviour:
    """How the mock behaves.

    Attributes:
        law: Law of the whole answer's time; OpenRouter's own also says when the first token comes.
        faults: Probability of each fault; they sum to at most 1.
        seed: Seed of every draw.
        laws: Laws of single models, by their ids, in place of the common one.
    """

    law: Law
    faults: Mapping[Fault, float]
    seed: int
    laws: Mapping[str, Law] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if math.fsum(self.faults.values()) > 1 + 1e-9:
            raise InvalidValue("the probabilities of all faults sum to more than 1", "lower them")

    def timing(self, call: int, max_tokens: int, model: str | None = None) -> Timing:
        """How long call number ``call`` takes.

        A bound on the tokens shortens the answer; it shortens the time only under OpenRouter's law, where time is made
        of tokens.

        Args:
            call: The call.
            max_tokens: The bound.
            model: The id of the model that was asked first; None for no matter which.
        """
        rng = random.Random(f"timing:{self.seed}:{call}")
        law = self.laws.get(model, self.law) if model is not None else self.law
        if isinstance(law, OpenRouter):
            drawn = law.answer(rng)
            capped = replace(drawn, tokens=min(drawn.tokens, max_tokens))
            return Timing(capped.first_token_s, capped.total_s, capped.tokens)
        total_s = law.sample(rng)
        tokens = min(draw_tokens(rng, _MEAN_TOKENS), max_tokens)
        return Timing(total_s * _FIRST_TOKEN_SHARE, total_s, tokens)

    def fault(self, call: int, attempt: int = 1) -> Fault | None:
        """The fault that strikes call number ``call`` by chance, if any.

        Args:
            call: The call.
            attempt: Which of its models is asked, from 1: each has a draw of its own.
        """
        if not self.faults:
            return None
        draw = random.Random(f"fault:{self.seed}:{call}:{attempt}").random()
        for fault, probability in self.faults.items():
            draw -= probability
            if draw < 0:
                return fault
        return None


def parse_faults(texts: Sequence[str]) -> dict[Fault, float]:
    """Read ``429=0.02`` and its like.

    Raises:
        InvalidValue: A kind is unknown or given twice, or a probability lies outside 0..1.
    """
    faults: dict[Fault, float] = {}
    for text in texts:
        kind, separator, probability = (part.strip() for part in text.partition("="))
        if not separator or kind not in set(Fault):
            raise InvalidValue(
                f"{text!r} is no fault", f"give KIND=PROBABILITY such as 429=0.02; kinds: {', '.join(Fault)}"
            )
        if Fault(kind) in faults:
            raise InvalidValue(f"{kind} is given twice", "give each kind once")
        faults[Fault(kind)] = parse_fraction(probability)
    return faults
