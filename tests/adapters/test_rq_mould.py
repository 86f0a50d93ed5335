"""Jobs that are cast in a mould against those that RQ makes itself."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobctl.adapters.rq_queue import RqQueue
from jobctl.ports import JobRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def hash_of(redis: Redis, job_id: str) -> dict[bytes, bytes]:
    """A job's hash without its timestamps."""
    fields: dict[bytes, bytes] = redis.hgetall(f"rq:job:{job_id}")  # type: ignore[assignment]
    assert fields.keys() >= {b"created_at", b"enqueued_at"}
    return {name: value for name, value in fields.items() if name not in {b"created_at", b"enqueued_at"}}


@given(
    st.lists(JSON, max_size=3),
    st.dictionaries(st.text(), JSON, max_size=3),
    st.integers(1, 9999),
    st.none() | st.integers(1, 9999),
    st.none() | st.dictionaries(st.text(), JSON, min_size=1, max_size=2),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cast_job_is_the_one_that_rq_makes(
    redis: Redis,
    args: list[Any],
    kwargs: dict[str, Any],
    timeout_s: int,
    ttl_s: int | None,
    meta: dict[str, Any] | None,
) -> None:
    redis.flushall()
    theirs = Queue("theirs", connection=redis, serializer=JSONSerializer)
    options: dict[str, Any] = {"timeout": timeout_s, "result_ttl": ttl_s, "failure_ttl": ttl_s}
    prepared = Queue.prepare_data("m.f", args, kwargs, job_id="j", description="m.f", meta=meta, **options)
    theirs.enqueue_many([prepared])
    expected = {**hash_of(redis, "j"), b"origin": b"ours"}
    redis.delete("rq:job:j")

    queue = RqQueue(redis, "ours", result_ttl_s=ttl_s, failure_ttl_s=ttl_s)
    queue._enqueue([JobRequest("j", "m.f", tuple(args), kwargs, timeout_s)], meta)

    assert hash_of(redis, "j") == expected
    assert redis.lrange("rq:queue:ours", 0, -1) == [b"j"]
    assert redis.sismember("rq:queues", "rq:queue:ours")


def test_rq_reads_a_cast_job_as_its_own(redis: Redis) -> None:
    RqQueue(redis, "q").enqueue_many([JobRequest("j", "builtins.max", (1, 2), {"key": None}, timeout_s=9)])
    job = Queue("q", connection=redis, serializer=JSONSerializer).fetch_job("j")

    assert job is not None
    assert (job.func_name, job.args, job.kwargs, job.timeout) == ("builtins.max", [1, 2], {"key": None}, 9)
    assert job.enqueued_at is not None
    assert job.created_at is not None
    assert job.get_status() == "queued"


def test_each_batch_has_its_own_attachment(redis: Redis) -> None:
    queue = RqQueue(redis, "q")
    for number, meta in enumerate(({"trace": "a"}, {"trace": "b"}, None)):
        queue._enqueue([JobRequest(f"j{number}", "m.f")], meta)
    jobs = Queue("q", connection=redis, serializer=JSONSerializer).jobs

    assert [job.meta for job in jobs] == [{"trace": "a"}, {"trace": "b"}, {}]
