"""``python -m support_desk setup`` makes the table; ``python -m support_desk enqueue FILE`` enqueues tickets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from redis import Redis
from rq import Queue

from support_desk import settings
from support_desk.answers import create_table
from support_desk.tasks import answer_ticket


def main(words: list[str]) -> int:
    """Do what the words say; returns the exit code."""
    match words:
        case ["setup"]:
            print("table answers: ready" if create_table() else "no DESK_DATABASE_URL: answers are not kept")
        case ["enqueue", path]:
            queue = Queue("desk", connection=Redis.from_url(settings.REDIS_URL))
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                queue.enqueue(answer_ticket, **json.loads(line))
            print(f"queue desk: {len(queue)} jobs")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
