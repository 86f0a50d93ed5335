from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import units
from jobctl.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("250ms", 0.25),
        ("1h30m", 5400),
        ("45", 45),
        ("1.5m", 90),
        ("0s", 0),
        ("10us", 1e-5),
        ("2 d", 172800),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "abc", "-5s", "10parsecs", "nan", "inf", "5s5", "s", "1e999s", "5ss", "--"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidValue, match="30s"):
        units.parse_duration(text)


def test_a_duration_that_must_be_positive_refuses_zero() -> None:
    with pytest.raises(InvalidValue, match="longer than 0"):
        units.parse_positive_duration("0")


@pytest.mark.parametrize(
    ("text", "value"),
    [("450000", 450e3), ("450k", 450e3), ("1.35M", 1.35e6), ("5.2", 5.2), ("1_000", 1000), ("1e9", 1e9)],
)
def test_a_count_is_read(text: str, value: float) -> None:
    assert units.parse_count(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["-5", "abc", "nan", "inf", "0", "", "1e999", "5x", "k"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        units.parse_count(text)


@given(st.text(max_size=20))
def test_any_text_gives_a_finite_value_or_a_clear_refusal(text: str) -> None:
    for parse in (
        units.parse_duration,
        units.parse_count,
        units.parse_positive,
        units.parse_fraction,
        units.parse_not_negative,
    ):
        try:
            value = parse(text)
        except InvalidValue as error:
            refusal = error
        else:
            assert math.isfinite(value)
            continue
        assert refusal.problem
        assert refusal.remedy


@pytest.mark.parametrize("text", ["0", "101", "2.5", "x", ""])
def test_a_whole_number_outside_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="at least 1 and at most 100"):
        units.parse_whole(text, maximum=100)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan"])
def test_a_fraction_outside_its_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        units.parse_fraction(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.000012, "12 µs"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (600, "10 min"),
        (9000, "2.5 h"),
        (0.9996, "1 s"),
        (119.7, "2 min"),
        (-0.25, "-250 ms"),
        (200_000, "2.31 d"),
        (1e9, "11,574 d"),
        (math.inf, "-"),
        (math.nan, "-"),
    ],
)
def test_a_duration_is_shown_in_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert units.format_duration(seconds) == shown


@given(st.floats(1e-9, 1e12))
def test_a_duration_as_shown_is_within_half_a_percent_and_never_an_exponent(seconds: float) -> None:
    shown = units.format_duration(seconds)
    assert units.parse_duration(shown.replace(",", "")) == pytest.approx(seconds, rel=6e-3)
    assert "e+" not in shown


@pytest.mark.parametrize(
    ("text", "size"),
    [("300MB", 3e8), ("512m", 5.12e8), ("1.5 GiB", 1.5 * 2**30), ("64kib", 65_536), ("1000", 1000), ("2gb", 2e9)],
)
def test_a_size_of_memory_is_read_in_either_kind_of_unit(text: str, size: float) -> None:
    assert units.parse_bytes(text) == pytest.approx(size)


@pytest.mark.parametrize("text", ["", "MB", "0", "-1MB", "nan", "inf", "1e400", "300 parsecs", "1 TB", "5i", "3 MB MB"])
def test_what_is_no_size_of_memory_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        units.parse_bytes(text)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("0.05", 0.05), (" 12.5 % ", 0.125), ("100%", 1.0), ("0", 0.0)]
)
def test_a_share_is_read_as_a_percentage_or_a_fraction(text: str, share: float) -> None:
    assert units.parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "5", "101%", "-1%", "nan%", "5%%", "5 apples"])
def test_what_is_no_share_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        units.parse_share(text)
    assert refusal.value.remedy
