"""Nothing is lost, at full length and at the default times: 10,000 jobs, 20 killed replicas, 3 restarts of Redis, and a
network that is cut for half a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from jobctl.apps.mock.behaviour import Fault
from jobctl.core.service import Constant
from support.chaos import Link, Storm, durable_redis, entries, replica, times, weather
from support.databases import Postgres
from support.running_mock import running
from support.waiting import wait_until

RECOVER_AFTER_S = 30.0

Figure = Callable[[str, str, str], None]


def test_10000_jobs_outlast_20_killed_replicas_and_3_restarts_of_redis(
    tmp_path: Path, postgres: Postgres, figure: Figure
) -> None:
    storm = Storm(jobs=10_000, kills=20, restarts=3, recover_after_s=RECOVER_AFTER_S, seed=1)
    with durable_redis() as server, running(Constant(0.002), {Fault.RATE_LIMIT: 0.1, Fault.INTERNAL: 0.05}) as mock:
        after = weather(storm, server, tmp_path, mock.url, DATABASE_URL=postgres.dsn)

    rows = [str(job_id) for (job_id,) in postgres.rows("SELECT job_id FROM jobctl_results")]
    what = "nothing lost: 10,000 jobs, 20 replicas and 3 times Redis killed"
    abandoned = sum(reason == "abandoned" for reason in after.dead.values())
    figure(f"{what}: jobs lost", str(len(after.lost)), "0")
    figure(f"{what}: finished", str(len(after.finished)), "")
    figure(f"{what}: dead with a reason, abandoned among them", f"{len(after.dead)}, {abandoned}", "the others")
    figure(f"{what}: jobs that were in flight on a killed replica", str(len(after.orphans_s)), "")
    figure(f"{what}: longest until one of them was at work again", f"{max(after.orphans_s):.1f} s", "within 30 s")
    figure(f"{what}: jobs that returned twice", str(len(after.ran_again)), "")
    figure(f"{what}: rows beyond one of each job", str(len(rows) - len(set(rows))), "0")

    assert after.lost == set()
    assert after.left_over == []
    assert set(after.dead.values()) <= {"429", "5xx", "abandoned"}
    assert after.orphans_s
    assert max(after.orphans_s) <= RECOVER_AFTER_S
    assert after.unstarted <= {name for name, reason in after.dead.items() if reason == "abandoned"}
    assert len(rows) == len(set(rows))
    assert after.finished <= set(rows)
    assert set(rows) - after.finished <= after.dead.keys()


def test_a_network_that_is_cut_for_30_s_loses_nothing_and_is_told_in_two_lines(tmp_path: Path, figure: Figure) -> None:
    names, journal = [f"job-{number}" for number in range(600)], tmp_path / "journal"
    with durable_redis() as server, Link(server.socket) as link, ExitStack() as stack, server.client() as redis:
        queue = Queue("q", connection=redis, serializer=JSONSerializer)
        for name in names:
            queue.enqueue("support.chaos_jobs.sleep", str(journal), name, 2.0, job_id=name)
        workers = [stack.enter_context(replica(tmp_path, link.url)) for _ in range(3)]
        wait_until(lambda: len(times(journal, "begin")) >= 200)
        link.cut()
        time.sleep(30.0)
        mended_s = time.monotonic()
        link.mend(late_s=2.0)
        wait_until(lambda: redis.zcard("rq:finished:q") == len(names), 120)
        assert [worker.stop() for worker in workers] == [0] * 3
        taken_over = sum(int(redis.hget(Job.key_for(name), "jobctl_abandoned") or 0) for name in names)

    begun = times(journal, "begin")
    starts_s = [entry.instant_s for entry in entries(journal) if entry.word == "begin"]
    back_s = min(instant_s for instant_s in starts_s if instant_s > mended_s) - mended_s
    twice = sum(count > 1 for count in begun.values())
    said = [[line for line in worker.lines if "Redis is" in line] for worker in workers]
    figure("network cut for 30 s: jobs lost", str(len(names) - len(begun)), "0")
    figure("network cut for 30 s: jobs that ran twice", f"{twice}, of {taken_over} taken over", "only those")
    figure("network cut for 30 s: lines about it of each of three workers", str([len(lines) for lines in said]), "2")
    figure("network cut for 30 s: next start of a job after it", f"{back_s:.1f} s", "")

    assert begun.keys() == set(names)
    assert twice <= taken_over
    assert [len(lines) for lines in said] == [2, 2, 2]
