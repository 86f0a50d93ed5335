"""The page: whole, closed in itself, and nothing in it taken for markup."""

from __future__ import annotations

from jobctl.core.charts import DARK, LIGHT, Axis, Chart, Panel, Point, Series
from jobctl.core.pages import figure, page, section, state, tabulated


def test_it_has_both_themes_and_a_policy_against_everything_from_outside() -> None:
    made = page("A page", ["<p>x</p>"])

    assert "default-src 'none'" in made
    assert "prefers-color-scheme:dark" in made
    assert all(colour in made for theme in (LIGHT, DARK) for colour in theme.values())
    assert "http" not in made.replace("http-equiv", "")


def test_markup_in_words_is_shown_as_it_is() -> None:
    bad = '<script>"&'
    shown = "&lt;script&gt;&quot;&amp;"
    for made in (tabulated("words", bad, [bad], [[bad]]), state(bad, "bad"), "".join(section(bad, ["<p>"]))):
        assert shown in made
        assert "<script" not in made
    assert "<title>&lt;script&gt;" in page(bad, [])


def test_a_section_of_nothing_is_nothing() -> None:
    assert list(section("Gates", [])) == []


def test_a_chart_is_there_for_a_wide_and_a_narrow_screen() -> None:
    panel = Panel("jobs", (Series("", (Point(0.0, 1.0),)),))
    made = figure(Chart("A chart", "One job.", Axis(0.0, 1.0, ((0.0, "0"),)), (panel,)))

    assert made.count("<svg") == 2
    assert made.index('class="wide"') < made.index('class="narrow"')
