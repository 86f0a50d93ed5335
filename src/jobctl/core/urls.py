"""URLs as they may be shown."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["password_of", "without_password"]

_BEFORE_HOST: Final = re.compile(r"^((?:[^:/]+://)?[^:/@]*:)(?!//).*@", re.DOTALL)
_IN_QUERY: Final = re.compile(r"([?&]\w*password=)[^&]*")
#: ``key = value`` of libpq, where the value may be quoted and a backslash protects what follows it.
_IN_WORDS: Final = re.compile(r"((?:^|\s)\w*password\s*=\s*)(?:'(?:\\.|[^'\\])*(?:'|$)|(?:\\.|\S)+)", re.DOTALL)

_PASSWORD: Final = re.compile(r"^[^:/]+://[^:/@]*:(.+)@", re.DOTALL)


def without_password(url: str) -> str:
    """The URL with its password masked, before the host or in the query; text without one is returned as it is.

    It may be a database's ``key=value`` words as well.
    """
    if _IN_WORDS.search(url):
        return _IN_WORDS.sub(r"\1***", url)
    return _BEFORE_HOST.sub(r"\1***@", _IN_QUERY.sub(r"\1***", url))


def password_of(url: str) -> str | None:
    """The password before a URL's host, as it stands there; None without one."""
    found = _PASSWORD.search(url)
    return found[1] if found else None
