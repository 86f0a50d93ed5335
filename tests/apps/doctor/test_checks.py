"""What each check says of facts that no test can plant on real parts in little time, and where its bounds lie."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from jobctl.apps.doctor.examination import CHECKS, Examination, examine
from jobctl.apps.doctor.findings import Finding, Group, Level, worst
from jobctl.apps.doctor.set_up import Intent, SetUp
from jobctl.core.clocks import ClockOffset
from jobctl.core.facts import (
    AccountFacts,
    DatabaseFacts,
    MetricsFacts,
    PrometheusFacts,
    QueueFacts,
    RailwayFacts,
    RedisFacts,
    RqFacts,
    SentryFacts,
    SuccessorFacts,
    TargetFacts,
    Unreachable,
    WorkerFacts,
)
from jobctl.core.railway import DeployFields
from jobctl.core.tiers import parse_tier

GB = 1_000_000_000
INTENT = Intent(
    today=date(2026, 6, 1),
    replicas=2,
    drain_timeout_s=180,
    jobs_per_day=450_000,
    db_tier=parse_tier("small"),
    rpm=600,
    alerts=frozenset({"JobctlFleetDown"}),
    versions={"jobctl": "1.0", "rq": "3.0.0", "redis-py": "8.1.0"},
)
REDIS = RedisFacts("Redis", "7.0.15", (7, 0), "noeviction", GB, 8 * GB, 16 * GB, clock=ClockOffset(0.0, 0.001))
WORKERS = (WorkerFacts("a", ("default",), "3.0.0"), WorkerFacts("b", ("default",), "3.0.0"))
RQS = WorkerFacts("rqs", ("default",), "3.0.0", ours=False)
RQ = RqFacts((QueueFacts("default", has_scheduler=True),), WORKERS)
DATABASE = DatabaseFacts("15.1", 97, pooled=True)
DEPLOY = DeployFields(
    replicas=2,
    draining_s=190,
    start_command="jobctl work --drain-timeout 3m --metrics-port 9100",
    metrics_port=9100,
    healthcheck_path="/readyz",
    restart_policy="ALWAYS",
)
PROMETHEUS = PrometheusFacts(
    (
        TargetFacts("jobctl-worker", "a:9100"),
        TargetFacts("jobctl-worker", "b:9100"),
        TargetFacts("jobctl-exporter", "e"),
    ),
    frozenset({"JobctlFleetDown"}),
    alertmanagers=1,
    values={"planned_replicas": 2.0, "exporter_elected": 1.0},
    versions=frozenset({"1.0"}),
)
SOUND = SetUp(
    INTENT,
    redis=REDIS,
    rq=RQ,
    database=DATABASE,
    account=AccountFacts(credit_usd=50.0),
    sentry=SentryFacts(),
    metrics=(MetricsFacts("http://a:9100", {"slots": 25.0, "slots_stuck": 0.0}, frozenset({"1.0"})),),
    prometheus=PROMETHEUS,
    railway=RailwayFacts("railway.json", DEPLOY),
    successor=SuccessorFacts((".railway/railway.py",), ours=True, drift=""),
)


def found(set_up: SetUp) -> dict[str, Finding]:
    """The findings that are not ok, by the check."""
    return {check.name: one for check, one in examine(set_up).findings if one.level is not Level.OK}


def with_redis(**changes: Any) -> SetUp:
    return replace(SOUND, redis=replace(REDIS, **changes))


def with_rq(**changes: Any) -> SetUp:
    return replace(SOUND, rq=replace(RQ, **changes))


def with_queue(**changes: Any) -> SetUp:
    return with_rq(queues=(QueueFacts("default", **{"has_scheduler": True, **changes}),))


def with_intent(**changes: Any) -> SetUp:
    return replace(SOUND, intent=replace(INTENT, **changes))


def with_database(**changes: Any) -> SetUp:
    return replace(SOUND, database=replace(DATABASE, **changes))


def with_deploy(**changes: Any) -> SetUp:
    return replace(SOUND, railway=RailwayFacts("railway.json", replace(DEPLOY, **changes)))


def with_successor(*paths: str, **facts: Any) -> SetUp:
    return replace(SOUND, successor=SuccessorFacts(paths or (".railway/railway.py",), **facts))


def with_prometheus(**changes: Any) -> SetUp:
    return replace(SOUND, prometheus=replace(PROMETHEUS, **changes))


def test_nothing_is_said_of_a_sound_set_up() -> None:
    assert found(SOUND) == {}


@pytest.mark.parametrize(
    ("set_up", "check", "level", "said"),
    [
        (
            with_redis(refusal="You can't write against a read only replica."),
            "redis-writable",
            Level.FAIL,
            "a read only",
        ),
        (with_redis(policy=None), "redis-eviction", Level.UNCHECKED, "does not tell"),
        (with_redis(log_enabled=None, snapshots=None), "redis-persistence", Level.UNCHECKED, "does not tell"),
        (with_redis(used_bytes=None, limit_bytes=None), "redis-memory", Level.UNCHECKED, "does not tell"),
        (with_redis(used_bytes=None), "redis-dead-memory", Level.UNCHECKED, "does not tell"),
        (replace(SOUND, rq=Unreachable("refused TIME", "give the right")), "redis-answers", Level.FAIL, "refused TIME"),
        (with_redis(compatible=(6, 0), version="6.0.16"), "redis-version", Level.FAIL, "LMOVE"),
        (with_redis(log_sound=False), "redis-persistence", Level.FAIL, "cannot be written"),
        (with_redis(snapshot_sound=False), "redis-persistence", Level.FAIL, "refuse writes"),
        (with_redis(log_sync="no"), "redis-persistence", Level.WARN, "appendfsync no"),
        (with_redis(log_enabled=False, snapshots=None), "redis-persistence", Level.WARN, "cannot be asked"),
        (with_redis(used_bytes=8 * GB), "redis-memory", Level.FAIL, "enqueueing fails"),
        (with_redis(clock=ClockOffset(-2.0, 0.5)), "redis-clock", Level.WARN, "this machine is 1.5 s ahead of"),
        (with_redis(clock=None), "redis-clock", Level.UNCHECKED, "time"),
        (with_rq(dead_kept_s=math.inf), "redis-dead-memory", Level.FAIL, "for ever"),
        (with_redis(limit_bytes=None, machine_bytes=None), "redis-dead-memory", Level.UNCHECKED, "memory"),
        (with_intent(jobs_per_day=None), "redis-dead-memory", Level.UNCHECKED, "volume"),
        (with_queue(scheduled=2, overdue_s=90.0), "rq-scheduler", Level.FAIL, "due for 90 s"),
        (with_queue(has_scheduler=False), "rq-scheduler", Level.WARN, "wait for ever"),
        (with_queue(waiting=1, scheduled=1, has_scheduler=False), "rq-scheduler", Level.FAIL, "1 scheduled job"),
        (
            with_rq(workers=(*WORKERS, WorkerFacts("c", ("default",), "3.1.0"))),
            "rq-versions",
            Level.WARN,
            "RQ 3.1.0, and here is 3.0.0",
        ),
        (with_rq(workers=(*WORKERS, RQS)), "fleet-workers", Level.WARN, "1 worker of RQ's own beside"),
        (
            with_rq(workers=(WORKERS[0], RQS)),
            "fleet-workers",
            Level.WARN,
            "1 worker of 2 planned, and 1 worker of RQ's",
        ),
        (with_intent(drain_timeout_s=25, drain_told=False), "fleet-drain", Level.WARN, "unless told otherwise a stop"),
        (with_database(writable=None), "database-migrated", Level.FAIL, "jobctl_results is gone"),
        (with_database(read_only=True), "database-migrated", Level.FAIL, "read-only"),
        (with_database(pooled=False, host="db.x.supabase.co"), "database-pooler", Level.WARN, "directly it takes 90"),
        (
            with_database(pooled=False, host="aws-0-eu.pooler.supabase.com", port=5432),
            "database-pooler",
            Level.WARN,
            "port 5432",
        ),
        (with_intent(db_tier=None), "database-connections", Level.UNCHECKED, "pooler takes"),
        (
            replace(with_database(pooled=False, most=10), intent=replace(INTENT, db_tier=None)),
            "database-connections",
            Level.FAIL,
            "= 16, and the server takes 10",
        ),
        (replace(SOUND, account=AccountFacts()), "openrouter-credit", Level.UNCHECKED, "does not tell"),
        (
            replace(SOUND, account=AccountFacts(credit_usd=50, rpm=100)),
            "openrouter-rate",
            Level.WARN,
            "the rest are 429s",
        ),
        (with_intent(rpm=300), "fleet-rate", Level.WARN, "312.5 calls a minute"),
        (with_prometheus(values={"planned_replicas": 2, "slots_stuck": 3}), "fleet-stuck", Level.WARN, "3 slots"),
        (with_prometheus(versions=frozenset({"0.9", "1.0"})), "fleet-versions", Level.WARN, "jobctl 0.9"),
        (
            with_prometheus(targets=PROMETHEUS.targets[:2], values={"planned_replicas": 2.0}),
            "metrics-scraped",
            Level.WARN,
            "fleet shares",
        ),
        (with_prometheus(unheard=True), "alertmanager", Level.FAIL, "no alert ever reached"),
        (with_prometheus(broken_rules=("X (many-to-many)",)), "rules-loaded", Level.FAIL, "many-to-many"),
        (with_intent(alerts=frozenset({"JobctlFleetDown", "JobctlOther"})), "rules-loaded", Level.WARN, "JobctlOther"),
        (with_intent(alerts=frozenset()), "rules-loaded", Level.UNCHECKED, "not known"),
        (replace(SOUND, sentry=SentryFacts(full="HTTP 429")), "sentry", Level.WARN, "too much (HTTP 429)"),
        (
            replace(SOUND, metrics=(MetricsFacts("http://e", {"workers": 2.0}, frozenset({"1.0"})),)),
            "metrics-shown",
            Level.FAIL,
            "http://e is an exporter",
        ),
        (with_deploy(draining_s=10, in_production=True), "railway-draining", Level.FAIL, "in environment production: "),
        (with_deploy(replicas=0), "railway-replicas", Level.FAIL, "0 replicas, and planned are 2"),
        (with_deploy(cron_schedule="0 * * * *"), "railway-restart", Level.FAIL, "by the clock"),
        (
            replace(with_deploy(queues=("defualt",)), intent=replace(INTENT, queues=("default",))),
            "railway-command",
            Level.WARN,
            "do not listen to default",
        ),
        (
            with_deploy(start_command="jobctl work --metrics-port $PORT", exec_form=True),
            "railway-command",
            Level.FAIL,
            "no shell",
        ),
        (with_successor(ours=True, drift="line 2 is 'a' and not 'b'"), "railway-successor", Level.FAIL, "line 2 is"),
        (with_successor(ours=True), "railway-successor", Level.UNCHECKED, "is not known"),
        (with_successor(), "railway-successor", Level.UNCHECKED, "is yours"),
        (with_successor("a", "b", ours=True), "railway-successor", Level.FAIL, "one of them only"),
        (with_deploy(healthcheck_path="/health"), "railway-health", Level.FAIL, "no deploy becomes active"),
        (with_deploy(start_command="jobctl work", metrics_port=None), "railway-health", Level.WARN, "JOB_METRICS_PORT"),
        (replace(SOUND, metrics=(MetricsFacts("http://a"),)), "metrics-shown", Level.FAIL, "no metrics of jobctl"),
        (
            replace(SOUND, railway=RailwayFacts("railway.json", DeployFields())),
            "railway-restart",
            Level.WARN,
            "ten crashes",
        ),
    ],
)
def test_a_fault_is_told_with_its_figures(set_up: SetUp, check: str, level: Level, said: str) -> None:
    finding = found(set_up)[check]

    assert finding.level is level
    assert said in finding.detail
    assert finding.remedy


def test_a_worker_of_rq_with_queues_of_its_own_is_none_of_the_fleets_business() -> None:
    elsewhere = replace(RQS, queues=("mail",))

    assert found(with_rq(workers=(*WORKERS, elsewhere))) == {}
    assert (
        found(replace(with_rq(workers=(RQS,)), intent=replace(INTENT, replicas=None))).keys() & {"fleet-workers"}
        == set()
    )


def test_a_queue_that_nobody_listens_to_is_told_with_the_one_that_may_have_been_meant() -> None:
    misspelt = QueueFacts("defualt", waiting=1)
    finding = found(with_rq(queues=(*RQ.queues, misspelt)))["rq-queues"]
    alone = found(with_rq(queues=(misspelt,), workers=()))["rq-queues"]

    assert finding == Finding(
        Level.FAIL,
        "nobody listens to defualt: 1 job waits there",
        "name it in --queues of a worker, or enqueue to default, if that was meant",
    )
    assert alone.remedy == "start `jobctl work`"


def test_without_prometheus_the_named_workers_tell_of_stuck_slots_and_versions() -> None:
    stuck = MetricsFacts("http://a:9100", {"slots": 25.0, "slots_stuck": 1.0}, frozenset({"0.9"}))
    findings = found(replace(SOUND, prometheus=None, metrics=(stuck,)))

    assert findings["fleet-stuck"].detail.startswith("1 slot stuck")
    assert findings["fleet-versions"].level is Level.WARN


def test_room_for_dead_jobs_is_volume_times_share_times_days_times_bytes_of_one() -> None:
    # 450,000 a day x 1 % x 10 days x 100 kB = 4.5 GB beside 1 GB in use, of 8 GB: below 80 %; 12 days are not.
    measured = {"dead_bytes": 100_000.0}
    ten = examine(with_rq(**measured, dead_kept_s=10 * 86_400.0)).findings
    twelve = found(with_rq(**measured, dead_kept_s=12 * 86_400.0))

    detail = next(one.detail for check, one in ten if check.name == "redis-dead-memory")
    assert (
        detail == "room for 45,000 dead jobs of 10 d, 100 kB each (measured): 5.5 GB with what is used, maxmemory 8 GB"
    )
    assert twelve["redis-dead-memory"].level is Level.WARN


def test_dead_jobs_that_are_there_are_not_counted_twice() -> None:
    queues = (QueueFacts("default", dead=45_000, has_scheduler=True),)
    full = with_rq(queues=queues, dead_bytes=100_000.0, dead_kept_s=10 * 86_400.0)

    detail = next(one.detail for check, one in examine(full).findings if check.name == "redis-dead-memory")
    assert ": 1 GB with what is used" in detail


def test_a_system_that_does_not_answer_fails_once_and_its_other_checks_are_not_made() -> None:
    findings = found(replace(SOUND, redis=Unreachable("gone", "start it"), rq=Unreachable("gone", "start it")))

    assert findings.pop("redis-answers") == Finding(Level.FAIL, "gone", "start it")
    assert {one.level for one in findings.values()} == {Level.UNCHECKED}
    assert {one.detail for one in findings.values()} == {"Redis does not answer"}


def test_what_nobody_named_is_not_checked_and_says_how_to_have_it_checked() -> None:
    findings = found(SetUp(Intent(today=date(2026, 6, 1), drain_timeout_s=180)))

    assert {one.level for one in findings.values()} == {Level.UNCHECKED}
    assert all(one.remedy for one in findings.values())
    assert set(findings) == {check.name for check in CHECKS} - {"fleet-drain"}


def test_names_are_unique_and_groups_stand_together() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    groups = list(dict.fromkeys(check.group for check in CHECKS))
    assert groups == list(Group)
    assert [check.group for check in CHECKS] == sorted((check.group for check in CHECKS), key=groups.index)


def test_a_warning_counts_as_a_failure_only_where_it_is_to() -> None:
    warned = with_intent(drain_timeout_s=25)

    assert examine(warned).sound
    assert not examine(warned, strict=True).sound
    assert not examine(with_redis(policy="allkeys-lru")).sound


def test_a_secret_that_a_server_repeats_is_not_told_and_neither_are_commands_to_a_terminal() -> None:
    said = Unreachable("refused correct-horse\x1b[2J redis://me:tell@host", "start it")
    examination: Examination = examine(replace(SOUND, redis=said), secrets=["correct-horse"])

    told = repr(examination.to_document())
    assert "correct-horse" not in told
    assert "me:tell" not in told
    assert "\\x1b" not in told


def test_what_failed_goes_before_what_only_warned() -> None:
    assert worst([Level.OK, Level.FAIL, Level.WARN]) is Level.FAIL
    assert worst([Level.OK, Level.WARN, Level.UNCHECKED]) is Level.WARN
    assert worst([Level.OK, Level.UNCHECKED]) is Level.OK
    assert worst([Level.UNCHECKED]) is Level.UNCHECKED
