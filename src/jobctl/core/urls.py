"""URLs as they may be shown."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_password"]

_IN_QUERY: Final = re.compile(r"([?&](?:\w+_)?password=)[^&]*")


def without_password(url: str) -> str:
    """The URL with its password masked, before the host or in the query; text without one is returned as it is."""
    masked = _IN_QUERY.sub(r"\1***", url)
    scheme, separator, rest = masked.partition("://")
    credentials, at, host = rest.rpartition("@")
    if not (separator and at and ":" in credentials):
        return masked
    return f"{scheme}://{credentials.partition(':')[0]}:***@{host}"
