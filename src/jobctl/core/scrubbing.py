"""Taking secrets and prompts out of what leaves the process.

What is taken out: values under keys that say so (``password``, ``api_key``, ``messages``, ...), keys of known forms
(``sk-...``, bearer tokens, JSON web tokens), user and password inside URLs (a Sentry DSN is one), ``password=`` and the
like in text, everything that follows a quoted ``"messages":`` or ``"content":`` in text, and the secrets that were
named. Of a text 1,000 characters are left; it is cut after the search, so that no half of a secret stays.

What cannot be known: a prompt that somebody's error message repeats in the middle of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

__all__ = ["FILTERED", "make_scrubber"]

FILTERED: Final = "[Filtered]"
#: A named secret shorter than this is a word that may stand anywhere.
_SHORTEST_SECRET: Final = 6
#: Characters of a text that are searched, so that none costs more than milliseconds, and that are left of it.
_SEARCHED, _KEPT = 10_000, 1_000
_ELLIPSIS: Final = "..."
_SECRET_NAMES: Final = (
    r"pass(?:word|wd)?|pwd|secret|(?:api[_-]?|secret[_-]?|private[_-]?)key|token|authorization|dsn|cookie"
)
_PROMPT_NAMES: Final = r"messages|content|prompts?|completions?|flagged_input|args|kwargs"
#: A key under which nothing is to leave; ``total_tokens`` and ``args_count`` are none.
_KEY: Final = re.compile(rf"(?:^|[._-])(?:{_SECRET_NAMES}|{_PROMPT_NAMES})$", re.IGNORECASE)
_TEXT: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(rf"(\\*[\"'](?:{_PROMPT_NAMES})\\*[\"']\s*:).*", re.DOTALL | re.IGNORECASE), rf"\1 {FILTERED}"),
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^/\s@'\"]*@", re.IGNORECASE), rf"\1{FILTERED}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {FILTERED}"),
    (re.compile(r"\bsk-[\w-]{6,}|\bsb_secret_\w+|\beyJ[\w-]+\.[\w-]+\.[\w-]*"), FILTERED),
    (
        re.compile(rf"((?:\b|_)(?:{_SECRET_NAMES})[\"']?\s*[=:]\s*[\"']?)(?!\[Filtered)[^\s&\"',;]+", re.IGNORECASE),
        rf"\1{FILTERED}",
    ),
)


def make_scrubber(secrets: Iterable[str] = ()) -> Callable[[Any], Any]:
    """A function that returns a copy of a JSON-like value without secrets and prompts.

    Args:
        secrets: Texts that must not leave, wherever they stand.
    """
    named = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def text(value: str) -> str:
        value = value[:_SEARCHED]
        for secret in named:
            value = value.replace(secret, FILTERED)
        for pattern, replacement in _TEXT:
            value = pattern.sub(replacement, value)
        return value if len(value) <= _KEPT else value[: _KEPT - len(_ELLIPSIS)] + _ELLIPSIS

    def scrub(value: Any) -> Any:
        match value:
            case str():
                return text(value)
            case Mapping():
                return {
                    key: FILTERED if isinstance(key, str) and _KEY.search(key) and inner is not None else scrub(inner)
                    for key, inner in value.items()
                }
            case list() | tuple():
                return [scrub(inner) for inner in value]
            case _:
                return value

    return scrub
