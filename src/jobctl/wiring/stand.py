"""What loads are run on: a Redis, a mock and workers, started once; and one load after the other on it.

Order of a start, and why: the generator of the first load is begun before the workers, because its imports take longest
and both then happen at once. Order of an end: the generator first, so that nothing is sent to workers that are gone,
then the workers, so that each takes itself off Redis' books, then Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jobctl.core.crew import ALONE, Crew
from jobctl.core.words import count_of
from jobctl.errors import ServiceUnavailable
from jobctl.wiring.chaos import make_player, warn_of_drain
from jobctl.wiring.load import ANSWER_S, agree_start, forget_start
from jobctl.wiring.redis import open_redis

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.adapters.load_process import LoadProcess
    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.rig import Rig
    from jobctl.apps.bench.driver import BenchConfig, BenchResult
    from jobctl.apps.bench.spec import LoadSpec
    from jobctl.settings import Settings

__all__ = ["MOCK_KEY", "PreparedBench", "Stand", "start_system"]

#: Settings of a bench that are about its workers.
_TOLD_TO_WORKERS: Final = frozenset({"attempts", "retry_base_s", "retry_cap_s", "openrouter_rpm", "openrouter_burst"})
#: The key that mock OpenRouters accept and that is worth nothing elsewhere.
MOCK_KEY: Final = "sk-or-v1-jobctl-bench"


@dataclass(frozen=True, slots=True)
class PreparedBench:
    """A bench whose input was checked and that has not started anything yet.

    Attributes:
        config: What it does.
        locustfile: What its generator runs.
        settings: The merged settings.
        own_workers: Whether the workers are somebody else's.
        secluded: Whether workers that are started hear of no settings but those that flags gave: no database, no
            Sentry, no metrics.
        crew: Who generates the load.
    """

    config: BenchConfig
    locustfile: Path
    settings: Settings
    own_workers: bool
    secluded: bool = False
    crew: Crew = ALONE


class Stand:
    """Redis, mock and workers of some loads, all of which use the same queues.

    Args:
        prepared: The checked bench; its config is the first load.
        group: The process group that everything joins.
        say: Takes lines for the person who waits.
    """

    def __init__(self, prepared: PreparedBench, group: ProcessGroup, say: Callable[[str], None]) -> None:
        from jobctl.adapters.rig import Rig

        self.prepared = prepared
        self._group = group
        self._say = say
        self._loads: dict[str, LoadProcess] = {}
        self._left: LoadSpec | None = None
        #: Its processes.
        self.rig: Rig = Rig(group)
        #: A connection, and the URL by which other processes reach the same server.
        self.connection, self.redis_url = open_redis(prepared.settings, group, answer_s=ANSWER_S)

    @classmethod
    @contextmanager
    def open(cls, prepared: PreparedBench, say: Callable[[str], None]) -> Iterator[Stand]:
        """Start what is missing, and stop all of it at the end.

        Args:
            prepared: The checked bench.
            say: Takes lines for the person who waits.

        Raises:
            ServiceUnavailable: A part did not start, or nobody else's worker listens.
        """
        from jobctl.adapters.processes import ProcessGroup

        with ProcessGroup() as group:
            stand = cls(prepared, group, say)
            try:
                stand.prepare(prepared.config)
                say(start_system(prepared, stand.rig, stand.connection, stand.redis_url))
                warning = warn_of_drain(prepared.config, prepared.settings)
                if warning is not None:
                    say(warning)
                yield stand
            finally:
                stand._close()

    def prepare(self, config: BenchConfig) -> None:
        """Start the generator of a load ahead of its run: its imports take most of a second."""
        from jobctl.adapters.load_process import LoadProcess

        spec, crew = config.spec, self.prepared.crew
        if crew.joining:
            join = f"jobctl bench --worker --master-host HERE --master-port {crew.port} --redis-url URL"
            self._say(f"waiting for {count_of(crew.joining, 'generator')} to join: {join}")
        self._loads[spec.run_id] = LoadProcess(
            self._group, self.prepared.locustfile, spec.to_json(), self.redis_url, crew
        )

    def run(self, config: BenchConfig, on_progress: Callable[[Mapping[str, Any]], None]) -> BenchResult:
        """Run one load to its end.

        Args:
            config: The load; its run id is its own, its queues are those of the stand.
            on_progress: Takes each progress message.
        """
        from jobctl.adapters.signals import Interruption
        from jobctl.apps.bench import driver

        spec = config.spec
        self._clear()
        if spec.run_id not in self._loads:
            self.prepare(config)
        load = self._loads[spec.run_id]
        self._left = spec
        self.rig.revive()
        embedded = self.prepared.settings.redis_url is None
        chaos = make_player(config.chaos, self.rig, self.connection if embedded else None)
        with Interruption(load.interrupt) as interruption:
            try:
                return driver.run(
                    config,
                    load,
                    lambda: chaos.start(agree_start(self.connection, spec.run_id)),
                    on_progress,
                    lambda: interruption.happened,
                    self.rig.ended_parts,
                    self.rig.read_usage,
                    chaos.stop,
                )
            finally:
                chaos.stop()
                self._loads.pop(spec.run_id).close()

    def versions(self) -> dict[str, str]:
        """Versions of jobctl, Python and what they stand on."""
        from jobctl.adapters import environment

        return environment.versions(_server_version(self.connection))

    def _clear(self) -> None:
        """Leave nothing of the load before."""
        if self._left is not None:
            _remove_run(self.connection, self._left, own_queue=not self.prepared.own_workers, say=self._say)
            self._left = None

    def _close(self) -> None:
        for load in self._loads.values():
            load.close()
        self.rig.stop_workers()
        if self.prepared.settings.redis_url is not None:
            self._clear()


def start_system(prepared: PreparedBench, rig: Rig, connection: Redis, redis_url: str) -> str:
    """Start the mock and the workers, as far as they are wanted.

    Args:
        prepared: The checked bench.
        rig: What starts them.
        connection: Redis.
        redis_url: By which they reach it.

    Returns:
        What runs, in a few words, so that `rq info -u URL` and the like work beside it.

    Raises:
        ServiceUnavailable: One did not start, or nobody else's worker listens.
    """
    config = prepared.config
    upstream = _start_upstream(rig, prepared)
    told = {**_silence(prepared), **upstream, **_told_by_flags(prepared.settings), **_declared_model(prepared)}
    shown_url = redis_url if prepared.settings.redis_url is None else prepared.settings.masked_redis_url
    parts = [f"Redis {shown_url}"]
    if prepared.config.mock is not None:
        parts.append(f"mock {upstream['OPENROUTER_BASE_URL']}")
    if prepared.own_workers:
        for queue in config.spec.queues:
            require_listeners(connection, queue)
    else:
        fleet = config.replicas or 0, config.concurrency or 0, config.spec.queues
        rig.start_workers(*fleet, redis_url, told, secluded=prepared.secluded)
        pids = ", ".join(str(worker.pid) for worker in rig.workers)
        parts.append(f"{count_of(len(rig.workers), 'worker')} of {config.concurrency} slots (pid {pids})")
    noun = "queue" if len(config.spec.queues) == 1 else "queues"
    return f"{'; '.join(parts)}; {noun} {', '.join(config.spec.queues)}"


def require_listeners(connection: Redis, queue: str) -> None:
    """Check that some worker listens to a queue.

    Raises:
        ServiceUnavailable: None does.
    """
    from jobctl.adapters.rq_queue import count_listeners

    if not count_listeners(connection, queue):
        raise ServiceUnavailable(
            "--no-workers", f"no worker listens to queue {queue!r}", f"start one, such as jobctl work --queues {queue}"
        )


def _start_upstream(rig: Rig, prepared: PreparedBench) -> dict[str, str]:
    """Start the mock if one is wanted.

    Returns:
        Environment variables by which workers find their upstream; secrets travel there and never in arguments.
    """
    from jobctl.settings import MOCK_CONTROL

    settings = prepared.settings
    if prepared.config.mock is None:
        key = {} if settings.openrouter_api_key is None else {"OPENROUTER_API_KEY": settings.openrouter_api_key}
        return {"OPENROUTER_BASE_URL": settings.openrouter_url, **key}
    url = rig.start_mock([*prepared.config.mock, "--seed", str(prepared.config.spec.seed)], MOCK_CONTROL)
    return {"OPENROUTER_BASE_URL": url, "OPENROUTER_API_KEY": MOCK_KEY}


def _silence(prepared: PreparedBench) -> dict[str, str]:
    """Environment variables that hide the environment's settings from secluded workers: empty is not given."""
    from jobctl.settings import FIELDS

    return {field.env: "" for field in FIELDS} if prepared.secluded else {}


def _told_by_flags(settings: Settings) -> dict[str, str]:
    """Environment variables by which workers hear what flags said of them; all else they read where we did."""
    from jobctl.settings import FIELDS

    return {
        field.env: str(getattr(settings, field.name))
        for field in FIELDS
        if field.name in _TOLD_TO_WORKERS and settings.origins[field.name].level == "flag"
    }


def _declared_model(prepared: PreparedBench) -> dict[str, str]:
    """The model of each queue with a limit, all of whose jobs call the same one: its workers ask first."""
    settings, spec = prepared.settings, prepared.config.spec
    if settings.queue_models is not None:
        return {}
    declared = []
    for queue in spec.queues:
        models = {model for workload in spec.workloads if spec.queue_of(workload) == queue for model in workload.models}
        model = models.pop() if len(models) == 1 else None
        if model is not None and (settings.limits.of(model).rpm, settings.limits.of(model).tpm) != (None, None):
            declared.append(f"{queue}={model}")
    return {"JOB_QUEUE_MODELS": ",".join(declared)} if declared else {}


def _remove_run(connection: Redis, spec: LoadSpec, *, own_queue: bool, say: Callable[[str], None]) -> None:
    """Leave nothing of a run on somebody's Redis."""
    from jobctl.adapters.rq_queue import RqCompletions

    job_ids = [spec.job_id(position) for position in range(len(spec.schedule()))]
    try:
        RqCompletions(connection, spec.queues).delete(job_ids, with_queues=own_queue)
        forget_start(connection, spec.run_id)
    except (ServiceUnavailable, OSError) as error:
        say(f"the jobs {spec.run_id}-* could not be removed from Redis: {error}")


def _server_version(connection: Redis) -> str:
    from redis.exceptions import RedisError

    try:
        server = connection.info("server")
    except RedisError:
        return "unknown"
    return str(server.get("valkey_version") or server["redis_version"])
