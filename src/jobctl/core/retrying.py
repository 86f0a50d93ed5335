"""When to try again, and after how long: a decision, without a clock or a sleep.

Back-off is exponential with full jitter: uniform in [0, min(cap, base 2^(n-1))] before attempt n + 1 (Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Two callers share it:

* a *call* inside a job (:func:`retry_after_s`): what the upstream asks for by Retry-After is obeyed exactly: never
  earlier, and not at all when it lies beyond the deadline;
* a *job* (:func:`decide`), whose policy is found by its type. There is no deadline, and many jobs may have been asked
  to wait for the same instant: the back-off is added to what was asked for, so that they do not return all at once.

Errors of other people's clients are judged by what they carry (:func:`examine`), so that none needs to be imported.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from jobctl.core.units import parse_duration, parse_whole
from jobctl.errors import InvalidValue, JobRefused

__all__ = [
    "MOST_ATTEMPTS",
    "Dead",
    "Failure",
    "Retry",
    "RetryPolicies",
    "RetryPolicy",
    "backoff_s",
    "decide",
    "examine",
    "parse_policy",
    "retry_after_s",
]

#: Doublings beyond this many change nothing but could overflow.
_MOST_DOUBLINGS: Final = 64
#: More attempts than this are a slip of the keyboard.
MOST_ATTEMPTS: Final = 1000
#: The longest wait an upstream is granted, seconds: a day. A job that waits for longer is lost to the eye.
_LONGEST_ASKED_S: Final = 86_400.0
#: Client errors that may heal: request timeout, conflict, too early, too many requests (RFC 9110, 8470 and 6585).
_HEALING_CLIENT_ERRORS: Final = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How persistent a caller is, or a job type.

    Attributes:
        attempts: Tries in all, the first included.
        base_s: Upper bound of the first back-off, seconds.
        cap_s: Upper bound of any back-off, seconds.
        retry_on: Only errors of these classes are tried again; empty for all. Each is a class's dotted name as its
            module gives it (``httpx.ReadTimeout``), a pattern of such (``redis.exceptions.*``), or a bare name
            (``ValueError``); subclasses count.
        never_retry: Errors of these classes are not, likewise; this wins.
    """

    attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0
    retry_on: tuple[str, ...] = ()
    never_retry: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicies:
    """The policy of every job type.

    Attributes:
        default: Of types that are not named.
        by_type: By the dotted path of the job's function, or a pattern such as ``myapp.tasks.*``. An exact path wins
            over patterns, a longer pattern over a shorter one.
    """

    default: RetryPolicy
    by_type: Mapping[str, RetryPolicy] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, job_type: str) -> RetryPolicy:
        """The policy of a job type."""
        exact = self.by_type.get(job_type)
        if exact is not None:
            return exact
        matching = [pattern for pattern in self.by_type if fnmatchcase(job_type, pattern)]
        return self.by_type[max(matching, key=len)] if matching else self.default


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error says about another attempt.

    Attributes:
        reason: A label from a small set: ``timeout``, ``429``, ``4xx``, ``5xx``, ``connection``, ``refused``,
            ``invalid``, ``import``, ``data`` or ``error``.
        names: Dotted names of the error's class and of all it inherits from.
        retryable: Whether the same attempt may succeed later; None when the error does not say.
        asked_s: Seconds the upstream asked to wait; None when it did not.
    """

    reason: str
    names: Sequence[str] = ()
    retryable: bool | None = None
    asked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Run the job again, after so many seconds, for this reason."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Give the job up, for this reason.

    Attributes:
        reason: The label of its last failure.
        spent: Whether all attempts are used up; otherwise no further one could help.
    """

    reason: str
    spent: bool


def backoff_s(policy: RetryPolicy, attempt: int, rng: random.Random) -> float:
    """Seconds to wait after attempt number ``attempt`` (from 1) failed."""
    return rng.uniform(0, min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)))


def retry_after_s(
    policy: RetryPolicy,
    *,
    attempt: int,
    retryable: bool,
    asked_s: float | None,
    remaining_s: float,
    rng: random.Random,
) -> float | None:
    """Decide on another attempt of a call.

    Args:
        policy: How persistent to be.
        attempt: The attempt that failed, from 1.
        retryable: Whether its error may heal.
        asked_s: Seconds the upstream asked to wait; None when it did not.
        remaining_s: Seconds until the deadline.
        rng: Source of the jitter.

    Returns:
        Seconds to wait before the next attempt; None to give up.
    """
    if not retryable or attempt >= policy.attempts:
        return None
    wait_s = backoff_s(policy, attempt, rng) if asked_s is None else asked_s
    return wait_s if wait_s < remaining_s else None


def decide(policy: RetryPolicy, *, attempt: int, failure: Failure, rng: random.Random) -> Retry | Dead:
    """Decide what becomes of a job whose attempt failed.

    What cannot heal is given up whatever the policy says: ``retry_on`` narrows, it does not widen.

    Args:
        policy: Of the job's type.
        attempt: The attempt that failed, from 1.
        failure: What its error says.
        rng: Source of the jitter.
    """
    wanted = not policy.retry_on or _any_named(policy.retry_on, failure.names)
    if failure.retryable is False or not wanted or _any_named(policy.never_retry, failure.names):
        return Dead(failure.reason, spent=False)
    if attempt >= policy.attempts:
        return Dead(failure.reason, spent=True)
    asked_s = min(failure.asked_s or 0.0, _LONGEST_ASKED_S)
    return Retry(asked_s + backoff_s(policy, attempt, rng), failure.reason)


def _any_named(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return any(_names(pattern, name) for pattern in patterns for name in names)


def _names(pattern: str, name: str) -> bool:
    """Whether a pattern means a class; one without a dot means its bare name."""
    return fnmatchcase(name if "." in pattern else name.rpartition(".")[2], pattern)


# --------------------------------------------------------------------------------------------------- what an error says


def examine(error: BaseException, *, now_s: float, loading: bool = False) -> Failure:
    """What an error says about another attempt.

    An HTTP status is taken from ``status_code``, ``status`` or ``response.status_code``, which covers httpx, requests,
    aiohttp and the OpenAI SDK; a client error other than 408, 409, 425 and 429 cannot heal. An error that has a boolean
    ``retryable``, as jobctl's own do, knows better.

    Args:
        error: What the job raised.
        now_s: Now, seconds since the epoch: Retry-After may be a date.
        loading: Whether it was raised before the job began: its data could not be read, or its function not imported.
    """
    names = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__ if kind is not object)
    if loading and not isinstance(error, JobRefused):
        unimportable = isinstance(error, ImportError | AttributeError)
        return Failure("import" if unimportable else "data", names, retryable=False)
    status = _status(error)
    retryable = _look(error, "retryable")
    if not isinstance(retryable, bool):
        retryable = None
        if isinstance(error, JobRefused | InvalidValue) or (
            status is not None and 400 <= status < 500 and status not in _HEALING_CLIENT_ERRORS
        ):
            retryable = False
    return Failure(_reason(error, status, names), names, retryable, _asked_s(error, now_s))


def _status(error: BaseException) -> int | None:
    """The HTTP status an error carries."""
    response = _look(error, "response")
    found = (_look(error, "status_code"), _look(error, "status"), _look(response, "status_code"))
    return next((code for code in found if type(code) is int and 100 <= code < 600), None)


#: Labels by a part of a class's bare name, for errors that carry no status. The first that fits counts.
_LABELS: Final = (
    ("Timeout", "timeout"),
    ("DeadlineExceeded", "timeout"),
    ("Connect", "connection"),
    ("Disconnect", "connection"),
    ("NetworkError", "connection"),
    ("ProtocolError", "connection"),
    ("ReadError", "connection"),
    ("WriteError", "connection"),
)


def _reason(error: BaseException, status: int | None, names: Sequence[str]) -> str:
    if isinstance(error, JobRefused):
        return error.label
    if isinstance(error, InvalidValue):
        return "invalid"
    if status is not None and status >= 400:
        return {408: "timeout", 429: "429"}.get(status, f"{status // 100}xx")
    bare = [name.rpartition(".")[2] for name in names]
    return next((label for part, label in _LABELS if any(part in name for name in bare)), "error")


def _asked_s(error: BaseException, now_s: float) -> float | None:
    """Seconds the upstream asked to wait: an error's own ``retry_after_s``, else its response's Retry-After header."""
    own = _look(error, "retry_after_s")
    if isinstance(own, int | float) and 0 <= own < math.inf:
        return float(own)
    for holder in (_look(error, "response"), error):
        text = _header(_look(holder, "headers"))
        if text is not None:
            return _wait_s(text, now_s)
    return None


def _header(headers: Any) -> str | None:
    get = _look(headers, "get")
    if not callable(get):
        return None
    try:
        text = get("Retry-After") or get("retry-after")
    except Exception:
        return None
    return text if isinstance(text, str) else None


def _wait_s(text: str, now_s: float) -> float | None:
    """A Retry-After header, which is seconds or a date (RFC 9110, 10.2.3); None when it is neither."""
    from email.utils import parsedate_to_datetime  # here: every command reads policies, few meet a date

    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s)
    return seconds if 0 <= seconds < math.inf else None


def _look(holder: Any, name: str) -> Any:
    """An attribute of somebody else's error; None when there is none or looking at it raises, as a property may."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


# ------------------------------------------------------------------------------------------------------------- reading


def _class_names(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    names = tuple(name.strip() for name in given if isinstance(name, str) and name.strip())
    if len(names) < len(given):
        raise InvalidValue(f"{value!r} is no list of names", 'give dotted names of exception classes, ["ValueError"]')
    return names


def _of_text(parse: Callable[[str], Any], value: object) -> Any:
    return parse(str(value))


#: What a policy may say: its key, the attribute it sets, and how it is read.
_KEYS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "attempts": ("attempts", partial(_of_text, partial(parse_whole, minimum=1, maximum=MOST_ATTEMPTS))),
    "base": ("base_s", partial(_of_text, parse_duration)),
    "cap": ("cap_s", partial(_of_text, parse_duration)),
    "retry_on": ("retry_on", _class_names),
    "never_retry": ("never_retry", _class_names),
}


def parse_policy(table: Mapping[str, object], default: RetryPolicy) -> RetryPolicy:
    """Read a policy; what it does not say is as in the default.

    Args:
        table: ``attempts``, ``base``, ``cap``, ``retry_on``, ``never_retry``, as a file has them.
        default: The policy it starts from.

    Raises:
        InvalidValue: A key is unknown, or its value means nothing.
    """
    changes: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(_KEYS)}"
            raise InvalidValue(f"unknown key {key!r}", remedy)
        name, parse = _KEYS[key]
        try:
            changes[name] = parse(value)
        except InvalidValue as error:
            raise InvalidValue(f"{key}: {error.problem}", error.remedy) from None
    return replace(default, **changes)
