"""SVG drawn as PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from jobctl.adapters.png import FONTS, render_png

TEXT = '<text x="4" y="30" font-family="DejaVu Sans" font-size="24">{}</text>'


def picture(body: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40">{body}</svg>'


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the colours, as differences to their neighbours: those of an empty picture are all 0."""
    width, height = struct.unpack(">II", png[16:24])
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += 12 + length
    rows, stride = zlib.decompress(data), 1 + 4 * width
    return width, height, b"".join(rows[row * stride + 1 : (row + 1) * stride] for row in range(height))


def test_a_picture_is_twice_as_large_as_the_drawing() -> None:
    png = render_png(picture(""))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert pixels(png)[:2] == (240, 80)
    assert pixels(render_png(picture(""), zoom=1.0))[:2] == (120, 40)


def test_words_are_drawn() -> None:
    assert not any(pixels(render_png(picture("")))[2])
    assert any(pixels(render_png(picture(TEXT.format("p95 wait"))))[2])


def test_bold_words_come_out_bolder() -> None:
    plain = render_png(picture(TEXT.format("wait")))
    bold = render_png(picture(TEXT.format("wait").replace("<text", '<text font-weight="bold"')))
    assert plain != bold


def test_the_fonts_ship_with_their_licence() -> None:
    assert [Path(font).name for font in FONTS] == ["DejaVuSans-Bold.ttf", "DejaVuSans.ttf"]
    licence = Path(FONTS[0]).with_name("LICENSE").read_text(encoding="utf-8")
    assert "Bitstream Vera" in licence
    assert "Arev" in licence
