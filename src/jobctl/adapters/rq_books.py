"""RQ's books, written in one round trip.

RQ's own code says what is written: it queues its commands on a pipeline. Here they travel as the arguments of one
script instead of one transaction each, which saves most of the round trips and of the client's work. The script may
refuse: it then has written nothing, and RQ's own path is taken. It can bring the next job along.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline
from rq import Queue

from jobctl.adapters.rq_fetch import LUA_MOVE, Taken, keys_of, taken_from

__all__ = ["Books"]

#: KEYS: one that must not exist, or an empty string; the keys of queues to take a job from.
#: ARGV: what precedes an id in the key of a job's hash; a number of words, a command of that many words, and so on.
#: Answers 0, or what was taken.
_WRITE: Final = (
    LUA_MOVE
    + """
if KEYS[1] ~= '' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local place = 2
while place <= #ARGV do
  local words = tonumber(ARGV[place])
  redis.call(unpack(ARGV, place + 1, place + words))
  place = place + words + 1
end
return move(KEYS, 2, 1, false, ARGV[1])
"""
)


class Books:
    """Writes what RQ queued on a pipeline.

    Args:
        connection: Redis.
        job_prefix: What precedes an id in the key of a job's hash.
    """

    def __init__(self, connection: Redis, job_prefix: str) -> None:
        self._script = connection.register_script(_WRITE)
        self._job_prefix = job_prefix

    def write(
        self, pipeline: Pipeline, *, unless_exists: str = "", then_take: Sequence[Queue] = ()
    ) -> list[Taken] | None:
        """Carry out the commands of a pipeline that was not executed, all of them or none.

        Args:
            pipeline: Holds the commands; it stays as it is.
            unless_exists: A key; nothing is written, and nothing taken, where it exists.
            then_take: Queues to take one job from afterwards, most urgent first.

        Returns:
            The job that was taken, if any; None when nothing was written.
        """
        commands = chain.from_iterable((len(command), *command) for command, _ in pipeline.command_stack)
        answer: Any = self._script(keys=[unless_exists, *keys_of(then_take)], args=[self._job_prefix, *commands])
        return None if answer == 0 else taken_from(then_take, answer)
