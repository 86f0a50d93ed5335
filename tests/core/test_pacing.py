from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.pacing import Send, Stop, Wait, pace

SCHEDULE = [0.5, 1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("elapsed_s", "sent", "decision"),
    [
        pytest.param(0.0, 0, Wait(0.5), id="nothing is due yet: wait for the first"),
        pytest.param(0.5, 0, Send(0, 1), id="an arrival is due at its very instant"),
        pytest.param(1.0, 1, Send(1, 3), id="arrivals of one instant leave together"),
        pytest.param(9.0, 0, Send(0, 3), id="a late wake-up sends all that is due, up to the limit"),
        pytest.param(9.0, 3, Send(3, 4), id="and the rest at the next step"),
        pytest.param(1.5, 3, Wait(0.5), id="between arrivals it waits for the next"),
        pytest.param(-3.0, 0, Wait(3.5), id="before the start it waits as well"),
        pytest.param(2.0, 4, Stop(), id="it stops when all were sent"),
    ],
)
def test_the_pacer_decides(elapsed_s: float, sent: int, decision: object) -> None:
    assert pace(SCHEDULE, elapsed_s, sent, limit=3) == decision


def test_an_empty_schedule_stops_at_once() -> None:
    assert pace([], 0.0, 0, limit=1) == Stop()


@given(st.lists(st.floats(0, 100), max_size=60).map(sorted), st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_every_arrival_is_sent_once_and_in_order_and_never_early(schedule: list[float], stalls: list[float]) -> None:
    clock, sent, seen = 0.0, 0, 0
    while not isinstance(decision := pace(schedule, clock, sent, limit=7), Stop):
        if isinstance(decision, Wait):
            assert decision.seconds > 0
            clock += decision.seconds + stalls[seen % len(stalls)]
        else:
            assert decision.first == sent
            assert all(offset_s <= clock for offset_s in schedule[decision.first : decision.beyond])
            sent = decision.beyond
        seen += 1
    assert sent == len(schedule)
