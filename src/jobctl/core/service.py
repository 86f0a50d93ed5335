"""Laws of how long something takes: a mean, a squared coefficient of variation (SCV) and a way to draw.

Each law is a frozen value in seconds. As text, for the command line and files::

    constant:200ms          exponential:1s          gamma:mean=1s,scv=2
    lognormal:mean=1s,p95=2s                        lognormal:p50=0.9s,p95=2s
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from jobctl.core.units import parse_duration, parse_positive, parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = ["Constant", "Empirical", "Exponential", "Gamma", "Law", "Lognormal", "parse_law"]

#: The standard normal's 95 % quantile.
_Z95: Final = 1.6448536269514722
_REMEDY: Final = "give constant:200ms, exponential:1s, gamma:mean=1s,scv=2 or lognormal:mean=1s,p95=2s"


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
    """Always the same."""

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
                f"no lognormal has mean {mean_s:g} s and p95 {p95_s:g} s", "give a p95 of one to 3.87 times the mean"
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


def parse_law(text: str) -> Law:
    """Read a law from text.

    Raises:
        InvalidValue: The text names none, or its parameters do not fit.
    """
    kind, _, parameters = text.strip().partition(":")
    build = _BUILDERS.get(kind.lower())
    if build is None or not parameters:
        raise InvalidValue(f"{text!r} is no latency law", _REMEDY)
    if "=" not in parameters:
        parameters = f"mean={parameters}"
    fields = dict(_field(part, text) for part in parameters.split(","))
    try:
        return build(fields)
    except KeyError as missing:
        raise InvalidValue(f"{text!r} lacks {missing.args[0]}", _REMEDY) from None


def parse_values(lines: Sequence[str], place: str) -> Empirical:
    """Read an empirical law, one duration a line; blank lines and those that start with # are skipped.

    Raises:
        InvalidValue: A line is no duration, or there is none.
    """
    values = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                values.append(parse_duration(line))
            except InvalidValue as error:
                raise InvalidValue(f"{place} line {number}: {error.problem}", error.remedy) from None
    if not values or not any(values):
        raise InvalidValue(f"{place} holds no duration above 0", "write one duration a line, such as 0.85 or 850ms")
    return Empirical(tuple(values))


def _field(part: str, text: str) -> tuple[str, str]:
    name, separator, value = part.partition("=")
    if not separator:
        raise InvalidValue(f"{text!r} has {part!r} where name=value belongs", _REMEDY)
    return name.strip().lower(), value


def _mean(fields: Mapping[str, str]) -> float:
    return parse_positive_duration(fields["mean"])


def _lognormal(fields: Mapping[str, str]) -> Lognormal:
    p95_s = parse_positive_duration(fields["p95"])
    if "p50" in fields:
        return Lognormal.from_p50_and_p95(parse_positive_duration(fields["p50"]), p95_s)
    return Lognormal.from_mean_and_p95(_mean(fields), p95_s)


_BUILDERS: Final[Mapping[str, Callable[[Mapping[str, str]], Law]]] = {
    "constant": lambda fields: Constant(_mean(fields)),
    "exponential": lambda fields: Exponential(_mean(fields)),
    "gamma": lambda fields: Gamma(_mean(fields), parse_positive(fields["scv"])),
    "lognormal": _lognormal,
}
