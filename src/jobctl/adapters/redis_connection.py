"""A connection to Redis that was checked, or one line that says why there is none."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, ServiceUnavailable

__all__ = ["connect", "translated"]

#: How long an idle connection may be before it is checked with a PING, seconds.
_IDLE_S: Final = 30
#: A peer that acknowledges nothing for this long is gone, seconds.
_DEAD_S: Final = 45
_PROBES: Final = 3
#: What redis-py puts before an error of one of several commands.
_OF_PIPELINE: Final = "of pipeline caused error: "
_EXAMPLE: Final = "give redis://host:6379/0 or unix:///path/to.sock"


def connect(url: str, *, option: str = "--redis-url", timeout_s: float = 4.0, answer_s: float | None = None) -> Redis:
    """Connect and check that a Redis answers.

    Unless told otherwise the client that is returned waits for an answer as long as it takes, because a blocking
    command may wait for long; a peer that is gone is noticed by TCP after 45 s. It repeats no command: one whose answer
    was lost may have been carried out, and a job would be enqueued twice.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with redis-py's options in its query.
        option: The setting to name in an error.
        timeout_s: How long connecting may take, seconds; the whole check takes at most half a second more, stalled
            name look-ups included.
        answer_s: How long the returned client waits for an answer, seconds; None for as long as it takes.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: Nothing that answers as Redis is there.
    """
    settings: dict[str, Any] = {
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **_keepalive(url),
    }
    try:
        probe = _prepare(url, socket_timeout=timeout_s, **settings)
    except ValueError as error:
        raise InvalidOption(option, f"{without_password(url)!r} {error}", _EXAMPLE) from None
    failure = _ping(probe, timeout_s)
    if failure is not None:
        problem, remedy = _explain(failure, timeout_s)
        raise ServiceUnavailable(option, f"Redis at {without_password(url)} {problem}", remedy) from failure
    return Redis.from_url(url, socket_timeout=answer_s, health_check_interval=_IDLE_S, **settings)


@contextmanager
def translated(option: str = "--redis-url") -> Iterator[None]:
    """Redis' errors as ours.

    Args:
        option: The setting to name in an error.

    Raises:
        ServiceUnavailable: Redis did not answer, or refused.
    """
    try:
        yield
    except NoPermissionError as error:
        said = str(error).rpartition(_OF_PIPELINE)[2]
        problem = f"Redis does not let this user run a command ({said})"
        raise ServiceUnavailable(option, problem, "give the user that right, or connect as another") from error
    except RedisError as error:
        raise ServiceUnavailable(option, f"Redis did not take a command ({error})", "is it still running?") from error


def _prepare(url: str, **settings: Any) -> Redis:
    """A client that has not connected yet.

    Raises:
        ValueError: The URL means nothing; the message says why.
    """
    problem = _meaningless(url)
    if problem is not None:
        raise ValueError(problem)
    try:
        client = Redis.from_url(url, **settings)
        client.connection_pool.make_connection()  # checks the options in the query; connects nothing
    except TypeError:
        raise ValueError("has an unknown option in its query") from None
    except (ValueError, RedisError) as error:
        raise ValueError(f"is not a Redis URL ({_words(error)})") from None
    return client


def _meaningless(url: str) -> str | None:
    """What redis-py would read otherwise than it was meant, or report with the password in it."""
    if not url.isprintable():
        return "holds a line break or another control character"
    try:
        parts = urlsplit(url)
        valid = parts.port != 0  # which redis-py takes for 6379; looking at the port checks it
    except ValueError:
        valid = False
    if not valid:
        return "has no valid host and port"
    if parts.scheme == "unix":
        return None if parts.path.strip("/") else "names no socket file (three slashes precede its path)"
    if parts.scheme not in {"redis", "rediss"}:
        return "is not a Redis URL"
    return None if re.fullmatch(r"/?|/\d+", parts.path) else f"names no database by number ({parts.path[1:]!r})"


def _keepalive(url: str) -> dict[str, Any]:
    """Options by which TCP notices a peer that is gone, as far as this system has them."""
    if url.startswith("unix:"):
        return {}
    wanted = {
        "TCP_KEEPIDLE": _IDLE_S,
        "TCP_KEEPALIVE": _IDLE_S,  # what macOS calls the same
        "TCP_KEEPINTVL": (_DEAD_S - _IDLE_S) // _PROBES,
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": _DEAD_S * 1000,  # for what was sent and not acknowledged; Linux, milliseconds
    }
    options = {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": options}


def _ping(probe: Redis, timeout_s: float) -> BaseException | None:
    """Ask once for a PONG; what went wrong, or None.

    It happens in a thread of its own because a name look-up obeys no timeout, and because each step of a handshake has
    its own.
    """
    outcome: list[BaseException | None] = []

    def ask() -> None:
        try:
            with probe:
                probe.ping()
            outcome.append(None)
        except Exception as error:  # handed over, not swallowed
            outcome.append(error)

    thread = Thread(target=ask, name="redis check", daemon=True)
    thread.start()
    thread.join(timeout_s + 0.5)
    return outcome[0] if outcome else RedisTimeoutError()


def _explain(failure: BaseException, timeout_s: float) -> tuple[str, str]:
    """What happened, and the remedy.

    Raises:
        BaseException: The failure itself, when it is none that a Redis or a network causes.
    """
    cause = failure.__cause__ or failure.__context__
    remedy = "start it, or check the URL; rediss:// is for TLS"
    match failure:
        case AuthenticationError():
            problem, remedy = f"refused the credentials ({_words(failure)})", "give redis://user:password@host:6379/0"
        case BusyLoadingError():
            problem, remedy = "is still loading its data", "try again in a while"
        case RedisTimeoutError():
            problem, remedy = f"did not answer within {timeout_s:g} s", "check host, port and network"
            if "handshake" in str(cause):
                remedy += "; redis:// is without TLS"
        case InvalidResponse():
            problem, remedy = "does not speak Redis", "check the port; rediss:// is for TLS"
        case ResponseError():
            problem = f"answered with an error ({_words(failure)})"
            remedy = "check the database number and the user's rights"
        case RedisConnectionError() if isinstance(cause, ssl.SSLCertVerificationError):
            problem = f"has a certificate that cannot be trusted ({cause.verify_message})"
            remedy = "add ?ssl_ca_certs=FILE to the URL"
        case RedisConnectionError() if isinstance(cause, ssl.SSLError):
            problem, remedy = "does not speak TLS", "use redis:// instead of rediss://, or check the port"
        case RedisConnectionError() if isinstance(cause, OSError) and cause.strerror:
            problem = f"cannot be reached ({cause.strerror.lower()})"
        case RedisError() | OSError() | UnicodeError():
            problem = f"cannot be reached ({_words(failure)})"
        case _:
            raise failure
    return problem, remedy


def _words(error: BaseException) -> str:
    """The first sentence of a message, on one line."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".")
