"""Every exception that jobctl raises on purpose.

::

    JobctlError
    ├── InvalidValue          the caller's fault: a value that means nothing (exit 2)
    │   └── InvalidOption     the same, and it names the option, variable or file it came from
    ├── RunFailed             a run began and could not be measured to its end (exit 97)
    ├── JobRefused            a job that must not or cannot be run: it goes to the dead set, with the reason
    ├── Postponed             not an error of the job: it is to run later, and no attempt is spent
    ├── ServiceUnavailable    an outside system the run cannot do without did not answer (exit 2)
    └── UpstreamError         OpenRouter answered with an error, or not at all
        ├── UpstreamTimeout        the total deadline passed
        ├── UpstreamDisconnected   the connection broke before the answer was complete
        └── UpstreamStatus         an error status, or an error inside a 200

What a run may expect (a missed objective, a lost job) is returned as data; only what it cannot go on with is raised.
"""

from __future__ import annotations

__all__ = [
    "InvalidOption",
    "InvalidValue",
    "JobRefused",
    "JobctlError",
    "Postponed",
    "RunFailed",
    "ServiceUnavailable",
    "UpstreamDisconnected",
    "UpstreamError",
    "UpstreamStatus",
    "UpstreamTimeout",
]


class JobctlError(Exception):
    """The base of every error jobctl raises on purpose."""


class InvalidValue(JobctlError, ValueError):
    """A value that means nothing here.

    Args:
        problem: What is wrong with it, without a final stop.
        remedy: What to give instead.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}")


class InvalidOption(InvalidValue):
    """An invalid value that knows where it came from.

    Args:
        option: The flag, environment variable or file key, as the user would type it.
        problem: What is wrong with the value.
        remedy: What to give instead.
    """

    def __init__(self, option: str, problem: str, remedy: str) -> None:
        self.option = option
        super().__init__(problem, remedy)

    def __str__(self) -> str:
        return f"{self.option}: {self.problem}; {self.remedy}"


class RunFailed(JobctlError):
    """A run began and could not be measured to its end; that is neither a pass nor a failure."""


class JobRefused(JobctlError):
    """A job that must not or cannot be run, whatever the attempt.

    Args:
        reason: Why; the message.
        label: The same as a word of a small set: ``refused``, ``data`` or ``import``.
    """

    def __init__(self, reason: str, label: str = "refused") -> None:
        self.label = label
        super().__init__(reason)


class Postponed(JobctlError):
    """Raised in a job to have it run later without spending an attempt: a limit, an open breaker, a Retry-After.

    Args:
        delay_s: Seconds from now until it may run again.
        reason: A short word for why, such as ``limit``, ``paused``, ``breaker`` or ``retry_budget``.
        permits: Kept with the job and given back to it when it runs again, such as a reserved place with the limiter.
    """

    def __init__(self, delay_s: float, reason: str, *, permits: str = "") -> None:
        self.delay_s = max(0.0, delay_s)
        self.reason = reason
        self.permits = permits
        super().__init__(f"postponed for {self.delay_s:.3f} s: {reason}")


class ServiceUnavailable(JobctlError):
    """An outside system that the run needs did not answer.

    Args:
        option: The setting that named it.
        problem: What happened.
        remedy: What to do about it.
    """

    def __init__(self, option: str, problem: str, remedy: str) -> None:
        self.option = option
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{option}: {problem}; {remedy}")


class UpstreamError(JobctlError):
    """An OpenRouter call did not give an answer.

    Args:
        message: What went wrong, in the upstream's words where it gave any.
        retryable: Whether the same call may succeed later.
        retry_after_s: How long the upstream asked to wait, in seconds; None when it did not say.

    Attributes:
        latency_s: How long the failed call took, seconds.
    """

    latency_s: float = 0.0

    def __init__(self, message: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class UpstreamTimeout(UpstreamError):
    """The call's total deadline passed."""


class UpstreamDisconnected(UpstreamError):
    """The connection could not be made, or broke before the answer was complete."""


class UpstreamStatus(UpstreamError):
    """OpenRouter answered with an error: by HTTP status, or inside a 200.

    Args:
        status: The error code, an HTTP status; inside a 200 it is the error's own code.
        message: The upstream's message.
        retryable: Whether the same call may succeed later.
        retry_after_s: The Retry-After header in seconds; None when absent.
        error_type: The upstream's machine-readable word for the error, if it gave one.
        account_wide: Whether it is about the caller's account as a whole and not about this model.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
        error_type: str | None = None,
        account_wide: bool = False,
    ) -> None:
        self.status = status
        self.account_wide = account_wide
        self.error_type = error_type
        super().__init__(f"{status} {message}", retryable=retryable, retry_after_s=retry_after_s)


def _rebuild(kind: type[UpstreamError], args: tuple[str, ...], state: dict[str, object]) -> UpstreamError:
    """Restore a pickled error without calling its constructor, whose arguments differ by class."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
