from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.clocks import SAME_CLOCK, ClockOffset, ClockReading, ClockTable, best_offset, parse_offset

AHEAD = st.floats(-1e4, 1e4)
DELAYS = st.tuples(st.floats(0, 5), st.floats(0, 5))


def reading(ahead_s: float, sent_s: float, there_s: float, back_s: float) -> ClockReading:
    """What is read of a server that is so far ahead, with so long a way to it and back."""
    return ClockReading(sent_s, sent_s + there_s + ahead_s, sent_s + there_s + back_s)


@given(AHEAD, st.lists(DELAYS, min_size=1, max_size=8))
def test_the_truth_is_never_further_away_than_the_uncertainty(
    ahead_s: float, delays: list[tuple[float, float]]
) -> None:
    found = best_offset(reading(ahead_s, 1000.0 + n, there_s, back_s) for n, (there_s, back_s) in enumerate(delays))

    assert found is not None
    assert abs(found.offset_s - ahead_s) <= found.uncertainty_s + 1e-9


@given(AHEAD, st.lists(DELAYS, min_size=1, max_size=8))
def test_the_shortest_round_trip_decides(ahead_s: float, delays: list[tuple[float, float]]) -> None:
    found = best_offset(reading(ahead_s, 0.0, *ways) for ways in delays)

    assert found is not None
    assert found.uncertainty_s == pytest.approx(min(there_s + back_s for there_s, back_s in delays) / 2)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10), st.floats(0, 10))
def test_on_one_machine_no_instant_is_ever_moved(a: float, b: float, c: float, d: float) -> None:
    """Both read the same clock, so each is at most half its round trip away from it, and the two no more than both."""
    one, other = best_offset([reading(0.0, 5.0, a, b)]), best_offset([reading(0.0, 9.0, c, d)])

    assert one is not None
    assert other is not None
    shift_s = abs(one.shift_to(other))
    assert shift_s == 0 or shift_s == pytest.approx(one.uncertainty_s + other.uncertainty_s)  # a hair above: rounding


def test_an_instant_is_moved_by_the_difference_of_the_two_clocks() -> None:
    slow, fast = ClockOffset(5.0, 0.001), ClockOffset(-2.0, 0.001)

    assert slow.shift_to(fast) == 7.0
    assert fast.shift_to(slow) == -7.0
    assert slow.shift_to(SAME_CLOCK) == 5.0


def test_a_clock_that_stepped_back_while_it_was_read_tells_nothing() -> None:
    stepped = ClockReading(10.0, 10.0, 9.0)

    assert best_offset([stepped]) is None
    assert best_offset([]) is None
    assert best_offset([stepped, ClockReading(20.0, 23.0, 20.2)]) == ClockOffset(pytest.approx(2.9), pytest.approx(0.1))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e6))
def test_an_offset_is_read_as_it_was_written(offset_s: float, uncertainty_s: float) -> None:
    offset = ClockOffset(offset_s, uncertainty_s)
    assert parse_offset(str(offset)) == offset


@given(st.text())
def test_whatever_is_written_there_is_an_offset_or_none(text: str) -> None:
    offset = parse_offset(text)
    assert offset is None or (math.isfinite(offset.offset_s) and offset.uncertainty_s >= 0)


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "nan 1", "1 inf", "1 -1", "a b"])
def test_nonsense_is_no_offset(text: str) -> None:
    assert parse_offset(text) is None


def test_a_clock_that_nobody_told_of_is_taken_for_ones_own() -> None:
    table = ClockTable()
    table.note_own(ClockOffset(1.0, 0.0))

    assert not table.is_known("w")
    assert table.shift_s("w") == table.shift_s(None) == 0.0


def test_a_table_moves_instants_into_ones_own_time() -> None:
    table = ClockTable()
    table.note("w", ClockOffset(5.0, 0.01))
    assert table.shift_s("w") == 0.0  # one's own clock is not known yet
    table.note_own(ClockOffset(1.0, 0.02))

    assert table.shift_s("w") == 4.0
    assert table.tolerance_s("w") == pytest.approx(0.03, abs=0.002)


def test_a_clock_that_moves_during_a_run_is_named() -> None:
    table = ClockTable()
    for own_s, other_s in ((0.0, 5.0), (0.001, 5.0), (0.001, 4.0)):
        table.note_own(ClockOffset(own_s, 0.001))
        table.note("w", ClockOffset(other_s, 0.001))

    assert table.moved() == [("w", -1.0)]
