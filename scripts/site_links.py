"""A hook of mkdocs: pages of the site link to files of the repository as they do on GitHub.

The site is made of ``docs``. What its pages link to outside of it (the README, the example, a workflow) comes into the
site below ``project/``, by the same path; such a page's own links, into ``docs`` or not, are led to the same places. So
one relative link works in both.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

REPOSITORY: Final = Path(__file__).resolve().parent.parent
DOCUMENTS: Final = "docs"
#: Where files from outside of ``docs`` are in the site.
PLACE: Final = "project"
#: Pages that nothing in ``docs`` needs to link to.
ALWAYS: Final = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")

#: A link or picture of Markdown that is no address: what is before its target, the target, and its anchor.
_LINK: Final = re.compile(r"(\]\()(?![a-z]+:|//|#)([^)#\s]+)((?:#[^)\s]*)?\))")
#: A picture in HTML.
_PICTURE: Final = re.compile(r'(<img [^>]*?src=")(?![a-z]+:|//)([^"]+)(")')
_FENCED: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Bring in what is linked to outside of ``docs``, and what that links to."""
    waiting = [Path(DOCUMENTS, file.src_uri) for file in files.documentation_pages()] + [Path(name) for name in ALWAYS]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.is_relative_to(DOCUMENTS):
            files.append(File.generated(config, _place(path), content=(REPOSITORY / path).read_bytes()))
        if path.suffix == ".md":
            for target in linked(path, (REPOSITORY / path).read_text(encoding="utf-8")):
                if target not in seen and not target.is_relative_to(DOCUMENTS):
                    waiting.append(target)
                seen.add(target)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead a page's links to where their targets are in the site."""
    inside = page.file.src_uri

    def led(target: Path) -> str:
        return posixpath.relpath(_place(target), posixpath.dirname(inside))

    def shown(target: Path) -> str:
        file = files.get_file_from_path(_place(target))
        return led(target) if file is None else get_relative_url(file.url, page.url)

    path = _origin(inside)
    return _replaced(_PICTURE, path, _replaced(_LINK, path, markdown, led), shown)


def linked(path: Path, markdown: str) -> list[Path]:
    """The files of the repository that a page links to or shows, by their paths in it."""
    found: list[Path] = []

    def note(target: Path) -> str:
        found.append(target)
        return ""

    _replaced(_PICTURE, path, _replaced(_LINK, path, markdown, note), note)
    return found


def _replaced(pattern: re.Pattern[str], path: Path, markdown: str, led: Callable[[Path], str]) -> str:
    """Text with each target that is there put elsewhere; code stays as it is."""

    def put(match: re.Match[str]) -> str:
        target = _target(path, match[2])
        return match[0] if target is None else f"{match[1]}{led(target)}{match[3]}"

    pieces: list[Any] = _FENCED.split(markdown)
    return "".join(piece if place % 2 else pattern.sub(put, piece) for place, piece in enumerate(pieces))


def _target(path: Path, link: str) -> Path | None:
    """The file that a link of a page means, by its path in the repository; a directory's is its list of contents."""
    target = Path(posixpath.normpath(posixpath.join(path.parent.as_posix(), unquote(link))))
    if (REPOSITORY / target).is_dir():
        target = next(
            (target / name for name in ("index.md", "README.md") if (REPOSITORY / target / name).exists()), target
        )
    return target if (REPOSITORY / target).is_file() and not target.is_relative_to("..") else None


def _place(path: Path) -> str:
    """Where a file of the repository is in the site's sources."""
    return (path.relative_to(DOCUMENTS) if path.is_relative_to(DOCUMENTS) else PLACE / path).as_posix()


def _origin(inside: str) -> Path:
    """Which file of the repository a source of the site is."""
    path = Path(inside)
    return path.relative_to(PLACE) if path.is_relative_to(PLACE) else Path(DOCUMENTS, path)
