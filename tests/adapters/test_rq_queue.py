from __future__ import annotations

from redis import Redis
from rq import Queue, SimpleWorker
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from jobctl.adapters.rq_queue import RqCompletions, RqQueue
from jobctl.adapters.rq_time import rq_time
from jobctl.ports import JobRequest


def test_a_job_keeps_its_arguments_timeout_and_lifetimes(redis: Redis) -> None:
    RqQueue(redis, "q", result_ttl_s=77, failure_ttl_s=88).enqueue_many(
        [JobRequest("one", "builtins.max", (1, 2), {"key": None}, timeout_s=9)]
    )

    job = Queue("q", connection=redis, serializer=JSONSerializer).fetch_job("one")
    assert job is not None
    assert (job.func_name, job.args, job.kwargs) == ("builtins.max", [1, 2], {"key": None})
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (9, 77, 88)


def test_jobs_keep_their_order(redis: Redis) -> None:
    RqQueue(redis, "q").enqueue_many([JobRequest(f"job-{number}", "builtins.len", ("",)) for number in range(100)])

    assert Queue("q", connection=redis).job_ids == [f"job-{number}" for number in range(100)]


def test_a_job_is_known_wherever_a_crash_may_have_left_it(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    redis.rpush(queue.key, "waiting")
    redis.rpush(queue.intermediate_queue_key, "taken")
    redis.zadd(StartedJobRegistry("q", connection=redis).key, {"running:execution": 2e9})

    known = RqCompletions(redis, ["q"]).still_known(["waiting", "taken", "running", "gone"])

    assert known == {"waiting", "taken", "running"}


def test_looking_never_triggers_rqs_cleaning(redis: Redis) -> None:
    """RQ's own count would move an overdue execution to the failed jobs."""
    started = StartedJobRegistry("q", connection=redis)
    redis.zadd(started.key, {"overdue:execution": 1})

    completions = RqCompletions(redis, ["q"])
    completions.newly_ended()
    completions.look_up(["overdue"])
    completions.still_known(["overdue"])

    assert redis.zcard(started.key) == 1


def test_a_job_that_ended_began_when_its_slot_did_and_not_when_its_worker_asked_for_it(redis: Redis) -> None:
    """A turn that carries results of megabytes takes so long that it begins jobs that were sent after it."""
    redis.hset("rq:job:job", mapping={"status": "finished", "started_at": rq_time(100.0), "ended_at": rq_time(102.0)})
    redis.xadd("rq:results:job", {"type": 2, "execution_started_at": 50.5})
    redis.xadd("rq:results:job", {"type": 1, "execution_started_at": 100.25, "return_value": "bnVsbA=="})
    completions = RqCompletions(redis, ["q"])

    assert [found.started_s for found in completions.look_up(["job"])] == [100.25]
    redis.hset("rq:job:job", "status", "started")  # once more
    assert [found.started_s for found in completions.look_up(["job"])] == [100.0]


def test_jobs_are_told_again_only_within_the_margin_of_whole_seconds(redis: Redis) -> None:
    queue, completions = RqQueue(redis, "q", result_ttl_s=600, failure_ttl_s=600), RqCompletions(redis, ["q"])
    worker = SimpleWorker(["q"], connection=redis, serializer=JSONSerializer)
    queue.enqueue_many([JobRequest("first", "builtins.len", ("",))])
    worker.work(burst=True, logging_level="CRITICAL")
    redis.zincrby("rq:finished:q", -100, "first")
    assert completions.newly_ended() == ["first"]

    queue.enqueue_many([JobRequest("second", "builtins.len", ("",))])
    worker.work(burst=True, logging_level="CRITICAL")

    assert completions.newly_ended() == ["first", "second"]
    assert completions.newly_ended() == ["second"]


def test_deleting_a_run_leaves_nothing_of_it_and_everything_else(redis: Redis) -> None:
    mine = RqQueue(redis, "bench", result_ttl_s=600, failure_ttl_s=600)
    other = RqQueue(redis, "other", result_ttl_s=600, failure_ttl_s=600)
    mine.enqueue_many([JobRequest("mine-done", "builtins.len", ("",)), JobRequest("mine-failed", "builtins.len")])
    other.enqueue_many([JobRequest("theirs", "builtins.len", ("",))])
    worker = SimpleWorker(["bench", "other"], connection=redis, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="CRITICAL")
    mine.enqueue_many([JobRequest("mine-waiting", "builtins.len", ("",))])
    redis.rpush(Queue("bench", connection=redis).intermediate_queue_key, "mine-taken")

    RqCompletions(redis, ["bench"]).delete(
        ["mine-done", "mine-failed", "mine-waiting", "mine-never-sent"], with_queues=True
    )

    left = {key.decode() for key in redis.keys("*mine*")} | {key.decode() for key in redis.keys("*bench*")}
    assert left == set()
    assert redis.smembers("rq:queues") == {b"rq:queue:other"}
    assert redis.exists("rq:job:theirs", "rq:results:theirs") == 2


def test_jobs_are_taken_out_of_somebodys_queue_and_the_queue_stays(redis: Redis) -> None:
    queue = RqQueue(redis, "default", result_ttl_s=600, failure_ttl_s=600)
    queue.enqueue_many([JobRequest("mine-1", "builtins.len", ("",)), JobRequest("theirs-1", "builtins.len", ("",))])
    SimpleWorker(["default"], connection=redis, serializer=JSONSerializer).work(burst=True, logging_level="CRITICAL")
    queue.enqueue_many([JobRequest("mine-2", "builtins.len", ("",)), JobRequest("theirs-2", "builtins.len", ("",))])
    redis.zadd(
        StartedJobRegistry("default", connection=redis).key, {"mine-3:execution": 2e9, "theirs-3:execution": 2e9}
    )

    RqCompletions(redis, ["default"]).delete(["mine-1", "mine-2", "mine-3"], with_queues=False)

    assert redis.keys("*mine*") == []
    assert redis.lrange("rq:queue:default", 0, -1) == [b"theirs-2"]
    assert redis.zrange("rq:finished:default", 0, -1) == [b"theirs-1"]
    assert redis.zrange("rq:wip:default", 0, -1) == [b"theirs-3:execution"]
    assert redis.smembers("rq:queues") == {b"rq:queue:default"}
