from __future__ import annotations

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
    spec = make_spec(workload=workload)

    assert LoadSpec.from_json(spec.to_json()).workload == workload


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
