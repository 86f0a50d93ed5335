"""A bench: what it needs, checked before anything is started, and one run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobctl.errors import InvalidOption
from jobctl.wiring.stand import PreparedBench

if TYPE_CHECKING:
    from jobctl.apps.bench.driver import BenchResult
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.settings import Settings

__all__ = ["EmbeddedLoad", "embedded_load", "prepare_bench", "run_bench"]


def prepare_bench(request: BenchRequest, settings: Settings) -> PreparedBench:
    """Read what a bench needs and check that it fits together, before anything is started.

    Raises:
        InvalidOption: It does not.
    """
    from jobctl.adapters import files
    from jobctl.apps.bench.configure import configure, mock_arguments
    from jobctl.apps.bench.scenario import parse_scenario
    from jobctl.core.service import DEFAULT_LATENCY
    from jobctl.core.workload import JOB_TYPES
    from jobctl.wiring.importing import check_importable
    from jobctl.wiring.load import new_run_id
    from jobctl.wiring.mock import make_behaviour

    scenario = parse_scenario(*files.read_scenario(request.scenario)) if request.scenario else None
    payloads = files.read_payloads(request.args_from) if request.args_from else None
    concurrency: int | None = settings.concurrency
    if settings.origins["concurrency"].level == "default":
        concurrency = None if request.no_workers else (scenario.concurrency if scenario else None) or concurrency
    attempts = settings.retries.of(JOB_TYPES["sleep"]).attempts
    config = configure(request, scenario, payloads, concurrency, new_run_id(), attempts)
    job_type = config.spec.workload.job_type
    if job_type not in JOB_TYPES:
        check_importable(config.spec.workload.function, "--job")
    calls_upstream = job_type not in {"sleep", "noop"}
    wants_mock = calls_upstream and request.openrouter_url is None and not request.no_workers
    mock = mock_arguments(request, scenario) if wants_mock else None
    if mock is not None:
        options = list(zip(mock[::2], mock[1::2], strict=True))
        faults = [value for name, value in options if name == "--fault"]
        make_behaviour(dict(options).get("--latency", DEFAULT_LATENCY), faults, request.seed)
    return PreparedBench(
        config=config,
        locustfile=files.find_locustfile(request.locustfile).resolve(),
        mock=mock,
        settings=settings,
        own_workers=request.no_workers,
    )


def run_bench(
    prepared: PreparedBench, on_progress: Callable[[Mapping[str, Any]], None], say: Callable[[str], None]
) -> tuple[BenchResult, dict[str, Any], dict[str, str]]:
    """Start what is missing, run the bench and stop everything again.

    Args:
        prepared: The checked bench.
        on_progress: Takes each progress message.
        say: Takes lines for the person who waits.

    Returns:
        The result, the machine and the versions it was measured with.
    """
    from jobctl.adapters import environment
    from jobctl.wiring.stand import Stand

    with Stand.open(prepared, say) as stand:
        result = stand.run(prepared.config, on_progress)
        return result, environment.host(), stand.versions()


@dataclass(frozen=True, slots=True)
class EmbeddedLoad:
    """A load for a Locust process that nobody started for us, with the system behind it.

    Attributes:
        spec: The load, as JSON.
        redis_url: Where jobs go.
        introduction: What runs.
        close: Stops what was started.
    """

    spec: str
    redis_url: str
    introduction: str
    close: Callable[[], None]


def embedded_load(scenario: str, redis_url: str | None, replicas: int) -> EmbeddedLoad:
    """Prepare what plain Locust drives: as `jobctl bench` does, but Locust is already there.

    Args:
        scenario: Its name or path.
        redis_url: Redis of somebody whose workers listen to the queue ``default``; None to start everything.
        replicas: Workers to start in that case.

    Raises:
        InvalidOption: The scenario or the URL means nothing.
        ServiceUnavailable: Something did not start.
    """
    from contextlib import ExitStack

    from jobctl import settings
    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.rig import Rig
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.wiring.redis import open_redis
    from jobctl.wiring.stand import start_system

    if replicas < 1:
        raise InvalidOption("--replicas", f"{replicas} is out of range", "give a whole number of at least 1")
    merged = settings.load({"redis_url": redis_url})
    own_workers = merged.redis_url is not None
    request = BenchRequest(scenario=scenario, no_workers=own_workers, replicas=None if own_workers else replicas)
    prepared = prepare_bench(request, merged)
    with ExitStack() as stack:
        group = stack.enter_context(ProcessGroup())
        connection, url = open_redis(prepared.settings, group)
        stack.callback(connection.close)
        rig = Rig(group)
        stack.callback(rig.stop_workers)
        introduction = start_system(prepared, rig, connection, url)
        return EmbeddedLoad(prepared.config.spec.to_json(), url, introduction, stack.pop_all().close)
