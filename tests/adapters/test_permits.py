from __future__ import annotations

import asyncio
from contextvars import Context, copy_context

from jobctl.adapters.permits import Held, current_attempt, hold, permitted


def test_what_is_held_can_be_taken_once() -> None:
    held = Held("granted a/b 7.0")

    assert (held.left, held.take(), held.take(), held.left) == ("granted a/b 7.0", "granted a/b 7.0", None, "")


def test_a_job_that_holds_nothing_is_told_apart_from_no_job() -> None:
    def job() -> str | None:
        hold("")
        held = permitted.get()
        assert held is not None
        return held.take()

    assert Context().run(job) == ""
    assert Context().run(permitted.get) is None


def test_copies_of_a_jobs_context_share_it() -> None:
    async def take() -> str | None:
        held = permitted.get()
        assert held is not None
        return held.take()

    async def job() -> list[str | None]:
        return list(await asyncio.gather(take(), take(), take()))

    def slot() -> list[str | None]:
        hold("place a/b 1.0")
        return copy_context().run(asyncio.run, job())

    assert sorted(map(str, Context().run(slot))) == ["None", "None", "place a/b 1.0"]


def test_a_job_knows_which_attempt_it_is_and_whoever_runs_outside_a_job_is_at_the_first() -> None:
    def slot() -> tuple[int, bool]:
        held = hold("", attempt=3, retry=True)
        return current_attempt(), held.retry

    assert Context().run(slot) == (3, True)
    assert current_attempt() == 1
    assert not Held().retry


def test_jobs_that_run_beside_each_other_do_not_see_each_others() -> None:
    Context().run(hold, "place a/b 1.0")

    assert permitted.get() is None
