"""Replicas and Redis are killed while a fleet works off a backlog: a tenth of the full run, with shorter times."""

from __future__ import annotations

from pathlib import Path

from jobctl.apps.mock.behaviour import Fault
from jobctl.core.service import Constant
from support.chaos import Storm, durable_redis, weather
from support.databases import Postgres
from support.running_mock import running

RECOVER_AFTER_S = 5.0


def test_every_job_ends_once_or_dead_with_a_reason_and_orphans_are_soon_back_at_work(
    tmp_path: Path, postgres: Postgres
) -> None:
    storm = Storm(jobs=1000, kills=4, restarts=1, recover_after_s=RECOVER_AFTER_S, seed=1)
    with durable_redis() as server, running(Constant(0.002), {Fault.RATE_LIMIT: 0.1, Fault.INTERNAL: 0.05}) as mock:
        after = weather(storm, server, tmp_path, mock.url, DATABASE_URL=postgres.dsn)

    assert after.lost == set()
    assert after.left_over == []
    assert set(after.dead.values()) <= {"429", "5xx", "abandoned"}
    assert after.orphans_s
    assert max(after.orphans_s) <= RECOVER_AFTER_S
    assert after.unstarted <= {name for name, reason in after.dead.items() if reason == "abandoned"}
    rows = [str(job_id) for (job_id,) in postgres.rows("SELECT job_id FROM jobctl_results")]
    assert len(rows) == len(set(rows))
    assert after.finished <= set(rows)
    assert set(rows) - after.finished <= after.dead.keys()  # returned, were not booked, and failed when they ran again
