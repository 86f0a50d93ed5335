"""The documents as a site: it builds strictly, every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lock import REPOSITORY
from site_links import linked

from support.browser import visit
from support.sites import PageOfSite, dead_ends, fetched, read_site

DOCUMENTS = REPOSITORY / "docs"
#: Documents outside of ``docs`` that belong to the site.
OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")


def build(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory), *options],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as by `make docs`: a warning, such as that a page is not in the navigation, is an error."""
    directory = tmp_path_factory.mktemp("site").resolve()
    built = build(directory)
    assert built.returncode == 0, built.stderr
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, PageOfSite]:
    return read_site(site)


def test_every_link_and_every_anchor_leads_somewhere(site: Path, pages: dict[Path, PageOfSite]) -> None:
    assert list(dead_ends(site, pages)) == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, PageOfSite]) -> None:
    assert list(fetched(site, pages)) == []


def test_every_document_is_a_page(site: Path) -> None:
    documents = [path.relative_to(DOCUMENTS) for path in DOCUMENTS.rglob("*.md")]
    documents += [Path("project", name) for name in OUTSIDE]
    for document in documents:
        name = "index.html" if document.name in {"README.md", "index.md"} else f"{document.stem}.html"
        assert (site / document.parent / name).is_file(), document


def test_a_browser_asks_no_network_for_a_page_with_pictures(site: Path, tmp_path: Path) -> None:
    seen = visit(site / "explanation" / "queueing-in-ten-minutes.html", tmp_path)

    assert [address for address in seen.requests if not address.startswith(("file:", "data:", "blob:"))] == []
    assert 'class="md-content"' in seen.dom


def test_links_that_lead_nowhere_stop_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    links = "# Home\n\n[a](nowhere.md), [b](other.md#nowhere), [c](/other.html), [d](other.md#here)\n"
    (tmp_path / "docs" / "index.md").write_text(links, encoding="utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Here\n", encoding="utf-8")
    configuration = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(configuration, encoding="utf-8")
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts" / "site_links.py", tmp_path / "scripts")
    for name in OUTSIDE:
        (tmp_path / name).write_text("# Other\n", encoding="utf-8")

    built = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert built.returncode == 1
    for told in ("'nowhere.md'", "'#nowhere'", "'/other.html'"):
        assert told in built.stderr
    assert "#here" not in built.stderr


def test_dead_ends_and_foreign_files_of_a_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html"></a><a href="#top"></a><a href="#bottom"></a><a href="c.html"></a>'
        '<a href="/b.html"></a><a href="/d.html"></a><a href="https://example.com"></a>'
        '<img src="no.png"><script src="https://cdn.example.com/x.js"></script>'
        '<link rel="stylesheet" href="//fonts.example.com/x.css"><link rel="canonical" href="https://example.com/a">',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<a href="a.html#top"></a>', encoding="utf-8")
    (tmp_path / "x.css").write_text("@font-face{src:url(https://fonts.example.com/f.woff2)}", encoding="utf-8")
    pages = read_site(tmp_path.resolve())

    assert list(dead_ends(tmp_path.resolve(), pages)) == [
        "a.html: #bottom",
        "a.html: c.html",
        "a.html: /d.html",
        "a.html: no.png",
    ]
    assert [found.partition(": ")[2] for found in fetched(tmp_path, pages)] == [
        "https://cdn.example.com/x.js",
        "//fonts.example.com/x.css",
        "https://fonts.example.com/f.woff2",
    ]


def test_a_page_may_link_to_any_file_of_the_repository() -> None:
    text = (
        "[a](../../README.md#plan) [b](../decisions/) [c](../../loadtests/gates.toml) [d](https://example.com/x.md) "
        '[e](#here) <img src="../images/bench.svg">\n\n```\n[f](../architecture.md)\n```\n'
    )

    assert [path.as_posix() for path in linked(Path("docs/howto/x.md"), text)] == [
        "README.md",
        "docs/decisions/index.md",
        "loadtests/gates.toml",
        "docs/images/bench.svg",
    ]
