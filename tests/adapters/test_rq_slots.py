import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar

import pytest

from jobctl.adapters.rq_slots import CoroutineLoop, Slots

PATIENCE_S = 10.0

token: ContextVar[str] = ContextVar("token", default="none")


@pytest.fixture
def loop() -> Iterator[CoroutineLoop]:
    coroutines = CoroutineLoop()
    yield coroutines
    coroutines.close()


def ignore(cancel: Callable[[], None]) -> None:
    """Nobody will cancel."""


def wait_until_drained(slots: Slots) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not slots.drained():
        assert time.monotonic() < deadline
        slots.wait_fewer(slots.busy, 0.1)


def test_as_many_run_at_once_as_there_are_slots() -> None:
    slots, barrier = Slots(4), threading.Barrier(4, timeout=PATIENCE_S)
    for _ in range(4):
        slots.submit(lambda: barrier.wait() and None)
    assert slots.free == 0
    wait_until_drained(slots)
    assert not barrier.broken
    slots.close()


def test_a_slot_survives_what_its_job_raises() -> None:
    slots, ran = Slots(1), threading.Event()

    def fail() -> None:
        raise SystemExit

    slots.submit(fail)
    wait_until_drained(slots)
    slots.submit(ran.set)
    assert ran.wait(PATIENCE_S)
    wait_until_drained(slots)
    slots.close()


def test_context_variables_do_not_pass_from_job_to_job() -> None:
    slots, seen = Slots(1), []

    def job(value: str) -> None:
        seen.append(token.get())
        token.set(value)

    for value in ("a", "b"):
        slots.submit(lambda value=value: job(value))
        wait_until_drained(slots)
    assert seen == ["none", "none"]
    slots.close()


def test_a_stuck_slot_is_busy_and_does_not_keep_slots_from_being_drained() -> None:
    slots, back = Slots(2), threading.Event()
    slots.submit(lambda: back.wait(PATIENCE_S) and None)
    slots.mark_stuck(+1)
    assert (slots.free, slots.stuck, slots.drained()) == (1, 1, True)
    slots.mark_stuck(-1)
    back.set()
    wait_until_drained(slots)
    assert (slots.free, slots.stuck) == (2, 0)
    slots.close()


def test_waiting_for_a_free_slot_ends_when_one_becomes_free() -> None:
    slots, go = Slots(1), threading.Event()
    slots.submit(lambda: go.wait(PATIENCE_S) and None)
    threading.Timer(0.05, go.set).start()
    began = time.monotonic()
    slots.wait_free(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2
    wait_until_drained(slots)
    slots.close()


def test_closed_slots_end_their_threads_and_may_be_used_again() -> None:
    slots, before = Slots(3), threading.active_count()
    for _ in range(2):
        barrier = threading.Barrier(3, timeout=PATIENCE_S)
        for _ in range(3):
            slots.submit(lambda barrier=barrier: barrier.wait() and None)
        wait_until_drained(slots)
        slots.close()
        deadline = time.monotonic() + PATIENCE_S
        while threading.active_count() > before:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_coroutines_share_one_loop(loop: CoroutineLoop) -> None:
    async def which() -> int:
        return id(asyncio.get_running_loop())

    assert loop.run(which(), ignore) == loop.run(which(), ignore)


def test_a_coroutine_sees_the_context_of_its_thread_and_cannot_change_it(loop: CoroutineLoop) -> None:
    async def body() -> str:
        seen = token.get()
        token.set("changed")
        return seen

    token.set("mine")
    assert loop.run(body(), ignore) == "mine"
    assert token.get() == "mine"


def test_what_a_coroutine_raises_is_raised(loop: CoroutineLoop) -> None:
    async def body() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        loop.run(body(), ignore)


def test_a_cancelled_coroutine_may_clean_up(loop: CoroutineLoop) -> None:
    steps = []

    async def body() -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned")

    with pytest.raises(asyncio.CancelledError):
        loop.run(body(), lambda cancel: threading.Timer(0.05, cancel).start())
    assert steps == ["cleaned"]


def test_a_coroutine_cancelled_before_its_turn_never_begins(loop: CoroutineLoop) -> None:
    began = []

    async def body() -> None:
        began.append(True)

    with pytest.raises(asyncio.CancelledError):
        loop.run(body(), lambda cancel: cancel())
    assert began == []


def test_closing_the_loop_ends_tasks_that_were_left_behind() -> None:
    loop, ended = CoroutineLoop(), threading.Event()
    tasks = []

    async def background() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(PATIENCE_S)
        ended.set()

    async def body() -> None:
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    loop.run(body(), ignore)
    assert not ended.is_set()
    loop.close()
    assert ended.wait(PATIENCE_S)
