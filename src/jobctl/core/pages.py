"""The page that every report is: one HTML file that opens anywhere.

No script, no address, no font of its own, and a policy in its head by which a browser would refuse any. It follows the
reader's light or dark theme. Each chart is there twice, laid out for a wide and for a narrow screen, because words in a
chart that is merely scaled cannot be read on a phone. Strings in, strings out; what they say is the reports' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from jobctl.core.charts import Chart, draw, text, theme_style, to_svg

__all__ = ["WIDE", "facts", "figure", "page", "section", "state", "table_of", "tabulated"]

#: Widths that charts are laid out for, pixels.
WIDE: Final = 880
_NARROW: Final = 344
_RULES: Final = """\
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:58rem;margin:0 auto;padding:1rem 1rem 3rem}
h1{font-size:1.4rem;line-height:1.3;margin:.2rem 0 .6rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2.4rem 0 .6rem}
h3{font-size:1rem;margin:1.2rem 0 0}
p,dd,li{margin:.3rem 0;overflow-wrap:anywhere}
.soft,footer{color:var(--muted);font-size:.9rem}
.state{display:inline-block;padding:.1rem .6rem;border:1px solid;border-radius:1rem;font-size:.9rem;font-weight:600}
.good{color:var(--good)}
.bad{color:var(--alarm)}
.doubt{color:var(--tone2)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(11rem,45%),1fr));gap:.6rem;margin:1.2rem 0 0}
.facts div{background:var(--tint);border-radius:.5rem;padding:.6rem .8rem}
.facts dt{color:var(--muted);font-size:.85rem}
.facts dd{margin:0;font-size:1.2rem;font-weight:600;overflow-wrap:anywhere}
.facts small{display:block;font-weight:400;font-size:.8rem;color:var(--muted)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .4rem;text-align:left;border-bottom:1px solid var(--grid);vertical-align:top}
.figures th,.figures td{text-align:right;white-space:nowrap}
.figures th:first-child,.figures td:first-child{text-align:left}
.words td{overflow-wrap:anywhere;min-width:4.5rem}
.words td:first-child{min-width:8rem}
th{color:var(--muted);font-weight:600}
tr.chosen{background:var(--tint);font-weight:600}
td small{color:var(--muted);font-weight:400}
td .state{font-size:.8rem;white-space:nowrap}
.bar{background:var(--tint);min-width:6rem;height:1rem}
.bar div{background:var(--tone1);height:100%}
figure{margin:0}
figure svg{display:block;width:100%;height:auto}
figure .narrow{display:none}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.step code{display:block}
@media (max-width:42rem){figure .wide{display:none}figure .narrow{display:block}}
@media print{body{font-size:12px}section{break-inside:avoid}}
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: Of the window; plain text.
        body: Elements, from top to bottom.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="color-scheme" content="light dark">',
            f"<title>{text(title)}</title>",
            f"<style>{theme_style()}{_RULES}</style></head><body><main>",
            *body,
            "</main></body></html>",
            "",
        ]
    )


def section(heading: str, body: Iterable[str]) -> Iterator[str]:
    """Elements below a heading; nothing where there are none."""
    parts = list(body)
    if parts:
        yield f"<section><h2>{text(heading)}</h2>"
        yield from parts
        yield "</section>"


def state(words: str, kind: str) -> str:
    """A badge: ``good``, ``bad`` or in ``doubt``."""
    return f'<span class="state {kind}">{text(words)}</span>'


def facts(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Figures in boxes: name, value and remark of each."""
    yield '<dl class="facts">'
    for name, value, remark in rows:
        small = f"<small>{text(remark)}</small>" if remark else ""
        yield f"<div><dt>{text(name)}</dt><dd>{text(value)}{small}</dd></div>"
    yield "</dl>"


def figure(chart: Chart) -> str:
    """A chart, for a wide and for a narrow screen."""
    wide, narrow = (to_svg([draw(chart, width)], "") for width in (WIDE, _NARROW))
    return f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div></figure>'


def tabulated(
    kind: str, name: str, heads: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[bool] = ()
) -> str:
    """A table in a box that scrolls sideways, and can be reached by the keyboard to do so.

    Args:
        kind: ``figures`` or ``words``.
        name: What it holds, for those who cannot see it.
        heads: Of the columns, plain text.
        rows: Plain text.
        chosen: Which rows are set off; none when empty.
    """
    return table_of(kind, name, heads, [[text(cell) for cell in row] for row in rows], chosen)


def table_of(
    kind: str, name: str, heads: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[bool] = ()
) -> str:
    """The same of cells that are HTML already."""
    marks = chosen or [False] * len(rows)
    head = "".join(f'<th scope="col">{text(word)}</th>' for word in heads)
    body = "".join(
        f"<tr{' class=chosen' if mark else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for row, mark in zip(rows, marks, strict=True)
    )
    return (
        f'<div class="scroll" role="region" aria-label="{text(name)}" tabindex="0"><table class="{kind}"><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
