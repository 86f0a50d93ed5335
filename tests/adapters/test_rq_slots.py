import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue

import pytest

from jobctl.adapters.rq_slots import CoroutineLoop, Slots
from support.waiting import wait_until

PATIENCE_S = 10.0

token: ContextVar[str] = ContextVar("token", default="none")


@pytest.fixture
def loop() -> Iterator[CoroutineLoop]:
    coroutines = CoroutineLoop()
    yield coroutines
    coroutines.close()


def ignore(cancel: Callable[[], None]) -> None:
    """Nobody will cancel."""


class Bench:
    """Slots whose jobs are functions, counted as their owner counts them."""

    def __init__(self, count: int) -> None:
        self.ended: SimpleQueue[object] = SimpleQueue()
        self.slots: Slots[Callable[[], object]] = Slots(count, self._run)
        self._busy = 0

    def submit(self, job: Callable[[], object]) -> None:
        self._busy += 1
        self.slots.submit(job, self._busy)

    def wait(self) -> object:
        """What the next job to end returned."""
        outcome = self.ended.get(timeout=PATIENCE_S)
        self._busy -= 1
        return outcome

    def _run(self, job: Callable[[], object]) -> None:
        outcome = None
        try:
            outcome = job()
        finally:
            self.ended.put(outcome)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(4)
    yield bench
    bench.slots.close()


def test_as_many_run_at_once_as_there_are_slots(bench: Bench) -> None:
    barrier = threading.Barrier(4, timeout=PATIENCE_S)
    for _ in range(4):
        bench.submit(barrier.wait)
    assert sorted(bench.wait() for _ in range(4)) == [0, 1, 2, 3]  # type: ignore[type-var]


def test_no_more_threads_are_started_than_jobs_run_at_once(bench: Bench) -> None:
    names = set()
    for _ in range(20):
        bench.submit(lambda: threading.current_thread().name)
        names.add(bench.wait())
    assert names == {"slot-1"}


def test_jobs_of_one_slot_run_in_their_order() -> None:
    bench, go = Bench(1), threading.Event()
    bench.slots.submit(lambda: go.wait(PATIENCE_S), 1)
    for number in range(5):
        bench.slots.submit(lambda number=number: number, 1)
    go.set()
    assert [bench.wait() for _ in range(6)] == [True, 0, 1, 2, 3, 4]
    bench.slots.close()


def test_context_variables_do_not_pass_from_job_to_job(bench: Bench) -> None:
    def job(value: str) -> str:
        seen = token.get()
        token.set(value)
        return seen

    token.set("mine")
    for value in ("a", "b"):
        bench.submit(lambda value=value: job(value))
        assert bench.wait() == "none"


def test_stuck_slots_are_counted_until_they_come_back(bench: Bench) -> None:
    for change, stuck in ((+1, 1), (+1, 2), (-1, 1), (-1, 0)):
        bench.slots.mark_stuck(change)
        assert bench.slots.stuck == stuck


def test_closed_slots_end_their_threads_even_those_that_come_back_later_and_may_be_used_again(bench: Bench) -> None:
    others, go = set(threading.enumerate()), threading.Event()

    def own() -> int:
        return len(set(threading.enumerate()) - others)

    for _ in range(2):
        go.clear()
        for _ in range(3):
            bench.submit(lambda: go.wait(PATIENCE_S))
        assert own() == 3
        bench.slots.close()
        assert own() == 3
        go.set()
        assert [bench.wait() for _ in range(3)] == [True] * 3
        wait_until(lambda: own() == 0)


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


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_coroutine_that_exits_ends_only_itself(loop: CoroutineLoop, error: type[BaseException]) -> None:
    began = threading.Event()
    others: SimpleQueue[int] = SimpleQueue()

    async def other() -> int:
        began.set()
        await asyncio.sleep(0.1)
        return 5

    async def body() -> None:
        raise error("away")

    thread = threading.Thread(target=lambda: others.put(loop.run(other(), ignore)))
    thread.start()
    assert began.wait(PATIENCE_S)
    with pytest.raises(error, match="away"):
        loop.run(body(), ignore)
    assert others.get(timeout=PATIENCE_S) == 5
    assert loop.run(other(), ignore) == 5
    thread.join()


def test_a_coroutine_that_stops_the_loop_stops_nobody(loop: CoroutineLoop) -> None:
    async def body() -> str:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return "done"

    assert loop.run(body(), ignore) == "done"


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


def test_as_many_coroutines_may_wait_for_threads_as_there_are_slots() -> None:
    loop, together = CoroutineLoop(40), threading.Barrier(40)
    callers = [
        threading.Thread(target=loop.run, args=(asyncio.to_thread(together.wait, 10), lambda cancel: None), daemon=True)
        for _ in range(40)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    loop.close()

    assert not any(caller.is_alive() for caller in callers)
