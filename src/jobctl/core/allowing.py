"""What a worker may be made to run and to call: the allowlist.

Whoever can write to Redis chooses the functions that workers import, the classes that pickles name and the URLs that
webhooks call. An allowlist bounds that choice. An entry is the dotted path of a module, which allows what is defined in
it or below it; the path of one function or class, which allows that; or the origin of a URL
(``https://hooks.example.com``), which allows webhooks to it. Without an entry everything is allowed; with one, whatever
is not listed is refused, except jobctl's own synthetic jobs.

Paths are compared as text, before anything is imported. What a path leads to may be defined elsewhere, so it is checked
again where it is resolved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from jobctl.core.workload import JOB_TYPES
from jobctl.errors import InvalidValue

__all__ = ["EVERYTHING", "Allowlist", "parse_allow"]

#: Scheme, host and port of a URL; nothing that two parsers could read in two ways, such as credentials or a backslash.
_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?=[/?#]|$)", re.IGNORECASE)
_URL_REST: Final = re.compile(r"(?:[/?#][!-\[\]-~]*)?")
_PORTS: Final = {"http": 80, "https": 443}
_OWN: Final = frozenset(JOB_TYPES.values())
_EXAMPLE: Final = "give dotted paths and origins, such as myapp.tasks,https://hooks.example.com"

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Allowlist:
    """What may run.

    Attributes:
        paths: Dotted paths of modules, functions and classes.
        origins: Scheme, host and port that webhooks may call.
        entries: What was given, in its order.
    """

    paths: frozenset[str] = frozenset()
    origins: frozenset[Origin] = frozenset()
    entries: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ",".join(self.entries) or "everything"

    @property
    def active(self) -> bool:
        """Whether anything was listed, so that the rest is refused."""
        return bool(self.entries)

    def permits(self, path: str) -> bool:
        """Whether what this dotted path names may be imported; names such as ``__globals__`` never may."""
        if not self.entries:
            return True
        if not all(name.isidentifier() and not name.startswith("__") for name in path.split(".")):
            return False
        if path in _OWN:
            return True
        while path:
            if path in self.paths:
                return True
            path = path.rpartition(".")[0]
        return False

    def lists(self, path: str) -> bool:
        """Whether there is an entry for exactly this path."""
        return path in self.paths

    def permits_webhook(self, url: str) -> bool:
        """Whether a webhook may call this URL."""
        return not self.entries or _origin(url) in self.origins


#: The list without entries.
EVERYTHING: Final = Allowlist()


def parse_allow(text: str) -> Allowlist:
    """Read entries with commas between.

    Raises:
        InvalidValue: One is neither a dotted path nor an origin.
    """
    entries = tuple(dict.fromkeys(entry.strip().rstrip("/") for entry in text.split(",")))
    paths, origins = set(), set()
    for entry in entries:
        found = _ORIGIN.fullmatch(entry)
        if found is not None:
            origins.add(_normal(found))
        elif "/" not in entry and all(name.isidentifier() for name in entry.split(".")):
            paths.add(entry)
        else:
            raise InvalidValue(f"{entry!r} is neither a dotted path nor an origin", _EXAMPLE)
    return Allowlist(frozenset(paths), frozenset(origins), entries)


def _origin(url: str) -> Origin | None:
    found = _ORIGIN.match(url)
    return None if found is None or not _URL_REST.fullmatch(url, found.end()) else _normal(found)


def _normal(found: re.Match[str]) -> Origin:
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    return scheme, host, int(port) if port else _PORTS[scheme]
