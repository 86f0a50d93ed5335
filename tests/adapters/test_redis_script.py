import pytest
from redis import Redis
from redis.exceptions import ResponseError

from jobctl.adapters import redis_script
from jobctl.adapters.redis_script import ServerScript


def test_all_scripts_of_the_folder_are_understood_by_the_server(redis: Redis) -> None:
    for names in (("common", "turn"), ("common", "put_back"), ("common", "recover"), ("entry", "due"), ("limiter",)):
        redis.script_load(redis_script._source(names))


def test_a_server_that_forgets_scripts_at_any_moment_runs_them_all_the_same(redis: Redis) -> None:
    script = ServerScript(redis, "common", "pulse")
    for _ in range(3):
        redis.script_flush()
        for _ in range(2):
            assert script(["rq", "w", "1.0", "2026-01-31T12:00:00.000000Z", 75, 18.0]) in {b"OK", True}
    assert redis.zcard("rq:jobctl:pulses") == 1


def test_what_a_script_complains_of_is_raised(redis: Redis) -> None:
    with pytest.raises(ResponseError):
        ServerScript(redis, "common", "pulse")(["rq", "w"])
