"""SVG drawn as PNG, by resvg: no browser and no display.

Text is drawn in DejaVu Sans, which ships in ``fonts/``, so the same picture comes out on a machine without a font; only
for a character that it lacks are the machine's own fonts asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import resvg_py

__all__ = ["FONTS", "render_png"]

#: The files that text is drawn from.
FONTS: Final = tuple(sorted(str(path) for path in Path(__file__).with_name("fonts").glob("*.ttf")))


def render_png(svg: str, zoom: float = 2.0) -> bytes:
    """A picture of a drawing.

    Args:
        svg: The drawing; its styles may use classes but no variables, and ask for DejaVu Sans.
        zoom: Pixels for each of its own.
    """
    return resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, font_files=list(FONTS), sans_serif_family="DejaVu Sans")
