"""Markdown that holds foreign text."""

from __future__ import annotations

import pytest

from jobctl.core.markdown import plain, table


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("plain words, 5.2 %", "plain words, 5.2 %"),
        ("a|b", "a&#124;b"),
        ("<script>", "&#60;script&#62;"),
        ("@everyone", "&#64;everyone"),
        ("two\nlines\t here", "two lines here"),
        ("*bold* `code` [link](x)", "&#42;bold&#42; &#96;code&#96; &#91;link&#93;(x)"),
    ],
)
def test_nothing_in_a_text_is_markup(words: str, expected: str) -> None:
    assert plain(words) == expected


def test_a_table_is_as_wide_as_its_head_whatever_its_cells_hold() -> None:
    lines = table(["a", "b"], [["x|y", "2\n3"]]).splitlines()

    assert lines == ["| a | b |", "| --- | --- |", "| x&#124;y | 2 3 |"]
