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

__all__ = ["Fetcher", "Taken"]

#: KEYS: queue, its intermediate list, next queue, ...; ARGV: how many jobs, "1" for a turn each instead of in order,
#: what precedes an id in the key of a job's hash.
_MOVE: Final = """
local taken, wanted = {}, 3 * tonumber(ARGV[1])
local again = true
while again and #taken < wanted do
  again = false
  for i = 1, #KEYS, 2 do
    repeat
      if #taken >= wanted then return taken end
      local id = redis.call('LMOVE', KEYS[i], KEYS[i + 1], 'LEFT', 'RIGHT')
      if id then
        taken[#taken + 1] = (i - 1) / 2
        taken[#taken + 1] = id
        taken[#taken + 1] = redis.call('HGETALL', ARGV[3] .. id)
        again = ARGV[2] == '1'
      end
    until not id or ARGV[2] == '1'
  end
end
return taken
"""


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
        self._job_prefix = job_prefix
        self._script = connection.register_script(_MOVE)

    def take(self, queues: Sequence[Queue], limit: int, *, in_turn: bool) -> list[Taken]:
        """Take what is there, without waiting.

        Args:
            queues: The queues, most urgent first.
            limit: How many jobs at most.
            in_turn: One from each queue by turns, instead of emptying the first one first.
        """
        keys = [key for queue in queues for key in (queue.key, queue.intermediate_queue_key)]
        answer = iter(self._script(keys=keys, args=[limit, int(in_turn), self._job_prefix]))
        return [
            Taken(queues[int(place)], job_id.decode(), dict(_pairs(fields)))
            for place, job_id, fields in zip(answer, answer, answer, strict=True)
        ]

    def wait(self, queue: Queue, timeout_s: float) -> list[Taken]:
        """Take one job from one queue, waiting for it at most that long; it is not read yet."""
        job_id = self._connection.blmove(queue.key, queue.intermediate_queue_key, timeout_s)  # type: ignore[arg-type]
        return [] if job_id is None else [Taken(queue, as_text(job_id), None)]

    def read(self, taken: Taken) -> Taken:
        """The same with its fields."""
        if taken.fields is not None:
            return taken
        fields: Any = self._connection.hgetall(self._job_prefix + taken.job_id)
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


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    words = iter(flat)
    return zip(words, words, strict=True)
