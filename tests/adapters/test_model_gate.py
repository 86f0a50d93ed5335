from __future__ import annotations

import pytest

from jobctl.adapters.memory import MemoryLimiter, VirtualClock
from jobctl.adapters.model_gate import ModelGate
from jobctl.core.limiting import Limit, Limits, Permits

MODEL = "openai/gpt-4o-mini"


class Counted(MemoryLimiter):
    """Counts how often it is asked."""

    asked = 0

    def acquire(self, model: str, **wish: object):  # type: ignore[no-untyped-def, override]
        self.asked += 1
        return super().acquire(model, **wish)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1e9)


@pytest.fixture
def limiter(clock: VirtualClock) -> Counted:
    return Counted(Limits(Limit(rpm=600)), clock=clock.now)  # 12.65 at once, one more each 0.103 s


@pytest.fixture
def gate(limiter: Counted, clock: VirtualClock) -> ModelGate:
    return ModelGate(limiter, MODEL, monotonic=clock.now)


def test_it_lets_as_many_through_as_the_limiter_grants(gate: ModelGate) -> None:
    assert gate.admit(25) == 12
    assert Permits.parse(gate.permits, MODEL).kind == "granted"


def test_after_a_denial_it_does_not_ask_before_its_time(gate: ModelGate, limiter: Counted, clock: VirtualClock) -> None:
    gate.admit(25)
    assert [gate.admit(25) for _ in range(10)] == [0] * 10
    assert limiter.asked == 1
    clock.sleep(0.11)

    assert gate.admit(25) == 1


def test_what_was_not_taken_is_handed_back(gate: ModelGate, clock: VirtualClock) -> None:
    assert gate.admit(10) == 10
    gate.hand_back(10)

    assert gate.admit(12) == 12


def test_nothing_wanted_asks_nobody(gate: ModelGate, limiter: Counted) -> None:
    assert gate.admit(0) == 0
    assert limiter.asked == 0
