"""How a fleet is operated: what is promised, how it is laid out, when somebody is told, and who.

One file, ``slo.toml``, holds it; its ``[[objective]]`` tables alone are what ``jobctl plan`` and gates need of it
(:func:`jobctl.core.slo.parse_slo_file`). All else may be left out, and then has the value of the dataclass here::

    [fleet]
    replicas = 2

A number may be written as a number or as text (``"5%"``, ``"3m"``); a text that means nothing is refused with its key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from jobctl.core.metrics import BUCKETS_S
from jobctl.core.slo import Objective, Promise, check_keys, parse_error_rate, parse_slo_file
from jobctl.core.tiers import Clients, parse_tier
from jobctl.core.turns import parse_weighted
from jobctl.core.units import parse_not_negative, parse_positive_duration, parse_share, parse_whole
from jobctl.errors import InvalidValue

_Kind = TypeVar("_Kind")

__all__ = [
    "FASTEST_BURN",
    "KEYS",
    "STOP_S",
    "Email",
    "Fleet",
    "Notify",
    "Operations",
    "Scrape",
    "Slack",
    "Thresholds",
    "Webhook",
    "needed_draining_s",
    "parse_operations",
    "unwatched",
]

_EXAMPLE: Final = re.compile(r"\bexample\.(?:com|net|org)\b")
#: Seconds that a worker may need after its drain before it is gone: five for its last words to Redis, two for its
#: observers (Sentry) to send what they hold, the rest for closing connections and ending the interpreter.
STOP_S: Final = 10
#: The fastest burn that is paged for: a whole budget of 30 days in 50 hours.
FASTEST_BURN: Final = 14.4
#: Shortest and longest time between two scrapes, seconds: the fleet's state is read once a second at most, and the
#: shortest window of an alert, five minutes, has to hold four scrapes.
_INTERVAL_S: Final = (1.0, 60.0)
#: The most replicas, and the most slots and connections of one, as of ``jobctl work``.
_MOST: Final = 10_000
#: A host, or an IPv6 address in brackets, and a port.
_ADDRESS: Final = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", re.ASCII)
#: One recipient, with a name before it or without.
_MAILBOX: Final = re.compile(r"[^\s<>@]+@[^\s<>@]+|[^<>]*<[^\s<>@]+@[^\s<>@]+>")


def needed_draining_s(drain_timeout_s: float) -> int:
    """Whole seconds from SIGTERM to SIGKILL that a worker needs which waits so long for its jobs."""
    return math.ceil(drain_timeout_s) + STOP_S


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers that the plan asks for.

    Attributes:
        replicas: How many, the spare included.
        concurrency: Slots of each.
        queues: As ``jobctl work --queues`` takes them.
        job_timeout_s: Of the longest job, seconds: so long a stop waits.
        db_pool_size: Database connections of each; None where there is no database.
        db_tier: The database's size; None where it is not known.
    """

    replicas: int = 2
    concurrency: int = 25
    queues: str = "high,default,low"
    job_timeout_s: float = 180.0
    db_pool_size: int | None = None
    db_tier: Clients | None = None

    @property
    def draining_s(self) -> int:
        """Whole seconds that the platform has to leave between SIGTERM and SIGKILL."""
        return needed_draining_s(self.job_timeout_s)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where an alert begins that no objective gives.

    Attributes:
        rate_limited: Share of OpenRouter's answers that are a 429.
        credit_usd: Credit left, US dollars.
        key_usd: What the key's own limit leaves, US dollars.
        redis_memory: Share of Redis' ``maxmemory``.
        dead_jobs: Jobs by which a queue's dead set may grow within an hour.
    """

    rate_limited: float = 0.05
    credit_usd: float = 20.0
    key_usd: float = 5.0
    redis_memory: float = 0.8
    dead_jobs: int = 100


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where Prometheus finds the fleet.

    Attributes:
        interval_s: How often it asks, seconds.
        worker_dns: A name with an address for each worker, and their port, as ``worker:9100``; unused with workers.
        dns_type: Which addresses of that name are workers, ``A`` or ``AAAA``; not both: a worker would count twice.
        workers: The workers one by one, as ``host:port``.
        exporter: The fleet's exporter; empty where a worker stands in for it.
        alertmanager: Where Prometheus tells of alerts.
    """

    interval_s: float = 15.0
    worker_dns: str = "worker:9100"
    dns_type: str = "A"
    workers: tuple[str, ...] = ()
    exporter: str = "exporter:9200"
    alertmanager: str = "alertmanager:9093"


@dataclass(frozen=True, slots=True)
class Email:
    """Mail. Its password is in the file ``smtp_password`` of the secrets.

    Attributes:
        to: The recipient.
        sender: The address in From.
        smarthost: The server that takes it, ``host:port``.
        username: Who logs in there; empty for nobody.
    """

    to: str
    sender: str
    smarthost: str
    username: str = ""


@dataclass(frozen=True, slots=True)
class Slack:
    """A channel. The webhook's URL is in the file ``slack_url`` of the secrets.

    Attributes:
        channel: ``#name``.
    """

    channel: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """An HTTP POST of Alertmanager's JSON. Its bearer token is in the file ``webhook_token`` of the secrets.

    Attributes:
        url: Where to.
    """

    url: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told.

    Attributes:
        email: By mail; None for nobody.
        slack: In a channel; None for none.
        webhook: By HTTP; None for nobody.
        runbook: The address of the runbook, to which ``#alert`` is added.
    """

    email: Email | None = None
    slack: Slack | None = None
    webhook: Webhook | None = None
    runbook: str = "docs/runbook.md"

    @property
    def anybody(self) -> bool:
        """Whether an alert reaches anybody."""
        return (self.email or self.slack or self.webhook) is not None

    @property
    def examples(self) -> tuple[str, ...]:
        """The addresses that belong to nobody: those of the domains kept for examples (RFC 2606)."""
        email = () if self.email is None else (self.email.to, self.email.smarthost)
        addresses = (*email, *(() if self.webhook is None else (self.webhook.url,)))
        return tuple(one for one in addresses if _EXAMPLE.search(one))


@dataclass(frozen=True, slots=True)
class Operations:
    """All of ``slo.toml``.

    Attributes:
        promises: What :func:`jobctl.core.slo.parse_slo_file` reads; none when the file has only an error rate.
        error_rate: The share of the jobs that may fail for good; None where nothing is promised.
        fleet: The workers.
        thresholds: Where alerts begin.
        scrape: Where Prometheus finds them.
        notify: Who is told.
    """

    promises: tuple[Promise, ...] = ()
    error_rate: float | None = None
    fleet: Fleet = field(default_factory=Fleet)
    thresholds: Thresholds = field(default_factory=Thresholds)
    scrape: Scrape = field(default_factory=Scrape)
    notify: Notify = field(default_factory=Notify)

    @property
    def wait_objectives(self) -> tuple[Objective, ...]:
        """The objectives whose budget can be watched in Prometheus, in order and each once."""
        watched = (one for one in self.promises if isinstance(one, Objective) and unwatched(one) is None)
        return tuple(dict.fromkeys(watched))

    @property
    def unwatched(self) -> tuple[tuple[Promise, str], ...]:
        """The promises that no alert watches, each with the reason."""
        reasons = ((promise, unwatched(promise)) for promise in self.promises)
        return tuple((promise, reason) for promise, reason in reasons if reason is not None)


def unwatched(promise: Promise) -> str | None:
    """Why no series of Prometheus tells whether a promise is kept; None where one does.

    A bound on a percentile is watched as a share of the attempts: p95 wait <= 1s leaves 5 % of them to wait longer. The
    histogram of waits has to have a bucket at the bound, and a budget that burns :data:`FASTEST_BURN` times too fast
    has to be more than nothing: 14.4 x 7 % is above 100 %, and could never be seen.
    """
    if not isinstance(promise, Objective):
        return "only jobctl plan and jobctl bench look at it"
    if promise.signal != "wait" or promise.quantile is None:
        return "workers measure no percentile of it"
    if promise.threshold_s not in BUCKETS_S:
        bounds = ", ".join(f"{bound:g}" for bound in BUCKETS_S)
        return f"the histogram of waits has no bucket there; its buckets end at {bounds} s"
    if FASTEST_BURN * (1 - promise.quantile) >= 1:
        return "its budget is too large to burn fast; a percentile from p94 on can be watched"
    return None


def parse_operations(content: Mapping[str, Any]) -> Operations:
    """Read ``slo.toml`` from its decoded TOML.

    Raises:
        InvalidValue: A key is unknown or a value means nothing; its table and key are named.
    """
    promises = parse_slo_file(content)
    notify = _table(content, "notify")
    check_keys(notify, {"runbook", "email", "slack", "webhook"}, "[notify]")
    return Operations(
        promises=promises,
        error_rate=parse_error_rate(content),
        fleet=_read(Fleet, content, "fleet"),
        thresholds=_read(Thresholds, content, "thresholds"),
        scrape=_read(Scrape, content, "scrape"),
        notify=Notify(
            email=_read(Email, notify, "notify.email") if "email" in notify else None,
            slack=_read(Slack, notify, "notify.slack") if "slack" in notify else None,
            webhook=_read(Webhook, notify, "notify.webhook") if "webhook" in notify else None,
            runbook=_parsed(_text, notify.get("runbook", Notify().runbook), "notify", "runbook"),
        ),
    )


def _text(text: str) -> str:
    if not text.strip():
        raise InvalidValue("is empty", "give a value or leave it out")
    if not text.isprintable():
        raise InvalidValue(f"{text!r} has a line break or another sign in it that cannot be printed", "take it out")
    return text.strip()


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or not 1 <= int(found[1]) <= 65_535:
        raise InvalidValue(f"{text!r} is no address", "give host:port")
    return text.strip()


def _mail(text: str) -> str:
    if not all(_MAILBOX.fullmatch(one.strip()) for one in _text(text).split(",")):
        raise InvalidValue(f"{text!r} is no mail address", 'give "oncall@example.com", several with commas between')
    return text.strip()


def _url(text: str) -> str:
    try:
        url = urlsplit(text)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and len(text.split()) == 1
    except ValueError:
        sound = False
    if not sound:
        raise InvalidValue(f"{text!r} is no HTTP URL", "give https://host/path")
    return text


def _interval(text: str) -> float:
    seconds = parse_positive_duration(text)
    if not _INTERVAL_S[0] <= seconds <= _INTERVAL_S[1]:
        raise InvalidValue(f"{text!r} is not between 1s and 1m", 'give "15s"')
    return seconds


def _queues(text: str) -> str:
    parse_weighted(text)
    return text.strip()


def _channel(text: str) -> str:
    if not text.startswith("#") or text == "#" or len(text.split()) != 1:
        raise InvalidValue(f"{text!r} is no channel", 'give "#name"')
    return text


def _exceeded(text: str) -> float:
    share = parse_share(text)
    if share >= 1:
        raise InvalidValue(f"{text!r} is never exceeded", "give less than 100%")
    return share


def _dns_type(text: str) -> str:
    if text not in {"A", "AAAA"}:
        raise InvalidValue(f"{text!r} is no type of address", "give A for IPv4 or AAAA for IPv6")
    return text


#: Key -> the attribute it becomes, where they differ, and how its text is read.
KEYS: Final[Mapping[type, Mapping[str, tuple[str, Callable[[str], Any]]]]] = {
    Fleet: {
        "replicas": ("replicas", partial(parse_whole, maximum=_MOST)),
        "concurrency": ("concurrency", partial(parse_whole, maximum=_MOST)),
        "queues": ("queues", _queues),
        "job_timeout": ("job_timeout_s", parse_positive_duration),
        "db_pool_size": ("db_pool_size", partial(parse_whole, maximum=_MOST)),
        "db_tier": ("db_tier", parse_tier),
    },
    Thresholds: {
        "rate_limited": ("rate_limited", _exceeded),
        "credit_usd": ("credit_usd", parse_not_negative),
        "key_usd": ("key_usd", parse_not_negative),
        "redis_memory": ("redis_memory", _exceeded),
        "dead_jobs": ("dead_jobs", parse_whole),
    },
    Scrape: {
        "interval": ("interval_s", _interval),
        "worker_dns": ("worker_dns", _address),
        "dns_type": ("dns_type", _dns_type),
        "exporter": ("exporter", lambda text: _address(text) if text else ""),
        "alertmanager": ("alertmanager", _address),
    },
    Email: {
        "to": ("to", _mail),
        "from": ("sender", _mail),
        "smarthost": ("smarthost", _address),
        "username": ("username", _text),
    },
    Slack: {"channel": ("channel", _channel)},
    Webhook: {"url": ("url", _url)},
}


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name.rpartition(".")[2], {})
    if not isinstance(table, Mapping):
        raise InvalidValue(f"{name} = {table!r} is no table", f"write [{name}] above its keys")
    return table


def _read(kind: type[_Kind], content: Mapping[str, Any], name: str) -> _Kind:
    """One table as its dataclass."""
    table, keys = _table(content, name), KEYS[kind]
    lists = {"workers"} if kind is Scrape else set()
    check_keys(table, {*keys, *lists}, f"[{name}]")
    values: dict[str, Any] = {}
    for key, (attribute, parse) in keys.items():
        if key in table:
            values[attribute] = _parsed(parse, table[key], name, key)
    for key in lists & table.keys():
        if not isinstance(table[key], list):
            raise InvalidValue(f"[{name}] {key} is no list", 'give ["10.0.0.1:9100", "10.0.0.2:9100"]')
        values[key] = tuple(_parsed(_address, one, name, key) for one in table[key])
    missing = [key for key, (attribute, _) in keys.items() if attribute not in values and _needed(kind, attribute)]
    if missing:
        raise InvalidValue(f"[{name}] has no {missing[0]}", f"add {missing[0]} = ...")
    return kind(**values)


def _needed(kind: Any, attribute: str) -> bool:
    return any(one.name == attribute and one.default is MISSING for one in fields(kind))


def _parsed(parse: Callable[[str], Any], value: object, table: str, key: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InvalidValue(f"[{table}] {key} = {value!r} is neither text nor a number", "see docs/reference/slo.md")
    try:
        return parse(str(value))
    except InvalidValue as error:
        raise InvalidValue(f"[{table}] {key}: {error.problem}", error.remedy) from None
