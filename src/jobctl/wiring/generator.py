"""A load generator that joins the load of a master."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jobctl.errors import InvalidOption, RunFailed

if TYPE_CHECKING:
    from jobctl.settings import Settings

__all__ = ["join_load"]


def join_load(settings: Settings, host: str, port: int, locustfile: Path | None, say: Callable[[str], None]) -> bool:
    """Generate the shard of a load that a master gives, to its end.

    Args:
        settings: Name the Redis that the master's load goes to, as this machine reaches it.
        host: The master's.
        port: Likewise.
        locustfile: Another locustfile than jobctl's.
        say: Takes lines for the person who waits.

    Returns:
        Whether it was interrupted.

    Raises:
        InvalidOption: No Redis is given, or there is no such locustfile.
        ServiceUnavailable: Redis does not answer, or the master is not found, or lost.
        RunFailed: This generator's part cannot be measured.
    """
    from jobctl.adapters import files
    from jobctl.adapters.load_process import JoinedLoad
    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.signals import Interruption
    from jobctl.wiring.redis import open_redis

    if settings.redis_url is None:
        raise InvalidOption(
            "--worker", "needs the Redis that the load goes to", "give --redis-url as this machine reaches it"
        )
    path = files.find_locustfile(locustfile).resolve()
    with ProcessGroup() as group:
        open_redis(settings, group)[0].close()
        load = JoinedLoad(group, path, settings.redis_url, host, port)
        with Interruption(load.interrupt) as interruption:
            try:
                for message in load.events():
                    match message["event"]:
                        case "connected":
                            say(f"waiting for the load of the master at {host}:{port}")
                        case "ready":
                            say("ready")
                        case "failed":
                            raise RunFailed(f"this generator's part could not be measured: {message['reason']}")
                        case "end" if message["start_s"] is not None:
                            say(f"sent {message['generator']['sent']} jobs; the master has the report")
            finally:
                load.close()
    return interruption.happened
