"""RQ's books, written in one round trip.

RQ's own code says what is written: it queues its commands on a pipeline. Here they travel as the arguments of one
script instead of one transaction each, which saves most of the round trips and of the client's work. The script may
refuse: it then has written nothing, and RQ's own path is taken.
"""

from __future__ import annotations

from typing import Final

from redis import Redis
from redis.client import Pipeline

__all__ = ["Books"]

#: KEYS: none, or one that must not exist; ARGV: a number of words, a command of that many words, the next number, ...
_WRITE: Final = """
if #KEYS == 1 and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local place = 1
while place <= #ARGV do
  local words = tonumber(ARGV[place])
  redis.call(unpack(ARGV, place + 1, place + words))
  place = place + words + 1
end
return 1
"""


class Books:
    """Writes what RQ queued on a pipeline.

    Args:
        connection: Redis.
    """

    def __init__(self, connection: Redis) -> None:
        self._script = connection.register_script(_WRITE)

    def write(self, pipeline: Pipeline, *, unless_exists: str | None = None) -> bool:
        """Carry out the commands of a pipeline that was not executed, all of them or none.

        Args:
            pipeline: Holds the commands; it stays as it is.
            unless_exists: A key; nothing is written where it exists.

        Returns:
            Whether they were carried out.
        """
        words = [word for command, _ in pipeline.command_stack for word in (len(command), *command)]
        return bool(self._script(keys=[] if unless_exists is None else [unless_exists], args=words))
