"""URLs as they may be shown."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_password"]

_BEFORE_HOST: Final = re.compile(r"^((?:[^:/]+://)?[^:/@]*:)(?!//).*@", re.DOTALL)
_IN_QUERY: Final = re.compile(r"([?&](?:\w+_)?password=)[^&]*")


def without_password(url: str) -> str:
    """The URL with its password masked, before the host or in the query; text without one is returned as it is."""
    return _BEFORE_HOST.sub(r"\1***@", _IN_QUERY.sub(r"\1***", url))
