"""The worker in this process, on a real server. Jobs are functions, found by their dotted path."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import psutil
import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry, get_current_job
from rq.command import send_command, send_stop_execution_command, send_stop_job_command
from rq.job import Dependency, Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend
from rq.timeouts import JobTimeoutException
from rq.utils import now

from jobctl.adapters.memory import MemoryResults
from jobctl.adapters.rq_desk import ENDED_KEY, PULSES_KEY
from jobctl.adapters.rq_worker import Worker
from support.waiting import wait_until
from support.workers import (
    PATIENCE_S,
    add,
    fail,
    fail_times,
    forget,
    note,
    release,
    seen,
    wait_for_release,
    working,
)

barrier = threading.Barrier(5)
token: ContextVar[str] = ContextVar("token", default="none")
fresh = pytest.fixture(autouse=True)(forget)


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue("q", connection=redis)


def work(redis: Redis, concurrency: int = 4, queues: tuple[str, ...] = ("q",), **options: Any) -> bool:
    """One burst."""
    max_jobs, serializer = options.pop("max_jobs", None), options.pop("serializer", None)
    worker = Worker(list(queues), connection=redis, concurrency=concurrency, serializer=serializer)
    return worker.work(burst=True, logging_level="CRITICAL", max_jobs=max_jobs, **options)


def reason(job: Job) -> str:
    """Why a job failed."""
    result = job.latest_result()
    assert result is not None
    assert result.type is Result.Type.FAILED
    return str(result.exc_string)


# ----------------------------------------------------------------------------------------------------------------- jobs


def note_slowly(what: Any) -> None:
    time.sleep(0.1)
    seen.append(what)


def enqueue_urgent(name: str) -> None:
    job = get_current_job()
    assert job is not None
    Queue(name, connection=job.connection).enqueue(note, "urgent")


def meet() -> int:
    return barrier.wait(PATIENCE_S)


def spin() -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(0.001)


def sit_in_c(seconds: float) -> str:
    """Blocks where no exception reaches it, and takes no notice of the one that comes afterwards."""
    with suppress(JobTimeoutException):
        time.sleep(seconds)
    seen.append("came back")
    return "late"


def change_context(value: str) -> None:
    seen.append(token.get())
    token.set(value)


async def meet_in_loop(parties: int) -> int:
    seen.append(id(asyncio.get_running_loop()))
    while len(seen) < parties:
        await asyncio.sleep(0.001)
    return seen[0]


async def who_am_i() -> str:
    await asyncio.sleep(0)
    job = get_current_job()
    assert job is not None
    return job.id


async def sleep_long() -> None:
    seen.append("began")
    try:
        await asyncio.sleep(PATIENCE_S)
    finally:
        seen.append("cleaned up")


async def block_the_loop() -> None:
    time.sleep(2.6)


def end_a_child() -> int:
    """Forks, and tells how the child ended."""
    heard, said = os.pipe()
    child = os.fork()
    if not child:
        os.write(said, b".")
        time.sleep(0.5)
        os._exit(0)
    os.read(heard, 1)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def leave_ready(finished: str) -> None:
    """What a process does that is killed before it lets the dependents of a job in."""
    job = get_current_job()
    assert job is not None
    parent = Job.fetch(finished, connection=job.connection)
    parent.set_status(JobStatus.FINISHED)
    Queue("q", connection=job.connection).move_dependents_to_ready(parent)


def on_success(job: Job, connection: Redis, result: Any) -> None:
    seen.append(("success", job.id, result))


def on_failure(job: Job, connection: Redis, kind: type, error: Exception, trace: Any) -> None:
    seen.append(("failure", job.id, kind))


def on_stopped(job: Job, connection: Redis) -> None:
    seen.append(("stopped", job.id))


# --------------------------------------------------------------------------------------------------------- many at once


def test_as_many_plain_functions_run_at_once_as_there_are_slots(redis: Redis, queue: Queue) -> None:
    jobs = [queue.enqueue(meet) for _ in range(5)]
    assert work(redis, concurrency=5)
    assert {job.get_status() for job in jobs} == {JobStatus.FINISHED}


def test_coroutines_run_at_once_on_one_loop(redis: Redis, queue: Queue) -> None:
    jobs = [queue.enqueue(meet_in_loop, 4) for _ in range(4)]
    work(redis)
    assert {job.return_value() for job in jobs} == {seen[0]}
    assert len(set(seen)) == 1


def test_a_worker_of_one_slot_runs_jobs_in_their_order(redis: Redis, queue: Queue) -> None:
    for number in range(8):
        queue.enqueue(note, number)
    work(redis, concurrency=1)
    assert seen == list(range(8))


def test_a_coroutine_knows_its_job(redis: Redis, queue: Queue) -> None:
    jobs = [queue.enqueue(who_am_i) for _ in range(6)]
    work(redis)
    assert [job.return_value() for job in jobs] == [job.id for job in jobs]


def test_context_variables_do_not_pass_from_job_to_job(redis: Redis, queue: Queue) -> None:
    for value in "ab":
        queue.enqueue(change_context, value)
    work(redis, concurrency=1)
    assert seen == ["none", "none"]


def test_fewer_than_one_slot_is_refused(redis: Redis) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Worker(["q"], connection=redis, concurrency=0)


# ------------------------------------------------------------------------------------------------------------ the books


def test_a_success_is_on_all_of_rqs_books(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(add, 1, 2)
    work(redis)
    job.refresh()
    assert (job.get_status(), job.return_value()) == (JobStatus.FINISHED, 3)
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.enqueued_at <= job.started_at <= job.ended_at
    assert FinishedJobRegistry(queue=queue).get_job_ids() == [job.id]
    assert StartedJobRegistry(queue=queue).get_job_ids() == []
    assert job.get_executions() == []
    assert queue.intermediate_queue.get_job_ids() == []
    result = job.latest_result()
    assert result is not None
    assert result.worker_name == job.worker_name
    assert 0 < redis.ttl(job.key) <= 500


def test_a_running_job_is_on_the_books(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(wait_for_release)
    with working(redis) as worker:
        wait_until(lambda: seen)
        (shown,) = Worker.all(connection=redis)
        assert (shown.name, shown.get_state(), shown.get_current_job_id()) == (worker.name, "busy", job.id)
        assert job.get_status() is JobStatus.STARTED
        assert StartedJobRegistry(queue=queue).get_job_ids() == [job.id]
        assert queue.intermediate_queue.get_job_ids() == []
        release.set()
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
        assert Worker.all(connection=redis)[0].successful_job_count == 1
    assert Worker.all(connection=redis) == []


def test_a_failure_is_on_the_books_with_its_reason(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(fail)
    work(redis)
    assert job.get_status() is JobStatus.FAILED
    assert "LookupError: nothing there" in reason(job)
    assert FailedJobRegistry(queue=queue).get_job_ids() == [job.id]
    assert StartedJobRegistry(queue=queue).get_job_ids() == []


def test_a_result_that_is_not_to_be_kept_leaves_nothing(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(add, 1, 2, result_ttl=0)
    work(redis)
    assert [key for key in redis.scan_iter() if job.id.encode() in key] == []
    assert FinishedJobRegistry(queue=queue).get_job_ids() == []


def test_an_empty_job_costs_less_than_a_round_trip_and_at_most_26_commands(redis: Redis, queue: Queue) -> None:
    """Those inside scripts counted, over the life of a worker with 25 slots."""
    count = 500
    queue.enqueue_many([Queue.prepare_data(add, args=(1, 2)) for _ in range(count)])
    worker = Worker(["q"], connection=redis, concurrency=25)
    redis.config_resetstat()
    worker.work(burst=True, logging_level="CRITICAL")
    calls = {name: stats["calls"] for name, stats in redis.info("commandstats").items()}
    assert redis.zcard(FinishedJobRegistry(queue=queue).key) == count
    assert calls["cmdstat_evalsha"] / count < 0.8
    assert sum(calls.values()) / count <= 26


def test_json_serialised_jobs_run(redis: Redis) -> None:
    job = Queue("q", connection=redis, serializer=JSONSerializer).enqueue(add, 1, 2)
    work(redis, serializer=JSONSerializer)
    assert job.get_status() is JobStatus.FINISHED
    assert job.return_value() == 3


# ------------------------------------------------------------------------------------- callbacks, retries, dependencies


def test_callbacks_run(redis: Redis, queue: Queue) -> None:
    good = queue.enqueue(add, 1, 2, on_success=Callback(on_success))
    bad = queue.enqueue(fail, on_failure=Callback(on_failure))
    work(redis, concurrency=1)
    assert seen == [("success", good.id, 3), ("failure", bad.id, LookupError)]


def test_a_failed_job_is_retried(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(fail_times, 1, retry=Retry(max=1))
    work(redis)
    assert (job.get_status(), job.return_value(), len(seen)) == (JobStatus.FINISHED, "done", 2)


def test_a_burst_does_not_end_before_what_its_last_job_put_back(redis: Redis, queue: Queue) -> None:
    for _ in range(40):
        seen.clear()
        job = queue.enqueue(fail_times, 1, retry=Retry(max=1))
        work(redis)
        assert job.get_status() is JobStatus.FINISHED


def test_delayed_retries_come_from_a_scheduler_that_is_a_thread(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(fail_times, 1, retry=Retry(max=1, interval=1))
    children = psutil.Process().children()
    with working(redis) as worker:
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
        assert psutil.Process().children() == children
        assert worker.scheduler is not None
    assert not redis.exists(worker.scheduler.key)
    assert not redis.exists(worker.scheduler.get_locking_key("q"))


def test_suspension_holds_a_worker_whose_slots_are_all_busy(redis: Redis, queue: Queue) -> None:
    queue.enqueue_many([Queue.prepare_data(sit_in_c, args=(0.02,)) for _ in range(2000)])
    with working(redis):
        wait_until(lambda: len(seen) > 20)
        suspend(redis)
        wait_until(lambda: Worker.all(connection=redis)[0].get_state() == "suspended")
        wait_until(lambda: not StartedJobRegistry(queue=queue).get_job_ids())
        waiting = len(queue)
        time.sleep(0.3)
        assert len(queue) == waiting > 0
        assert queue.intermediate_queue.get_job_ids() == []
        queue.empty()
        resume(redis)


def test_jobs_that_come_along_obey_the_order_of_queues(redis: Redis) -> None:
    for number in range(10):
        Queue("low", connection=redis).enqueue(note_slowly, number)
    Queue("high", connection=redis).enqueue(enqueue_urgent, "high")
    work(redis, concurrency=2, queues=("high", "low"))
    assert seen.index("urgent") <= 2
    assert sorted(what for what in seen if what != "urgent") == list(range(10))


def test_dependents_run_afterwards(redis: Redis, queue: Queue) -> None:
    first = queue.enqueue(note, "first")
    second = queue.enqueue(note, "second", depends_on=first)
    queue.enqueue(note, "third", depends_on=second)
    work(redis)
    assert seen == ["first", "second", "third"]


def test_dependents_of_jobs_that_end_together_run_at_once_and_once(redis: Redis, queue: Queue) -> None:
    for number in range(10):
        pair = [queue.enqueue(fail), queue.enqueue(fail)]
        queue.enqueue(note, number, depends_on=Dependency(jobs=pair, allow_failure=True))
    work(redis, concurrency=20)
    assert sorted(seen) == list(range(10))
    assert redis.keys(f"{ENDED_KEY}*") == []


def test_dependents_that_somebody_else_left_ready_run(redis: Redis, queue: Queue) -> None:
    first = Queue("elsewhere", connection=redis).enqueue(note, "first")
    queue.enqueue(note, "second", depends_on=first)
    queue.enqueue(leave_ready, first.id)
    work(redis)
    assert seen == ["second"]


def test_a_worker_that_serves_looks_for_dependents_that_were_left_ready(redis: Redis, queue: Queue) -> None:
    first = Queue("elsewhere", connection=redis).enqueue(note, "first")
    second = queue.enqueue(note, "second", depends_on=first)
    first.set_status(JobStatus.FINISHED)
    queue.move_dependents_to_ready(first)
    worker = Worker(["q"], connection=redis)
    worker.last_cleaned_at = now()  # RQ's maintenance is not due
    worker._look_around(burst=False)
    assert queue.job_ids == [second.id]


class Noting(Queue):
    """Hears of dependents that enter."""

    def enqueue_ready_jobs_by_queue(self, job_ids_by_queue_name: dict[str, list[str]]) -> None:
        seen.append(list(job_ids_by_queue_name))
        super().enqueue_ready_jobs_by_queue(job_ids_by_queue_name)


def test_dependents_enter_by_a_queue_of_ones_own_where_it_replaces_that_whatever_its_connection(
    redis: Redis, redis_url: str, queue: Queue
) -> None:
    queue.enqueue(note, "second", depends_on=Dependency([queue.enqueue(fail)], allow_failure=True))
    with Redis(unix_socket_path=redis_url.removeprefix("unix://"), decode_responses=True) as decoding:
        Worker([Noting("q", connection=decoding)], connection=redis).work(burst=True, logging_level="CRITICAL")
    assert seen[:2] == [["q"], "second"]


class Killed(Worker):
    """Goes when a job has failed, before its dependents enter."""

    def _enqueue_dependents_safely(self, queue: Queue, job: Job) -> None:
        pass


def test_dependents_of_a_job_that_failed_as_its_worker_was_killed_run(redis: Redis, queue: Queue) -> None:
    queue.enqueue(note, "second", depends_on=Dependency([queue.enqueue(fail)], allow_failure=True))
    Killed(["q"], connection=redis, name="lost").work(burst=True, logging_level="CRITICAL")
    redis.zadd(PULSES_KEY, {"lost": 1.0})
    work(redis)
    assert seen == ["second"]
    assert redis.keys(f"{ENDED_KEY}*") == []


def test_jobs_that_one_job_waits_for_and_that_end_together_undo_no_transactions_of_each_other(
    redis: Redis, queue: Queue
) -> None:
    queue.enqueue(note, "all", depends_on=[queue.enqueue(note, number) for number in range(20)])
    redis.config_resetstat()
    work(redis, concurrency=20)
    assert seen[20:] == ["all"]
    assert redis.info("commandstats")["cmdstat_watch"]["calls"] <= 100  # side by side they take 240 and more


def test_slots_that_write_at_once_run_out_of_no_connections(redis: Redis) -> None:
    pool = Worker(["q"], connection=redis, concurrency=100).connection.connection_pool
    assert pool.max_connections >= 100 * 3


def test_repeated_jobs_repeat(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(note, "again", repeat=Repeat(times=2))
    work(redis)
    assert seen == ["again"] * 3
    assert redis.hget(job.key, "jobctl_attempts") == b"1"


def test_urgent_queues_go_first(redis: Redis) -> None:
    for name in ("low", "high"):
        for number in range(2):
            Queue(name, connection=redis).enqueue(note, f"{name}{number}")
    work(redis, concurrency=1, queues=("high", "low"))
    assert seen == ["high0", "high1", "low0", "low1"]


def test_no_more_jobs_are_taken_than_allowed(redis: Redis, queue: Queue) -> None:
    for number in range(6):
        queue.enqueue(note, number)
    work(redis, max_jobs=4)
    assert sorted(seen) == [0, 1, 2, 3]
    assert len(queue) == 2


def test_suspended_workers_leave_jobs_alone(redis: Redis, queue: Queue) -> None:
    suspend(redis)
    queue.enqueue(note, 1)
    assert not work(redis)
    resume(redis)
    assert work(redis)
    assert seen == [1]


# ------------------------------------------------------------------------------------------------------------ deadlines


def test_a_plain_function_is_interrupted_at_its_timeout(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(spin, job_timeout=1)
    began = time.monotonic()
    work(redis)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in reason(job)


def test_a_coroutine_is_cancelled_at_its_timeout_and_may_clean_up(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(sleep_long, job_timeout=1)
    work(redis)
    assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in reason(job)
    assert seen == ["began", "cleaned up"]


def test_a_late_result_is_discarded_and_the_slot_counts_as_stuck_meanwhile(redis: Redis, queue: Queue) -> None:
    """Of a plain job and of one that more hangs on."""
    jobs = [queue.enqueue(sit_in_c, 2.6, job_timeout=1, on_success=told) for told in (None, Callback(on_success))]
    store = MemoryResults()
    with working(redis, concurrency=5, results=store) as worker:
        wait_until(lambda: {job.get_status() for job in jobs} == {JobStatus.FAILED})
        assert seen == []
        assert worker._slots.stuck == 2
        wait_until(lambda: worker._slots.stuck == 0)
    assert seen == ["came back"] * 2
    for job in jobs:
        assert job.get_status() is JobStatus.FAILED
        assert "JobTimeoutException" in reason(job)
        assert len(job.results()) == 1
    assert FinishedJobRegistry(queue=queue).get_job_ids() == []
    assert store.kept == {}


def test_with_half_the_slots_stuck_the_worker_drains_and_asks_to_be_restarted(redis: Redis, queue: Queue) -> None:
    stuck = queue.enqueue(sit_in_c, PATIENCE_S, job_timeout=1)
    waiting = queue.enqueue(sit_in_c, 2.2)
    left = queue.enqueue(note, "left")
    with pytest.raises(SystemExit) as stop:
        work(redis, concurrency=2)
    assert stop.value.code == 1
    assert stuck.get_status() is JobStatus.FAILED
    assert (waiting.get_status(), left.get_status()) == (JobStatus.FINISHED, JobStatus.QUEUED)


def test_a_coroutine_that_blocks_the_loop_fails_at_its_timeout(redis: Redis, queue: Queue) -> None:
    blocking = queue.enqueue(block_the_loop, job_timeout=1)
    other = queue.enqueue(who_am_i)
    work(redis, concurrency=6)
    assert "JobTimeoutException" in reason(blocking)
    assert other.get_status() is JobStatus.FINISHED


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_process_that_a_job_forks_ends_at_a_signal_of_its_own(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(end_a_child)
    work(redis)
    assert job.return_value() == -signal.SIGTERM


def test_a_worker_whose_user_may_not_hear_commands_works_and_says_so(
    redis: Redis, redis_url: str, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    redis.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], categories=["+@all"])
    queue.enqueue(note_slowly, "worked")
    try:
        with Redis(unix_socket_path=redis_url.removeprefix("unix://"), username="deaf", password="any") as connection:
            Worker(["q"], connection=connection).work(burst=True, logging_level="WARNING")
    finally:
        redis.acl_deluser("deaf")

    assert seen == ["worked"]
    assert "grant it &rq:*" in caplog.text


@pytest.mark.parametrize("function", [sleep_long, wait_for_release])
def test_a_job_is_stopped_on_request(redis: Redis, queue: Queue, function: Callable[[], Any]) -> None:
    job = queue.enqueue(function, on_stopped=Callback(on_stopped))
    with working(redis):
        wait_until(lambda: seen)
        send_stop_job_command(redis, job.id)
        wait_until(lambda: job.get_status() is JobStatus.STOPPED)
        release.set()
    assert ("stopped", job.id) in seen
    assert "Job stopped by user." in reason(job)


@pytest.mark.parametrize("message", ["no json", "[1, 2]", b"\xff"])
def test_a_command_that_means_nothing_is_ignored_and_the_next_one_heard(
    redis: Redis, queue: Queue, message: str | bytes
) -> None:
    with working(redis) as worker:
        job = queue.enqueue(sleep_long)
        wait_until(lambda: seen == ["began"])
        redis.publish(f"rq:pubsub:{worker.name}", message)
        send_stop_job_command(redis, job.id)
        wait_until(lambda: job.get_status() == JobStatus.STOPPED)


def test_one_of_several_executions_is_stopped_and_the_others_go_on(redis: Redis, queue: Queue) -> None:
    jobs = [queue.enqueue(sleep_long) for _ in range(3)]
    with working(redis) as worker:
        wait_until(lambda: len(seen) == 3)
        (execution,) = jobs[1].get_executions()
        send_command(redis, worker.name, "stop-execution", execution_id="unknown")
        send_stop_execution_command(redis, jobs[1].id, execution.id)
        wait_until(lambda: jobs[1].get_status() is JobStatus.STOPPED)
        assert {jobs[0].get_status(), jobs[2].get_status()} == {JobStatus.STARTED}
        for job in (jobs[0], jobs[2]):
            send_stop_job_command(redis, job.id)
        wait_until(lambda: {job.get_status() for job in jobs} == {JobStatus.STOPPED})
    assert seen.count("cleaned up") == 3


# ---------------------------------------------------------------------------------------------------------- broken jobs


def look_at_itself() -> Any:
    job = get_current_job()
    assert job is not None
    return job.retries_left


@pytest.mark.parametrize(
    ("function", "field", "value", "said"),
    [
        (note, "timeout", "soon", "ValueError: invalid literal"),
        (note, "result_ttl", "long", "ValueError: invalid literal"),
        (look_at_itself, "retries_left", "many", "ValueError: invalid literal"),
    ],
)
def test_a_job_whose_hash_cannot_be_read_fails_with_the_reason(
    redis: Redis, queue: Queue, function: Callable[..., Any], field: str, value: str, said: str
) -> None:
    args = () if function is look_at_itself else (1,)
    broken, good = queue.enqueue(function, *args), queue.enqueue(add, 1, 2)
    redis.hset(broken.key, field, value)
    work(redis)
    assert redis.hget(broken.key, "status") == b"failed"
    assert said in reason(broken)
    assert FailedJobRegistry(queue=queue).get_job_ids(cleanup=False) == [broken.id]
    assert StartedJobRegistry(queue=queue).get_job_ids(cleanup=False) == []
    assert good.get_status() is JobStatus.FINISHED


def test_a_field_that_nobody_reads_does_not_matter(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue(add, 1, 2)
    redis.hset(job.key, "retries_left", "many")
    work(redis)
    assert redis.hget(job.key, "status") == b"finished"


@pytest.mark.parametrize(("data", "said"), [(b"no pickle", "its data is no"), (b"", "its data is empty")])
def test_a_job_with_corrupt_data_fails_with_the_reason(redis: Redis, queue: Queue, data: bytes, said: str) -> None:
    broken, good = queue.enqueue(add, 1, 2), queue.enqueue(add, 1, 2)
    redis.hset(broken.key, "data", data)
    work(redis)
    assert f"JobRefused: {said}" in reason(broken)
    assert FailedJobRegistry(queue=queue).get_job_ids() == [broken.id]
    assert good.get_status() is JobStatus.FINISHED


def test_a_job_that_cannot_be_imported_fails_with_the_reason(redis: Redis, queue: Queue) -> None:
    job = queue.enqueue("no_such_module.function")
    work(redis)
    assert "no_such_module" in reason(job)


def test_an_id_without_a_job_is_passed_over(redis: Redis, queue: Queue) -> None:
    gone, good = queue.enqueue(add, 1, 2), queue.enqueue(add, 1, 2)
    redis.delete(gone.key)
    work(redis)
    assert queue.intermediate_queue.get_job_ids() == []
    assert good.get_status() is JobStatus.FINISHED
