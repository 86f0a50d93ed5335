"""A built site, seen as a browser would: where its links lead, and what its pages load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: What a page loads by itself, by tag: the attribute that names it.
_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
#: Links in the head of a page that name another page and load nothing.
_NAMING = {"canonical", "prev", "next", "alternate"}
_OF_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


@dataclass
class PageOfSite(HTMLParser):
    """One page.

    Attributes:
        links: Where it leads to.
        loads: What it loads.
        anchors: The places in it that a link may name.
    """

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in _LOADED and _LOADED[tag] in values and not _NAMING & set(values.get("rel", "").split()):
            self.loads.append(values[_LOADED[tag]])
        self.loads += _OF_STYLE.findall(values.get("style", ""))


def read_site(directory: Path) -> dict[Path, PageOfSite]:
    """Every page of a built site by its path."""
    pages = {}
    for path in sorted(directory.rglob("*.html")):
        page = pages[path] = PageOfSite()
        page.feed(path.read_text(encoding="utf-8"))
    return pages


def dead_ends(directory: Path, pages: dict[Path, PageOfSite]) -> Iterator[str]:
    """Links to files or places that are not there, and files that are loaded and are not there."""
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            base = directory if parts.path.startswith("/") else path.parent  # the page of errors is shown anywhere
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages[target].anchors if target in pages else {parts.fragment}
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                yield f"{path.name}: {link}"


def fetched(directory: Path, pages: dict[Path, PageOfSite]) -> Iterator[str]:
    """What pages and stylesheets load from elsewhere."""
    for path, page in pages.items():
        yield from (f"{path.name}: {address}" for address in page.loads if _is_elsewhere(address))
    for path in sorted(directory.rglob("*.css")):
        for address in _OF_STYLE.findall(path.read_text(encoding="utf-8")):
            if _is_elsewhere(address):
                yield f"{path.name}: {address}"


def _is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in {"http", "https"}
