from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.metrics import BUCKETS_S
from jobctl.core.operations import (
    FASTEST_BURN,
    STOP_S,
    Email,
    Fleet,
    Notify,
    Operations,
    Scrape,
    Slack,
    Thresholds,
    Webhook,
    parse_operations,
    unwatched,
)
from jobctl.core.slo import Cover, Drain, Objective, Window
from jobctl.core.tiers import parse_tier
from jobctl.errors import InvalidValue

ONE = '[[objective]]\nslo = "p95 wait <= 1s"\n'
WHOLE = """
[[objective]]
slo = "p95 wait <= 1s"
over = "busiest hour"
[[objective]]
slo = "drain 10k <= 5m"
[[objective]]
slo = "error_rate <= 2%"

[fleet]
replicas = 3
concurrency = "50"
queues = "high:5,low:1"
job_timeout = "90s"
db_pool_size = 4
db_tier = "small:direct"

[thresholds]
rate_limited = 0.1
credit_usd = "7.5"
key_usd = 0
redis_memory = "75%"
dead_jobs = 12

[scrape]
interval = 30
worker_dns = "jobs.internal:9101"
dns_type = "AAAA"
workers = ["10.0.0.1:9100", "[::1]:9100"]
exporter = ""
alertmanager = "127.0.0.1:9093"

[notify]
runbook = "https://wiki.example/jobs"
[notify.email]
to = "a@example.com, b@example.com"
from = "jobs@example.com"
smarthost = "smtp.example.com:587"
[notify.slack]
channel = "#jobs"
[notify.webhook]
url = "http://127.0.0.1:8000/hook"
"""


def read(text: str) -> Operations:
    return parse_operations(tomllib.loads(text))


def test_everything_that_can_be_written_is_read() -> None:
    assert read(WHOLE) == Operations(
        promises=(Objective("wait", 0.95, 1.0, Window.BUSIEST_HOUR), Drain(10_000, 300.0)),
        error_rate=0.02,
        fleet=Fleet(3, 50, "high:5,low:1", 90.0, 4, parse_tier("small:direct")),
        thresholds=Thresholds(0.1, 7.5, 0.0, 0.75, 12),
        scrape=Scrape(30.0, "jobs.internal:9101", "AAAA", ("10.0.0.1:9100", "[::1]:9100"), "", "127.0.0.1:9093"),
        notify=Notify(
            Email("a@example.com, b@example.com", "jobs@example.com", "smtp.example.com:587"),
            Slack("#jobs"),
            Webhook("http://127.0.0.1:8000/hook"),
            "https://wiki.example/jobs",
        ),
    )


def test_what_is_left_out_has_its_default() -> None:
    assert read(ONE) == Operations(promises=(Objective("wait", 0.95, 1.0),))
    assert not read(ONE).notify.anybody
    assert read('[[objective]]\nslo = "error_rate <= 1%"') == Operations(error_rate=0.01)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no objective"),
        ("[fleet]\nreplicas = 2", "no objective"),
        (ONE + "[fleets]", "did you mean 'fleet'?"),
        (ONE + "[fleet]\nreplica = 2", "did you mean 'replicas'?"),
        (ONE + "[fleet]\nreplicas = 0", "[fleet] replicas: 0 is out of range"),
        (ONE + "[fleet]\nreplicas = 10001", "[fleet] replicas: 10001 is out of range"),
        (ONE + "[fleet]\nconcurrency = 10001", "[fleet] concurrency: 10001 is out of range"),
        (ONE + "[fleet]\nreplicas = 2.5", "[fleet] replicas: '2.5' is not a whole number"),
        (ONE + "[fleet]\nreplicas = true", "[fleet] replicas = True is neither text nor a number"),
        (ONE + "[fleet]\nreplicas = [2]", "is neither text nor a number"),
        (ONE + '[fleet]\nqueues = ""', "[fleet] queues:"),
        (ONE + '[fleet]\njob_timeout = "0s"', "[fleet] job_timeout: must be longer than 0"),
        (ONE + "[fleet]\njob_timeout = nan", "[fleet] job_timeout:"),
        (ONE + "[fleet]\njob_timeout = inf", "[fleet] job_timeout:"),
        (ONE + "[fleet]\njob_timeout = -1", "[fleet] job_timeout:"),
        (ONE + '[fleet]\ndb_tier = "enormous"', "[fleet] db_tier:"),
        (ONE + '[thresholds]\nrate_limited = "150%"', "[thresholds] rate_limited:"),
        (ONE + '[thresholds]\nredis_memory = "100%"', "[thresholds] redis_memory: '100%' is never exceeded"),
        (ONE + "[thresholds]\ncredit_usd = -1", "[thresholds] credit_usd: must not be negative"),
        (ONE + "[thresholds]\nkey_usd = nan", "[thresholds] key_usd:"),
        (ONE + "[thresholds]\ndead_jobs = 0", "[thresholds] dead_jobs:"),
        (ONE + '[scrape]\ninterval = "100ms"', "[scrape] interval: '100ms' is not between 1s and 1m"),
        (ONE + '[scrape]\ninterval = "61s"', "[scrape] interval: '61s' is not between 1s and 1m"),
        (
            ONE + '[scrape]\ndns_type = "a"',
            "[scrape] dns_type: 'a' is no type of address",
        ),
        (ONE + '[scrape]\nworker_dns = "worker"', "[scrape] worker_dns: 'worker' is no address"),
        (ONE + '[scrape]\nworker_dns = "worker:99999"', "is no address"),
        (ONE + '[scrape]\nworker_dns = "http://worker:9100"', "is no address"),
        (ONE + '[scrape]\nworker_dns = "::1:9100"', "is no address"),
        (ONE + '[scrape]\nexporter = "exporter:"', "is no address"),
        (ONE + '[scrape]\nexporter = "a b:9200"', "is no address"),
        (ONE + '[scrape]\nalertmanager = ""', "[scrape] alertmanager: '' is no address"),
        (ONE + '[scrape]\nworkers = "10.0.0.1:9100"', "[scrape] workers is no list"),
        (ONE + '[scrape]\nworkers = ["10.0.0.1"]', "[scrape] workers: '10.0.0.1' is no address"),
        (ONE + "[scrape]\nworkers = [9100]", "is no address"),
        (ONE + "scrape = 5", "objective 1: it has an unknown key 'scrape'"),
        ("scrape = 5\n" + ONE, "scrape = 5 is no table"),
        ("notify = 5\n" + ONE, "notify = 5 is no table"),
        (ONE + '[notify]\nmail = "x"', "[notify] has an unknown key 'mail'"),
        (ONE + '[notify]\nrunbook = " "', "[notify] runbook: is empty"),
        (ONE + '[notify]\nslack = "#jobs"', "notify.slack = '#jobs' is no table"),
        (ONE + "[notify.slack]", "[notify.slack] has no channel"),
        (ONE + '[notify.slack]\nchannel = "jobs"', "[notify.slack] channel: 'jobs' is no channel"),
        (ONE + '[notify.slack]\nchannel = "#"', "[notify.slack] channel: '#' is no channel"),
        (ONE + '[notify.email]\nto = "nobody"', "[notify.email] to: 'nobody' is no mail address"),
        (ONE + '[notify.email]\nto = "a@b, nobody"', "is no mail address"),
        (ONE + '[notify.email]\nto = "a@b\\nBcc: c@d"', "has a line break"),
        (ONE + '[notify.email]\nto = "a@b"\nfrom = "c@d"', "[notify.email] has no smarthost"),
        (ONE + '[notify.email]\nto = "a@b"\nfrom = "c@d"\nsmarthost = "smtp"', "[notify.email] smarthost:"),
        (ONE + '[notify.email]\npassword = "x"', "[notify.email] has an unknown key 'password'"),
        (ONE + '[notify.webhook]\nurl = "hooks.example.com"', "[notify.webhook] url:"),
        (ONE + '[notify.webhook]\nurl = "https://a b"', "[notify.webhook] url:"),
        (ONE + '[notify.webhook]\nurl = "https://"', "[notify.webhook] url:"),
        (ONE + '[notify.webhook]\nurl = "https://h:99999/"', "[notify.webhook] url:"),
        (ONE + '[notify.webhook]\nurl = "https://[::1/"', "[notify.webhook] url:"),
        (ONE + '[[objective]]\nslo = "error_rate <= 0"', "objective"),
        (ONE + '[[objective]]\nslo = "error_rate <= 1%"\n[[objective]]\nslo = "error_rate <= 2%"', "promised twice"),
    ],
)
def test_what_means_nothing_is_refused_with_its_key_and_a_remedy(text: str, words: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        read(text)

    assert words in refusal.value.problem
    assert refusal.value.remedy


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=4,
)

_SOME_KEYS = [
    *("replicas", "queues", "job_timeout", "db_tier", "rate_limited", "dead_jobs", "interval", "workers", "worker_dns"),
    *("email", "slack", "webhook", "runbook", "slo", "over", "unknown"),
]


@given(
    table=st.sampled_from(["fleet", "thresholds", "scrape", "notify", "objective", "other"]),
    key=st.sampled_from(_SOME_KEYS),
    value=_VALUES,
    bare=st.booleans(),
)
def test_whatever_is_written_is_read_or_refused(table: str, key: str, value: Any, bare: bool) -> None:
    content: dict[str, Any] = tomllib.loads(ONE)
    content[table] = value if bare else {key: value}
    with suppress(InvalidValue):
        assert isinstance(parse_operations(content), Operations)


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        (Objective("wait", 0.95, 1.0), None),
        (Objective("wait", 0.94, 0.001, Window.WHOLE_DAY), None),
        (Objective("wait", 0.9999, 600.0), None),
        (Objective("wait", 0.95, 2.0), "no bucket"),
        (Objective("wait", 0.93, 1.0), "too large"),
        (Objective("wait", None, 1.0), "no percentile"),
        (Objective("sojourn", 0.95, 10.0), "no percentile"),
        (Drain(100, 60.0), "only jobctl plan"),
        (Cover(0.99), "only jobctl plan"),
    ],
)
def test_a_promise_is_watched_or_it_is_told_why_not(promise: Any, words: str | None) -> None:
    reason = unwatched(promise)
    operations = Operations(promises=(promise,))

    assert (reason is None) if words is None else (reason is not None and words in reason)
    assert operations.wait_objectives == ((promise,) if words is None else ())
    assert operations.unwatched == (() if words is None else ((promise, reason),))


@given(st.sampled_from(BUCKETS_S), st.floats(0.5, 0.9999))
def test_a_budget_that_is_watched_can_burn_at_the_fastest_rate(bound_s: float, quantile: float) -> None:
    assert (unwatched(Objective("wait", quantile, float(bound_s))) is None) == (FASTEST_BURN * (1 - quantile) < 1)


def test_the_platform_has_to_wait_for_the_longest_job_and_the_end_of_the_worker() -> None:
    assert Fleet(job_timeout_s=180.0).draining_s == 180 + STOP_S
    assert Fleet(job_timeout_s=0.5).draining_s == 1 + STOP_S
