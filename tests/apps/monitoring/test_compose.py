from __future__ import annotations

from jobctl.apps.monitoring.compose import fleet_services
from jobctl.core.operations import Fleet, Operations
from jobctl.settings import FIELDS


def test_workers_get_the_plan_and_time_to_finish() -> None:
    fleet = Fleet(replicas=3, concurrency=40, queues="high:6,low:1", job_timeout_s=240, db_pool_size=7)

    services = fleet_services(Operations(fleet=fleet))["services"]

    assert services == {
        "worker": {
            "deploy": {"replicas": 3},
            "stop_grace_period": "250s",  # 240 s of the longest job, 10 s for last words
            "environment": {
                "JOB_QUEUES": "high:6,low:1",
                "JOB_CONCURRENCY": "40",
                "JOB_DRAIN_TIMEOUT": "240s",
                "JOB_DB_POOL_SIZE": "7",
                "JOB_PLANNED_REPLICAS": "3",
            },
        },
        "exporter": {"environment": {"JOB_PLANNED_REPLICAS": "3"}},
    }


def test_each_variable_is_a_setting_that_takes_its_value() -> None:
    parsers = {field.env: field.parse for field in FIELDS}

    for service in fleet_services(Operations(fleet=Fleet(db_pool_size=5)))["services"].values():
        for name, value in service["environment"].items():
            parsers[name](value)


def test_without_a_database_there_is_no_pool() -> None:
    services = fleet_services(Operations())["services"]

    assert "JOB_DB_POOL_SIZE" not in services["worker"]["environment"]


def test_the_time_of_a_long_job_is_told_to_the_second() -> None:
    worker = fleet_services(Operations(fleet=Fleet(job_timeout_s=1_234_567)))["services"]["worker"]

    assert worker["environment"]["JOB_DRAIN_TIMEOUT"] == "1234567s"
    assert worker["stop_grace_period"] == "1234577s"
