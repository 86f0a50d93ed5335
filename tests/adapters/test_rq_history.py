from __future__ import annotations

import math
import random
import time
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Retry

from jobctl.adapters.rq_history import History, RqHistory
from jobctl.adapters.rq_time import rq_time
from jobctl.core.evidence import Evidence, from_jobs
from jobctl.errors import ServiceUnavailable
from support import pickles, workers
from support.rq_workers import work_off
from support.workers import burst

TYPE = "support.sample_tasks.send"


def rest(seconds: float) -> None:
    time.sleep(seconds)


def work(redis: Redis, queue: str = "q") -> None:
    work_off(redis, queue)


def evidence(history: History) -> Evidence:
    return from_jobs("here", history.jobs, complete_from_s=history.complete_from_s)


def keep(
    redis: Redis,
    job_id: str,
    ended_s: float,
    *,
    ttl_s: float = 500,
    service_s: float = 2.0,
    wait_s: float = 1.0,
    registry: str = "finished",
    queue: str = "q",
    **fields: str | bytes,
) -> None:
    """A job as a worker leaves it, with the instants that a test wants."""
    started_s = ended_s - service_s
    redis.sadd("rq:queues", f"rq:queue:{queue}")
    written: dict[str, str | bytes] = {
        "data": pickles.call(1),
        "created_at": rq_time(started_s - wait_s - 0.001),
        "enqueued_at": rq_time(started_s - wait_s),
        "started_at": rq_time(started_s),
        "ended_at": rq_time(ended_s),
        **fields,
    }
    with redis.pipeline() as pipeline:
        for name, value in written.items():
            pipeline.hset(f"rq:job:{job_id}", name, value)
        pipeline.execute()
    redis.zadd(f"rq:{registry}:{queue}", {job_id: math.inf if ttl_s == math.inf else int(ended_s + ttl_s)})


def test_jobs_that_rqs_own_worker_ran_tell_their_waits_and_services(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    for _ in range(3):
        queue.enqueue(rest, 0.05)
    work(redis)
    history = RqHistory(redis).read()
    seen = evidence(history)

    assert [job_type.name for job_type in seen.job_types] == [f"{__name__}.rest"]
    assert seen.samples == 3
    assert seen.service is not None
    assert seen.service.mean_s == pytest.approx(0.05, abs=0.02)
    assert seen.wait is not None
    assert seen.wait.jobs == 3
    assert seen.wait.mean_s > 0.04  # the second waits for the first, the third for both
    assert seen.failure_rate == 0
    assert seen.trace is not None
    assert len(seen.trace.arrivals_s) == 3
    assert "read 3 finished jobs" in history.notes


def test_jobs_that_our_worker_ran_tell_their_retries_too(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    queue.enqueue(workers.add, 1, 2)
    queue.enqueue(workers.fail, retry=Retry(max=1))
    burst(redis)
    seen = evidence(RqHistory(redis).read("q"))

    assert [job_type.name for job_type in seen.job_types] == ["support.workers.add"]
    assert seen.failure_rate == pytest.approx(2 / 3)
    assert seen.attempts == 2
    assert seen.wait is not None
    assert seen.wait.jobs == 1
    assert seen.failed_s is not None


def test_a_job_whose_retries_rqs_own_worker_did_not_count_is_told_of(redis: Redis) -> None:
    Queue("q", connection=redis).enqueue(workers.add, 1, 2, retry=Retry(max=3))
    work(redis)

    assert any("no count of retries" in note for note in RqHistory(redis).read().notes)


def test_instants_are_those_that_were_written(redis: Redis) -> None:
    """Four jobs, 10 s apart, wait 1 s and take 2 s; one more took 6 s and failed at its third attempt."""
    now_s = redis.time()[0]
    for number in range(4):
        keep(redis, f"job-{number}", now_s - 100 + 10 * number)
    keep(
        redis, "dead", now_s - 60, service_s=6.0, registry="failed", ttl_s=1e7, jobctl_attempts="3", jobctl_failed_s="9"
    )
    seen = evidence(RqHistory(redis).read())

    assert seen.service is not None
    assert (seen.service.mean_s, seen.service.scv) == pytest.approx((2.0, 0.0))
    assert seen.wait is not None
    assert (seen.wait.jobs, seen.wait.mean_s) == pytest.approx((4, 1.0))
    assert seen.failure_rate == pytest.approx(3 / 7)
    assert seen.failed_s == pytest.approx((6 + 9) / 3)
    # Arrivals at -103, -93, -83, -73 and the failed one at -67.001: 4 gaps.
    assert seen.arrival_rate_per_s == pytest.approx(4 / 35.999, abs=1e-3)


def test_the_execution_itself_counts_where_rq_wrote_it(redis: Redis) -> None:
    now_s = float(redis.time()[0])
    keep(redis, "job", now_s - 10)
    redis.xadd("rq:results:job", {"type": 1, "execution_started_at": now_s - 11.5, "execution_ended_at": now_s - 10})
    seen = evidence(RqHistory(redis).read())

    assert seen.service is not None
    assert seen.service.mean_s == pytest.approx(1.5, abs=1e-5)


def test_what_ended_while_others_like_it_are_forgotten_is_left_out(redis: Redis) -> None:
    """Jobs are kept for 100 s or for an hour: before 100 s ago only the latter are seen, and a year of failures."""
    now_s = redis.time()[0]
    for number in range(20):
        keep(redis, f"short-{number}", now_s - 1 - 5 * number, ttl_s=100)
        keep(redis, f"long-{number}", now_s - 1.5 - 5 * number, ttl_s=3600)
    keep(redis, "old", now_s - 2000, ttl_s=3600, service_s=500.0)
    for number in range(300):
        keep(redis, f"dead-{number}", now_s - 5000 - number, registry="failed", ttl_s=1e7)
    history = RqHistory(redis).read()
    seen = evidence(history)

    assert seen.samples == 40
    assert seen.failure_rate == 0
    assert history.complete_from_s == pytest.approx(now_s - 100, abs=2)
    assert seen.arrival_rate_per_s == pytest.approx(0.4, rel=0.05)
    assert any("the last 100 s" in note for note in history.notes)


def test_of_many_jobs_the_newest_are_read_and_it_says_so(redis: Redis) -> None:
    now_s = redis.time()[0]
    for number in range(30):
        keep(redis, f"job-{number}", now_s - number)
    history = RqHistory(redis, most=10).read()

    assert len(history.jobs) == 10
    assert history.complete_from_s == pytest.approx(now_s - 9)
    assert history.notes[0] == "read 10 finished jobs, the newest of 30"


def test_of_many_jobs_that_are_kept_for_ever_no_rate_is_told(redis: Redis) -> None:
    now_s = redis.time()[0]
    for number in range(30):
        keep(redis, f"job-{number}", now_s - number, ttl_s=math.inf)
    seen = RqHistory(redis, most=10).read()

    assert (evidence(seen).arrival_rate_per_s, evidence(seen).failure_rate) == (None, None)
    assert evidence(seen).samples == 10
    assert "in no order of time" in seen.notes[0]
    assert evidence(RqHistory(redis).read()).arrival_rate_per_s == pytest.approx(1.0)


def test_jobs_that_wait_or_run_have_arrived(redis: Redis) -> None:
    now_s = redis.time()[0]
    keep(redis, "job", now_s - 10)
    for job_id, ago_s in {"waits": 3, "taken": 5, "runs": 8}.items():
        redis.hset(
            f"rq:job:{job_id}", mapping={"created_at": rq_time(now_s - 99), "enqueued_at": rq_time(now_s - ago_s)}
        )
    redis.rpush("rq:queue:q", "waits")
    redis.rpush("rq:queue:q:intermediate", "taken")
    redis.zadd("rq:wip:q", {"runs:0123": now_s + 60})
    seen = evidence(RqHistory(redis).read())

    assert seen.trace is not None
    assert seen.trace.arrivals_s.tolist() == pytest.approx([0.0, 5.0, 8.0, 10.0])
    assert seen.failure_rate == 0


def test_one_queue_may_be_asked_for_and_workers_are_counted(redis: Redis) -> None:
    now_s = redis.time()[0]
    keep(redis, "here", now_s - 10, service_s=1.0)
    keep(redis, "there", now_s - 10, service_s=5.0, queue="other")
    redis.sadd("rq:workers:q", "rq:worker:alive", "rq:worker:gone")
    redis.hset("rq:worker:alive", "state", "idle")

    assert RqHistory(redis).read().workers == 1
    assert evidence(RqHistory(redis).read()).samples == 2
    only = evidence(RqHistory(redis).read("other"))
    assert only.service is not None
    assert only.service.mean_s == pytest.approx(5.0)


@pytest.mark.parametrize("place", ["data", "args", "meta", "result"])
def test_nothing_is_unpickled(redis: Redis, tmp_path: Path, place: str) -> None:
    trap = tmp_path / "sprung"
    keep(redis, "job", redis.time()[0] - 10.0, **pickles.planted(place, trap, TYPE))

    (job,) = RqHistory(redis).read().jobs

    assert not trap.exists()
    assert job.service_s == pytest.approx(2.0)
    assert job.job_type == TYPE or place == "data"


def test_something_else_in_the_place_of_a_job_and_nonsense_in_one_are_passed_over(redis: Redis) -> None:
    now_s = redis.time()[0]
    keep(redis, "good", now_s - 10)
    keep(redis, "vague", now_s - 11, jobctl_attempts="many", jobctl_failed_s="nan", started_at="yesterday")
    redis.set("rq:job:odd", "a text")
    redis.set("rq:results:good", "a text")
    redis.zadd("rq:finished:q", {"odd": now_s + 400, "forgotten": now_s + 400})
    seen = evidence(RqHistory(redis).read())

    assert seen.samples == 1
    assert seen.failure_rate == 0


def test_data_that_is_long_is_not_fetched_for_its_type(redis: Redis) -> None:
    keep(redis, "job", redis.time()[0] - 10, data=pickles.call(random.Random(1).randbytes(100_000)))

    (job,) = RqHistory(redis).read().jobs

    assert job.job_type == ""


@pytest.mark.parametrize("queue", [None, "q"])
def test_without_a_finished_job_there_is_one_line_with_the_remedy(redis: Redis, queue: str | None) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        RqHistory(redis).read(queue)

    assert len(str(caught.value).splitlines()) == 1
    assert "--from: RQ knows no finished job of" in str(caught.value)
    assert "result_ttl" in str(caught.value)


def test_twenty_thousand_jobs_take_a_few_seconds_at_most(redis: Redis) -> None:
    now_s = redis.time()[0]
    with redis.pipeline(transaction=False) as pipeline:
        text = {offset: rq_time(now_s - offset / 100) for offset in range(20_300)}
        for number in range(20_000):
            pipeline.hset(
                f"rq:job:{number}",
                mapping={
                    "data": pickles.call(1),
                    "enqueued_at": text[number + 200],
                    "started_at": text[number + 100],
                    "ended_at": text[number],
                },
            )
            pipeline.zadd("rq:finished:q", {str(number): now_s - number / 100 + 500})
        pipeline.sadd("rq:queues", "rq:queue:q")
        pipeline.execute()
    began_s = time.process_time()
    seen = evidence(RqHistory(redis).read())
    used_s = time.process_time() - began_s

    assert seen.arrival_rate_per_s == pytest.approx(100, rel=0.01)
    assert used_s < 6
