"""One process of many, elected by a key in Redis that lapses.

A process of a higher rank takes over from one of a lower rank; among equals the first stays until it leaves or stops
renewing. A process that Redis does not hear of for the key's time to live is out. Who is elected can renew while Redis'
memory is full, and so tell that it is; nobody else is elected then.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from jobctl.errors import ServiceUnavailable

__all__ = ["Election"]

_TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if holder and tonumber(string.match(holder, '^%d+') or 0) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
"""
_LEAVE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class Election:
    """One candidate.

    Args:
        connection: Redis.
        key: What they stand for.
        rank: From 0; the higher takes over.
        ttl_s: For how long an election holds without being renewed, seconds.
    """

    def __init__(self, connection: Redis, key: str, *, rank: int, ttl_s: float) -> None:
        self._keys = [key]
        self._rank = rank
        self._ttl_ms = round(ttl_s * 1000)
        self._name = f"{rank}:{uuid4().hex}"
        self._take = connection.register_script(_TAKE)
        self._leave = connection.register_script(_LEAVE)

    def take(self) -> bool:
        """Stand, or renew; whether this candidate is elected now.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        try:
            return bool(self._take(keys=self._keys, args=[self._name, self._rank, self._ttl_ms]))
        except RedisError as error:
            raise _away(error) from error

    def leave(self) -> None:
        """Make room for another one.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        try:
            self._leave(keys=self._keys, args=[self._name])
        except RedisError as error:
            raise _away(error) from error


def _away(error: RedisError) -> ServiceUnavailable:
    return ServiceUnavailable("Redis", f"does not answer ({error})", "check that it runs")
