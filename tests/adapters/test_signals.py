from __future__ import annotations

import os
import signal

import pytest

from jobctl.adapters.signals import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    asked: list[None] = []
    with Interruption(lambda: asked.append(None)) as interruption:
        assert not interruption.happened
        os.kill(os.getpid(), number)
        assert interruption.happened
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert len(asked) == 1


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interruption(lambda: None):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
