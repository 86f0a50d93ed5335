"""The settings: defaults < ``jobctl.toml`` < environment < flags. The only reader of the environment.

Each value remembers where it came from, so that ``jobctl config`` can say so and an error can name the place to mend.
Unset is None: a flag that was not given never hides a lower level.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

from jobctl.core.units import parse_positive_duration, parse_whole
from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["CONFIG_FILE", "FIELDS", "Field", "Origin", "QueueNames", "Settings", "load"]

#: The file looked for in the working directory.
CONFIG_FILE: Final = "jobctl.toml"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: its names at each level, and how its text is read.

    Attributes:
        name: Its key in ``jobctl.toml`` and its attribute on :class:`Settings`.
        flag: The command-line option.
        env: The environment variable.
        parse: Text to value; raises InvalidValue.
        default: What holds when nothing is given; None means "find or start one".
        secret: Whether all of it is a secret. The password inside a URL never shows in any case.
        meaning: One line for ``jobctl config``.
    """

    name: str
    flag: str
    env: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: ``flag``, ``env``, ``file`` or ``default``, and its name there."""

    level: str
    name: str

    def __str__(self) -> str:
        return self.level if self.level == "default" else f"{self.level} {self.name}"


def _redis_url(text: str) -> str:
    text = text.strip()
    scheme = text.split("://", 1)[0] if "://" in text else ""
    rest = text[len(scheme) + 3 :]
    if scheme not in {"redis", "rediss", "unix"} or not rest.strip("/"):
        raise InvalidValue(
            f"{without_password(text)!r} is not a Redis URL", "give redis://host:6379/0 or unix:///path/to.sock"
        )
    return text


def _http_url(text: str) -> str:
    text = text.strip().rstrip("/")
    if not text.startswith(("http://", "https://")):
        raise InvalidValue(f"{without_password(text)!r} is not an HTTP URL", "give https://host/api/v1")
    return text


class QueueNames(tuple[str, ...]):
    """Names of queues, most urgent first. A class of its own, because a bare tuple is several words to typer."""

    __slots__ = ()


def _queue_names(text: str) -> QueueNames:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InvalidValue(f"{text!r} names an empty queue", "give names with commas between, such as high,default,low")
    if len(set(names)) != len(names):
        raise InvalidValue(f"{text!r} names a queue twice", "name each queue once, most urgent first")
    return QueueNames(names)


def _text(text: str) -> str:
    if not text.strip():
        raise InvalidValue("is empty", "give a value or leave it out")
    return text.strip()


FIELDS: Final[tuple[Field, ...]] = (
    Field("redis_url", "--redis-url", "REDIS_URL", _redis_url, None, "Redis to use; an embedded server when unset"),
    Field(
        "queues",
        "--queues",
        "JOB_QUEUES",
        _queue_names,
        QueueNames(("high", "default", "low")),
        "queues a worker listens to, most urgent first",
    ),
    Field(
        "concurrency",
        "--concurrency",
        "JOB_CONCURRENCY",
        partial(parse_whole, maximum=10_000),
        25,
        "jobs in flight in one worker",
    ),
    Field(
        "openrouter_url",
        "--openrouter-url",
        "OPENROUTER_BASE_URL",
        _http_url,
        "https://openrouter.ai/api/v1",
        "where chat_completion jobs call",
    ),
    Field(
        "openrouter_api_key", "--openrouter-api-key", "OPENROUTER_API_KEY", _text, None, "the key they call with", True
    ),
    Field(
        "call_timeout_s",
        "--call-timeout",
        "JOB_CALL_TIMEOUT",
        parse_positive_duration,
        120.0,
        "total deadline of one OpenRouter call, seconds",
    ),
)
_BY_NAME: Final = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run, merged and frozen.

    Attributes:
        redis_url: Redis to use; None means an embedded server.
        queues: Queue names, most urgent first.
        concurrency: Jobs in flight in one worker.
        openrouter_url: Base URL of the OpenRouter API.
        openrouter_api_key: The key; None when not given.
        call_timeout_s: Total deadline of one OpenRouter call, seconds.
        origins: For each of the above, where its value came from.
    """

    redis_url: str | None
    queues: QueueNames
    concurrency: int
    openrouter_url: str
    openrouter_api_key: str | None
    call_timeout_s: float
    origins: Mapping[str, Origin]

    @property
    def masked_redis_url(self) -> str:
        """The Redis URL as it may be printed."""
        return self.shown(_BY_NAME["redis_url"])

    def shown(self, field: Field) -> str:
        """The value as it may be printed: secrets and passwords inside URLs masked."""
        value = getattr(self, field.name)
        if value is None:
            return "(unset)"
        if isinstance(value, tuple):
            return ",".join(value)
        if field.secret:
            return "***"
        return f"{value:g}" if isinstance(value, float) else without_password(str(value))


def load(flags: Mapping[str, Any], *, env: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Merge the four levels.

    Args:
        flags: Values from the command line by field name, already parsed; None means not given.
        env: The environment; the process's own when None.
        directory: Where ``jobctl.toml`` is looked for; the working directory when None.

    Raises:
        InvalidOption: A value at some level means nothing, or the file has an unknown key or cannot be read.
    """
    env = os.environ if env is None else env
    path = (directory or Path()) / CONFIG_FILE
    file_values = _read_file(path)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for field in FIELDS:
        if flags.get(field.name) is not None:
            values[field.name], origins[field.name] = flags[field.name], Origin("flag", field.flag)
        elif env.get(field.env, "").strip():
            values[field.name] = _parsed(field, env[field.env], field.env)
            origins[field.name] = Origin("env", field.env)
        elif field.name in file_values:
            text = _file_text(file_values[field.name])
            values[field.name] = _parsed(field, text, f"{path.name}: {field.name}")
            origins[field.name] = Origin("file", path.name)
        else:
            values[field.name], origins[field.name] = field.default, Origin("default", "")
    return Settings(**values, origins=origins)


def _parsed(field: Field, text: str, place: str) -> Any:
    try:
        return field.parse(text)
    except InvalidValue as error:
        raise InvalidOption(place, error.problem, error.remedy) from None


def _file_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidOption(str(path), f"cannot be read ({error})", "mend the file or remove it") from None
    for key in content:
        if key not in _BY_NAME:
            near = get_close_matches(key, _BY_NAME, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(_BY_NAME)}"
            raise InvalidOption(path.name, f"unknown key {key!r}", remedy)
    return content
