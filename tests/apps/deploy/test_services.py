from __future__ import annotations

from dataclasses import replace

import pytest

from jobctl.apps.deploy.services import OVERLAP_S, Exporter, exporter_of, worker_of
from jobctl.core.operations import STOP_S, Fleet, Operations, Scrape
from jobctl.errors import InvalidValue


def test_a_worker_is_what_the_fleet_says_and_listens_where_prometheus_asks() -> None:
    fleet = Fleet(replicas=4, concurrency=10, queues="high:3, low:1", job_timeout_s=90.5, db_pool_size=7)
    worker = worker_of(Operations(fleet=fleet, scrape=Scrape(worker_dns="jobs.railway.internal:9999")))

    assert worker.command == (
        "jobctl work --queues high:3,low:1 --concurrency 10 --drain-timeout 90.5s --db-pool-size 7 --metrics-port 9999"
    )
    assert (worker.replicas, worker.draining_s) == (4, 91 + STOP_S)
    assert worker.further == {
        "healthcheckPath": "/readyz",
        "healthcheckTimeout": 120,
        "restartPolicyType": "ALWAYS",
        "overlapSeconds": OVERLAP_S,
    }


def test_without_a_database_the_worker_is_told_no_pool() -> None:
    assert "--db-pool-size" not in worker_of(Operations()).command


def test_the_draining_is_that_of_the_fleet_whatever_the_job_timeout() -> None:
    for seconds in (0.2, 25.0, 180.0, 3600.4):
        fleet = Fleet(job_timeout_s=seconds)
        assert worker_of(Operations(fleet=fleet)).draining_s == fleet.draining_s


@pytest.mark.parametrize("queues", ["a;reboot", "a b", "$HOME", "a'b", 'a"b', "кью", "a\nb"])
def test_a_queue_that_cannot_stand_in_a_command_is_refused(queues: str) -> None:
    with pytest.raises(InvalidValue, match=r"^\[fleet\] queues: .+ cannot stand in a start command; name queues by"):
        worker_of(Operations(fleet=replace(Fleet(), queues=queues)))


def test_there_is_an_exporter_unless_a_worker_stands_in_for_it() -> None:
    exporter = exporter_of(Operations(scrape=Scrape(exporter="[::1]:9300")))

    assert exporter == Exporter(9300)
    assert exporter.command == "jobctl exporter --port 9300"
    assert exporter_of(Operations(scrape=Scrape(exporter=""))) is None
