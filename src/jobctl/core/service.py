"""Laws of how long something takes: a mean, a squared coefficient of variation (SCV) and a way to draw.

Each law is a frozen value in seconds. As text, for the command line and files::

    constant:200ms          exponential:1s          gamma:mean=1s,scv=2
    lognormal:mean=1s,p95=2s                        lognormal:p50=0.9s,p95=2s
    openrouter
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from jobctl.core.units import parse_duration, parse_positive, parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = [
    "DEFAULT_LATENCY",
    "Constant",
    "Empirical",
    "Exponential",
    "Gamma",
    "Law",
    "Lognormal",
    "OpenRouter",
    "TokenTiming",
    "draw_tokens",
    "parse_law",
    "parse_values",
]

#: The standard normal's 95 % quantile.
_Z95: Final = 1.6448536269514722
#: How long a mock's answers take when nobody says.
DEFAULT_LATENCY: Final = "lognormal:mean=1s,p95=2s"
_REMEDY: Final = (
    "give lognormal:mean=1s,p95=2s, lognormal:p50=0.9s,p95=2s, constant:200ms, exponential:1s, gamma:mean=1s,scv=2 "
    "or openrouter"
)
#: Beyond these a gamma cannot be told from a constant, or is nothing but zeros.
_GAMMA_SCV: Final = (1e-4, 1e4)


class Law(Protocol):
    """A distribution of durations."""

    @property
    def mean_s(self) -> float:
        """Its mean, seconds."""

    @property
    def scv(self) -> float:
        """Its variance over its squared mean."""

    def sample(self, rng: random.Random) -> float:
        """One draw, seconds."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same: the D in M/D/c."""

    mean_s: float

    @property
    def scv(self) -> float:
        """Nothing varies."""
        return 0.0

    def sample(self, rng: random.Random) -> float:
        """The value itself; draws nothing."""
        return self.mean_s


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless: the M in M/M/c."""

    mean_s: float

    @property
    def scv(self) -> float:
        """One, by definition."""
        return 1.0

    def sample(self, rng: random.Random) -> float:
        """One draw."""
        return rng.expovariate(1 / self.mean_s)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Gamma with shape 1/scv: burstier or steadier than exponential by one number."""

    mean_s: float
    scv: float

    def sample(self, rng: random.Random) -> float:
        """One draw."""
        return rng.gammavariate(1 / self.scv, self.mean_s * self.scv)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """exp of a normal(mu, sigma): many quick ones, a long tail."""

    mu: float
    sigma: float

    @classmethod
    def from_mean_and_p95(cls, mean_s: float, p95_s: float) -> Lognormal:
        """Fit by mean and 95th percentile.

        ln p95 - ln mean = z sigma - sigma²/2, whose smaller root is the law with the lighter tail. A solution exists
        while p95/mean <= exp(z²/2) = 3.87.

        Raises:
            InvalidValue: No lognormal has these two.
        """
        ratio = math.log(p95_s / mean_s)
        square = _Z95**2 - 2 * ratio
        if ratio < 0 or square < 0:
            raise InvalidValue(
                f"no lognormal has mean {mean_s:g} s and p95 {p95_s:g} s", "give a p95 of one to 3.86 times the mean"
            )
        sigma = _Z95 - math.sqrt(square)
        return cls(math.log(mean_s) - sigma**2 / 2, sigma)

    @classmethod
    def from_p50_and_p95(cls, p50_s: float, p95_s: float) -> Lognormal:
        """Fit by median and 95th percentile: sigma = ln(p95/p50) / z.

        Raises:
            InvalidValue: The p95 is below the median.
        """
        if p95_s < p50_s:
            raise InvalidValue(f"p95 {p95_s:g} s is below p50 {p50_s:g} s", "swap them")
        return cls(math.log(p50_s), math.log(p95_s / p50_s) / _Z95)

    @property
    def mean_s(self) -> float:
        """exp(mu + sigma²/2)."""
        return math.exp(self.mu + self.sigma**2 / 2)

    @property
    def scv(self) -> float:
        """exp(sigma²) - 1."""
        return math.expm1(self.sigma**2)

    def sample(self, rng: random.Random) -> float:
        """One draw."""
        return rng.lognormvariate(self.mu, self.sigma)


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of the given values, each as likely as the others."""

    values: tuple[float, ...]

    @property
    def mean_s(self) -> float:
        """Their mean."""
        return math.fsum(self.values) / len(self.values)

    @property
    def scv(self) -> float:
        """Their population variance over the squared mean."""
        mean = self.mean_s
        return math.fsum((value - mean) ** 2 for value in self.values) / len(self.values) / mean**2

    def sample(self, rng: random.Random) -> float:
        """One draw."""
        return rng.choice(self.values)


@dataclass(frozen=True, slots=True)
class TokenTiming:
    """How one answer of a language model comes about.

    Attributes:
        first_token_s: From the request to the first token.
        per_token_s: Between two tokens after that.
        tokens: How many there are, at least 1.
    """

    first_token_s: float
    per_token_s: float
    tokens: int

    @property
    def total_s(self) -> float:
        """From the request to the last token."""
        return self.first_token_s + (self.tokens - 1) * self.per_token_s


@dataclass(frozen=True, slots=True)
class OpenRouter:
    """A hosted model behind OpenRouter: total = time to first token + (n - 1) x time per token, all independent.

    The form is that of the llm-d simulator and AWS llmeter; the figures are a choice within what was published for 2026
    (modelstats.ai percentiles, OpenRouter's own last-30-minutes figures), not a measurement: time to first token is
    lognormal with a slow tail, because pings show a p99 that no lognormal through their p50 and p95 reaches; lengths
    are about exponential (ServeGen, arXiv 2505.09999), here geometric, which is the same in whole tokens.

    Attributes:
        first_token: Law of the time to first token, without its tail.
        tail_share: Share of calls whose first token is slow.
        tail_factors: How many times slower: uniform between these two.
        per_token: Law of the time per token; one draw for each call.
        mean_tokens: Mean length of an answer.
    """

    first_token: Lognormal = Lognormal(math.log(0.7), 0.5)
    tail_share: float = 0.015
    tail_factors: tuple[float, float] = (5.0, 10.0)
    per_token: Lognormal = Lognormal(math.log(0.012), 0.3)
    mean_tokens: float = 250.0

    @property
    def mean_s(self) -> float:
        """E[X] (1 - q + q E[U]) + (m - 1) E[Y], with q the tail's share, U its factor and m the mean length."""
        low, high = self.tail_factors
        tail = 1 - self.tail_share + self.tail_share * (low + high) / 2
        return self.first_token.mean_s * tail + (self.mean_tokens - 1) * self.per_token.mean_s

    @property
    def scv(self) -> float:
        """By second moments: E[U²] = (low² + low high + high²) / 3, and E[N²] = 2 m² + m, N geometric with mean m."""
        low, high = self.tail_factors
        share, more = self.tail_share, self.mean_tokens - 1
        tail, tail_square = (low + high) / 2, (low * low + low * high + high * high) / 3
        first, pace = self.first_token, self.per_token
        first_mean = first.mean_s * (1 - share + share * tail)
        first_square = first.mean_s**2 * (1 + first.scv) * (1 - share + share * tail_square)
        rest_mean = more * pace.mean_s
        rest_square = (2 * more * more + more) * pace.mean_s**2 * (1 + pace.scv)
        variance = first_square - first_mean**2 + rest_square - rest_mean**2
        return variance / self.mean_s**2

    def draw(self, rng: random.Random) -> TokenTiming:
        """One answer."""
        first_token_s = self.first_token.sample(rng)
        if rng.random() < self.tail_share:
            first_token_s *= rng.uniform(*self.tail_factors)
        return TokenTiming(first_token_s, self.per_token.sample(rng), draw_tokens(rng, self.mean_tokens))

    def sample(self, rng: random.Random) -> float:
        """One draw of the whole."""
        return self.draw(rng).total_s


def draw_tokens(rng: random.Random, mean: float) -> int:
    """A length of at least 1, geometric with that mean: the floor of an exponential, plus one."""
    return 1 + int(rng.expovariate(math.log1p(1 / (mean - 1))))


def parse_law(text: str) -> Law:
    """Read a law from text.

    Raises:
        InvalidValue: The text names none, or its parameters do not fit.
    """
    kind, _, parameters = text.strip().partition(":")
    kind = kind.strip().lower()
    if parameters and "=" not in parameters:
        parameters = f"mean={parameters}"
    fields = dict(_field(part, text) for part in parameters.split(",")) if parameters else {}
    build = _FORMS.get((kind, frozenset(fields)))
    if build is None:
        raise InvalidValue(f"{text!r} is no law of durations", _REMEDY)
    return build(fields)


def parse_values(lines: Sequence[str], place: str) -> Empirical:
    """Read an empirical law, one duration a line; blank lines and those that start with # are skipped.

    Raises:
        InvalidValue: A line is no duration, or none is above 0.
    """
    values = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                values.append(parse_duration(line))
            except InvalidValue as error:
                raise InvalidValue(f"{place} line {number}: {error.problem}", error.remedy) from None
    if not any(values):
        raise InvalidValue(f"{place} holds no duration above 0", "write one duration a line, such as 0.85 or 850ms")
    return Empirical(tuple(values))


def _field(part: str, text: str) -> tuple[str, str]:
    name, separator, value = part.partition("=")
    if not separator:
        raise InvalidValue(f"{text!r} has {part!r} where name=value belongs", _REMEDY)
    return name.strip().lower(), value


def _scv(text: str) -> float:
    scv = parse_positive(text)
    low, high = _GAMMA_SCV
    if not low <= scv <= high:
        raise InvalidValue(f"scv {scv:g} is out of range", f"give {low:g} to {high:g}; constant:1s has an scv of 0")
    return scv


def _seconds(fields: Mapping[str, str], name: str) -> float:
    return parse_positive_duration(fields[name])


_Form = tuple[str, frozenset[str]]
_FORMS: Final[Mapping[_Form, Callable[[Mapping[str, str]], Law]]] = {
    ("constant", frozenset({"mean"})): lambda fields: Constant(_seconds(fields, "mean")),
    ("exponential", frozenset({"mean"})): lambda fields: Exponential(_seconds(fields, "mean")),
    ("gamma", frozenset({"mean", "scv"})): lambda fields: Gamma(_seconds(fields, "mean"), _scv(fields["scv"])),
    ("lognormal", frozenset({"mean", "p95"})): lambda fields: Lognormal.from_mean_and_p95(
        _seconds(fields, "mean"), _seconds(fields, "p95")
    ),
    ("lognormal", frozenset({"p50", "p95"})): lambda fields: Lognormal.from_p50_and_p95(
        _seconds(fields, "p50"), _seconds(fields, "p95")
    ),
    ("openrouter", frozenset()): lambda fields: OpenRouter(),
}
