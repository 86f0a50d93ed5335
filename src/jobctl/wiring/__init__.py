"""The only place that builds adapters and hands them to the apps.

Each function imports what it builds inside its body: a command pays only for the parts it uses, so `jobctl plan`
never imports rq and `jobctl --help` imports nothing of it all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from jobctl.errors import InvalidOption, InvalidValue, ServiceUnavailable
from jobctl.wiring.limiter import bind_tasks_from_environment as bind_tasks_from_environment
from jobctl.wiring.observers import publishing_jobs

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.rig import Rig
    from jobctl.apps.bench.driver import BenchConfig, BenchResult
    from jobctl.apps.bench.generator import Sent
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.apps.bench.session import LoadSession
    from jobctl.apps.bench.spec import LoadSpec
    from jobctl.apps.enqueue.enqueue import EnqueueRequest, Progress
    from jobctl.apps.mock.behaviour import Behaviour
    from jobctl.core.arrivals import Arrivals
    from jobctl.core.service import Law
    from jobctl.settings import Settings

#: Seconds between agreeing on a start and the start: every generator must have read it by then.
_START_LEAD_S: Final = 0.2
#: How long a generator waits for the start to be agreed.
_START_PATIENCE_S: Final = 120.0
#: How long a bench waits for an answer of Redis, seconds: a frozen one must not freeze the bench.
_ANSWER_S: Final = 20.0
_GIVE_REDIS: Final = "give the URL of the Redis that your workers listen to, or set REDIS_URL"
#: Settings of a bench that are about its workers.
_TOLD_TO_WORKERS: Final = frozenset({"attempts", "retry_base_s", "retry_cap_s", "openrouter_rpm", "openrouter_burst"})
#: The key that mock OpenRouters accept and that is worth nothing elsewhere.
_MOCK_KEY: Final = "sk-or-v1-jobctl-bench"


def open_redis(settings: Settings, group: ProcessGroup, *, answer_s: float | None = None) -> tuple[Redis, str]:
    """The user's Redis, or an embedded one.

    Args:
        settings: Name the Redis, or none.
        group: The process group that an embedded server joins.
        answer_s: How long the connection waits for an answer, seconds; None for as long as it takes.

    Returns:
        A connection and the URL by which other processes reach the same server.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: It does not answer, or no server could be started.
    """
    from jobctl.adapters import embedded_redis
    from jobctl.adapters.redis_connection import connect

    url = settings.redis_url or embedded_redis.start(group).url
    origin = settings.origins["redis_url"]
    return connect(url, option=origin.name or "--redis-url", answer_s=answer_s), url


# ------------------------------------------------------------------------------------------------------------- bench


@dataclass(frozen=True, slots=True)
class PreparedBench:
    """A bench whose input was checked and that has not started anything yet.

    Attributes:
        config: What it does.
        locustfile: What its generator runs.
        mock: Options of the mock to start; None when none is needed.
        settings: The merged settings.
        own_workers: Whether the workers are somebody else's.
        secluded: Whether workers that are started hear of no settings but those that flags gave: no database, no
            Sentry, no metrics.
    """

    config: BenchConfig
    locustfile: Path
    mock: list[str] | None
    settings: Settings
    own_workers: bool
    secluded: bool = False


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
        _behaviour(dict(options).get("--latency", DEFAULT_LATENCY), faults, request.seed)
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
    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.rig import LoadProcess
    from jobctl.adapters.signals import Interruption
    from jobctl.apps.bench import driver

    spec = prepared.config.spec
    with ProcessGroup() as group:
        connection, redis_url = open_redis(prepared.settings, group, answer_s=_ANSWER_S)
        load = LoadProcess(group, prepared.locustfile, spec.to_json(), redis_url)
        system = start_system(prepared, group, connection, redis_url)
        say(system.introduction)
        with Interruption(load.interrupt) as interruption:
            try:
                result = driver.run(
                    prepared.config,
                    load,
                    lambda: agree_start(connection, spec.run_id),
                    on_progress,
                    lambda: interruption.happened,
                    system.rig.ended_workers,
                    system.rig.read_usage,
                )
            finally:
                load.close()
                system.rig.stop_workers()
                if prepared.settings.redis_url is not None:
                    _remove_run(connection, spec, own_queue=not prepared.own_workers, say=say)
            versions = environment.versions(_server_version(connection))
    return result, environment.host(), versions


def _remove_run(connection: Redis, spec: LoadSpec, *, own_queue: bool, say: Callable[[str], None]) -> None:
    """Leave nothing of a run on somebody's Redis."""
    from jobctl.adapters.rq_queue import RqCompletions

    job_ids = [spec.job_id(position) for position in range(len(spec.schedule()))]
    try:
        RqCompletions(connection, [spec.queue]).delete(job_ids, with_queues=own_queue)
        connection.delete(_start_key(spec.run_id))
    except (ServiceUnavailable, OSError) as error:
        say(f"the jobs {spec.run_id}-* could not be removed from Redis: {error}")


def _server_version(connection: Redis) -> str:
    from redis.exceptions import RedisError

    try:
        server = connection.info("server")
    except RedisError:
        return "unknown"
    return str(server.get("valkey_version") or server["redis_version"])


@dataclass(frozen=True, slots=True)
class System:
    """The system under load.

    Attributes:
        rig: Its processes.
        introduction: What runs, in a few words, so that `rq info -u URL` and the like work beside it.
    """

    rig: Rig
    introduction: str


def start_system(prepared: PreparedBench, group: ProcessGroup, connection: Redis, redis_url: str) -> System:
    """Start the mock and the workers, as far as they are wanted.

    Raises:
        ServiceUnavailable: One did not start, or nobody else's worker listens.
    """
    from jobctl.adapters.rig import Rig

    config = prepared.config
    rig = Rig(group)
    upstream = _start_upstream(rig, prepared)
    told = {**_silence(prepared), **upstream, **_told_by_flags(prepared.settings), **_declared_model(prepared)}
    shown_url = redis_url if prepared.settings.redis_url is None else prepared.settings.masked_redis_url
    parts = [f"Redis {shown_url}"]
    if prepared.mock is not None:
        parts.append(f"mock {upstream['OPENROUTER_BASE_URL']}")
    if prepared.own_workers:
        require_listeners(connection, config.spec.queue)
    else:
        fleet = config.replicas or 0, config.concurrency or 0, config.spec.queue
        rig.start_workers(*fleet, redis_url, told, secluded=prepared.secluded)
        pids = ", ".join(str(worker.pid) for worker in rig.workers)
        noun = "worker" if len(rig.workers) == 1 else "workers"
        parts.append(f"{len(rig.workers)} {noun} of {config.concurrency} slots (pid {pids})")
    return System(rig, f"{'; '.join(parts)}; queue {config.spec.queue}")


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
    from jobctl.apps.bench.request import BenchRequest

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
        system = start_system(prepared, group, connection, url)
        stack.callback(system.rig.stop_workers)
        return EmbeddedLoad(prepared.config.spec.to_json(), url, system.introduction, stack.pop_all().close)


def new_run(spec_json: str) -> str:
    """The same load under a fresh run id, so that a second run shares no job id with the first."""
    from jobctl.apps.bench.spec import LoadSpec

    return replace(LoadSpec.from_json(spec_json), run_id=new_run_id()).to_json()


def new_run_id() -> str:
    """The prefix of the ids of a run's jobs."""
    return uuid4().hex[:8]


def agree_start(connection: Redis, run_id: str) -> float:
    """Fix the instant at which the generators of a run begin, and tell them through Redis.

    Returns:
        The instant, seconds since the epoch.
    """
    from jobctl.adapters.clock import SystemClock

    start_s = SystemClock().now() + _START_LEAD_S
    connection.set(_start_key(run_id), repr(start_s), ex=3600)
    return start_s


def _start_key(run_id: str) -> str:
    return f"jobctl:run:{run_id}:start"


def load_session(
    spec_json: str,
    redis_url: str,
    say: Callable[[Mapping[str, Any]], None],
    on_sent: Callable[[Sent], None],
    on_ended: Callable[[float, bool], None],
) -> LoadSession:
    """The load of one generator process.

    Args:
        spec_json: The load, as :meth:`LoadSpec.to_json` wrote it.
        redis_url: Where jobs go.
        say: Takes each message.
        on_sent: Called for each job that left.
        on_ended: Called for each job that ended, with its sojourn in seconds and whether it failed.
    """
    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.processes import keep_time
    from jobctl.adapters.redis_connection import connect
    from jobctl.adapters.rq_queue import RqCompletions, RqQueue
    from jobctl.apps.bench.session import LoadSession
    from jobctl.apps.bench.spec import LoadSpec

    spec = LoadSpec.from_json(spec_json)
    connection = connect(redis_url, answer_s=_ANSWER_S)
    keep_time()
    kept_s = int(spec.duration_s + spec.drain_s) + 600
    return LoadSession(
        spec,
        RqQueue(connection, spec.queue, result_ttl_s=kept_s, failure_ttl_s=kept_s),
        RqCompletions(connection, [spec.queue]),
        SystemClock(),
        say,
        on_sent,
        on_ended,
    )


def agreed_start(redis_url: str, run_id: str) -> float:
    """Wait until the start of a run was agreed.

    Raises:
        ServiceUnavailable: Nobody agreed on one.
    """
    from jobctl.adapters.redis_connection import connect

    connection = connect(redis_url)
    for _ in range(round(_START_PATIENCE_S / 0.02)):
        start = connection.get(_start_key(run_id))
        if start is not None:
            return float(start)
        time.sleep(0.02)
    raise ServiceUnavailable("load generator", "was never told to start", "run it through jobctl bench")


def check_importable(path: str, option: str) -> None:
    """Check that a worker started here could import this function.

    Raises:
        InvalidOption: It could not.
    """
    from importlib import import_module

    module_name, _, name = path.rpartition(".")
    remedy = "give the dotted path of a function that can be imported from this directory"
    importable_from_here()
    try:
        function = getattr(import_module(module_name), name, None)
    except Exception as error:
        raise InvalidOption(option, f"{module_name!r} cannot be imported ({error})", remedy) from None
    if not callable(function):
        raise InvalidOption(option, f"{module_name!r} has no function {name!r}", remedy)


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
    settings = prepared.settings
    if prepared.mock is None:
        key = {} if settings.openrouter_api_key is None else {"OPENROUTER_API_KEY": settings.openrouter_api_key}
        return {"OPENROUTER_BASE_URL": settings.openrouter_url, **key}
    url = rig.start_mock([*prepared.mock, "--seed", str(prepared.config.spec.seed)])
    return {"OPENROUTER_BASE_URL": url, "OPENROUTER_API_KEY": _MOCK_KEY}


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
    """The model of the bench's queue, where there is a limit and all jobs call the same one: its workers ask first."""
    from jobctl.core.workload import DEFAULT_JOB, DEFAULT_MODEL

    settings, spec = prepared.settings, prepared.config.spec
    if settings.queue_models is not None or spec.workload.job_type != DEFAULT_JOB:
        return {}
    models = {kwargs.get("model", DEFAULT_MODEL) for _, kwargs in spec.workload.payloads}
    limits = [settings.limits.of(model) for model in models]
    if len(models) != 1 or (limits[0].rpm, limits[0].tpm) == (None, None):
        return {}
    return {"JOB_QUEUE_MODELS": f"{spec.queue}={models.pop()}"}


# ----------------------------------------------------------------------------------------------------------- enqueue


def enqueue(
    settings: Settings,
    *,
    count: int | None,
    rate_per_s: float | None,
    duration_s: float | None,
    arrivals: Arrivals,
    job: str | None,
    args_from: str | None,
    service_law: str | None,
    queue: str,
    job_timeout_s: int,
    seed: int,
) -> Iterator[Progress]:
    """Prepare the enqueueing of jobs; iterate over what is returned to do it, on the main thread.

    Meanwhile the first Ctrl-C or SIGTERM waits until the batch under way is in, and the second does not.

    Args:
        settings: Name the Redis.
        count: How many jobs; None for as many as the duration holds.
        rate_per_s: How many each second; None for all at once.
        duration_s: For how long; None until the count is reached.
        arrivals: How gaps vary.
        job: A synthetic job type or a dotted path.
        args_from: File of arguments.
        service_law: How long ``sleep`` jobs take, as text.
        queue: The queue's name.
        job_timeout_s: How long a job may run.
        seed: Seed of gaps and drawn arguments.

    Returns:
        How far it got, before and after each round trip. It raises KeyboardInterrupt once it was stopped, and
        ServiceUnavailable when Redis is lost.

    Raises:
        InvalidOption: The values mean nothing together.
        ServiceUnavailable: Redis does not answer.
    """
    from jobctl.adapters import files
    from jobctl.adapters.redis_connection import connect
    from jobctl.apps.enqueue.enqueue import EnqueueRequest, choose_workload, make_instants

    instants = make_instants(count=count, rate_per_s=rate_per_s, duration_s=duration_s, arrivals=arrivals, seed=seed)
    workload = choose_workload(job, files.read_payloads(args_from) if args_from else None, service_law)
    if settings.redis_url is None:
        raise InvalidOption(
            "--redis-url", "is not given, and an embedded Redis would end with this command", _GIVE_REDIS
        )
    connection = connect(settings.redis_url, option=settings.origins["redis_url"].name)
    # As many digits as RQ's own ids have: jobs of other runs may still be there.
    request = EnqueueRequest(uuid4().hex, instants, workload, seed, job_timeout_s)
    return _fire(settings, request, connection, queue)


def _fire(settings: Settings, request: EnqueueRequest, connection: Redis, queue: str) -> Iterator[Progress]:
    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.rq_fleet import ENQUEUED_KEY
    from jobctl.adapters.rq_queue import RqQueue
    from jobctl.adapters.signals import Interruption
    from jobctl.apps.enqueue.enqueue import fire

    with connection, Interruption(lambda: None) as interruption, publishing_jobs(settings) as publishing:
        jobs = RqQueue(connection, queue, publishing=publishing, counted=ENQUEUED_KEY)
        yield from fire(request, jobs, SystemClock(), lambda: interruption.happened)
    if interruption.happened:
        raise KeyboardInterrupt


# -------------------------------------------------------------------------------------------------------------- mock


def serve_mock(
    *,
    host: str,
    port: int,
    latency: str,
    faults: Sequence[str],
    rpm: int | None,
    tpm: int | None,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Serve the mock until a signal ends it.

    Args:
        host: Address to listen on.
        port: Port; 0 picks a free one.
        latency: A latency law, ``file:PATH`` or ``openrouter``.
        faults: ``KIND=P`` each.
        rpm: Requests a minute; None for no limit.
        tpm: Tokens a minute likewise.
        seed: Seed of latencies and faults.
        say: Takes the line that says where it listens.

    Raises:
        InvalidOption: A value means nothing, or the address cannot be had.
    """
    from jobctl.adapters.http_server import serve
    from jobctl.adapters.listening import listen
    from jobctl.apps.mock.server import create_app

    behaviour = _behaviour(latency, faults, seed)
    socket = listen(host, port)
    bound_host, bound_port = socket.getsockname()[:2]
    shown = f"[{bound_host}]" if ":" in bound_host else bound_host
    say(f"jobctl mock: listening on http://{shown}:{bound_port}/api/v1 (latency {latency}, seed {seed})")
    serve(create_app(behaviour, rpm=rpm, tpm=tpm), socket)


def _behaviour(latency: str, faults: Sequence[str], seed: int) -> Behaviour:
    from jobctl.apps.mock.behaviour import Behaviour, parse_faults

    law = _latency_law(latency)
    try:
        return Behaviour(law, parse_faults(faults), seed)
    except InvalidValue as error:
        raise InvalidOption("--fault", error.problem, error.remedy) from None


def _latency_law(text: str) -> Law:
    from jobctl.adapters.files import read_lines
    from jobctl.core.service import parse_law, parse_values

    try:
        if text.startswith("file:"):
            path = text.removeprefix("file:")
            return parse_values(read_lines(path, "--latency"), path)
        return parse_law(text)
    except InvalidOption:
        raise
    except InvalidValue as error:
        raise InvalidOption("--latency", error.problem, error.remedy) from None


# -------------------------------------------------------------------------------------------------------------- work


def importable_from_here() -> None:
    """Make modules of the working directory importable, as `rq worker` does."""
    if "" not in sys.path:
        sys.path.insert(0, "")
