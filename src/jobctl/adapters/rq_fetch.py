"""Taking jobs off their queues, many in one round trip, so that none is ever in nobody's hands.

A job moves from its queue to RQ's own intermediate list in one atomic step on the server, whatever the number of queues
(RQ itself does that for a single queue only), and its hash comes along. It leaves the list when its execution is on the
books, or goes back to the front of its queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.utils import as_text

__all__ = ["LUA_MOVE", "Fetcher", "Taken", "keys_of", "taken_from"]

#: A Lua function. keys: queue, its intermediate list, next queue, ... from a place on; in_turn: a turn for each queue
#: instead of one after the other; prefix: what precedes an id in the key of a job's hash.
LUA_MOVE: Final = """
local function move(keys, from, wanted, in_turn, prefix)
  local taken, again = {}, true
  while again and #taken < 3 * wanted do
    again = false
    for i = from, #keys, 2 do
      repeat
        if #taken >= 3 * wanted then return taken end
        local id = redis.call('LMOVE', keys[i], keys[i + 1], 'LEFT', 'RIGHT')
        if id then
          taken[#taken + 1] = (i - from) / 2
          taken[#taken + 1] = id
          taken[#taken + 1] = redis.call('HGETALL', prefix .. id)
          again = in_turn
        end
      until not id or in_turn
    end
  end
  return taken
end
"""

#: KEYS: queue, its intermediate list, next queue, ...; ARGV: how many jobs, whether in turn, the prefix.
_TAKE: Final = LUA_MOVE + "return move(KEYS, 1, tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3])"


class Taken(NamedTuple):
    """A job that was taken from its queue.

    Attributes:
        queue: The queue.
        job_id: Its id.
        fields: Its hash as Redis has it; empty when the job is gone, None when it was not read yet.
    """

    queue: Queue
    job_id: str
    fields: dict[bytes, bytes] | None


class Fetcher:
    """Takes jobs from queues.

    Args:
        connection: Redis.
        job_prefix: What precedes an id in the key of a job's hash.
    """

    def __init__(self, connection: Redis, job_prefix: str) -> None:
        self._connection = connection
        self.job_prefix = job_prefix
        self._script = connection.register_script(_TAKE)

    def take(self, queues: Sequence[Queue], limit: int, *, in_turn: bool) -> list[Taken]:
        """Take what is there, without waiting.

        Args:
            queues: The queues, most urgent first.
            limit: How many jobs at most.
            in_turn: One from each queue by turns, instead of emptying the first one first.
        """
        return taken_from(queues, self._script(keys=keys_of(queues), args=[limit, int(in_turn), self.job_prefix]))

    def wait(self, queue: Queue, timeout_s: float) -> list[Taken]:
        """Take one job from one queue, waiting for it at most that long; it is not read yet."""
        job_id = self._connection.blmove(queue.key, queue.intermediate_queue_key, timeout_s)  # type: ignore[arg-type]
        return [] if job_id is None else [Taken(queue, as_text(job_id), None)]

    def read(self, taken: Taken) -> Taken:
        """The same with its fields."""
        if taken.fields is not None:
            return taken
        fields: Any = self._connection.hgetall(self.job_prefix + taken.job_id)
        return taken._replace(fields=fields)

    def give_back(self, taken: Sequence[Taken]) -> None:
        """Put jobs that nobody began back to the front of their queues, in their old order."""
        with self._connection.pipeline() as pipeline:
            for queue, job_id, _ in reversed(taken):
                self.forget(queue, job_id, pipeline)
                pipeline.lpush(queue.key, job_id)
            pipeline.execute()

    @staticmethod
    def forget(queue: Queue, job_id: str, connection: Redis | Pipeline) -> None:
        """Take a job off the intermediate list."""
        connection.lrem(queue.intermediate_queue_key, 1, job_id)


def keys_of(queues: Sequence[Queue]) -> list[str]:
    """The keys that the Lua function takes."""
    return [key for queue in queues for key in (queue.key, queue.intermediate_queue_key)]


def taken_from(queues: Sequence[Queue], answer: Sequence[Any]) -> list[Taken]:
    """What the Lua function answered, for these queues."""
    words = iter(answer)
    return [
        Taken(queues[int(place)], job_id.decode(), dict(_pairs(fields)))
        for place, job_id, fields in zip(words, words, words, strict=True)
    ]


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    words = iter(flat)
    return zip(words, words, strict=True)
