"""``jobctl plan --report``: a plan as a file."""

from __future__ import annotations

from typing import Final

from jobctl.adapters.files import replace_bytes
from jobctl.apps.plan.report import Format, Report, check_report_target, to_html, to_svg_file

__all__ = ["write_report"]

_OPTION: Final = "--report"


def write_report(path: str, report: Report) -> None:
    """Write a report, as what the file's ending asks for: a page, or the charts alone.

    Raises:
        InvalidOption: The ending is none that can be written, or the file cannot be.
    """
    wanted = check_report_target(path, _OPTION)
    replace_bytes(path, _content(report, wanted), _OPTION)


def _content(report: Report, wanted: Format) -> bytes:
    if wanted is Format.HTML:
        return to_html(report).encode()
    if wanted is Format.SVG:
        return to_svg_file(report).encode()
    from jobctl.adapters.png import render_png  # a library that nothing else needs

    return render_png(to_svg_file(report, themed=False))
