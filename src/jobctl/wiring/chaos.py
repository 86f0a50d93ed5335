"""Faults on a timetable: checked before anything is started, and played while the load runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.adapters.chaos import ChaosPlayer
    from jobctl.adapters.rig import Rig
    from jobctl.apps.bench.driver import BenchConfig
    from jobctl.core.chaos import TimedFault
    from jobctl.settings import Settings

__all__ = ["check_chaos", "make_player", "warn_of_drain"]


def check_chaos(config: BenchConfig, settings: Settings, *, mock: bool, own_workers: bool, option: str) -> None:
    """Refuse faults that this bench cannot play.

    Args:
        config: What it does.
        settings: Name its Redis.
        mock: Whether it starts a mock.
        own_workers: Whether the workers are somebody else's.
        option: Where the faults come from.

    Raises:
        InvalidOption: One cannot be played.
    """
    from jobctl.core.chaos import Targets, check_faults

    targets = Targets(None if own_workers else config.replicas, mock=mock, redis=settings.redis_url is None)
    try:
        check_faults(config.chaos, config.spec.duration_s, targets)
    except InvalidValue as error:
        raise InvalidOption(option, error.problem, error.remedy) from None


def warn_of_drain(config: BenchConfig, settings: Settings) -> str | None:
    """A line that says that the drain may be too short for what the faults leave behind; None where it is not."""
    from jobctl.core.chaos import too_short_a_drain

    policies = {settings.retries.of(workload.function) for workload in config.spec.workloads}
    retries = max(policies, key=lambda policy: min(policy.cap_s, policy.base_s * 2.0 ** (policy.attempts - 2)))
    spec = config.spec
    return too_short_a_drain(
        config.chaos,
        spec.duration_s,
        spec.drain_s,
        rate_per_s=config.rate_per_s,
        recover_after_s=config.recover_after_s,
        retries=retries,
    )


def make_player(faults: Sequence[TimedFault], rig: Rig, own_redis: Redis | None) -> ChaosPlayer:
    """What plays the faults.

    Args:
        faults: Those that were checked.
        rig: The bench's mock and workers.
        own_redis: A connection to the bench's own Redis; None where it is somebody else's.
    """
    from jobctl.adapters.chaos import ChaosPlayer, Sabotage
    from jobctl.adapters.clock import SystemClock

    redis_pid = None if own_redis is None or not faults else int(own_redis.info("server")["process_id"])
    return ChaosPlayer(faults, Sabotage(rig, redis_pid), SystemClock())
