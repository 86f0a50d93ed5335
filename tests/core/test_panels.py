from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.panels import GRID, Panel, Query, Row, Unit, places


def _panel(title: str, width: int = 8, height: int = 8) -> Panel:
    return Panel(title, "", (Query("up", ""),), Unit.COUNT, width=width, height=height)


def test_panels_follow_each_other_below_their_heading() -> None:
    rows = [
        Row("first", (_panel("a", 12, 6), _panel("b", 12, 8), _panel("c", 24, 4))),
        Row("second", (_panel("d"),)),
    ]

    where = [(one.panel.title if one.panel else one.heading, one.x, one.y, one.width) for one in places(rows)]

    assert where == [
        ("first", 0, 0, 24),
        ("a", 0, 1, 12),
        ("b", 12, 1, 12),
        ("c", 0, 9, 24),  # below the higher of its neighbours
        ("second", 0, 13, 24),
        ("d", 0, 14, 8),
    ]


@given(st.lists(st.lists(st.tuples(st.integers(1, GRID), st.integers(1, 9)), max_size=8), max_size=5))
def test_nothing_lies_on_anything_else_or_beyond_the_edge(sizes: list[list[tuple[int, int]]]) -> None:
    rows = [Row("", tuple(_panel("", width, height) for width, height in row)) for row in sizes]

    taken: set[tuple[int, int]] = set()
    for place in places(rows):
        cells = {(place.x + x, place.y + y) for x in range(place.width) for y in range(place.height)}
        assert not cells & taken
        assert place.x + place.width <= GRID
        taken |= cells
