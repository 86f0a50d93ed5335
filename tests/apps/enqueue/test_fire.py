from __future__ import annotations

from array import array
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.adapters.memory import MemoryFleet, VirtualClock
from jobctl.apps.enqueue.enqueue import MOST_JOBS, EnqueueRequest, Progress, choose_workload, fire, make_instants
from jobctl.core.arrivals import POISSON, Arrivals, Stage, make_schedule
from jobctl.core.workload import make_workload
from jobctl.errors import InvalidOption, ServiceUnavailable
from support.arrivals import ARRIVALS

START_S = 1000.0


def instants(**changes: Any) -> array[float]:
    fields: dict[str, Any] = {
        "count": None,
        "rate_per_s": None,
        "duration_s": None,
        "arrivals": POISSON,
        "seed": 1,
    }
    return make_instants(**{**fields, **changes})


class RecordingQueue:
    """The in-memory queue, which also notes when each batch came."""

    def __init__(self, clock: VirtualClock) -> None:
        self.fleet = MemoryFleet(clock)
        self._clock = clock
        self.batches: list[tuple[float, int]] = []

    def enqueue_many(self, requests: Any) -> None:
        self.fleet.enqueue_many(requests)
        self.batches.append((self._clock.now() - START_S, len(requests)))

    def backlog(self) -> int:
        return self.fleet.backlog()


def request(due: array[float], job: str = "noop", **options: Any) -> EnqueueRequest:
    return EnqueueRequest("run", due, make_workload(job, **options), 1, 60)


# ------------------------------------------------------------------------------------------------------------ instants


def test_a_count_alone_is_due_at_once() -> None:
    assert list(instants(count=3)) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=str)
def test_a_rate_over_a_duration_is_the_benchs_own_schedule(arrivals: Arrivals) -> None:
    expected = make_schedule(arrivals, [Stage.steady(5.2083, 60.0)], 7)

    assert instants(rate_per_s=5.2083, duration_s=60.0, arrivals=arrivals, seed=7) == expected


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=str)
@given(count=st.integers(1, 400), rate_per_s=st.floats(0.001, 1e6), seed=st.integers(0, 50))
def test_a_count_at_a_rate_is_exactly_that_count(arrivals: Arrivals, count: int, rate_per_s: float, seed: int) -> None:
    due = instants(count=count, rate_per_s=rate_per_s, arrivals=arrivals, seed=seed)

    assert len(due) == count
    assert list(due) == sorted(due)


@given(count=st.integers(1, 60), seed=st.integers(0, 50))
def test_with_a_count_and_a_duration_whichever_comes_first_ends_it(count: int, seed: int) -> None:
    whole = instants(rate_per_s=3.0, duration_s=10.0, seed=seed)

    assert instants(count=count, rate_per_s=3.0, duration_s=10.0, seed=seed) == whole[:count]


def test_a_small_count_of_a_long_schedule_is_found_without_making_all_of_it() -> None:
    assert len(instants(count=5, rate_per_s=1e6, duration_s=1e9)) == 5


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({}, "--count"),
        ({"duration_s": 10.0}, "--duration"),
        ({"duration_s": 10.0, "count": 5}, "--duration"),
        ({"rate_per_s": 10.0}, "--duration"),
        ({"rate_per_s": 450_000.0, "duration_s": 8 * 3600.0}, "--duration"),
    ],
)
def test_what_does_not_say_how_many_or_far_too_many_is_refused(given: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        instants(**given)

    assert caught.value.option == option


def test_the_most_that_a_schedule_may_hold_is_the_most_that_a_count_may() -> None:
    with pytest.raises(InvalidOption, match=r"means 1\.01e\+07 jobs at that rate, above 1e\+07; shorten it"):
        instants(rate_per_s=MOST_JOBS, duration_s=1.01)


# ------------------------------------------------------------------------------------------------------------ workload


def test_a_law_is_for_sleep_jobs_that_have_no_arguments_of_their_own() -> None:
    assert choose_workload("sleep", None, "constant:2s").service_law == "constant:2s"
    for job, payloads in ((None, None), ("noop", None), ("myapp.f", None), ("sleep", [((1,), {})])):
        with pytest.raises(InvalidOption, match="--service-time: has no meaning for these jobs; drop it"):
            choose_workload(job, payloads, "constant:2s")


def test_a_job_that_is_none_names_the_option() -> None:
    with pytest.raises(InvalidOption, match="--job: 'nope' is no job"):
        choose_workload("nope", None, None)


# ---------------------------------------------------------------------------------------------------------------- fire


def test_every_job_goes_in_once_in_order_with_its_arguments_and_timeout() -> None:
    clock = VirtualClock(START_S)
    queue = RecordingQueue(clock)
    payloads = [(("a",), {}), ((), {"b": 1})]
    steps = list(fire(request(instants(count=1201), "my.f", payloads=payloads), queue, clock))

    taken = queue.fleet.taken
    assert [job.job_id for job in taken] == [f"run-{number}" for number in range(1201)]
    assert [(job.args, job.kwargs) for job in taken[:3]] == [(("a",), {}), ((), {"b": 1}), (("a",), {})]
    assert {(job.function, job.timeout_s) for job in taken} == {("my.f", 60)}
    assert [size for _, size in queue.batches] == [500, 500, 201]
    assert steps == [
        Progress(0, 500),
        Progress(500, 0),
        Progress(500, 500),
        Progress(1000, 0),
        Progress(1000, 201),
        Progress(1201, 0),
    ]


def test_each_job_goes_in_at_its_instant() -> None:
    clock = VirtualClock(START_S)
    queue = RecordingQueue(clock)
    due = instants(rate_per_s=2.0, duration_s=30.0)
    for _ in fire(request(due), queue, clock):
        pass

    assert [at_s for at_s, _ in queue.batches] == pytest.approx(list(due), abs=1e-9)


def test_jobs_that_fell_due_together_go_in_together() -> None:
    clock = VirtualClock(START_S)
    queue = RecordingQueue(clock)
    steps = fire(request(array("d", [0.1, 5.0, 5.1, 5.2])), queue, clock)
    list(islice(steps, 2))
    clock.sleep(30)  # the process was frozen
    list(steps)

    assert [size for _, size in queue.batches] == [1, 3]


def test_a_queue_that_is_lost_leaves_the_truth_in_the_last_step() -> None:
    clock = VirtualClock(START_S)
    queue = RecordingQueue(clock)
    steps = fire(request(instants(count=1500)), queue, clock)

    assert list(islice(steps, 3)) == [Progress(0, 500), Progress(500, 0), Progress(500, 500)]
    queue.fleet.refusing = True
    with pytest.raises(ServiceUnavailable):
        next(steps)
    assert len(queue.fleet.taken) == 500


def test_being_stopped_ends_it_between_two_batches_and_within_a_moment() -> None:
    clock = VirtualClock(START_S)
    queue = RecordingQueue(clock)
    due = array("d", [0.0, 0.0, 3600.0])
    steps = list(fire(request(due), queue, clock, lambda: clock.now() > START_S + 1))

    assert steps[-1] == Progress(2, 0)
    assert clock.now() <= START_S + 1.5
