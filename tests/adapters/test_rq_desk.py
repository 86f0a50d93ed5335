"""The desk's scripts on a real server, seen with RQ's own eyes."""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import pytest
from redis import ConnectionPool, Redis
from rq import Callback, Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

from jobctl.adapters.rq_desk import PULSES_KEY, Begun, Booking, Desk, Ended, Place
from jobctl.adapters.rq_time import rq_time
from jobctl.core.turns import Turns

BEAT_S = 15


def desk(redis: Redis, name: str = "w", queues: Sequence[str] = ("q",), silence_s: float = 18.0) -> Desk:
    return Desk(redis, name, queues, beat_s=BEAT_S, silence_s=silence_s)


def enqueue(redis: Redis, count: int = 1, queue: str = "q") -> list[str]:
    """Ids of new jobs, in their order."""
    data = [Queue.prepare_data("operator.add", args=(number, 1)) for number in range(count)]
    return [job.id for job in Queue(queue, connection=redis).enqueue_many(data)]


def begin(desk: Desk, wanted: int = 1) -> list[Begun]:
    return list(desk.turn([], wanted).begun)


def success(place: Place, result: str = "", ttl_s: int = 500) -> Ended:
    now_s = time.time()
    return Ended(place, result, ttl_s, now_s - 0.25, now_s)


def ids(begun: Sequence[Begun]) -> list[str]:
    return [job.place.job_id for job in begun]


def started(redis: Redis, queue: str = "q") -> list[str]:
    return StartedJobRegistry(queue, connection=redis).get_job_ids(cleanup=False)


def counter(redis: Redis, name: str, worker: str = "w") -> float:
    return float(redis.hget(f"rq:worker:{worker}", name) or 0)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ beginning


def test_a_begun_job_is_read_by_rq_as_one_that_runs(redis: Redis) -> None:
    (job_id,) = enqueue(redis)
    before_s = time.time()
    (begun,) = begin(desk(redis))
    job = Job.fetch(job_id, connection=redis)
    assert (job.get_status(), job.worker_name, job.args) == (JobStatus.STARTED, "w", (0, 1))
    assert job.started_at is not None
    assert before_s - 0.001 <= job.started_at.timestamp() <= time.time()
    assert job.last_heartbeat == job.started_at
    assert StartedJobRegistry("q", connection=redis).get_job_and_execution_ids() == [begun.place[1:]]
    (execution,) = job.get_executions()
    assert (execution.id, execution.worker_name) == (begun.place.execution_id, "w")
    assert execution.created_at.timestamp() == pytest.approx(job.started_at.timestamp(), abs=1e-3)
    assert Execution.from_composite_key(f"{job_id}:{execution.id}", redis) == execution
    assert redis.smembers("rq:worker:w:executions") == {f"{job_id}:{execution.id}".encode()}
    assert (begun.attempt, begun.fields, begun.timeout, begun.permits) == (1, None, b"180", "")
    assert begun.enqueued_at == redis.hget(job.key, "enqueued_at")


def test_jobs_are_taken_in_their_order_and_so_are_their_starts(redis: Redis) -> None:
    enqueued = enqueue(redis, 30)
    assert ids(begin(desk(redis), 30)) == enqueued
    jobs = Job.fetch_many(enqueued, connection=redis)
    assert [job.id for job in sorted(jobs, key=lambda job: job.started_at)] == enqueued  # type: ignore
    assert len({job.started_at for job in jobs if job is not None}) == 30


def test_no_more_are_begun_than_wanted_and_urgent_queues_go_first(redis: Redis) -> None:
    low, high = enqueue(redis, 3, "low"), enqueue(redis, 2, "high")
    assert ids(begin(desk(redis, queues=("high", "low")), 4)) == [*high, *low[:2]]
    assert Queue("low", connection=redis).job_ids == low[2:]


def test_turns_come_before_the_order_of_the_queues_and_an_empty_queue_loses_its_turn(redis: Redis) -> None:
    low, high = enqueue(redis, 3, "low"), enqueue(redis, 3, "high")
    turn = desk(redis, queues=("none", "high", "low")).turn([], 4, turns=[2, 0, 2, 1])
    assert ids(turn.begun) == [low[0], low[1], high[0], high[1]]


def test_weights_are_kept_exactly_while_all_queues_have_jobs(redis: Redis) -> None:
    names = ("high", "default", "low")
    for name in names:
        enqueue(redis, 150, name)
    turns, at_desk, taken = Turns((6, 3, 1)), desk(redis, queues=names), Counter[str]()
    for wanted in (1, 3, 25, 1, 20, 50):
        taken.update(begun.place.queue for begun in at_desk.turn([], wanted, turns=turns.next(wanted)).begun)
    assert taken == {"high": 60, "default": 30, "low": 10}


def test_a_limit_holds_and_lengths_tell_what_waits_behind_it(redis: Redis) -> None:
    for name in ("a", "b", "c"):
        enqueue(redis, 4, name)
    turn = desk(redis, queues=("a", "b", "c")).turn([], 6, limits=[2, 0, None], turns=[0, 0, 0, 1])
    assert Counter(begun.place.queue for begun in turn.begun) == {"a": 2, "c": 4}
    assert turn.lengths == [2, 4, 0]
    turn = desk(redis, queues=("a", "b", "c")).turn([], 9, limits=[9, 3, None])
    assert Counter(begun.place.queue for begun in turn.begun) == {"a": 2, "b": 3}
    assert turn.lengths == [0, 1, 0]


def test_a_job_that_is_gone_is_passed_over_and_does_not_count(redis: Redis) -> None:
    enqueued = enqueue(redis, 5)
    redis.delete(Job.key_for(enqueued[0]), Job.key_for(enqueued[3]))
    assert ids(begin(desk(redis), 3)) == [enqueued[1], enqueued[2], enqueued[4]]
    assert started(redis) == sorted([enqueued[1], enqueued[2], enqueued[4]])


def test_what_somebody_put_in_the_place_of_a_job_is_passed_over(redis: Redis) -> None:
    bad, good = enqueue(redis, 2)
    redis.delete(Job.key_for(bad))
    redis.set(Job.key_for(bad), "no hash")
    assert ids(begin(desk(redis), 2)) == [good]


def test_a_plain_job_brings_its_call_and_a_special_one_its_whole_hash(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    plain = queue.enqueue("operator.add", 1, 2, meta={"a": 1}, result_ttl=7, job_timeout=9)
    special = queue.enqueue("operator.add", 1, 2, on_success=Callback("operator.add"), job_timeout=-1)
    broken = queue.enqueue("operator.add", 1, 2)
    redis.hdel(broken.key, "data")
    first, second, third = begin(desk(redis), 3)
    assert first.fields is None
    assert (first.result_ttl, first.timeout) == (b"7", b"9")
    assert (zlib.decompress(first.data), first.meta) == (plain.data, redis.hget(plain.key, "meta"))
    assert second.fields is not None
    assert second.fields[b"success_callback_name"] == b"operator.add"
    assert third.fields is not None
    assert third.data == b""
    assert [special.id, broken.id] == [second.place.job_id, third.place.job_id]


def test_a_job_that_waited_for_ever_does_not_expire_while_it_runs(redis: Redis) -> None:
    job = Queue("q", connection=redis).enqueue("operator.add", 1, 2, ttl=5)
    assert redis.ttl(job.key) > 0
    begin(desk(redis))
    assert redis.ttl(job.key) == -1


# -------------------------------------------------------------------------------------------------------------- booking


def test_a_booked_success_is_read_by_rq_as_one(redis: Redis) -> None:
    enqueue(redis)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    ended = success(begun.place, "gAVLAy4=", 100)
    assert at_desk.turn([ended], 0).bookings == [Booking.BOOKED]
    job = Job.fetch(begun.place.job_id, connection=redis)
    assert (job.get_status(), job.return_value(), job.get_executions()) == (JobStatus.FINISHED, 3, [])
    result = job.latest_result()
    assert result is not None
    assert (result.type, result.worker_name, result.execution_id) == (
        Result.Type.SUCCESSFUL,
        "w",
        begun.place.execution_id,
    )
    assert result.execution_started_at is not None
    assert result.execution_started_at.timestamp() == pytest.approx(ended.started_s, abs=1e-5)
    assert job.ended_at is not None
    assert job.ended_at.timestamp() == pytest.approx(ended.ended_s, abs=2e-6)
    assert FinishedJobRegistry("q", connection=redis).get_job_ids() == [job.id]
    assert started(redis) == []
    assert redis.smembers("rq:worker:w:executions") == set()
    assert 98 <= redis.ttl(job.key) <= 100
    assert (counter(redis, "successful_job_count"), counter(redis, "total_working_time")) == (1, 0.25)


def test_a_result_for_ever_does_not_expire(redis: Redis) -> None:
    enqueue(redis)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    at_desk.turn([success(begun.place, ttl_s=-1)], 0)
    job = Job.fetch(begun.place.job_id, connection=redis)
    assert (redis.ttl(job.key), redis.ttl(f"rq:results:{job.id}")) == (-1, -1)
    assert redis.zscore("rq:finished:q", job.id) == float("inf")


def test_a_success_that_others_depend_on_is_left_to_rq(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    first = queue.enqueue("operator.add", 1, 2)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    queue.enqueue("operator.add", 3, 4, depends_on=first)
    assert at_desk.turn([success(begun.place)], 0).bookings == [Booking.HAS_DEPENDENTS]
    assert first.get_status() is JobStatus.STARTED
    assert at_desk.owns(begun.place)


def test_a_turn_books_and_begins_in_one(redis: Redis) -> None:
    first, second = enqueue(redis, 2)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    turn = at_desk.turn([success(begun.place)], 1)
    assert (turn.bookings, ids(turn.begun), first) == ([Booking.BOOKED], [second], begun.place.job_id)


def test_who_lost_an_execution_changes_nothing(redis: Redis) -> None:
    """The fence: two workers with one job between them, in every order of taking it off the books."""
    (job_id,) = enqueue(redis)
    one, other = desk(redis, "one", silence_s=0.01), desk(redis, "other")
    for take in ("recover", "put_back"):
        (begun,) = begin(one)
        if take == "recover":
            one.pulse([])
            time.sleep(0.02)
            recovered = other.recover(abandon_limit=9)
            assert recovered is not None
            assert (recovered.worker, recovered.requeued, recovered.dead) == ("one", [job_id], [])
        else:
            assert one.put_back([begun.place]) == [True]
        (again,) = begin(other)
        assert again.place.execution_id != begun.place.execution_id
        before = dump(redis)
        assert not one.owns(begun.place)
        assert one.turn([success(begun.place)], 0).bookings == [Booking.LATE]
        assert one.put_back([begun.place]) == [False]
        assert one.put_back([begun.place], delay_s=1.0, spent=True, reason="error") == [False]
        one.pulse([begun.place])
        redis.zrem(PULSES_KEY, "one")
        assert dump(redis) == before
        assert other.owns(again.place)
        assert other.put_back([again.place]) == [True]


def dump(redis: Redis) -> dict[bytes, bytes | None]:
    """All that is in Redis but the pulses."""
    return {key: redis.dump(key) for key in redis.scan_iter() if key != PULSES_KEY.encode()}  # type: ignore[misc]


# --------------------------------------------------------------------------------------------------------- putting back


def test_what_is_put_back_comes_first_in_its_order_and_spends_no_attempt(redis: Redis) -> None:
    enqueued = enqueue(redis, 5)
    at_desk = desk(redis)
    begun = begin(at_desk, 3)
    assert at_desk.put_back([job.place for job in begun]) == [True] * 3
    queue = Queue("q", connection=redis)
    assert queue.job_ids == enqueued
    assert {job.get_status() for job in queue.jobs} == {JobStatus.QUEUED}
    assert (started(redis), redis.smembers("rq:worker:w:executions")) == ([], set())
    assert [job.attempt for job in begin(at_desk, 5)] == [1] * 5


def test_a_retry_waits_among_the_scheduled_and_has_spent_its_attempt(redis: Redis) -> None:
    (job_id,) = enqueue(redis)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    before_s = float(".".join(f"{part:06d}" for part in redis.time()))
    assert at_desk.put_back([begun.place], delay_s=1.5, spent=True, reason="429", held_s=0.25) == [True]
    job = Job.fetch(job_id, connection=redis)
    assert (job.get_status(), job.worker_name, job.started_at) == (JobStatus.SCHEDULED, None, None)
    assert ScheduledJobRegistry("q", connection=redis).get_job_ids() == [job_id]
    score = redis.zscore("rq:scheduled:q", job_id)
    assert score is not None
    assert before_s + 1.5 <= float(score) < before_s + 2.0
    assert redis.hmget(job.key, "jobctl_attempts", "jobctl_reason", "jobctl_failed_s") == [b"1", b"429", b"0.25"]
    assert counter(redis, "failed_job_count") == 1


def test_permits_and_results_are_kept_with_a_job_and_given_back_once(redis: Redis) -> None:
    enqueue(redis)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    at_desk.put_back([begun.place], permits="a place", result=b"packed\x00")
    (begun,) = begin(at_desk)
    assert (begun.permits, begun.result, begun.attempt) == ("a place", b"packed\x00", 1)
    at_desk.put_back([begun.place])
    (begun,) = begin(at_desk)
    assert (begun.permits, begun.result) == ("", b"")


@pytest.mark.parametrize("meanwhile", ["deleted", "canceled"])
def test_a_job_that_was_taken_away_meanwhile_does_not_come_back(redis: Redis, meanwhile: str) -> None:
    (job_id,) = enqueue(redis)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    job = Job.fetch(job_id, connection=redis)
    if meanwhile == "deleted":
        job.delete()
    else:
        job.cancel()
    at_desk.put_back([begun.place])
    assert Queue("q", connection=redis).job_ids == []
    assert redis.exists(job.key) == (meanwhile == "canceled")
    assert at_desk.unknown(()) == []


# ------------------------------------------------------------------------------------------------------ alive and dead


def test_a_pulse_keeps_the_worker_and_its_executions_alive(redis: Redis) -> None:
    enqueue(redis)
    at_desk = desk(redis)
    (begun,) = begin(at_desk)
    member = f"{begun.place.job_id}:{begun.place.execution_id}"
    redis.expire(f"rq:execution:{member}", 3)
    redis.zadd("rq:wip:q", {member: 1})
    redis.zadd(f"rq:executions:{begun.place.job_id}", {begun.place.execution_id: 1})
    now_s = time.time()
    at_desk.pulse([begun.place])
    job = Job.fetch(begun.place.job_id, connection=redis)
    assert started(redis) == [job.id]
    assert redis.zscore("rq:wip:q", member) == pytest.approx(now_s + BEAT_S + 60, abs=1)
    assert redis.ttl(f"rq:execution:{member}") == BEAT_S + 60
    (execution,) = job.get_executions()
    assert execution.last_heartbeat.timestamp() >= now_s
    assert job.last_heartbeat is not None
    assert job.last_heartbeat.timestamp() >= now_s - 0.001
    assert redis.zscore(PULSES_KEY, "w") is not None


def test_a_worker_that_pulses_is_not_taken_for_dead_nor_is_one_that_left(redis: Redis) -> None:
    enqueue(redis, 2)
    alive, gone, other = desk(redis, "alive"), desk(redis, "gone"), desk(redis, "other")
    for one in (alive, gone):
        begin(one)
        one.pulse([])
    gone.leave()
    assert other.recover(abandon_limit=3) is None
    assert len(started(redis)) == 2
    assert alive.recover(abandon_limit=3, dead_for_s=-60) is None  # nobody takes himself for dead


def test_a_worker_counts_as_dead_by_its_own_word_not_by_that_of_who_looks(redis: Redis) -> None:
    """Workers with different ``--recover-after`` share a Redis: the hasty one must not take the jobs of the others."""
    enqueue(redis)
    patient, hasty = desk(redis, "patient", silence_s=18.0), desk(redis, "hasty", silence_s=0.01)
    begin(patient)
    patient.pulse([])
    time.sleep(0.05)
    assert hasty.recover(abandon_limit=3) is None
    hasty.pulse([])
    time.sleep(0.05)
    assert patient.recover(abandon_limit=3, dead_for_s=10) is None
    recovered = patient.recover(abandon_limit=3)
    assert recovered is not None
    assert recovered.worker == "hasty"


def test_an_abandoned_job_runs_again_until_its_limit_and_then_is_dead_with_the_reason(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    job = queue.enqueue("operator.add", 1, 2, failure_ttl=1000)
    dependent = queue.enqueue("operator.add", 3, 4, depends_on=job)
    for time_ in (1, 2):
        worker = desk(redis, f"w{time_}", silence_s=0.01)
        worker.pulse([])
        (begun,) = begin(worker)
        assert (begun.attempt, begun.abandoned) == (time_, time_ - 1)
        time.sleep(0.02)
        recovered = desk(redis, "other").recover(abandon_limit=2)
        assert recovered is not None
    assert (recovered.requeued, recovered.dead, recovered.with_dependents) == ([], [job.id], [job.id])
    job.refresh()
    assert (job.get_status(), dependent.get_status()) == (JobStatus.FAILED, JobStatus.DEFERRED)
    assert FailedJobRegistry(queue=queue).get_job_ids() == [job.id]
    assert redis.hmget(job.key, "jobctl_reason", "jobctl_abandoned") == [b"abandoned", b"2"]
    result = job.latest_result()
    assert result is not None
    assert "abandoned 2 times" in str(result.exc_string)
    assert (redis.zcard(PULSES_KEY), redis.exists("rq:worker:w2:executions")) == (0, 0)
    assert 990 <= redis.ttl(job.key) <= 1000


def test_of_several_jobs_that_were_abandoned_together_one_at_a_time_gets_its_last_chance(redis: Redis) -> None:
    """Any of them may be the one that kills workers: it must not take the others along until all are dead."""
    jobs = enqueue(redis, 3)
    for name, taken in (("w1", 3), ("w2", 3)):
        assert len(begin(desk(redis, name), 25)) == taken
        redis.zadd(PULSES_KEY, {name: 1.0})
        assert desk(redis, "w0").recover(abandon_limit=3) is not None
    (alone,) = begin(last := desk(redis, "w3"), 25)
    waiting = set(jobs) - {alone.place.job_id}
    scheduled = ScheduledJobRegistry("q", connection=redis)
    assert set(scheduled.get_job_ids(cleanup=False)) == waiting
    assert {redis.hget(f"rq:job:{job_id}", "status") for job_id in waiting} == {b"scheduled"}
    assert {redis.hget(f"rq:job:{job_id}", "jobctl_attempts") for job_id in waiting} == {b"2"}
    enqueue(redis)
    assert len(begin(last, 25)) == 1  # nobody else waits for it
    last.turn([success(alone.place)], 0)
    for job_id in waiting:
        redis.rpush("rq:queue:q", job_id)
    assert len(begin(last, 25)) == 1
    assert len(begin(desk(redis, "w4"), 25)) == 0


def test_executions_of_another_process_with_the_same_name_are_told_when_asked_for(redis: Redis) -> None:
    enqueue(redis)
    (theirs,) = begin(desk(redis, "w"))
    assert desk(redis, "w").unknown(()) == []
    assert desk(redis, "w").unknown((), namesakes=True) == [theirs.place]


def test_what_is_on_the_books_is_told_and_whose_it_is(redis: Redis) -> None:
    enqueue(redis, 2, "a")
    enqueue(redis, 1, "b")
    at_desk = desk(redis, queues=("a", "b"))
    places = [job.place for job in begin(at_desk, 3)]
    assert sorted(at_desk.unknown(())) == sorted(places)
    assert at_desk.unknown([place.execution_id for place in places[:2]]) == places[2:]
    assert [at_desk.owns(place) for place in places] == [True] * 3
    at_desk.put_back(places[:1])
    assert sorted(at_desk.unknown(())) == sorted(places[1:])
    assert not at_desk.owns(places[0])


# --------------------------------------------------------------------------------------------------------------- costs


def test_an_empty_job_costs_at_most_26_commands_and_far_less_than_a_round_trip(redis: Redis) -> None:
    """Those inside scripts counted, from its queue to its result."""
    count, wanted = 400, 25
    enqueue(redis, count)
    at_desk, ended = desk(redis), list[Ended]()
    begin(at_desk, 0)  # the script is known
    redis.config_resetstat()
    while True:
        turn = at_desk.turn(ended, wanted)
        if not turn.begun:
            break
        ended = [success(begun.place, "gAVLAy4=") for begun in turn.begun]
    stats = redis.info("commandstats")
    calls = {name: int(stat["calls"]) for name, stat in stats.items() if name != "cmdstat_config|resetstat"}
    assert redis.zcard("rq:finished:q") == count
    assert calls["cmdstat_evalsha"] == count / wanted + 1
    assert sum(calls.values()) / count <= 26, json.dumps(calls)


@pytest.mark.parametrize("instant_s", [0.0, 1_769_860_800.0, 1_769_860_800.999999, 1_769_860_801.5])
def test_instants_are_written_as_rq_writes_them(instant_s: float) -> None:
    text = rq_time(instant_s)
    assert len(text) == len("2026-01-31T12:00:00.000000Z")
    assert datetime.fromisoformat(text).timestamp() == pytest.approx(instant_s, abs=2e-6)


def test_a_server_that_forgets_scripts_at_any_moment_is_told_them_again(redis: Redis) -> None:
    enqueue(redis)
    redis.acl_setuser("forgetful", enabled=True, nopass=True, keys="*", commands=["+@all", "-script"])
    try:
        connection = Redis(
            connection_pool=ConnectionPool(
                connection_class=redis.connection_pool.connection_class,
                **{**redis.connection_pool.connection_kwargs, "username": "forgetful", "password": "any"},
            )
        )
        with connection:
            forgetful = desk(connection)
            redis.script_flush()
            (job,) = begin(forgetful)
            redis.script_flush()
            assert forgetful.turn([success(job.place)], 0).bookings == [Booking.BOOKED]
    finally:
        redis.acl_deluser("forgetful")
