from __future__ import annotations

from dataclasses import replace
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import Arrivals, Stage
from jobctl.core.workload import make_workload
from support.arrivals import ARRIVALS
from support.loads import make_spec

STAGES = st.lists(
    st.builds(Stage, st.floats(0.1, 100), st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=3
).map(tuple)


@given(STAGES, st.sampled_from(ARRIVALS), st.integers(0, 2**31))
def test_a_spec_survives_the_way_into_another_process(stages: tuple[Stage, ...], arrivals: Arrivals, seed: int) -> None:
    spec = make_spec(stages=stages, arrivals=arrivals, seed=seed)
    there = LoadSpec.from_json(spec.to_json())

    assert there == spec
    assert there.schedule() == spec.schedule()


def test_payloads_survive_too() -> None:
    workload = make_workload("myapp.tasks.f", payloads=[((1, "two"), {"three": [3]}), ((), {})])
    spec = make_spec(workloads=(workload,))

    assert LoadSpec.from_json(spec.to_json()).workloads == (workload,)


def test_the_same_seed_draws_the_same_service_times() -> None:
    workload = make_workload("sleep", service_law="exponential:1s")

    first, again, other = (list(islice(workload.arguments(seed), 50)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@given(st.integers(0, 10**9))
def test_a_job_id_tells_its_position(position: int) -> None:
    spec = make_spec()

    assert spec.position(spec.job_id(position)) == position


def test_ids_of_other_runs_have_no_position() -> None:
    spec = make_spec(run_id="run")

    assert [spec.position(job_id) for job_id in ("other-1", "run-", "run-x", "run1", "", "run-1-2")] == [None] * 6


A = replace(make_workload("sleep", service_law="exponential:1s"), job_type="a", share=0.5, queue="urgent")
B = replace(make_workload("sleep", service_law="exponential:9s"), job_type="b", share=0.3)
C = replace(make_workload("noop"), job_type="c", share=0.2, queue="urgent")


def test_a_mix_and_a_replay_survive_the_way_into_another_process() -> None:
    spec = make_spec(workloads=(A, B, C), instants=(0.0, 0.1, 0.3))
    there = LoadSpec.from_json(spec.to_json())

    assert there == spec
    assert there.schedule() == [0.0, 0.1, 0.3]
    assert list(islice(there.jobs(), 50)) == list(islice(spec.jobs(), 50))


def test_the_type_of_a_position_is_that_of_the_job_that_is_made_for_it() -> None:
    spec = make_spec(workloads=(A, B, C))

    made = [workload.job_type for workload, _ in islice(spec.jobs(), 200)]
    assert made == [spec.workload_at(position).job_type for position in range(200)]
    assert set(made) == {"a", "b", "c"}


def test_the_queues_are_those_of_the_types_in_their_order() -> None:
    spec = make_spec(workloads=(A, B, C), queue="own")

    assert spec.queues == ("urgent", "own")
    assert make_spec(workloads=(B,), queue="own").queues == ("own",)


@given(st.integers(0, 2**31))
def test_another_type_in_the_mix_moves_neither_the_arrivals_nor_the_service_times_of_the_others(seed: int) -> None:
    alone, beside = make_spec(workloads=(A,), seed=seed), make_spec(workloads=(A, B, C), seed=seed)

    first = [payload for _, payload in islice(alone.jobs(), 20)]
    second = [payload for workload, payload in islice(beside.jobs(), 400) if workload.job_type == "a"]
    assert beside.schedule() == alone.schedule()
    assert second[:20] == first
