import threading

import pytest
from redis import Redis
from rq import Queue

from jobctl.adapters.rq_fetch import Fetcher, Taken

PREFIX = "rq:job:"


@pytest.fixture
def queues(redis: Redis) -> list[Queue]:
    return [Queue(name, connection=redis) for name in ("high", "low")]


@pytest.fixture
def fetcher(redis: Redis) -> Fetcher:
    return Fetcher(redis, PREFIX)


def fill(redis: Redis, queue: Queue, *ids: str) -> None:
    for job_id in ids:
        redis.hset(PREFIX + job_id, mapping={"origin": queue.name, "data": b"\x00\xff"})
        redis.rpush(queue.key, job_id)


def named(taken: list[Taken]) -> list[tuple[str, str]]:
    return [(queue.name, job_id) for queue, job_id, _ in taken]


def test_the_most_urgent_queue_is_emptied_first(redis: Redis, fetcher: Fetcher, queues: list[Queue]) -> None:
    fill(redis, queues[1], "l1")
    fill(redis, queues[0], "h1", "h2")
    assert named(fetcher.take(queues, 5, in_turn=False)) == [("high", "h1"), ("high", "h2"), ("low", "l1")]


def test_queues_take_turns(redis: Redis, fetcher: Fetcher, queues: list[Queue]) -> None:
    fill(redis, queues[0], "h1", "h2", "h3")
    fill(redis, queues[1], "l1")
    taken = fetcher.take(queues, 4, in_turn=True)
    assert named(taken) == [("high", "h1"), ("low", "l1"), ("high", "h2"), ("high", "h3")]


@pytest.mark.parametrize("in_turn", [False, True])
def test_no_more_is_taken_than_wanted(redis: Redis, fetcher: Fetcher, queues: list[Queue], in_turn: bool) -> None:
    fill(redis, queues[0], "h1", "h2", "h3")
    fill(redis, queues[1], "l1")
    assert len(fetcher.take(queues, 2, in_turn=in_turn)) == 2
    assert len(queues[0]) + len(queues[1]) == 2


def test_what_is_taken_is_in_the_intermediate_list_of_its_queue(
    redis: Redis, fetcher: Fetcher, queues: list[Queue]
) -> None:
    fill(redis, queues[0], "h1")
    fill(redis, queues[1], "l1")
    fetcher.take(queues, 5, in_turn=False)
    assert [queue.intermediate_queue.get_job_ids() for queue in queues] == [["h1"], ["l1"]]


def test_fields_come_along_and_are_empty_for_a_job_that_is_gone(
    redis: Redis, fetcher: Fetcher, queues: list[Queue]
) -> None:
    fill(redis, queues[0], "h1", "h2")
    redis.delete(PREFIX + "h2")
    there, gone = fetcher.take(queues, 5, in_turn=False)
    assert there.fields == {b"origin": b"high", b"data": b"\x00\xff"}
    assert gone.fields == {}


def test_waiting_takes_a_job_that_comes_meanwhile(redis: Redis, fetcher: Fetcher, queues: list[Queue]) -> None:
    timer = threading.Timer(0.1, fill, (redis, queues[0], "h1"))
    timer.start()
    (taken,) = fetcher.wait(queues[0], 10.0)
    timer.join()
    assert named([taken]) == [("high", "h1")]
    assert fetcher.read(taken).fields == {b"origin": b"high", b"data": b"\x00\xff"}
    assert queues[0].intermediate_queue.get_job_ids() == ["h1"]


def test_waiting_in_vain_takes_nothing(fetcher: Fetcher, queues: list[Queue]) -> None:
    assert fetcher.wait(queues[0], 0.05) == []


def test_jobs_that_are_given_back_lead_their_queue_in_their_old_order(
    redis: Redis, fetcher: Fetcher, queues: list[Queue]
) -> None:
    fill(redis, queues[0], "h1", "h2", "h3")
    taken = fetcher.take(queues, 2, in_turn=False)
    fetcher.give_back(taken)
    assert queues[0].job_ids == ["h1", "h2", "h3"]
    assert queues[0].intermediate_queue.get_job_ids() == []


def test_a_forgotten_job_is_in_no_list(redis: Redis, fetcher: Fetcher, queues: list[Queue]) -> None:
    fill(redis, queues[0], "h1")
    (taken,) = fetcher.take(queues, 1, in_turn=False)
    fetcher.forget(taken.queue, taken.job_id, redis)
    assert queues[0].job_ids == queues[0].intermediate_queue.get_job_ids() == []
