"""What becomes of jobs: retried, postponed, gated, stored, taken over, given back; and who is told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Retry
from rq.job import Dependency, Job, JobStatus
from rq.rate_limit import RateLimit
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry

from jobctl.adapters.memory import MemoryLimiter, MemoryResults
from jobctl.adapters.model_gate import ModelGate
from jobctl.adapters.rq_desk import Desk
from jobctl.adapters.rq_scheduler import ThreadScheduler
from jobctl.adapters.rq_worker import Worker
from jobctl.core.allowing import parse_allow
from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted, SlotsChanged
from jobctl.core.limiting import Limit, Limits, Tuning
from jobctl.core.retrying import RetryPolicies, RetryPolicy
from jobctl.errors import ServiceUnavailable
from support.waiting import wait_until
from support.workers import (
    PATIENCE_S,
    add,
    burst,
    fail,
    fail_times,
    forget,
    look_at_itself,
    note,
    postpone,
    release,
    save_meta,
    seen,
    stop,
    wait_for_release,
    working,
)

fresh = pytest.fixture(autouse=True)(forget)

MODEL = "openai/gpt-4o-mini"


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue("q", connection=redis)


def policy(attempts: int, **changes: Any) -> RetryPolicies:
    return RetryPolicies(RetryPolicy(attempts=attempts, **{"base_s": 0.001, "cap_s": 0.001, **changes}))


def kept(redis: Redis, job: Job, name: str) -> str:
    """What jobctl keeps in a job's hash."""
    return (redis.hget(job.key, f"jobctl_{name}") or b"").decode()  # type: ignore[union-attr]


def began(count: int) -> None:
    wait_until(lambda: len(seen) >= count)


@contextmanager
def scheduling(redis: Redis, *queues: str) -> Iterator[None]:
    """A scheduler that looks more often than a worker's own."""
    scheduler = ThreadScheduler(queues or ("q",), connection=redis, poll_s=0.002, acquire_s=0.01)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.request_stop()
        scheduler.join(PATIENCE_S)


class Watcher:
    """An observer that keeps what it is told, in its order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @contextmanager
    def running(self, started: JobStarted) -> Iterator[None]:
        self.events.append(("enter", started.job_id, threading.current_thread().name))
        try:
            yield
        finally:
            self.events.append(("exit", started.job_id, threading.current_thread().name))

    def ended(self, ended: JobEnded) -> None:
        self.events.append(ended)

    def recovered(self, recovered: JobsRecovered) -> None:
        self.events.append(recovered)

    def slots(self, changed: SlotsChanged) -> None:
        self.events.append(changed)

    def close(self, timeout_s: float) -> None:
        self.events.append("closed")

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def outcomes(self, job: Job | None = None) -> list[JobOutcome]:
        """How attempts ended."""
        return [end.outcome for end in self.of(JobEnded) if job is None or end.started.job_id == job.id]


# -------------------------------------------------------------------------------------------------- retries by policy


def test_a_job_is_tried_as_often_as_its_policy_says_and_then_dead_with_the_reason(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    dead, healed = queue.enqueue(fail), queue.enqueue(fail_times, 2)
    with scheduling(redis), working(redis, policies=policy(3), observers=[watcher], with_scheduler=False):
        wait_until(lambda: dead.get_status() is JobStatus.FAILED)
        wait_until(lambda: healed.get_status() is JobStatus.FINISHED)
    assert (kept(redis, dead, "attempts"), kept(redis, dead, "reason")) == ("3", "error")
    assert (kept(redis, healed, "attempts"), healed.return_value()) == ("3", "done")
    assert FailedJobRegistry(queue=queue).get_job_ids() == [dead.id]
    assert watcher.outcomes(dead) == [JobOutcome.RETRIED, JobOutcome.RETRIED, JobOutcome.DEAD]
    assert watcher.outcomes(healed) == [JobOutcome.RETRIED, JobOutcome.RETRIED, JobOutcome.SUCCEEDED]
    assert [end.started.attempt for end in watcher.of(JobEnded) if end.started.job_id == dead.id] == [1, 2, 3]
    assert len(dead.results()) == 1


class Busy(Exception):
    retry_after_s = 0.25


class NotFound(Exception):
    status_code = 404


def be_busy_first() -> None:
    seen.append(time.time())
    if len(seen) == 1:
        raise Busy


def not_find() -> None:
    seen.append("tried")
    raise NotFound


def test_a_retry_is_never_early(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(be_busy_first)
    with scheduling(redis), working(redis, policies=policy(2), with_scheduler=False):
        wait_until(lambda: job.get_status() is JobStatus.SCHEDULED)
        assert ScheduledJobRegistry(queue=queue).get_job_ids() == [job.id]
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
    first_s, second_s = seen
    assert 0.25 <= second_s - first_s < 1.0


def test_what_cannot_heal_is_dead_at_once(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(not_find)
    burst(redis, policies=policy(5))
    assert (job.get_status(), kept(redis, job, "reason"), seen) == (JobStatus.FAILED, "4xx", ["tried"])


def test_a_retry_of_rqs_own_comes_before_the_policy_and_not_before_its_interval(redis: Redis, queue: Queue) -> None:
    """A fraction of a second is kept, which RQ would cut off."""
    job = queue.enqueue(fail_times, 1, retry=Retry(max=1, interval=[0.4]))  # type: ignore[list-item]
    with scheduling(redis), working(redis, policies=policy(1), with_scheduler=False):
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
    first_s, second_s = seen
    assert 0.4 <= second_s - first_s < 1.0
    assert redis.hget(job.key, "retries_left") == b"0"


def test_retries_of_rqs_own_that_are_spent_leave_the_job_dead(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    job = queue.enqueue(fail, retry=Retry(max=1))
    burst(redis, policies=policy(5), observers=[watcher])
    assert (job.get_status(), kept(redis, job, "attempts")) == (JobStatus.FAILED, "2")
    assert watcher.outcomes() == [JobOutcome.RETRIED, JobOutcome.DEAD]


def test_a_retried_job_frees_rqs_rate_limit_meanwhile(redis: Redis, queue: Queue) -> None:
    limit = RateLimit("k", 1)
    first = queue.enqueue(be_busy_first, rate_limit=limit)
    second = queue.enqueue(note, "second", rate_limit=limit)
    with scheduling(redis), working(redis, policies=policy(2), with_scheduler=False):
        wait_until(lambda: second.get_status() is JobStatus.FINISHED)
        wait_until(lambda: first.get_status() is JobStatus.FINISHED)
    assert seen[1] == "second"
    assert redis.zcard("rq:rl:k:allowed") == 0


# --------------------------------------------------------------------------------------------------------- postponed


def test_a_hundred_postponements_spend_no_attempt_and_permits_come_back(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    job = queue.enqueue(postpone, 100)
    with scheduling(redis), working(redis, policies=policy(1), observers=[watcher], with_scheduler=False):
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
    assert kept(redis, job, "attempts") == "1"
    assert job.return_value() == ["", *(f"place {number}" for number in range(1, 101))]
    assert Counter(watcher.outcomes()) == {JobOutcome.POSTPONED: 100, JobOutcome.SUCCEEDED: 1}
    assert {end.reason for end in watcher.of(JobEnded)} == {"limit", ""}
    assert {end.started.attempt for end in watcher.of(JobEnded)} == {1}


def test_a_postponed_job_holds_no_slot_and_is_not_early(redis: Redis, queue: Queue) -> None:
    job, other = queue.enqueue(postpone, 1, 0.3), queue.enqueue(note, "other")
    with scheduling(redis), working(redis, concurrency=1, with_scheduler=False):
        wait_until(lambda: other.get_status() is JobStatus.FINISHED)
        assert job.get_status() is JobStatus.SCHEDULED
        postponed_s = time.monotonic()
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
    assert time.monotonic() - postponed_s > 0.2
    assert seen == ["", "other", "place 1"]


# ------------------------------------------------------------------------------------------------------------- weights


def test_weighted_queues_get_their_exact_shares_and_none_starves(redis: Redis) -> None:
    for name in ("high", "default", "low"):
        Queue(name, connection=redis).enqueue_many([Queue.prepare_data(note, args=(name,)) for _ in range(100)])
    burst(redis, "high,default,low", concurrency=1, weights=(6, 3, 1))
    for cycle in range(10):
        assert Counter(seen[10 * cycle : 10 * cycle + 10]) == {"high": 6, "default": 3, "low": 1}
    assert len(seen) == 300


# --------------------------------------------------------------------------------------------------------------- gates


def gate(calls: float | None, window_s: float = 1.0, burst: int = 0) -> ModelGate:
    """Lets so many through in that time, evenly, and so many more at once."""
    tuning = Tuning(window_s=window_s, jitter_s=0.01, tolerance_s=0.01)
    return ModelGate(MemoryLimiter(Limits(Limit(calls, None, burst)), tuning, clock=time.time), MODEL)


def call_once() -> None:
    """What a call does: it uses what the job was let through with."""
    from jobctl.adapters.permits import permitted

    held = permitted.get()
    assert held is not None
    assert held.take()
    seen.append(time.time())


def is_a_retry() -> bool:
    """What a call asks before it goes."""
    from jobctl.adapters.permits import permitted

    held = permitted.get()
    assert held is not None
    return held.retry


@pytest.mark.parametrize(("attempts", "abandoned", "retry"), [(0, 0, False), (1, 1, False), (1, 0, True), (2, 1, True)])
def test_a_job_whose_worker_was_killed_retries_nothing_when_it_runs_again(
    redis: Redis, queue: Queue, attempts: int, abandoned: int, retry: bool
) -> None:
    job = queue.enqueue(is_a_retry)
    redis.hset(job.key, mapping={"jobctl_attempts": attempts, "jobctl_abandoned": abandoned})
    redis.hdel(job.key, "started_at")
    burst(redis)
    assert job.return_value() is retry


def test_a_job_that_is_enqueued_under_the_id_of_an_earlier_one_is_at_its_first_attempt(
    redis: Redis, queue: Queue
) -> None:
    for _ in range(2):
        job = queue.enqueue(is_a_retry, job_id="nightly")
        redis.hset(job.key, mapping={"jobctl_attempts": 1, "jobctl_result": "an earlier one", "jobctl_suspect": 1})
        burst(redis)
        assert job.return_value() is False
        assert (kept(redis, job, "attempts"), kept(redis, job, "suspect")) == ("1", "")


def test_jobs_pass_a_gate_no_faster_than_it_lets_them_and_others_do_not_wait(redis: Redis) -> None:
    calls = Queue("calls", connection=redis)
    for _ in range(14):
        calls.enqueue(call_once)
    with working(redis, "calls,q", gates={"calls": gate(10)}) as worker:
        began(4)
        other = Queue("q", connection=redis).enqueue(add, 1, 2)
        asked_s = time.monotonic()
        wait_until(lambda: other.get_status() is JobStatus.FINISHED)
        assert time.monotonic() - asked_s < 0.3
        assert len(seen) < 14
        assert len(worker._running) <= 1  # nobody waits in a slot
        began(14)
    assert all(later - earlier >= 1.0 for earlier, later in zip(seen, seen[11:], strict=False))
    assert seen[-1] - seen[0] < 2.5


def test_a_closed_gate_does_not_keep_the_worker_busy(redis: Redis) -> None:
    """It asks again when the gate said, and no more often."""
    calls = Queue("calls", connection=redis)
    for _ in range(8):
        calls.enqueue(call_once)
    with working(redis, "calls,q", gates={"calls": gate(1, window_s=30)}, with_scheduler=False):
        began(1)
        time.sleep(0.1)
        redis.config_resetstat()
        time.sleep(0.6)
        stats = redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] <= 6
    assert stats.get("cmdstat_llen", {"calls": 0})["calls"] <= 12
    assert len(seen) == 1


def test_an_open_gate_before_full_slots_does_not_keep_the_worker_busy(redis: Redis) -> None:
    calls = Queue("calls", connection=redis)
    for _ in range(8):
        calls.enqueue(wait_for_release)
    with working(redis, "calls", concurrency=2, gates={"calls": gate(None)}, with_scheduler=False):
        began(2)
        time.sleep(0.1)
        used_s = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - used_s < 0.25
        release.set()
        began(8)


def test_a_burst_waits_for_jobs_behind_a_gate(redis: Redis) -> None:
    calls = Queue("calls", connection=redis)
    for _ in range(5):
        calls.enqueue(call_once)
    burst(redis, "calls", gates={"calls": gate(5, window_s=0.5)})
    assert len(seen) == 5


def test_a_job_whose_body_never_began_hands_back_what_it_was_let_through_with(redis: Redis) -> None:
    """Thirty jobs that cannot be imported pass a gate for three calls a minute."""
    calls = Queue("calls", connection=redis)
    for _ in range(30):
        calls.enqueue("nowhere.to_be_found")
    began_s = time.monotonic()
    burst(redis, "calls", concurrency=1, gates={"calls": gate(3, window_s=60)})
    assert FailedJobRegistry(queue=calls).count == 30
    assert time.monotonic() - began_s < 5


def test_a_job_counts_as_a_call_of_its_queues_model_whatever_client_it_uses(redis: Redis) -> None:
    """jobctl cannot see the calls of other clients, so each job that began has made one."""
    calls = Queue("calls", connection=redis)
    for number in range(3):
        calls.enqueue(note, number)
    began_s = time.monotonic()
    burst(redis, "calls", gates={"calls": gate(1, window_s=0.5)})
    assert sorted(seen) == [0, 1, 2]
    assert time.monotonic() - began_s > 0.9


def test_what_was_let_through_and_not_taken_is_handed_back(redis: Redis) -> None:
    """While urgent jobs have the slot, a gate that lets three through is asked thirty times; then three pass it."""
    Queue("q", connection=redis).enqueue_many([Queue.prepare_data(add, args=(1, 2)) for _ in range(30)])
    Queue("calls", connection=redis).enqueue_many([Queue.prepare_data(call_once) for _ in range(3)])
    began_s = time.monotonic()
    burst(redis, "q,calls", concurrency=1, gates={"calls": gate(1, window_s=20, burst=2)})
    assert len(seen) == 3
    assert time.monotonic() - began_s < 3


def test_weights_hold_for_a_queue_behind_an_open_gate(redis: Redis) -> None:
    for name in ("calls", "q"):
        Queue(name, connection=redis).enqueue_many([Queue.prepare_data(note, args=(name,)) for _ in range(40)])
    burst(redis, "calls,q", concurrency=1, weights=(3, 1), gates={"calls": gate(None)})
    assert Counter(seen[:40]) == {"calls": 30, "q": 10}


# ------------------------------------------------------------------------------------------------------------- results


class Store(MemoryResults):
    """A double that does not answer the first times."""

    def __init__(self, failures: int, redis: Redis) -> None:
        super().__init__()
        self._failures = failures
        self._redis = redis
        self.statuses: list[bytes | None] = []

    def save(self, **result: Any) -> None:  # type: ignore[override]
        self.statuses.append(self._redis.hget(Job.key_for(result["job_id"]), "status"))  # type: ignore[arg-type]
        if len(self.statuses) <= self._failures:
            raise ServiceUnavailable("DATABASE_URL", "does not answer", "start it")
        super().save(**result)


def test_a_result_is_stored_before_its_success_is_booked(redis: Redis, queue: Queue) -> None:
    store = Store(0, redis)
    plain = queue.enqueue(add, 1, 2)
    special = queue.enqueue(add, 3, 4, on_success=Callback(on_success))
    failed = queue.enqueue(fail)
    burst(redis, results=store)
    assert store.statuses == [b"started", b"started"]
    assert {job_id: row["result"] for job_id, row in store.kept.items()} == {plain.id: 3, special.id: 7}
    assert failed.get_status() is JobStatus.FAILED


def test_a_store_that_fails_once_has_the_result_later_and_the_job_runs_once(redis: Redis, queue: Queue) -> None:
    store, watcher = Store(1, redis), Watcher()
    job = queue.enqueue(fail_times, 0)
    with working(redis, results=store, policies=policy(1), observers=[watcher], with_scheduler=False):
        wait_until(lambda: job.get_status() is JobStatus.SCHEDULED)
        assert store.kept == {}
        redis.zadd("rq:scheduled:q", {job.id: 0})
        with scheduling(redis):
            wait_until(lambda: job.get_status() is JobStatus.FINISHED)
    assert store.kept[job.id]["result"] == "done"
    assert (len(seen), job.return_value(), kept(redis, job, "attempts")) == (1, "done", "1")
    assert watcher.outcomes() == [JobOutcome.POSTPONED, JobOutcome.SUCCEEDED]


# ----------------------------------------------------------------------------------------------------------- observers


def test_observers_see_a_job_on_its_slots_thread_its_end_and_the_workers(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    job = queue.enqueue(name_thread, meta={"trace": "t"})
    burst(redis, observers=[watcher])
    thread = job.return_value()
    enter, leave = (event for event in watcher.events if isinstance(event, tuple))
    assert (enter, leave) == (("enter", job.id, thread), ("exit", job.id, thread))
    (end,) = watcher.of(JobEnded)
    assert (end.outcome, end.error, end.reason) == (JobOutcome.SUCCEEDED, None, "")
    assert (end.started.queue, end.started.job_type) == ("q", f"{__name__}.name_thread")
    assert end.started.meta == {"trace": "t"}
    assert end.started.wait_s is not None
    assert 0 <= end.started.wait_s < 5
    assert 0 <= end.service_s < 5
    assert watcher.of(SlotsChanged)
    assert watcher.events[-1] == "closed"


def name_thread() -> str:
    return threading.current_thread().name


def test_a_failure_is_told_with_its_error_after_the_body_was_left(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    job = queue.enqueue(fail, "no luck")
    burst(redis, observers=[watcher], policies=policy(1))
    (end,) = watcher.of(JobEnded)
    assert (end.outcome, end.reason, repr(end.error)) == (JobOutcome.DEAD, "error", "LookupError('no luck')")
    assert [event[0] for event in watcher.events if isinstance(event, tuple)] == ["enter", "exit"]
    assert end.started.job_id == job.id


# -------------------------------------------------------------------------------------------------------- the allowlist


def test_a_job_that_is_not_listed_is_dead_with_the_reason_and_never_runs(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    refused, listed = queue.enqueue(note, "refused"), queue.enqueue("json.loads", "3")
    waiting = queue.enqueue("json.loads", "4", depends_on=Dependency([refused], allow_failure=True))
    limit = RateLimit("k", 1)
    full, beside = queue.enqueue(note, "refused", rate_limit=limit), queue.enqueue("json.loads", "5", rate_limit=limit)
    burst(redis, allow=parse_allow("json"), policies=policy(5), observers=[watcher])
    assert (redis.hget(refused.key, "status"), kept(redis, refused, "reason")) == (b"failed", "refused")
    assert set(FailedJobRegistry(queue=queue).get_job_ids(cleanup=False)) == {refused.id, full.id}
    assert [job.return_value() for job in (listed, waiting, beside)] == [3, 4, 5]
    assert seen == []
    assert watcher.outcomes(refused) == [JobOutcome.DEAD]


# --------------------------------------------------------------------------------------------------- the job's own eyes


def test_a_jobs_hash_is_read_only_when_it_looks_at_itself(redis: Redis, queue: Queue) -> None:
    plain = queue.enqueue(note, 1)
    redis.config_resetstat()
    burst(redis)
    assert "cmdstat_hgetall" not in redis.info("commandstats")
    looking = queue.enqueue(look_at_itself, "colour", meta={"colour": "red"})
    saving = queue.enqueue(save_meta, "colour", "blue")
    burst(redis)
    assert looking.return_value() == "red"
    assert saving.get_meta(refresh=True) == {"colour": "blue"}
    assert {job.get_status() for job in (plain, looking, saving)} == {JobStatus.FINISHED}


@pytest.mark.parametrize("meanwhile", ["delete", "cancel"])
def test_a_job_that_is_taken_away_while_it_runs_leaves_nothing_behind(
    redis: Redis, queue: Queue, meanwhile: str
) -> None:
    job = queue.enqueue(wait_for_release)
    with working(redis, with_scheduler=False) as worker:
        began(1)
        getattr(job, meanwhile)()
        release.set()
        wait_until(lambda: not worker._running)
        wait_until(lambda: StartedJobRegistry(queue=queue).count == 0)
        assert redis.exists(f"rq:worker:{worker.name}:executions") == 0
    if meanwhile == "delete":
        assert [key for key in redis.scan_iter() if job.id.encode() in key] == []
        assert FinishedJobRegistry(queue=queue).get_job_ids() == []


# ----------------------------------------------------------------------------------------------- taken over, given back


def take_over(redis: Redis, worker: Worker) -> None:
    """What another worker does that takes this one for dead."""
    recovered = Desk(redis, "other", (), beat_s=15).recover(abandon_limit=99, dead_for_s=-60)
    assert recovered is not None
    assert recovered.worker == worker.name


def on_success(job: Job, connection: Redis, result: Any) -> None:
    seen.append("success")


@pytest.mark.parametrize("on_success", [None, Callback(on_success)])
def test_a_late_result_is_discarded_and_told_as_late(redis: Redis, queue: Queue, on_success: Callback | None) -> None:
    watcher = Watcher()
    job = queue.enqueue(wait_for_release, on_success=on_success)
    with working(redis, observers=[watcher], with_scheduler=False) as worker:
        began(1)
        take_over(redis, worker)
        began(2)
        release.set()
        wait_until(lambda: len(watcher.outcomes()) == 2)
    assert sorted(watcher.outcomes()) == [JobOutcome.LATE, JobOutcome.SUCCEEDED]
    assert (job.get_status(), len(job.results()), kept(redis, job, "attempts")) == (JobStatus.FINISHED, 1, "2")
    assert seen.count("success") == (on_success is not None)


def fail_when_released() -> None:
    wait_for_release()
    raise LookupError("too late?")


def test_a_late_failure_is_no_failure(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    job = queue.enqueue(fail_when_released)
    with working(redis, policies=policy(2), observers=[watcher], with_scheduler=False) as worker:
        began(1)
        take_over(redis, worker)
        began(2)
        release.set()
        wait_until(lambda: len(watcher.outcomes()) == 2)
    assert sorted(watcher.outcomes()) == [JobOutcome.DEAD, JobOutcome.LATE]
    assert (kept(redis, job, "attempts"), len(job.results())) == ("2", 1)
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == []


def test_what_was_begun_and_never_heard_of_runs_after_all(redis: Redis, queue: Queue) -> None:
    """As after a turn whose answer was lost: it is on the worker's books, and the worker knows nothing of it."""
    with working(redis, with_scheduler=False) as worker:
        unknown = queue_behind_its_back(redis, worker, "unknown")
        wait_until(lambda: unknown.get_status() is JobStatus.FINISHED)
        assert kept(redis, unknown, "attempts") == "1"


def queue_behind_its_back(redis: Redis, worker: Worker, what: str) -> Job:
    wait_until(lambda: redis.exists(worker.key))
    job = Queue("hidden", connection=redis).enqueue(note, what)
    desk = Desk(redis, worker.name, ["hidden"], beat_s=15)
    desk._mark = worker._desk._mark
    (begun,) = desk.turn([], 1).begun
    assert begun.place.job_id == job.id
    redis.hset(job.key, "origin", "q")
    member = f"{job.id}:{begun.place.execution_id}"
    redis.zadd("rq:wip:q", {member: redis.zscore("rq:wip:hidden", member) or 0})
    redis.zrem("rq:wip:hidden", member)
    return job


def test_a_worker_that_ends_leaves_nothing_on_its_books(redis: Redis, queue: Queue) -> None:
    with working(redis, with_scheduler=False) as worker:
        suspended = queue_behind_its_back(redis, worker, "unknown")
        stop(worker)
    wait_until(lambda: suspended.get_status() in (JobStatus.QUEUED, JobStatus.FINISHED))
    assert StartedJobRegistry(queue=queue).get_job_ids(cleanup=False) == []
    assert redis.exists(f"rq:worker:{worker.name}:executions") == 0


def test_what_a_drain_cannot_wait_for_comes_first_in_its_queue_with_its_attempts(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    jobs = [queue.enqueue(wait_for_release) for _ in range(4)]
    with working(redis, concurrency=3, drain_timeout_s=0.2, observers=[watcher], with_scheduler=False) as worker:
        began(3)
        stop(worker)
        began_s = time.monotonic()
        wait_until(lambda: watcher.events and watcher.events[-1] == "closed")
        assert time.monotonic() - began_s < 4
    assert queue.job_ids == [job.id for job in jobs]
    assert [job.get_status() for job in jobs] == [JobStatus.QUEUED] * 4
    assert [kept(redis, job, "attempts") for job in jobs] == ["0", "0", "0", ""]
    assert watcher.outcomes() == [JobOutcome.RETURNED] * 3
    assert StartedJobRegistry(queue=queue).get_job_ids(cleanup=False) == []


def die(redis: Redis, name: str, queues: Sequence[str] = ("q",), count: int = 1, silence_s: float = 0.18) -> list[str]:
    """What a worker leaves that began so many jobs and was killed; ids of the jobs."""
    desk = Desk(redis, name, queues, beat_s=15, silence_s=silence_s)
    desk.pulse(())
    redis.hset(f"rq:worker:{name}", mapping={"birth": "2026-01-31T12:00:00.000000Z", "queues": "q"})
    redis.sadd("rq:workers", f"rq:worker:{name}")
    return [begun.place.job_id for begun in desk.turn([], count).begun]


def test_a_killed_workers_name_may_be_taken_again_and_its_jobs_run(redis: Redis, queue: Queue) -> None:
    watcher = Watcher()
    job = queue.enqueue(note, "ran")
    assert die(redis, "mine", silence_s=60) == [job.id]
    with pytest.raises(ValueError, match="active worker"):
        burst(redis, name="mine", recover_after_s=30)
    assert die(redis, "mine") == []  # its last pulse, which promises another one sooner
    time.sleep(0.2)
    burst(redis, name="mine", recover_after_s=0.3, observers=[watcher])
    assert (seen, job.get_status(), kept(redis, job, "attempts")) == (["ran"], JobStatus.FINISHED, "2")
    assert watcher.of(JobsRecovered) == [JobsRecovered("mine", 1, 0)]


@pytest.mark.parametrize("at_birth", [True, False])
def test_dependents_of_an_abandoned_job_that_allow_it_run_and_so_do_those_that_had_no_room_beside_it(
    redis: Redis, queue: Queue, at_birth: bool
) -> None:
    job, beside = (queue.enqueue(note, name, rate_limit=RateLimit("k", 1)) for name in ("never", "beside"))
    dependent = queue.enqueue(note, "dependent", depends_on=Dependency(jobs=[job], allow_failure=True))
    if at_birth:
        assert die(redis, "gone") == [job.id]
        time.sleep(0.2)
        burst(redis, recover_after_s=0.3, abandon_limit=1)
    else:
        with working(redis, "other", recover_after_s=0.3, abandon_limit=1, with_scheduler=False):
            assert die(redis, "gone") == [job.id]
            wait_until(lambda: job.get_status() is JobStatus.FAILED)
            wait_until(lambda: [dependent.get_status(), beside.get_status()] == [JobStatus.QUEUED] * 2)
        burst(redis)
    assert [found.get_status() for found in (job, dependent, beside)] == [JobStatus.FAILED, *[JobStatus.FINISHED] * 2]
    assert sorted(seen) == ["beside", "dependent"]


def test_a_worker_that_redis_has_forgotten_registers_again(redis: Redis) -> None:
    worker = Worker(["q"], connection=redis)
    worker.register_birth()
    redis.flushall()
    worker._beat()
    assert [found.name for found in Worker.all(connection=redis)] == [worker.name]
    assert Worker.all(connection=redis)[0].queue_names() == ["q"]
    assert redis.ttl(worker.key) > 0
    worker.register_death()


# --------------------------------------------------------------------------------------------------------- odd failures


def fail_oddly() -> None:
    seen.append("ran")
    raise LookupError("no file named \udc80")


def leave(*args: Any) -> None:
    """A callback that exits."""
    raise SystemExit(3)


def break_off(job: Job, *error: Any) -> bool:
    """An exception handler that breaks."""
    raise RuntimeError("the handler broke")


def test_a_failure_whose_words_are_no_utf_8_is_dead_with_the_reason(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(fail_oddly)
    burst(redis)
    result = job.latest_result()
    assert (job.get_status(), seen) == (JobStatus.FAILED, ["ran"])
    assert result is not None
    assert "no file named \\udc80" in str(result.exc_string)
    assert StartedJobRegistry("q", connection=redis).get_job_count(cleanup=False) == 0


def test_a_job_whose_end_cannot_be_booked_is_dead_with_the_reason_and_runs_once(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(fail_oddly)
    burst(redis, exception_handlers=[break_off])
    result = job.latest_result()
    assert (job.get_status(), seen) == (JobStatus.FAILED, ["ran"])
    assert result is not None
    assert "the handler broke" in str(result.exc_string)
    assert StartedJobRegistry("q", connection=redis).get_job_count(cleanup=False) == 0
    assert job.id in FailedJobRegistry("q", connection=redis)


def test_a_failure_callback_that_exits_changes_nothing_for_its_job(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(fail_times, 1, on_failure=Callback(leave))
    with scheduling(redis), working(redis, with_scheduler=False, policies=policy(2)):
        wait_until(lambda: job.get_status() == JobStatus.FINISHED)
    assert (len(seen), kept(redis, job, "attempts")) == (2, "2")


def test_a_redis_that_answers_and_refuses_to_write_is_away_once_and_nothing_runs_twice(
    redis: Redis, queue: Queue
) -> None:
    jobs = [queue.enqueue(wait_for_release), queue.enqueue(wait_for_release, "failing", on_success=Callback(leave))]
    with working(redis) as worker:
        began(2)
        redis.config_set("min-replicas-to-write", 1)
        try:
            release.set()
            wait_until(lambda: worker.unready() == "Redis is away")
            time.sleep(0.6)
            assert worker.unready() == "Redis is away"
        finally:
            redis.config_set("min-replicas-to-write", 0)
        wait_until(lambda: jobs[0].get_status() == JobStatus.FINISHED and jobs[1].get_status() == JobStatus.FAILED)
    assert sorted(seen) == ["began", "failing"]
    assert worker._outage.count == 1
