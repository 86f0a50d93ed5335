"""Redis that is killed, a network that is cut, workers that are killed by their jobs or frozen: nothing is lost, and
nothing is said twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq import Queue
from rq.job import Job, JobStatus

from jobctl.adapters.rq_scheduler import ThreadScheduler
from support.chaos import DurableRedis, Link, Replica, durable_redis, entries, replica, times
from support.waiting import wait_until

#: Fields that RQ's results have; for success and for failure.
SUCCESS, FAILURE = b"1", b"2"


@pytest.fixture
def server() -> Iterator[DurableRedis]:
    with durable_redis() as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


class Jobs:
    """Jobs of a queue, over a connection that is made for each look: the server may have been away."""

    def __init__(self, server: DurableRedis, journal: Path) -> None:
        self._server = server
        self._journal = journal

    def enqueue(self, name: str, seconds: float = 0.0, function: str = "sleep") -> str:
        words = (str(self._journal), name) if function == "kill_the_worker" else (str(self._journal), name, seconds)
        with self._server.client() as client:
            Queue("q", connection=client).enqueue(f"support.chaos_jobs.{function}", *words, job_id=name)
        return name

    def field(self, name: str, field: str) -> str:
        with self._server.client() as client:
            return (client.hget(Job.key_for(name), field) or b"").decode()

    def results(self, name: str) -> list[bytes]:
        with self._server.client() as client:
            return [fields[b"type"] for _, fields in client.xrange(f"rq:results:{name}")]

    def wait_until_finished(self, *names: str) -> None:
        wait_until(lambda: {self.field(name, "status") for name in names} == {"finished"}, what=f"the end of {names}")

    def wait_until_begun(self, *names: str) -> None:
        wait_until(lambda: set(names) <= times(self._journal, "begin").keys(), what=f"the start of {names}")

    def assert_nothing_is_left(self) -> None:
        with self._server.client() as client:
            patterns = ("rq:queue:*", "rq:wip:*", "rq:scheduled:*", "rq:execution*", "rq:worker*:executions")
            assert [key for pattern in patterns for key in client.keys(pattern)] == []


@pytest.fixture
def jobs(server: DurableRedis, journal: Path) -> Jobs:
    return Jobs(server, journal)


def assert_two_lines(worker: Replica) -> None:
    """It said that Redis was away and that it was back, and nothing else."""
    _, *said = worker.lines
    assert len(said) == 2, said
    assert "Redis is away" in said[0]
    assert "Redis is back after" in said[1]


# ------------------------------------------------------------------------------------------------------------- restarts


def test_a_job_that_ends_while_redis_is_away_is_reported_once_it_is_back_and_two_lines_are_said(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path
) -> None:
    names = [jobs.enqueue(f"job-{number}", 1.0) for number in range(5)]
    loop = jobs.enqueue("coroutine", 1.0, "sleep_on_the_loop")
    with replica(tmp_path, server.url) as busy:
        jobs.wait_until_begun(*names, loop)
        with replica(tmp_path, server.url) as idle:
            server.kill()
            wait_until(lambda: sum(times(journal, "end").values()) == 6)
            time.sleep(0.5)
            server.start()
            jobs.wait_until_finished(*names, loop)
            jobs.wait_until_finished(jobs.enqueue("afterwards"))
            wait_until(lambda: len(idle.lines) > 2)
            time.sleep(1.0)
            assert [busy.stop(), idle.stop()] == [0, 0]
    assert times(journal, "begin") == dict.fromkeys([*names, loop, "afterwards"], 1)
    assert jobs.results(names[0]) == [SUCCESS]
    jobs.assert_nothing_is_left()
    assert_two_lines(busy)
    assert_two_lines(idle)


# ---------------------------------------------------------------------------------------------------------- the network


def test_jobs_whose_start_was_booked_and_never_heard_of_run_without_spending_an_attempt(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path
) -> None:
    with Link(server.socket) as link, replica(tmp_path, link.url) as worker:
        link.lose_answer(holding=b"job-1")
        names = [jobs.enqueue(f"job-{number}") for number in range(1, 4)]
        jobs.wait_until_finished(*names)
        assert link.lost
        assert worker.stop() == 0
    assert times(journal, "begin") == dict.fromkeys(names, 1)
    assert [jobs.field(name, "jobctl_attempts") for name in names] == ["1"] * len(names)
    jobs.assert_nothing_is_left()
    assert_two_lines(worker)


def test_a_job_whose_end_was_booked_and_never_heard_of_is_booked_once(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path
) -> None:
    with Link(server.socket) as link, replica(tmp_path, link.url) as worker:
        name = jobs.enqueue("job-1", 0.3)
        jobs.wait_until_begun(name)
        link.lose_answer(to=name.encode())
        wait_until(lambda: link.lost)
        jobs.wait_until_finished(name, jobs.enqueue("afterwards"))
        assert worker.stop() == 0
    assert times(journal, "begin") == {name: 1, "afterwards": 1}
    assert jobs.results(name) == [SUCCESS]
    jobs.assert_nothing_is_left()
    assert_two_lines(worker)


def test_a_cut_network_loses_no_job_and_runs_none_twice(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path
) -> None:
    """What a worker sent into the cut arrives after it, when nobody waits for the answers any more."""
    with Link(server.socket) as link, replica(tmp_path, link.url) as worker:
        names = [jobs.enqueue(f"before-{number}", 1.0) for number in range(5)]
        jobs.wait_until_begun(*names)
        link.cut()
        names += [jobs.enqueue(f"meanwhile-{number}", 1.5) for number in range(60)]
        time.sleep(9.0)
        link.mend(late_s=1.0)
        jobs.wait_until_finished(*names, jobs.enqueue("afterwards"))
        assert worker.stop() == 0
    assert times(journal, "begin") == dict.fromkeys([*names, "afterwards"], 1)
    assert {jobs.field(name, "jobctl_attempts") for name in names} == {"1"}
    jobs.assert_nothing_is_left()
    assert_two_lines(worker)


# ------------------------------------------------------------------------------------------------------------- draining


@pytest.mark.parametrize("how", ["killed", "cut off"])
def test_a_worker_that_drains_while_redis_is_away_ends_in_time_and_its_jobs_run_elsewhere(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path, how: str
) -> None:
    with (
        Link(server.socket) as link,
        replica(tmp_path, link.url, "--drain-timeout", "1", "--recover-after", "3") as worker,
    ):
        names = [jobs.enqueue(f"job-{number}", 2.0) for number in range(5)]
        jobs.wait_until_begun(*names)
        if how == "killed":
            server.kill()
        else:
            link.cut()
        worker.process.terminate()
        began_s = time.monotonic()
        assert worker.process.wait(40) == 0
        assert time.monotonic() - began_s <= 6.0
    if how == "killed":
        server.start()
    with replica(tmp_path, server.url) as other:
        jobs.wait_until_finished(*names)
        assert other.stop() == 0
    assert times(journal, "begin") == dict.fromkeys(names, 2)
    jobs.assert_nothing_is_left()


# ---------------------------------------------------------------------------------------------------- poison and frozen


@pytest.fixture
def scheduler(server: DurableRedis) -> Iterator[None]:
    """One that outlives the workers: another one would wait for a dead one's lock."""
    with server.client() as client:
        thread = ThreadScheduler([Queue("q", connection=client)], connection=client)
        thread.start()
        yield
        thread.request_stop()
        thread.join()


@pytest.mark.usefixtures("scheduler")
def test_a_job_that_kills_its_workers_is_dead_after_so_many_and_those_beside_it_live(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path
) -> None:
    """All are taken together and killed together, until each has one chance left: then they run one by one."""
    innocent = [jobs.enqueue(f"job-{number}", 0.3) for number in range(3)]
    poison = jobs.enqueue("poison", function="kill_the_worker")
    words = ("--recover-after", "1.5", "--abandon-limit", "3")
    for _ in range(3):
        with replica(tmp_path, server.url, *words) as worker:
            assert worker.process.wait(30) == -signal.SIGKILL
    with replica(tmp_path, server.url, *words) as worker:
        wait_until(lambda: jobs.field(poison, "status") == "failed")
        jobs.wait_until_finished(*innocent, jobs.enqueue("afterwards"))
        assert worker.stop() == 0
    assert times(journal, "begin")[poison] == 3
    assert jobs.field(poison, "jobctl_reason") == "abandoned"
    assert jobs.field(poison, "jobctl_attempts") == "3"
    assert jobs.results(poison) == [FAILURE]
    with server.client() as client:
        assert client.zscore("rq:failed:q", poison) is not None
        job = Job.fetch(poison, connection=client)
        assert job.get_status() is JobStatus.FAILED
        assert "abandoned 3 times" in str(job.latest_result().exc_string)
    assert [jobs.field(name, "jobctl_abandoned") for name in innocent] == ["2"] * 3
    jobs.assert_nothing_is_left()


def test_a_frozen_worker_whose_jobs_were_taken_over_changes_nothing_and_works_on(
    server: DurableRedis, jobs: Jobs, journal: Path, tmp_path: Path
) -> None:
    names = [jobs.enqueue(f"job-{number}", 1.5, "tell_process") for number in range(5)]
    words = ("--recover-after", "3")
    with replica(tmp_path, server.url, *words) as frozen:
        jobs.wait_until_begun(*names)
        frozen.process.send_signal(signal.SIGSTOP)
        with replica(tmp_path, server.url, *words) as other:
            jobs.wait_until_finished(*names)
            frozen.process.send_signal(signal.SIGCONT)
            wait_until(lambda: sum(times(journal, "end").values()) == 10)
            assert other.stop() == 0
        jobs.wait_until_finished(jobs.enqueue("afterwards"))
        said = frozen.lines
        assert frozen.stop() == 0
    with server.client() as client:
        returned = [Job.fetch(name, connection=client).return_value() for name in names]
        counted = [client.hget(key, "successful_job_count") for key in client.keys("rq:worker:*")]
    assert returned == [other.process.pid] * 5
    assert sorted(counted) == [b"1", b"5"]
    assert [jobs.results(name) for name in names] == [[SUCCESS]] * 5
    assert [jobs.field(name, "jobctl_attempts") for name in names] == ["2"] * 5
    assert sum("was taken over, its result is discarded" in line for line in said) == 5
    assert {entry.pid for entry in entries(journal) if entry.name == "afterwards"} == {frozen.process.pid}
    jobs.assert_nothing_is_left()
