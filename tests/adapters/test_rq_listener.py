"""Hearing of jobs in any of several queues, on real servers, without taking one."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobctl.adapters.outage import Outage
from jobctl.adapters.rq_listener import Listener
from support.servers import Serve, SocketServer

KEYS = [f"rq:queue:{name}" for name in ("high", "default", "low")]
PATIENCE_S = 10.0


class Ear:
    """Notes when it was called."""

    def __init__(self) -> None:
        self.called_s: list[float] = []
        self._called = threading.Semaphore(0)

    def __call__(self) -> None:
        self.called_s.append(time.monotonic())
        self._called.release()

    def hears(self, timeout_s: float = PATIENCE_S) -> bool:
        """Whether it is called once more in that time."""
        return self._called.acquire(timeout=timeout_s)


@contextmanager
def listening(redis: Redis) -> Iterator[tuple[Listener, Ear, Outage]]:
    ear, outage = Ear(), Outage(logging.getLogger("test.listener"), "w")
    listener = Listener(redis, ear, outage)
    try:
        yield listener, ear, outage
    finally:
        listener.close()


def calls(redis: Redis, command: str) -> int:
    return int(redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def tracked(redis: Redis) -> list[int]:
    """Ids of the connections that are told of changes."""
    return [int(client["id"]) for client in redis.client_list() if "t" in client["flags"]]


def wait_until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def delays_s(redis: Redis, listener: Listener, ear: Ear, rounds: int) -> list[float]:
    """How long it takes until it calls, for each of the queues in turn."""
    delays = []
    for number in range(rounds):
        key = KEYS[number % len(KEYS)]
        looks = calls(redis, "llen")
        listener.arm(KEYS)
        wait_until(lambda looks=looks: calls(redis, "llen") >= looks + len(KEYS))
        pushed_s = time.monotonic()
        redis.rpush(key, "job")
        assert ear.hears()
        delays.append(ear.called_s[-1] - pushed_s)
        assert redis.lpop(key) == b"job"  # it took nothing
    return sorted(delays)


def test_a_job_in_any_queue_is_heard_of_within_milliseconds_and_stays_there(redis: Redis) -> None:
    with listening(redis) as (listener, ear, outage):
        delays = delays_s(redis, listener, ear, 30)
        assert delays[len(delays) // 2] < 0.01
        assert not ear.hears(0.1)
        assert len(ear.called_s) == 30
        assert outage.count == 0


def test_what_is_there_already_is_heard_of_at_once(redis: Redis) -> None:
    redis.rpush(KEYS[2], "job")
    with listening(redis) as (listener, ear, _):
        listener.arm(KEYS)
        assert ear.hears()


def test_it_calls_once_for_each_time_it_was_armed(redis: Redis) -> None:
    with listening(redis) as (listener, ear, _):
        redis.rpush(KEYS[0], "job")
        listener.arm(KEYS)
        assert ear.hears()
        redis.rpush(KEYS[1], "job")
        assert not ear.hears(0.2)


def test_a_queue_that_is_not_listened_to_wakes_nobody(redis: Redis) -> None:
    with listening(redis) as (listener, ear, _):
        listener.arm(KEYS[:1])
        redis.rpush(KEYS[1], "job")
        assert not ear.hears(0.2)
        redis.rpush(KEYS[0], "job")
        assert ear.hears()


def test_for_no_queue_it_hears_nothing_whatever_is_left_to_read(redis: Redis) -> None:
    with listening(redis) as (listener, ear, _):
        looks = calls(redis, "llen")
        listener.arm(KEYS)
        wait_until(lambda: calls(redis, "llen") >= looks + len(KEYS))
        redis.rpush(KEYS[0], "job")
        assert ear.hears()
        listener.arm([])
        assert not ear.hears(0.3)


def test_while_it_waits_it_asks_for_nothing(redis: Redis) -> None:
    with listening(redis) as (listener, ear, _):
        listener.arm(KEYS)
        wait_until(lambda: tracked(redis) and calls(redis, "llen"))
        looks = calls(redis, "llen")
        assert not ear.hears(0.5)
        assert calls(redis, "llen") == looks


def test_where_it_may_not_be_told_it_looks(redis: Redis, redis_url: str) -> None:
    redis.execute_command("ACL", "SETUSER", "joe", "reset", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
    try:
        with (
            Redis.from_url(redis_url.replace("unix://", "unix://joe:secret@")) as limited,
            listening(limited) as (listener, ear, outage),
        ):
            delays = delays_s(redis, listener, ear, 4)
            assert delays[-1] < 1.0
            assert (outage.count, tracked(redis)) == (0, [])
            listener.arm(KEYS)
            looks = calls(redis, "llen")
            assert not ear.hears(0.5)
            assert calls(redis, "llen") - looks <= 3 * 12
    finally:
        redis.acl_deluser("joe")


def behind_an_old_proxy(redis_url: str) -> Serve:
    """Serves as the server does, but knows only the protocol that has no messages."""

    def answer(proxied: socket.socket, server: socket.socket) -> None:
        while piece := server.recv(65536):
            proxied.sendall(piece)

    def serve(proxied: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(redis_url.removeprefix("unix://"))
            threading.Thread(target=answer, args=(proxied, server), daemon=True).start()
            while piece := proxied.recv(65536):
                if b"HELLO" in piece:
                    proxied.sendall(b"-ERR unknown command 'HELLO'\r\n")
                else:
                    server.sendall(piece)
            server.shutdown(socket.SHUT_RDWR)

    return serve


def test_where_the_protocol_has_no_messages_it_looks(redis: Redis, redis_url: str) -> None:
    with (
        SocketServer(behind_an_old_proxy(redis_url)) as proxy,
        Redis(host="127.0.0.1", port=proxy.port, protocol=2) as limited,
        listening(limited) as (listener, ear, outage),
    ):
        assert delays_s(redis, listener, ear, 3)[-1] < 1.0
        assert (outage.count, tracked(redis)) == (0, [])
        limited.close()


def test_it_connects_again_and_hears_on(redis: Redis) -> None:
    with listening(redis) as (listener, ear, outage):
        for _ in range(3):
            count = outage.count
            listener.arm(KEYS)
            wait_until(lambda: tracked(redis))
            for client in tracked(redis):
                redis.client_kill_filter(_id=str(client))
            wait_until(lambda count=count: outage.count > count)
            outage.ended()
            wait_until(lambda: tracked(redis))
            redis.rpush(KEYS[1], "job")
            assert ear.hears()
            redis.delete(KEYS[1])


def test_a_server_that_is_not_there_is_told_as_an_outage() -> None:
    nowhere = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    with listening(nowhere) as (listener, ear, outage):
        listener.arm(KEYS)
        wait_until(lambda: outage.lasts)
        assert not ear.hears(0.2)
        assert outage.count == 1


def test_a_closed_listener_ends_its_thread(redis: Redis) -> None:
    with listening(redis) as (listener, ear, _):
        redis.rpush(KEYS[0], "job")
        listener.arm(KEYS)
        assert ear.hears()
        assert "listener" in {thread.name for thread in threading.enumerate()}
        listener.close()
        wait_until(lambda: "listener" not in {thread.name for thread in threading.enumerate()})
