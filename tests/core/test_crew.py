from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.crew import ALONE, WHOLE, Crew, GeneratorUse, Shard


@given(st.integers(1, 20), st.integers(0, 500))
def test_every_arrival_belongs_to_exactly_one_shard(count: int, position: int) -> None:
    shards = [Shard(index, count) for index in range(count)]
    places = [(shard, place) for shard in shards if (place := shard.place(position)) is not None]

    assert [shard.position(place) for shard, place in places] == [position]


@given(st.lists(st.integers(), max_size=50), st.integers(1, 7))
def test_the_shards_of_a_schedule_are_the_schedule(schedule: list[int], count: int) -> None:
    dealt = {
        shard.position(place): arrival
        for shard in (Shard(index, count) for index in range(count))
        for place, arrival in enumerate(schedule[shard.index :: shard.count])
    }

    assert [dealt[position] for position in range(len(schedule))] == schedule


def test_a_single_generator_has_it_all_and_needs_no_master() -> None:
    assert WHOLE.position(7) == 7
    assert not ALONE.has_master
    assert Crew(2).has_master
    assert Crew(0, joining=1).has_master
    assert Crew(1, joining=2).size == 3


def test_what_sending_costs_is_told_for_each_job_that_was_sent() -> None:
    assert GeneratorUse(2, 1000, 0.2).cpu_s_per_job == 0.0002
    assert GeneratorUse(1, 0, 0.2).cpu_s_per_job is None
    assert GeneratorUse(1, 10, None).cpu_s_per_job is None
