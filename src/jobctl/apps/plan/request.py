"""What a plan can be told: each input once, with its flag, its key in ``jobctl.toml`` and how its text is read.

The command line and the ``[plan]`` table are made from :data:`INPUTS`, so neither knows an input that the other does
not. None, or an empty tuple, means "not said"; what then holds is settled in :mod:`jobctl.apps.plan.configure`.

Every command loads this module; what only some inputs need is imported where their text is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jobctl.core.arrivals import Arrivals, parse_arrivals
from jobctl.core.retrying import MOST_ATTEMPTS
from jobctl.core.service import Law, parse_law
from jobctl.core.shapes import WantedShape, parse_peak_factor, parse_wanted_shape, read_service_rule
from jobctl.core.slo import DEFAULT_OBJECTIVE, Promise, Window, parse_objective, parse_window
from jobctl.core.units import (
    SECONDS_PER_DAY,
    parse_bytes,
    parse_count,
    parse_duration,
    parse_fraction,
    parse_not_negative,
    parse_positive,
    parse_positive_duration,
    parse_whole,
)
from jobctl.errors import InvalidValue

if TYPE_CHECKING:
    from jobctl.core.demand import Hold, JobType
    from jobctl.core.prices import Prices
    from jobctl.core.profiles import Spike
    from jobctl.core.tiers import Clients

__all__ = ["INPUTS", "FailedTime", "Input", "Level", "PlanRequest", "Source"]

#: Volumes that mean something, jobs a day.
_LEAST_PER_DAY, _MOST_PER_DAY = 1.0, 1e9
_MOST_REPLICAS: Final = 1_000_000
_MOST_SPARE: Final = 1_000
_MOST_BURST: Final = 1_000_000
_MOST_CONNECTIONS: Final = 10_000_000
_MOST_SLOTS: Final = 10_000
_LONGEST_BUDGET_S: Final = 3600.0


class Level(IntEnum):
    """How near to the asker a value was given; the nearer one counts."""

    DEFAULT = 0
    FILE = 1
    ENVIRONMENT = 2
    FLAG = 3


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from.

    Attributes:
        level: How near to the asker.
        text: The same in words: ``flag --rate``, ``file jobctl.toml``, ``env JOB_CONCURRENCY``, ``default``.
    """

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes:
        name: Its attribute on :class:`PlanRequest`.
        flag: The command-line option.
        metavar: What stands for its value in the help.
        parse: Text to value; raises InvalidValue.
        meaning: What it means, in one line.
        panel: The panel of the help it stands in; empty for the first.
        many: Whether it may be given several times.
    """

    name: str
    flag: str
    metavar: str
    parse: Callable[[str], Any]
    meaning: str
    panel: str
    many: bool

    @property
    def key(self) -> str:
        """Its key in the ``[plan]`` table."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, slots=True)
class FailedTime:
    """How long a failed attempt holds its slot: one of the two.

    Attributes:
        ratio: So many times a successful attempt's time.
        seconds: A fixed time.
    """

    ratio: float | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.seconds:g}s" if self.seconds is not None else f"{self.ratio:g}x"


def _volume(text: str, per_day: float) -> float:
    """A count of jobs, of which one means so many a day."""
    value = parse_count(text)
    if not _LEAST_PER_DAY <= value * per_day <= _MOST_PER_DAY * (1 + 1e-12):
        raise InvalidValue(f"{text!r} is out of range", "give a volume of 1 to 1e9 jobs a day")
    return value


def _service_time(text: str) -> float | Law:
    """A duration, which is a mean, or a law."""
    if ":" in text or text.strip().isalpha():  # a law may need no parameters
        return parse_law(text)
    return parse_positive_duration(text)


def _named_job_type(text: str) -> JobType:
    from jobctl.core.demand import JobType
    from jobctl.core.mixes import parse_named_share

    named = parse_named_share(text)
    return JobType(named.name, named.share, parse_law(named.law))


def _spike(text: str) -> Spike:
    from jobctl.core.profiles import parse_spike

    return parse_spike(text)


def _tier(text: str) -> Clients:
    from jobctl.core.tiers import parse_tier

    return parse_tier(text)


def _hold(text: str) -> Hold:
    from jobctl.core.demand import Hold

    return Hold(_choice(text, tuple(Hold)))


def _platform(text: str) -> str:
    from jobctl.core.prices import RAILWAY_REPLICAS

    return _choice(text, tuple(RAILWAY_REPLICAS))


def _failed_time(text: str) -> FailedTime:
    compact = text.strip().lower()
    if compact.endswith("x"):
        return FailedTime(ratio=parse_positive(compact[:-1]))
    if compact.replace(".", "", 1).isdecimal():
        raise InvalidValue(f"{text!r} may mean times or seconds", f"give {compact}x, or {compact}s")
    return FailedTime(seconds=parse_positive_duration(compact))


def _at_least_one(text: str) -> float:
    value = parse_positive(text)
    if value < 1:
        raise InvalidValue(f"{text!r} is below 1", "give 1 or more")
    return value


def _positive_fraction(text: str) -> float:
    value = parse_fraction(text)
    if value == 0:
        raise InvalidValue("must be above 0", "give a fraction from 0 to 1 such as 0.05")
    return value


def _choice(text: str, choices: tuple[str, ...]) -> str:
    word = text.strip().lower()
    if word not in choices:
        raise InvalidValue(f"{text!r} is no such choice", f"give {', '.join(choices[:-1])} or {choices[-1]}")
    return word


def _budget(text: str) -> float:
    seconds = parse_duration(text)
    if seconds > _LONGEST_BUDGET_S:
        raise InvalidValue(f"{text!r} is too long", "give at most 1h")
    return seconds


def _told(
    flag: str, metavar: str, parse: Callable[[str], Any], meaning: str, panel: str = "", *, many: bool = False
) -> dict[str, Any]:
    """How an attribute of the request is told: the rest of its :class:`Input`."""
    return {"flag": flag, "metavar": metavar, "parse": parse, "meaning": meaning, "panel": panel, "many": many}


_count = partial(parse_whole, minimum=0)
_ARRIVALS, _SERVICE, _RETRIES = "Arrivals", "Service time", "Retries"
_UPSTREAM, _DATABASE, _ANSWER = "Upstream", "Database", "Answer"


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What was said, from the flags, the environment and ``jobctl.toml`` together.

    Attributes:
        sources: Where each value that was said came from, by attribute.
        prices: What the platform asks, in the asker's own figures; None for the platform's.
    """

    per_day: float | None = field(
        default=None,
        metadata=_told(
            "--per-day", "JOBS", partial(_volume, per_day=1.0), "Volume: jobs per day (450000, 450k), from 1 to 1e9."
        ),
    )
    rate: float | None = field(
        default=None,
        metadata=_told(
            "--rate",
            "JOBS/S",
            partial(_volume, per_day=SECONDS_PER_DAY),
            "Volume: jobs per second, instead of --per-day.",
        ),
    )
    service_time: float | Law | None = field(
        default=None,
        metadata=_told(
            "--service-time",
            "DURATION|LAW",
            _service_time,
            "Time a job holds a slot: its mean (8s), or a law such as lognormal:mean=8s,p95=20s.",
        ),
    )
    concurrency: int | None = field(
        default=None,
        metadata=_told(
            "--concurrency",
            "N",
            partial(parse_whole, maximum=_MOST_SLOTS),
            "Slots of one replica [default: 25] [env: JOB_CONCURRENCY].",
        ),
    )
    peak_factor: float | None = field(
        default=None,
        metadata=_told(
            "--peak-factor",
            "F",
            parse_peak_factor,
            "The day's busiest rate over its mean rate, in a smooth day of that shape.",
        ),
    )
    shape: WantedShape | None = field(
        default=None,
        metadata=_told(
            "--shape",
            "SHAPE",
            parse_wanted_shape,
            "The day: steady, diurnal, a FILE of times and relative rates, or replay:FILE of real arrivals "
            "[default: steady].",
        ),
    )
    source: str | None = field(
        default=None,
        metadata=_told(
            "--from",
            "SOURCE",
            str.strip,
            "Take what is not given from a bench result, a CSV, redis://... or http://PROMETHEUS.",
        ),
    )
    slo: tuple[Promise, ...] = field(
        default=(),
        metadata=_told(
            "--slo",
            "OBJECTIVE",
            parse_objective,
            f'What must hold; may be repeated [default: "{DEFAULT_OBJECTIVE}"].',
            many=True,
        ),
    )
    spare: int | None = field(
        default=None,
        metadata=_told(
            "--spare",
            "N",
            partial(parse_whole, minimum=0, maximum=_MOST_SPARE),
            "Replicas that may be gone while it holds; the answer includes them "
            "[default: 1; with --replicas it is shown, and binds only if given].",
        ),
    )
    replicas: int | None = field(
        default=None,
        metadata=_told(
            "--replicas",
            "N",
            partial(parse_whole, maximum=_MOST_REPLICAS),
            "Evaluate exactly N, the spare among them, instead of searching.",
        ),
    )
    arrivals: Arrivals | None = field(
        default=None,
        metadata=_told(
            "--arrivals",
            "PROCESS",
            parse_arrivals,
            "How gaps vary: poisson, constant, renewal:SCV or batch:SIZE [default: poisson].",
            _ARRIVALS,
        ),
    )
    spike: tuple[Spike, ...] = field(
        default=(),
        metadata=_told(
            "--spike", "JOBS@HH:MM", _spike, "Jobs that arrive at once; may be repeated.", _ARRIVALS, many=True
        ),
    )
    time_scale: float | None = field(
        default=None,
        metadata=_told(
            "--time-scale",
            "K",
            parse_positive,
            "Replay K times as fast; with --check, run the bench so many times as fast.",
            _ARRIVALS,
        ),
    )
    service_rule: str | None = field(
        default=None,
        metadata=_told(
            "--service-rule",
            "RULE",
            read_service_rule,
            'Service seconds from columns of the replay, such as "1.0 + 0.05 * generated_tokens".',
            _ARRIVALS,
        ),
    )
    service_scv: float | None = field(
        default=None,
        metadata=_told(
            "--service-scv",
            "SCV",
            parse_not_negative,
            "Variance of the service time over its squared mean: 1 exponential, 0 constant [default: 1].",
            _SERVICE,
        ),
    )
    service_p50: float | None = field(
        default=None,
        metadata=_told(
            "--service-p50",
            "DURATION",
            parse_positive_duration,
            "Median, with --service-p95: a lognormal law.",
            _SERVICE,
        ),
    )
    service_p95: float | None = field(
        default=None,
        metadata=_told(
            "--service-p95", "DURATION", parse_positive_duration, "95th percentile, with --service-p50.", _SERVICE
        ),
    )
    job_type: tuple[JobType, ...] = field(
        default=(),
        metadata=_told(
            "--job-type",
            '"NAME SHARE LAW"',
            _named_job_type,
            'One type of a mix, such as "summary 0.3 exponential:8s"; may be repeated, the shares sum to 1.',
            _SERVICE,
            many=True,
        ),
    )
    job_timeout: float | None = field(
        default=None,
        metadata=_told(
            "--job-timeout",
            "DURATION",
            parse_positive_duration,
            "An attempt that takes longer is stopped there and has failed.",
            _SERVICE,
        ),
    )
    cpu_per_job: float | None = field(
        default=None,
        metadata=_told(
            "--cpu-per-job",
            "DURATION",
            parse_positive_duration,
            "CPU time of one attempt, as bench measures it.",
            _SERVICE,
        ),
    )
    memory: float | None = field(
        default=None,
        metadata=_told("--memory", "SIZE", parse_bytes, "Memory of one replica (300MB), for the cost.", _SERVICE),
    )
    attempts: int | None = field(
        default=None,
        metadata=_told(
            "--attempts",
            "N",
            partial(parse_whole, maximum=MOST_ATTEMPTS),
            "Tries of a job in all, the first included [default: 5] [env: JOB_ATTEMPTS].",
            _RETRIES,
        ),
    )
    failure_rate: float | None = field(
        default=None,
        metadata=_told(
            "--failure-rate", "P", parse_fraction, "Share of the attempts that fail [default: 0].", _RETRIES
        ),
    )
    failed_ratio: FailedTime | None = field(
        default=None,
        metadata=_told(
            "--failed-ratio",
            "Nx|DURATION",
            _failed_time,
            "How long a failed attempt holds its slot: 3x a successful one's time, or 20s [default: 1x].",
            _RETRIES,
        ),
    )
    retry_base: float | None = field(
        default=None,
        metadata=_told(
            "--retry-base",
            "DURATION",
            parse_duration,
            "Longest wait before the second try [default: 2s] [env: JOB_RETRY_BASE].",
            _RETRIES,
        ),
    )
    retry_factor: float | None = field(
        default=None,
        metadata=_told("--retry-factor", "F", _at_least_one, "Its growth from try to try [default: 2].", _RETRIES),
    )
    retry_cap: float | None = field(
        default=None,
        metadata=_told(
            "--retry-cap",
            "DURATION",
            parse_duration,
            "Longest wait before any try [default: 300s] [env: JOB_RETRY_CAP].",
            _RETRIES,
        ),
    )
    retry_jitter: float | None = field(
        default=None,
        metadata=_told(
            "--retry-jitter", "SHARE", parse_fraction, "Share of these waits that is random [default: 1].", _RETRIES
        ),
    )
    upstream_rpm: float | None = field(
        default=None,
        metadata=_told(
            "--upstream-rpm",
            "N",
            parse_count,
            "Calls a minute, all replicas together [env: OPENROUTER_RPM].",
            _UPSTREAM,
        ),
    )
    upstream_burst: int | None = field(
        default=None,
        metadata=_told(
            "--upstream-burst",
            "N",
            partial(_count, maximum=_MOST_BURST),
            "Calls by which a minute may exceed that [default: 0] [env: OPENROUTER_BURST].",
            _UPSTREAM,
        ),
    )
    upstream_tpm: float | None = field(
        default=None,
        metadata=_told(
            "--upstream-tpm", "N", parse_count, "Tokens a minute likewise [env: OPENROUTER_TPM].", _UPSTREAM
        ),
    )
    tokens_per_job: float | None = field(
        default=None,
        metadata=_told(
            "--tokens-per-job", "N", parse_count, "Mean tokens of one attempt; --upstream-tpm needs it.", _UPSTREAM
        ),
    )
    calls_per_job: float | None = field(
        default=None,
        metadata=_told("--calls-per-job", "N", parse_positive, "Calls of one attempt [default: 1].", _UPSTREAM),
    )
    upstream_wait: str | None = field(
        default=None,
        metadata=_told(
            "--upstream-wait",
            "queue|slot",
            partial(_choice, choices=("queue", "slot")),
            "Where a job waits for the limit [default: queue, as with jobctl work].",
            _UPSTREAM,
        ),
    )
    db_tier: Clients | None = field(
        default=None,
        metadata=_told(
            "--db-tier",
            "NAME",
            _tier,
            "Supabase compute size, for its pooler's clients: small, or small:direct.",
            _DATABASE,
        ),
    )
    db_max_clients: int | None = field(
        default=None,
        metadata=_told(
            "--db-max-clients",
            "N",
            partial(parse_whole, maximum=_MOST_CONNECTIONS),
            "Connections that the database or its pooler takes.",
            _DATABASE,
        ),
    )
    db_connections_per_replica: int | None = field(
        default=None,
        metadata=_told(
            "--db-connections-per-replica",
            "N",
            partial(parse_whole, maximum=_MOST_SLOTS),
            "Connections of one replica [default: by its slots] [env: JOB_DB_POOL_SIZE].",
            _DATABASE,
        ),
    )
    db_hold: Hold | None = field(
        default=None,
        metadata=_told(
            "--db-hold",
            "job|share",
            _hold,
            "Whether a job holds one for as long as its slot, or for a share of that [default: share].",
            _DATABASE,
        ),
    )
    db_share: float | None = field(
        default=None,
        metadata=_told("--db-share", "SHARE", _positive_fraction, "That share [default: 0.05].", _DATABASE),
    )
    slo_file: str | None = field(
        default=None,
        metadata=_told(
            "--slo-file",
            "FILE",
            str.strip,
            "Objectives from a file [default: that of --write, or slo.toml, where there is one].",
            _ANSWER,
        ),
    )
    window: Window | None = field(
        default=None,
        metadata=_told(
            "--window",
            "WINDOW",
            parse_window,
            "Jobs that objectives are about: busiest-hour, whole-day or every-hour [default: busiest-hour].",
            _ANSWER,
        ),
    )
    max_replicas: int | None = field(
        default=None,
        metadata=_told(
            "--max-replicas", "N", partial(parse_whole, maximum=_MOST_REPLICAS), "The most that may be had.", _ANSWER
        ),
    )
    platform: str | None = field(
        default=None,
        metadata=_told(
            "--platform",
            "PLAN",
            _platform,
            "Railway's plan, for the most replicas it allows: free, hobby, pro or enterprise.",
            _ANSWER,
        ),
    )
    budget: float | None = field(
        default=None,
        metadata=_told(
            "--budget",
            "DURATION",
            _budget,
            "Time for simulation, nominal; 0 for closed forms alone [default: 10s].",
            _ANSWER,
        ),
    )
    seed: int | None = field(
        default=None, metadata=_told("--seed", "N", _count, "Seed of everything random [default: 1].", _ANSWER)
    )
    sources: Mapping[str, Source] = field(default_factory=dict)
    prices: Prices | None = None

    def level(self, *names: str) -> Level:
        """The nearest level at which one of these was said."""
        return max((self.sources[name].level for name in names if name in self.sources), default=Level.DEFAULT)

    def without(self, *names: str) -> PlanRequest:
        """The same request in which these were not said."""
        sources = {name: source for name, source in self.sources.items() if name not in names}
        unsaid: dict[str, Any] = {entry.name: entry.default for entry in fields(self) if entry.name in names}
        return replace(self, **unsaid, sources=sources)

    def said(self, name: str) -> bool:
        """Whether it was said, at any level."""
        return self.level(name) > Level.DEFAULT


#: Every input, in the order of the help.
INPUTS: Final = tuple(Input(entry.name, **entry.metadata) for entry in fields(PlanRequest) if "flag" in entry.metadata)
