"""Taking jobs off their queues, many in one round trip, so that none is ever in nobody's hands.

A job moves from its queue to RQ's own intermediate list in one atomic step on the server, whatever the number of queues
(RQ itself does that for a single queue only). It leaves the list when its execution is on the books, or goes back to
the front of its queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis import Redis
from redis.client import Pipeline
from rq import Queue

__all__ = ["Fetcher", "Taken"]

#: KEYS: queue, its intermediate list, next queue, ...; ARGV: how many jobs, "1" for a turn each instead of in order.
_MOVE: Final = """
local taken, wanted = {}, tonumber(ARGV[1])
local again = true
while again and #taken < 2 * wanted do
  again = false
  for i = 1, #KEYS, 2 do
    repeat
      if #taken >= 2 * wanted then return taken end
      local id = redis.call('LMOVE', KEYS[i], KEYS[i + 1], 'LEFT', 'RIGHT')
      if id then
        taken[#taken + 1] = (i - 1) / 2
        taken[#taken + 1] = id
        again = ARGV[2] == '1'
      end
    until not id or ARGV[2] == '1'
  end
end
return taken
"""

#: A queue and the id of a job that was taken from it.
Taken = tuple[Queue, str]


class Fetcher:
    """Takes job ids from queues.

    Args:
        connection: Redis.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._script = connection.register_script(_MOVE)

    def take(self, queues: Sequence[Queue], limit: int, *, in_turn: bool) -> list[Taken]:
        """Take what is there, without waiting.

        Args:
            queues: The queues, most urgent first.
            limit: How many jobs at most.
            in_turn: One from each queue by turns, instead of emptying the first one first.
        """
        keys = [key for queue in queues for key in (queue.key, queue.intermediate_queue_key)]
        answer = self._script(keys=keys, args=[limit, int(in_turn)])
        return [(queues[int(place)], job_id.decode()) for place, job_id in zip(answer[::2], answer[1::2], strict=True)]

    def wait(self, queue: Queue, timeout_s: float) -> Taken | None:
        """Take one job from one queue, waiting for it at most that long."""
        job_id = self._connection.blmove(queue.key, queue.intermediate_queue_key, timeout_s)  # type: ignore[arg-type]
        return None if job_id is None else (queue, job_id.decode())

    def give_back(self, taken: Sequence[Taken]) -> None:
        """Put jobs that nobody began back to the front of their queues, in their old order."""
        with self._connection.pipeline() as pipeline:
            for queue, job_id in reversed(taken):
                self.forget(queue, job_id, pipeline)
                pipeline.lpush(queue.key, job_id)
            pipeline.execute()

    @staticmethod
    def forget(queue: Queue, job_id: str, connection: Redis | Pipeline) -> None:
        """Take a job off the intermediate list."""
        connection.lrem(queue.intermediate_queue_key, 1, job_id)
