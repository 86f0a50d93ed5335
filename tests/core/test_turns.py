from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.turns import Turns, parse_weighted
from jobctl.errors import InvalidValue

weights = st.lists(st.integers(1, 50), min_size=1, max_size=8)


def test_turns_are_spread_over_the_cycle_as_nginx_spreads_them() -> None:
    # credits before each pick, weights 5 1 1: 5 1 1 | 3 2 2 | 1 3 3 | 6 -3 4 | 4 -2 5 | 9 -1 -1 | 7 0 0
    assert Turns([5, 1, 1]).next(7) == [0, 0, 1, 0, 2, 0, 0]


@given(weights, st.integers(1, 3))
def test_in_each_cycle_every_queue_has_exactly_its_weight(weights: list[int], cycles: int) -> None:
    turns = Turns(weights)

    for _ in range(cycles):
        cycle = turns.next(sum(weights))
        assert [cycle.count(queue) for queue in range(len(weights))] == weights


@given(weights, st.integers(0, 200))
def test_no_queue_waits_for_more_turns_than_a_cycle_has(weights: list[int], skipped: int) -> None:
    turns = Turns(weights)
    turns.next(skipped)

    assert set(turns.next(sum(weights))) == set(range(len(weights)))


@given(weights, st.lists(st.integers(0, 20), max_size=10))
def test_the_order_does_not_depend_on_how_many_turns_are_asked_for_at_once(
    weights: list[int], asked: list[int]
) -> None:
    piecemeal, at_once = Turns(weights), Turns(weights)

    assert [queue for count in asked for queue in piecemeal.next(count)] == at_once.next(sum(asked))


@given(weights, st.integers(0, 200))
def test_no_queue_is_ever_a_whole_turn_or_more_ahead_of_its_share_by_more_than_the_number_of_queues(
    weights: list[int], count: int
) -> None:
    taken = Turns(weights).next(count)

    for queue, weight in enumerate(weights):
        assert abs(taken.count(queue) - count * weight / sum(weights)) < len(weights)


@pytest.mark.parametrize("weights", [[], [0], [3, -1]])
def test_weights_below_one_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="whole numbers from 1"):
        Turns(weights)


@pytest.mark.parametrize(
    ("text", "names", "weights"),
    [
        ("high,default", ("high", "default"), None),
        ("high:6,default:3,low:1", ("high", "default", "low"), (6, 3, 1)),
        (" high : 6 , low:1", ("high", "low"), (6, 1)),
        ("only:1", ("only",), (1,)),
    ],
)
def test_queues_are_read_with_their_weights(text: str, names: tuple[str], weights: tuple[int] | None) -> None:
    assert parse_weighted(text) == (names, weights)


@pytest.mark.parametrize("text", ["a:1001", "a:1:2", "a:1.5", "a:1,,b:1", "a,b:1"])
def test_what_is_no_weight_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_weighted(text)

    assert len(str(caught.value).splitlines()) == 1
