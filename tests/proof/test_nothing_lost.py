"""Nothing is lost, at full length: 10,000 jobs, 20 killed replicas and 3 restarts of Redis, at the default times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jobctl.apps.mock.behaviour import Fault
from jobctl.core.service import Constant
from support.chaos import Storm, durable_redis, weather
from support.databases import Postgres
from support.running_mock import running

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
    assert all(after.dead.get(name) == "abandoned" for name in set(rows) - after.finished)
