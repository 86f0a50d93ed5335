"""A bench: what it needs, checked before anything is started, and one run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobctl.errors import InvalidOption, InvalidValue
from jobctl.wiring.stand import PreparedBench

if TYPE_CHECKING:
    from jobctl.apps.bench.driver import BenchResult
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.apps.bench.scenario import Scenario
    from jobctl.core.gates import Gate
    from jobctl.core.workload import Payload, Workload
    from jobctl.settings import Settings

__all__ = ["EmbeddedLoad", "embedded_load", "prepare_bench", "run_bench"]


def prepare_bench(request: BenchRequest, settings: Settings) -> PreparedBench:
    """Read what a bench needs and check that it fits together, before anything is started.

    Raises:
        InvalidOption: It does not.
    """
    from jobctl.adapters import files
    from jobctl.apps.bench.configure import configure
    from jobctl.apps.bench.scenario import parse_scenario
    from jobctl.core.workload import JOB_TYPES
    from jobctl.wiring.chaos import check_chaos
    from jobctl.wiring.importing import check_importable
    from jobctl.wiring.load import new_run_id

    if request.crew.joining and settings.redis_url is None:
        raise InvalidOption("--master", "needs a Redis that other machines reach", "give --redis-url")
    scenario = parse_scenario(*files.read_scenario(request.scenario)) if request.scenario else None
    if request.gates_file is not None:
        request = replace(request, gates=(*request.gates, *_read_gates(request.gates_file)))
    payloads = files.read_payloads(request.args_from) if request.args_from else None
    shape_lines, payloads_by_file = _scenario_files(request, scenario)
    concurrency: int | None = settings.concurrency
    if settings.origins["concurrency"].level == "default":
        concurrency = None if request.no_workers else (scenario.concurrency if scenario else None) or concurrency
    attempts = settings.retries.of(JOB_TYPES["sleep"]).attempts
    config = configure(
        request,
        scenario,
        payloads,
        concurrency,
        new_run_id(),
        attempts,
        shape_lines=shape_lines,
        payloads_by_file=payloads_by_file,
    )
    for workload in config.spec.workloads:
        if workload.synthetic is None:
            check_importable(workload.function, "--job", workload.payloads)
    calling = {workload.synthetic for workload in config.spec.workloads} - {"sleep", "noop"}
    wants_mock = bool(calling) and request.openrouter_url is None and not request.no_workers
    mock = _mock_arguments(request, scenario, config.spec.workloads) if wants_mock else None
    if mock is None:
        _refuse_mock_options(request, scenario)
    timed = next((workload for workload in config.spec.workloads if workload.latency_law), None)
    if timed is not None and mock is None:
        raise InvalidOption(
            f"scenario {config.scenario}",
            f"job {timed.job_type!r} has a service_time, which only a mock of this bench can keep",
            "drop it, or let the bench start the mock and the workers",
        )
    config = replace(config, recover_after_s=settings.recover_after_s, mock=mock)
    origin = "--chaos" if request.chaos is not None or scenario is None else f"scenario {scenario.name}"
    check_chaos(config, settings, mock=mock is not None, own_workers=request.no_workers, option=origin)
    if calling - {None} and not (wants_mock or request.no_workers or settings.openrouter_api_key):
        raise InvalidOption(
            "--openrouter-url",
            "has jobs call an API, and OPENROUTER_API_KEY is not set",
            "set it to the key they call with, or leave the option out and they call a mock",
        )
    return PreparedBench(
        config=config,
        locustfile=files.find_locustfile(request.locustfile).resolve(),
        settings=settings,
        own_workers=request.no_workers,
        crew=request.crew,
    )


def _mock_arguments(request: BenchRequest, scenario: Scenario | None, workloads: Sequence[Workload]) -> tuple[str, ...]:
    """The options of the mock that is to be started, read as the mock will read them.

    Raises:
        InvalidOption: One means nothing.
    """
    from jobctl.apps.bench.configure import mock_arguments
    from jobctl.core.service import DEFAULT_LATENCY
    from jobctl.wiring.mock import make_behaviour, make_catalog

    arguments = mock_arguments(request, scenario, workloads)
    options = list(zip(arguments[::2], arguments[1::2], strict=True))
    faults, laws, further = (
        [value for name, value in options if name == flag] for flag in ("--fault", "--latency-of", "--serve-model")
    )
    make_behaviour(dict(options).get("--latency", DEFAULT_LATENCY), faults, request.seed, laws, make_catalog(further))
    return tuple(arguments)


def _refuse_mock_options(request: BenchRequest, scenario: Scenario | None) -> None:
    """Refuse what would do nothing, and faults that would excuse failures which nobody injected.

    A scenario's other keys about the mock do no harm where the command line replaces what it stands for.
    """
    given = {
        "--latency": request.latency,
        "--serve-model": request.serve_model,
        "--fault": request.fault,
        "--rpm": request.rpm,
        "--tpm": request.tpm,
    }
    option = next((flag for flag, value in given.items() if value), None)
    problem = "is about the mock, and this bench starts none"
    if option is None and scenario is not None and scenario.mock.get("fault"):
        option, problem = f"scenario {scenario.name}", f"[mock] fault {problem}"
    if option is not None:
        raise InvalidOption(
            option, problem, "drop it, or use jobs that call the mock, without --openrouter-url and --no-workers"
        )


def _scenario_files(request: BenchRequest, scenario: Scenario | None) -> tuple[list[str], dict[str, Sequence[Payload]]]:
    """What stands in the files that a shape and the jobs of a mix name; those of a scenario are beside it.

    Returns:
        The lines of the shape's file, and arguments of jobs by the name of their file.

    Raises:
        InvalidOption: One cannot be read.
    """
    from jobctl.adapters import files
    from jobctl.apps.bench.configure import wanted_load

    def beside(name: str) -> str:
        return files.beside_scenario(request.scenario, name) if request.scenario else name

    wanted = wanted_load(request, scenario)
    option = "--shape" if scenario is None else f"scenario {scenario.name}"
    is_read = wanted is not None and wanted.shape.kind.has_file
    lines = _shape_lines(beside(wanted.shape.path), option) if wanted is not None and is_read else []
    names = {job.args_from for job in scenario.jobs if job.args_from} if scenario else set()
    return lines, {name: files.read_payloads(beside(name), option) for name in names}


def _shape_lines(path: str, option: str) -> list[str]:
    """Of the file that a shape names; a word that is none may be a misspelt shape."""
    from jobctl.adapters.files import read_lines
    from jobctl.core.shapes import BENCH_SHAPES
    from jobctl.core.slo import hint

    if not Path(path).exists():
        known = [kind.value for kind in BENCH_SHAPES]
        word = Path(path).name
        raise InvalidOption(
            option,
            f"there is no file {path!r}{hint(word, known)}",
            f"give {', '.join(known)}, a FILE of times and rates, or replay:FILE",
        )
    return read_lines(path, option)


def _read_gates(path: str) -> tuple[Gate, ...]:
    """The gates of a file.

    Raises:
        InvalidOption: It cannot be read, holds none, or one of them means nothing.
    """
    from jobctl.adapters import files
    from jobctl.core.gates import parse_gates_file

    content = files.read_toml(path, "--gates")
    try:
        return parse_gates_file(content)
    except InvalidValue as error:
        raise InvalidOption("--gates", f"{path}: {error.problem}", error.remedy) from None


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
    if prepared.config.chaos:
        problem = f"{scenario!r} has faults on a timetable, and plain Locust plays none"
        raise InvalidOption("--scenario", problem, "run it with jobctl bench")
    with ExitStack() as stack:
        group = stack.enter_context(ProcessGroup())
        connection, url = open_redis(prepared.settings, group)
        stack.callback(connection.close)
        rig = Rig(group)
        stack.callback(rig.stop_workers)
        introduction = start_system(prepared, rig, connection, url)
        return EmbeddedLoad(prepared.config.spec.to_json(), url, introduction, stack.pop_all().close)
