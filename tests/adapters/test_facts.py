"""What the adapters of `jobctl doctor` see on real servers; what is judged of it has tests of its own."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import StartedJobRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jobctl.adapters.metrics_facts import read_metrics
from jobctl.adapters.openrouter_facts import read_account
from jobctl.adapters.postgres_facts import read_database, without_strange_options
from jobctl.adapters.prometheus_facts import read_prometheus
from jobctl.adapters.redis_facts import read_redis
from jobctl.adapters.rq_facts import read_rq
from jobctl.adapters.sentry_facts import read_sentry
from jobctl.apps.doctor.redis_checks import DEAD_BYTES
from jobctl.core.facts import OLDEST_REDIS, SentryFacts
from jobctl.core.retrying import RetryPolicies, RetryPolicy
from jobctl.core.service import Constant
from jobctl.errors import InvalidOption, ServiceUnavailable
from support.databases import Pooler, Postgres
from support.rq_workers import work_off
from support.running_mock import KEY, running
from support.sentry_server import PUBLIC_KEY, sentry_server
from support.servers import serving
from support.workers import burst

SECURE = Path(__file__).parents[2] / "docs" / "howto" / "secure-redis.md"
TIMEOUT_S = 5.0
DAY_S = 86_400.0


def test_redis_tells_its_version_memory_and_time(redis: Redis) -> None:
    facts = read_redis(redis)

    assert facts.compatible >= OLDEST_REDIS
    assert facts.used_bytes > 100_000
    assert facts.machine_bytes is not None
    assert facts.machine_bytes > facts.used_bytes
    assert facts.clock is not None
    assert abs(facts.clock.offset_s) < 0.5


def test_a_clock_of_this_machine_that_is_off_is_seen(redis: Redis) -> None:
    clock = read_redis(redis, now_s=lambda: time.time() - 40).clock

    assert clock is not None
    assert clock.offset_s == pytest.approx(40, abs=0.5)


def test_a_redis_that_lets_nobody_ask_is_told(redis: Redis, redis_url: str) -> None:
    redis.acl_setuser("guest", enabled=True, nopass=True, commands=["+ping", "+get"], keys=["*"])
    try:
        with (
            Redis.from_url(redis_url, username="guest", password="any", protocol=2) as guest,
            pytest.raises(ServiceUnavailable, match=r"does not let this user run a command \(\w+ \w+ has no"),
        ):
            read_redis(guest)
    finally:
        redis.acl_deluser("guest")


@pytest.mark.parametrize("commands", [["+@read", "+@connection", "+info"], ["+@all"]], ids=["reading", "no channel"])
def test_a_user_who_may_not_do_what_workers_do_is_refused_and_nothing_is_written(
    redis: Redis, redis_url: str, commands: list[str]
) -> None:
    redis.acl_setuser("guest", enabled=True, nopass=True, commands=commands, keys=["*"])
    try:
        with Redis.from_url(redis_url, username="guest", password="any", protocol=2) as guest:
            facts = read_redis(guest)
    finally:
        redis.acl_deluser("guest")

    assert "permission" in facts.refusal
    assert read_redis(redis).refusal == ""
    assert redis.dbsize() == 0


def test_the_rights_that_a_worker_has_are_enough(redis: Redis, redis_url: str) -> None:
    line = next(line for line in SECURE.read_text().splitlines() if line.startswith("user jobctl on"))
    redis.execute_command("ACL", "SETUSER", "guest", *line.replace(">PASSWORD", "nopass").split()[2:])
    try:
        with Redis.from_url(redis_url, username="guest", password="any", protocol=2) as guest:
            assert read_redis(guest).refusal == ""
            assert read_rq(guest).workers == ()
    finally:
        redis.acl_deluser("guest")


def test_a_user_that_may_not_ask_for_the_configuration_learns_the_rest(redis: Redis, redis_url: str) -> None:
    redis.acl_setuser("guest", enabled=True, nopass=True, commands=["+@all", "-config", "-time"], keys=["*"])
    try:
        with Redis.from_url(redis_url, username="guest", password="any", protocol=2) as guest:
            facts = read_redis(guest)
    finally:
        redis.acl_deluser("guest")

    assert (facts.snapshots, facts.clock) == (None, None)
    assert facts.used_bytes > 0


def test_queues_tell_what_waits_is_due_and_counts_as_running(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    queue.enqueue("operator.add", 1, 1)
    queue.enqueue_in(timedelta(hours=1), "operator.add", 1, 1)
    queue.enqueue_at(datetime.now(UTC) - timedelta(seconds=90), "operator.add", 1, 1)
    job = Job.create("operator.add", (1, 1), connection=redis, origin="q")
    job.save()
    registry = StartedJobRegistry("q", connection=redis)
    redis.zadd(registry.key, {f"{job.id}:old": time.time() - 5, f"{job.id}:running": time.time() + 60})
    before = set(redis.scan_iter())
    (facts,) = read_rq(redis).queues

    assert (facts.name, facts.waiting, facts.scheduled, facts.abandoned) == ("q", 1, 2, 1)
    assert facts.overdue_s == pytest.approx(90, abs=2)
    assert not facts.has_scheduler
    assert set(redis.scan_iter()) == before


def test_jobs_of_a_worker_that_fell_silent_are_abandoned_before_rq_says_so(redis: Redis) -> None:
    job = Job.create("operator.add", (1, 1), connection=redis, origin="q")
    job.save()
    redis.sadd("rq:queues", "rq:queue:q")
    redis.sadd("rq:worker:gone:executions", f"{job.id}:one")
    redis.zadd("rq:wip:q", {f"{job.id}:one": time.time() + 300})
    redis.zadd("rq:jobctl:pulses", {"gone": time.time() - 20})
    assert [queue.abandoned for queue in read_rq(redis).queues] == [0]  # another worker may yet take them over

    redis.zadd("rq:jobctl:pulses", {"gone": time.time() - 70})
    assert [queue.abandoned for queue in read_rq(redis).queues] == [1]


def test_a_worker_is_there_by_its_pulse_or_if_it_is_rqs_own_by_its_hash(redis: Redis) -> None:
    for name, fields in {"ours": {"jobctl_clock": "2.5 0.001"}, "silent": {"jobctl_clock": "0 0"}, "rqs": {}}.items():
        redis.hset(f"rq:worker:{name}", mapping={"birth": "x", "queues": "high,low", "version": "3.0.0", **fields})
        redis.sadd("rq:workers", f"rq:worker:{name}")
    redis.sadd("rq:workers", "rq:worker:expired")
    redis.zadd("rq:jobctl:pulses", {"ours": time.time() + 10, "silent": time.time() - 1})
    workers = {worker.name: worker for worker in read_rq(redis).workers}

    assert set(workers) == {"ours", "rqs"}
    assert workers["ours"].queues == ("high", "low")
    assert workers["ours"].clock is not None
    assert workers["ours"].clock.offset_s == 2.5
    assert workers["rqs"].clock is None
    assert (workers["ours"].ours, workers["rqs"].ours) == (True, False)


@pytest.mark.parametrize("ours", [True, False], ids=["jobctl's worker", "RQ's worker"])
def test_dead_jobs_are_measured_with_the_time_that_they_are_kept(redis: Redis, ours: bool) -> None:
    queue = Queue("q", connection=redis)
    for _ in range(7):
        queue.enqueue("support.workers.fail", "x" * 1_000, failure_ttl=3 * 86_400)
    if ours:
        burst(redis, "q", policies=RetryPolicies(RetryPolicy(attempts=1)))
    else:
        work_off(redis, "q")
    facts = read_rq(redis)

    assert facts.queues[0].dead == 7
    assert facts.dead_kept_s == pytest.approx(3 * DAY_S, abs=5)
    assert facts.dead_bytes is not None
    assert 0.5 * DEAD_BYTES < facts.dead_bytes < 2 * DEAD_BYTES  # what is taken for one that cannot be measured


def test_a_pooler_in_transaction_mode_is_known_by_the_server_process_that_two_clients_share(
    postgres: Postgres, pooler: Pooler
) -> None:
    direct, pooled = (read_database(dsn, timeout_s=TIMEOUT_S) for dsn in (postgres.dsn, pooler.dsn))

    assert (direct.pooled, pooled.pooled) == (False, True)
    assert direct.missing == pooled.missing == ()
    assert direct.writable is True
    assert not direct.read_only
    assert direct.most < 100
    assert direct.port == 5432
    assert pooled.port == 6543


def test_a_database_that_takes_no_writes_is_seen(postgres: Postgres) -> None:
    standby = f"{postgres.dsn}&options=-c%20default_transaction_read_only%3Don"

    assert read_database(standby, timeout_s=TIMEOUT_S).read_only


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(ServiceUnavailable) as told:
        read_database("postgresql://me:correct-horse@127.0.0.1:1/postgres", timeout_s=1)
    assert "correct-horse" not in str(told.value)


@pytest.mark.parametrize(
    ("dsn", "cleaned", "strange"),
    [
        ("postgresql://u:p%40@h:6543/d", "postgresql://u:p%40@h:6543/d", ()),
        ("postgresql://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require", ()),
        (
            "postgresql://u@h/d?pgbouncer=true&sslmode=require&statement_cache_size=0",
            "postgresql://u@h/d?sslmode=require",
            ("pgbouncer", "statement_cache_size"),
        ),
        ("postgresql://u@h/d?host=/tmp/a%26b&x=", "postgresql://u@h/d?host=%2Ftmp%2Fa%26b", ("x",)),
        ("host=h dbname=d", "host=h dbname=d", ()),
    ],
)
def test_options_of_another_driver_are_taken_out_of_the_url(dsn: str, cleaned: str, strange: tuple[str, ...]) -> None:
    assert without_strange_options(dsn) == (cleaned, strange)


def test_the_mocks_account_is_read_as_openrouters(redis: Redis) -> None:
    with running(Constant(0.0), {}) as mock:
        facts = read_account(mock.url, KEY, timeout_s=TIMEOUT_S)
        refused = read_account(mock.url, "sk-or-v1-invalid", timeout_s=TIMEOUT_S)
        with pytest.raises(ServiceUnavailable, match="does not answer as OpenRouter does"):
            read_account(f"{mock.origin}/elsewhere", KEY, timeout_s=TIMEOUT_S)

    assert facts.refusal == ""
    assert (facts.remaining_usd, facts.rpm, facts.free_tier) == (None, None, False)
    assert facts.credit_usd is not None
    assert facts.credit_usd > 0
    assert refused.refusal == "User not found."


def test_a_key_that_may_not_see_the_credit_leaves_it_unknown() -> None:
    async def answer(request: Request) -> Response:
        if request.url.path.endswith("/key"):
            limit = {"requests": 20, "interval": "10s", "note": "deprecated"}
            return JSONResponse({"data": {"limit_remaining": 7.5, "is_free_tier": True, "rate_limit": limit}})
        return JSONResponse({"error": {"code": 403, "message": "Only management keys"}}, status_code=403)

    with serving(Starlette(routes=[Route("/{path:path}", answer)])) as origin:
        facts = read_account(origin, KEY, timeout_s=TIMEOUT_S)

    assert (facts.remaining_usd, facts.credit_usd, facts.free_tier, facts.rpm) == (7.5, None, True, 120.0)


@pytest.mark.parametrize("status", [429, 503])
def test_an_account_that_is_not_shown_for_the_moment_is_no_wrong_address(status: int) -> None:
    async def answer(request: Request) -> Response:
        if request.url.path.endswith("/key"):
            return JSONResponse({"data": {"limit_remaining": None}})
        return JSONResponse({}, status_code=status)

    with serving(Starlette(routes=[Route("/{path:path}", answer)])) as origin:
        assert read_account(origin, KEY, timeout_s=TIMEOUT_S).credit_usd is None
    with (
        serving(JSONResponse({"error": {"message": "slow down"}}, status_code=status)) as origin,
        pytest.raises(ServiceUnavailable, match=rf"answers HTTP {status} \(slow down\); ask again"),
    ):
        read_account(origin, KEY, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("key", ["sk-or-\nv1", "sk-or-ключ"])
def test_a_key_that_no_header_may_hold_is_bad_input(key: str) -> None:
    with pytest.raises(InvalidOption, match="OPENROUTER_API_KEY"):
        read_account("http://127.0.0.1:1", key, timeout_s=1)


def test_sentry_is_sent_a_report_of_nothing(redis: Redis) -> None:
    with sentry_server() as server:
        assert read_sentry(server.dsn, timeout_s=TIMEOUT_S).refusal == ""

    (envelope,) = server.raw
    assert server.errors == server.transactions == []
    assert [json.loads(line) for line in envelope.splitlines()][1] == {"type": "client_report"}
    assert PUBLIC_KEY not in envelope


def test_why_sentry_refuses_is_told_in_its_words() -> None:
    refusing = JSONResponse({"detail": "bad sentry DSN public key"}, status_code=401)
    broken = PlainTextResponse("", status_code=502)
    for answer, said in ((refusing, "HTTP 401, bad sentry DSN public key"), (broken, None)):
        with serving(answer) as origin:
            dsn = f"{origin.replace('://', f'://{PUBLIC_KEY}@')}/42"
            if said is not None:
                assert read_sentry(dsn, timeout_s=TIMEOUT_S).refusal == said
            else:
                with pytest.raises(ServiceUnavailable, match="out of order"):
                    read_sentry(dsn, timeout_s=TIMEOUT_S)


def test_a_sentry_that_is_over_its_quota_did_not_refuse_the_dsn_and_a_page_is_no_sentry() -> None:
    def told(answer: Response) -> SentryFacts:
        with serving(answer) as origin:
            return read_sentry(f"{origin.replace('://', f'://{PUBLIC_KEY}@')}/42", timeout_s=TIMEOUT_S)

    assert told(JSONResponse({"detail": "quota"}, status_code=429)) == SentryFacts(full="HTTP 429, quota")
    with pytest.raises(ServiceUnavailable, match="does not answer as Sentry does"):
        told(PlainTextResponse("<html>welcome</html>"))


@pytest.mark.parametrize(
    ("status", "said"), [(401, "without a password"), (403, "without a password"), (503, "out of order")]
)
def test_a_prometheus_behind_a_password_or_starting_says_so(status: int, said: str) -> None:
    answer = PlainTextResponse("no", status_code=status)
    with serving(answer) as origin, pytest.raises(ServiceUnavailable, match=said):
        read_prometheus(origin, timeout_s=TIMEOUT_S)


def test_a_target_whose_first_scrape_is_still_to_come_is_not_down() -> None:
    targets = [
        {"labels": {"job": "jobctl-worker", "instance": one}, "health": one, "lastError": ""}
        for one in ("up", "unknown", "down")
    ]
    data = {"activeTargets": targets, "groups": [], "activeAlertmanagers": [], "result": []}
    with serving(JSONResponse({"status": "success", "data": data})) as origin:
        facts = read_prometheus(origin, timeout_s=TIMEOUT_S)

    assert [target.error for target in facts.targets] == ["", "", "health down"]


@pytest.mark.parametrize(
    ("told", "unheard"),
    [
        ("dropped_total 3|sent_total{a} 2|errors_total{a} 1|latency_seconds_count{a} 1", True),  # one message of two
        ("dropped_total 2|sent_total{a} 2|errors_total{a} 2|latency_seconds_count{a} 1", True),  # from 3.1 on
        ("dropped_total 2|sent_total{a} 2|sent_total{b} 2|errors_total{a} 2", False),  # the other one heard
        ("dropped_total 1|sent_total{a} 1|errors_total{a} 0|latency_seconds_count{a} 1", False),  # lost before it began
        ("dropped_total 2|sent_total{a} 2|errors_total{a} 1|latency_seconds_count{a} 2", False),  # heard in the end
    ],
)
def test_a_prometheus_whose_alerts_were_all_lost_is_heard_by_nobody(told: str, unheard: bool) -> None:
    lines = "".join(f"prometheus_notifications_{line}\n" for line in told.split("|"))
    data = {"activeTargets": [], "groups": [], "activeAlertmanagers": [], "result": []}
    api, metrics = JSONResponse({"status": "success", "data": data}), PlainTextResponse(f"# HELP x y\n{lines}")

    async def prometheus(scope: Scope, receive: Receive, send: Send) -> None:
        await (metrics if scope["path"] == "/metrics" else api)(scope, receive, send)

    with serving(prometheus) as origin:
        assert read_prometheus(origin, timeout_s=TIMEOUT_S).unheard is unheard


@pytest.mark.parametrize("answer", [PlainTextResponse("<html>"), JSONResponse([1]), JSONResponse({"status": "error"})])
def test_what_is_no_prometheus_is_told(answer: Response) -> None:
    with serving(answer) as origin, pytest.raises(ServiceUnavailable, match="does not answer as Prometheus does"):
        read_prometheus(origin, timeout_s=TIMEOUT_S)


def test_metrics_are_summed_over_their_labels_and_a_page_shows_none() -> None:
    text = 'jobctl_slots_stuck 2\njobctl_queue_depth{queue="a"} 1\njobctl_queue_depth{queue="b"} 2\n'
    text += 'jobctl_build_info{version="1.0"} 1\nother 1\n'
    with serving(PlainTextResponse(text)) as origin:
        facts = read_metrics(origin, timeout_s=TIMEOUT_S)
    with serving(PlainTextResponse("<html>hello</html>")) as origin:
        page = read_metrics(f"{origin}/x", timeout_s=TIMEOUT_S)

    assert facts.values == {"slots_stuck": 2.0, "queue_depth": 3.0, "build_info": 1.0}
    assert facts.versions == {"1.0"}
    assert page.versions == frozenset()


@pytest.mark.parametrize("url", ["http://[::1", "http://host\x00", f"http://{'x' * 64}.y"])
def test_a_url_that_means_nothing_is_bad_input_or_not_there(url: str) -> None:
    with pytest.raises((InvalidOption, ServiceUnavailable)):
        read_metrics(url, timeout_s=1)
