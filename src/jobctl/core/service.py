"""Laws of how long something takes: a mean, a squared coefficient of variation (SCV) and two ways to draw.

``sample`` gives one draw, as a run needs them; ``draw`` gives many at once, as a simulation needs them: the same law,
but quicker and by other numbers. Normals are drawn there by inverting their distribution, gammas by rejection
(Marsaglia & Tsang 2000 from shape 1 upwards, Ahrens & Dieter's GS of 1974 below).

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
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Final, NamedTuple, Protocol

from jobctl.core.units import parse_duration, parse_positive, parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = [
    "DEFAULT_LATENCY",
    "Clipped",
    "Constant",
    "Empirical",
    "Exponential",
    "Gamma",
    "Law",
    "Lognormal",
    "Mixture",
    "OpenRouter",
    "TokenTiming",
    "check_scv",
    "clipped_moments",
    "draw_tokens",
    "law_of",
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
#: A p95 so many times the median comes from mistaken units, not from a law.
_MOST_P95_OVER_P50: Final = 1000.0
#: Stands for a uniform draw of exactly 0, which has no normal quantile.
_TINY: Final = 2.0**-54
_NORMAL: Final = NormalDist()
#: Draws that stand for a law whose moments below a limit have no formula.
_CLIPPED_DRAWS: Final = 200_000


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

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """So many independent draws, seconds."""


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

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """The value, n times; draws nothing."""
        return [self.mean_s] * n


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

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """What :meth:`sample` would give n times: the inverse of 1 - exp(-x/mean)."""
        uniform, log, rate = rng.random, math.log, 1 / self.mean_s
        return [-log(1.0 - uniform()) / rate for _ in range(n)]


@dataclass(frozen=True, slots=True)
class Gamma:
    """Gamma with shape 1/scv: burstier or steadier than exponential by one number."""

    mean_s: float
    scv: float

    def sample(self, rng: random.Random) -> float:
        """One draw."""
        return rng.gammavariate(1 / self.scv, self.mean_s * self.scv)

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """So many draws by rejection."""
        shape = 1 / self.scv
        return (_draw_blunt_gamma if shape >= 1 else _draw_steep_gamma)(rng, n, shape, self.mean_s * self.scv)


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
    def from_mean_and_scv(cls, mean_s: float, scv: float) -> Lognormal:
        """Fit by the first two moments: sigma² = ln(1 + scv)."""
        square = math.log1p(scv)
        return cls(math.log(mean_s) - square / 2, math.sqrt(square))

    @classmethod
    def from_p50_and_p95(cls, p50_s: float, p95_s: float) -> Lognormal:
        """Fit by median and 95th percentile: sigma = ln(p95/p50) / z. Where the two are equal, nothing varies.

        Raises:
            InvalidValue: One is no duration, the p95 is below the median, or far beyond any law of service times.
        """
        for seconds in (p50_s, p95_s):
            if not (math.isfinite(seconds) and seconds > 0):
                raise InvalidValue(f"{seconds} s is no percentile of a duration", "give a duration above 0")
        if p95_s < p50_s:
            raise InvalidValue(f"p95 {p95_s:g} s is below p50 {p50_s:g} s", "swap them")
        if p95_s > _MOST_P95_OVER_P50 * p50_s:
            raise InvalidValue(
                f"p95 {p95_s:g} s is more than {_MOST_P95_OVER_P50:,.0f} times p50 {p50_s:g} s", "check their units"
            )
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

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """So many draws: exp(mu + sigma z), with z the normal quantile of a uniform draw."""
        uniform, exp, quantile, mu, sigma = rng.random, math.exp, _NORMAL.inv_cdf, self.mu, self.sigma
        return [exp(mu + sigma * quantile(uniform() or _TINY)) for _ in range(n)]


@dataclass(frozen=True)  # without slots, for the moments that are worked out once
class Empirical:
    """One of the given values, each as likely as the others."""

    values: tuple[float, ...]

    @cached_property
    def mean_s(self) -> float:
        """Their mean."""
        return math.fsum(self.values) / len(self.values)

    @cached_property
    def scv(self) -> float:
        """Their population variance over the squared mean."""
        mean = self.mean_s
        return math.fsum((value - mean) ** 2 for value in self.values) / len(self.values) / mean**2

    def sample(self, rng: random.Random) -> float:
        """One draw."""
        return rng.choice(self.values)

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """So many draws, with replacement."""
        return rng.choices(self.values, k=n)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Jobs of several types in one queue: each follows one of the laws, chosen by its share.

    Attributes:
        parts: Share and law of each type; the shares sum to 1.
    """

    parts: tuple[tuple[float, Law], ...]

    def __post_init__(self) -> None:
        shares = [share for share, _ in self.parts]
        if not all(share >= 0 for share in shares) or not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-9):
            text = ", ".join(f"{share:g}" for share in shares)
            raise InvalidValue(f"the shares of a mix are {text}", "give shares of at least 0 that sum to 1")

    @property
    def mean_s(self) -> float:
        """The means, weighted."""
        return math.fsum(share * law.mean_s for share, law in self.parts)

    @property
    def scv(self) -> float:
        """By second moments: each law's is mean² (1 + scv)."""
        square = math.fsum(share * law.mean_s**2 * (1 + law.scv) for share, law in self.parts)
        return max(0.0, square / self.mean_s**2 - 1)

    def sample(self, rng: random.Random) -> float:
        """One draw of one of the laws."""
        return rng.choices(self.parts, [share for share, _ in self.parts])[0][1].sample(rng)

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """So many draws: first which law each follows, then all of each law at once."""
        which = range(len(self.parts))
        chosen = rng.choices(which, [share for share, _ in self.parts], k=n)
        take = [law.draw(rng, chosen.count(part)).pop for part, (_, law) in zip(which, self.parts, strict=True)]
        return [take[part]() for part in chosen]


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

    def answer(self, rng: random.Random) -> TokenTiming:
        """One answer."""
        first_token_s = self.first_token.sample(rng)
        if rng.random() < self.tail_share:
            first_token_s *= rng.uniform(*self.tail_factors)
        return TokenTiming(first_token_s, self.per_token.sample(rng), draw_tokens(rng, self.mean_tokens))

    def sample(self, rng: random.Random) -> float:
        """One draw of the whole."""
        return self.answer(rng).total_s

    def draw(self, rng: random.Random, n: int) -> list[float]:
        """So many draws of the whole; one uniform draw says both whether the first token is slow and how slow."""
        uniform, exp, log, quantile = rng.random, math.exp, math.log, _NORMAL.inv_cdf
        mu, sigma, pace_mu, pace_sigma = (
            self.first_token.mu,
            self.first_token.sigma,
            self.per_token.mu,
            self.per_token.sigma,
        )
        share, (low, high), length = self.tail_share, self.tail_factors, 1 / math.log1p(1 / (self.mean_tokens - 1))
        return [
            exp(mu + sigma * quantile(uniform() or _TINY))
            * (low + (high - low) * slow / share if (slow := uniform()) < share else 1.0)
            + int(-length * log(1.0 - uniform())) * exp(pace_mu + pace_sigma * quantile(uniform() or _TINY))
            for _ in range(n)
        ]


class Clipped(NamedTuple):
    """What a limit leaves of a law: the moments of min(X, limit).

    Attributes:
        share_over: Probability that a draw exceeds the limit.
        mean_s: Mean of what is left, seconds.
        scv: Its squared coefficient of variation.
    """

    share_over: float
    mean_s: float
    scv: float


def draw_tokens(rng: random.Random, mean: float) -> int:
    """A length of at least 1, geometric with that mean: the floor of an exponential, plus one."""
    return 1 + int(rng.expovariate(math.log1p(1 / (mean - 1))))


def law_of(mean_s: float, scv: float) -> Law:
    """The usual law of these two moments: constant for an SCV of 0, exponential for 1, lognormal for others.

    Raises:
        InvalidValue: There is no such law.
    """
    if not (math.isfinite(mean_s) and mean_s > 0):
        raise InvalidValue(f"a mean of {mean_s} s is none", "give a duration above 0")
    if not 0 <= scv <= _GAMMA_SCV[1]:
        raise InvalidValue(f"scv {scv:g} is out of range", f"give 0 (constant) to {_GAMMA_SCV[1]:g}; 1 is exponential")
    if scv == 0:
        return Constant(mean_s)
    return Exponential(mean_s) if scv == 1 else Lognormal.from_mean_and_scv(mean_s, scv)


def clipped_moments(law: Law, limit_s: float | None) -> Clipped:
    """Moments of min(X, limit): the time a slot is held by jobs that are stopped at a timeout.

    By formula, or for :class:`OpenRouter`, which has none, from 200,000 draws of a fixed seed (a share of 0.01 is then
    off by 0.0004 at most, nineteen times in twenty).

    Args:
        law: Of X.
        limit_s: At least 0; None for no limit.
    """
    if limit_s is None or math.isinf(limit_s):
        return Clipped(0.0, law.mean_s, law.scv)
    share_over, below, below_square = _moments_below(law, limit_s)
    mean = below + share_over * limit_s
    square = below_square + share_over * limit_s**2
    return Clipped(share_over, mean, max(0.0, square / mean**2 - 1) if mean > 0 else 0.0)


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


def check_scv(scv: float) -> None:
    """Refuse the SCV of a gamma that cannot be drawn.

    Raises:
        InvalidValue: It is out of range.
    """
    low, high = _GAMMA_SCV
    if not low <= scv <= high:
        raise InvalidValue(
            f"scv {scv:g} is out of range", f"give {low:g} to {high:g}; what is constant has an scv of 0"
        )


def _scv(text: str) -> float:
    scv = parse_positive(text)
    check_scv(scv)
    return scv


def _draw_blunt_gamma(rng: random.Random, n: int, shape: float, scale: float) -> list[float]:
    """Gammas of a shape of at least 1, by Marsaglia & Tsang: d (1 + c z)³ with z normal, accepted in 95 % or more."""
    uniform, log, quantile = rng.random, math.log, _NORMAL.inv_cdf
    d = shape - 1 / 3
    c, scaled = 1 / math.sqrt(9 * d), d * scale
    draws: list[float] = []
    append = draws.append
    while len(draws) < n:
        z = quantile(uniform() or _TINY)
        v = 1 + c * z
        if v <= 0:
            continue
        v, square, u = v * v * v, z * z, uniform() or _TINY
        if u < 1 - 0.0331 * square * square or log(u) < 0.5 * square + d * (1 - v + log(v)):
            append(scaled * v)
    return draws


def _draw_steep_gamma(rng: random.Random, n: int, shape: float, scale: float) -> list[float]:
    """Gammas of a shape below 1, by Ahrens & Dieter: a power of a uniform up to 1, an exponential tail beyond."""
    uniform, exp, log = rng.random, math.exp, math.log
    b, power = 1 + shape / math.e, 1 / shape
    draws: list[float] = []
    append = draws.append
    while len(draws) < n:
        p = b * uniform()
        if p <= 1:
            x = p**power
            accepted = uniform() <= exp(-x)
        else:
            x = -log((b - p) / shape)
            accepted = uniform() <= x ** (shape - 1)
        if accepted:
            append(scale * x)
    return draws


def _moments_below(law: Law, limit_s: float) -> tuple[float, float, float]:
    """P(X > L), E[X; X <= L] and E[X²; X <= L]."""
    match law:
        case Constant(mean) | Lognormal(sigma=0.0, mean_s=mean):
            return (1.0, 0.0, 0.0) if mean > limit_s else (0.0, mean, mean * mean)
        case Exponential(mean):
            x = limit_s / mean
            over = math.exp(-x)
            return over, mean * (1 - over * (1 + x)), mean**2 * (2 - over * (2 + 2 * x + x * x))
        case Gamma(mean, scv):
            shape, x = 1 / scv, limit_s / (mean * scv)
            first, second = (_incomplete_gamma(shape + more, x) for more in (1, 2))
            return 1 - _incomplete_gamma(shape, x), mean * first, mean**2 * (1 + scv) * second
        case Lognormal(mu, sigma):
            z = (math.log(limit_s) - mu) / sigma if limit_s > 0 else -math.inf
            first, second = (_NORMAL.cdf(z - more * sigma) for more in (1, 2))
            return _NORMAL.cdf(-z), law.mean_s * first, law.mean_s**2 * (1 + law.scv) * second
        case Mixture(parts):
            weighted = [(share, _moments_below(part, limit_s)) for share, part in parts]
            over, first, second = (math.fsum(share * row[column] for share, row in weighted) for column in range(3))
            return over, first, second
        case OpenRouter():
            values = _openrouter_draws(law)
        case Empirical(values):
            pass
        case _:
            raise TypeError(f"{law} has no moments below a limit")
    below = [value for value in values if value <= limit_s]
    n = len(values)
    return 1 - len(below) / n, math.fsum(below) / n, math.fsum(value * value for value in below) / n


@lru_cache(maxsize=1)
def _openrouter_draws(law: OpenRouter) -> tuple[float, ...]:
    return tuple(law.draw(random.Random("clipped"), _CLIPPED_DRAWS))


def _incomplete_gamma(shape: float, x: float) -> float:
    """The regularised lower incomplete gamma function P(shape, x): the share of a unit-scale gamma below x.

    Below shape + 1 by its power series, above it by the continued fraction of its complement (DLMF 8.7.1 and 8.9.2,
    the latter by Lentz's method).
    """
    if x <= 0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        nth = shape
        while term > total * 1e-16:
            nth += 1
            term *= x / nth
            total += term
        return min(1.0, front * total)
    b = x + 1 - shape
    d = fraction = 1 / b
    c = math.inf
    nth, change = 0, 0.0
    while abs(change - 1) > 1e-15:
        nth += 1
        a, b = nth * (shape - nth), b + 2
        d = 1 / (b + a * d)
        c = b + a / c
        change = c * d
        fraction *= change
    return 1 - front * fraction


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
