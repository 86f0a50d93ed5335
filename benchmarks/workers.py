"""jobctl's worker beside others: one process each, the same Redis, the same jobs, the same run.

    python benchmarks/workers.py [--only NAME ...] [--rounds 3] [--jobs 30000] [--quick]

Every worker is measured once in each round, one after the other; figures are medians over the rounds. Redis, the HTTP
server and the worker share the machine's cores. For each figure Redis is emptied, the queue is filled, and only then
the worker starts.

jobs/s      Empty jobs on 25 slots (SimpleWorker has one), from the end of the first c jobs, c being the slots, until
            the worker's own books in Redis show all of them as done, or as many as have ended within the time limit.
            Booting and imports are not in it, what a worker writes late is. Jobs write the instant at which they
            end to a file, so counting them costs no worker anything in Redis.
x simple    The same as a multiple of RQ's SimpleWorker.
CPU ms      User and system time of the worker's whole process tree, for each empty job, from the first c jobs on.
Redis ms    CPU time of the Redis server for each of these jobs.
commands    Commands that Redis ran for each of these jobs: the calls that INFO commandstats counts, those that scripts
            make and the scripts themselves included.
trips       Round trips for each of these jobs, amortised: how often the server found something to read on a socket
            (total_reads_processed). A pipeline or a script is one. Longer than 16 kB, a request may count twice. The
            benchmark's own looks are taken off here and above.
200 ms      HTTP calls that are answered after 200 ms by a server in a process of its own: the share of the limit
            c / 0.2 s that the worker reaches on c = 25 and on c = 100 slots. Steady: from the end of the first c jobs
            to that of the last but c (the last where it was too slow to do all), so without the emptying of slots
            at the end; in brackets the whole run, from the first start (first end less 200 ms) to the last end.
            Each slot has a connection of its own.
1 s         The same for jobs that sleep for a second on 250 slots.
PSS MB      Memory of the process tree (proportional set size) after the empty jobs on 25 slots, and after the 1 s jobs
            on 250. A worker that was too slow to do them all is measured at work.
results     Whether it keeps each job's result in Redis.

Huey's books show only which jobs were taken. A run after which the books do not show the jobs that ended has failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil
from environments import REPOSITORY, TOOLS, CannotInstall, node_modules_of, python_of
from redis import Redis

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup

HERE: Final = Path(__file__).resolve().parent
CONTENDERS: Final = HERE / "contenders"
CALL_S: Final = 0.2
_LOOK_S: Final = 0.01
#: How long a worker may take to its first jobs, and to stop, seconds.
_BOOT_S: Final = 60.0
_STOP_S: Final = 2.0
#: Beginnings of the names of variables that a worker could take for settings.
_SETTINGS: Final = ("JOB", "RQ_", "REDIS_", "DATABASE_", "SENTRY_", "OPENROUTER_", "dramatiq_", "CELERY_")


class Failed(Exception):
    """A worker did not do what was asked; the message says what it said."""


# ---------------------------------------------------------------------------------------------------------- the workers


@dataclass(frozen=True)
class Contender:
    """A worker.

    Attributes:
        name: What the table calls it.
        fill: Command that fills the queue; JOB and COUNT are put in.
        work: Command that runs the worker; SLOTS is put in, and JOB and COUNT where there is no queue.
        booked: How many jobs its own books in Redis show as done, of how many.
        results: Whether it keeps them.
        most_per_s: More than it can do of empty jobs in a second; bounds how many are put into the queue.
        slots: The slots that it can have, of 25, 100 and 250.
        env: Additions to its environment.
    """

    name: str
    fill: Sequence[str]
    work: Sequence[str]
    booked: Callable[[Redis, int], int]
    results: str = "yes"
    most_per_s: int = 20_000
    slots: Sequence[int] = (25, 100, 250)
    env: Mapping[str, str] = field(default_factory=dict)


def _rq_booked(redis: Redis, _: int) -> int:
    return int(redis.zcard("rq:finished:bench"))


def _keys(pattern: str) -> Callable[[Redis, int], int]:
    return lambda redis, _: sum(1 for _key in redis.scan_iter(pattern, count=1000))


def own() -> Iterator[Contender]:
    rq = [sys.executable, str(CONTENDERS / "on_rq.py")]
    fill = [*rq, "fill", "JOB", "COUNT"]
    release = version("rq")
    jobctl = [sys.executable, "-m", "jobctl", "work", "--queues", "bench", "--concurrency", "SLOTS"]
    yield Contender(f"jobctl work {version('jobctl')}", fill, jobctl, _rq_booked)
    yield Contender(
        f"RQ {release} SimpleWorker", fill, [*rq, "simple", "SLOTS"], _rq_booked, most_per_s=1000, slots=[1]
    )
    yield Contender(
        f"RQ {release} WorkerPool(25)", fill, [*rq, "pool", "SLOTS"], _rq_booked, most_per_s=500, slots=[25]
    )


@contextmanager
def all_on(plain: Contender) -> Iterator[Contender]:
    """Our worker with Postgres, Sentry (errors, and traces of a job in a hundred) and metrics, each a real server.

    Raises:
        CannotInstall: One of them is not here.
    """
    if not (TOOLS / "bin" / "pgbouncer").exists():
        raise CannotInstall("there is no PgBouncer; run `make tools`")
    sys.path.append(str(REPOSITORY / "tests"))
    from jobctl.adapters.postgres import migrate
    from support.databases import serving_postgres
    from support.sentry_server import sentry_server

    with serving_postgres() as (postgres, pooler), sentry_server() as sentry:
        migrate(postgres.dsn, timeout_s=10)
        env = {
            "DATABASE_URL": pooler.dsn,
            "SENTRY_DSN": sentry.dsn,
            "SENTRY_TRACES_SAMPLE_RATE": "0.01",
            "JOB_METRICS_PORT": "0",
            "JOB_METRICS_HOST": "127.0.0.1",
        }
        yield replace(plain, name=ALL_ON, env=env)


def _celery() -> Iterator[Contender]:
    python = str(python_of("rivals"))
    script = [python, str(CONTENDERS / "on_celery.py")]
    yield Contender(
        f"Celery {_release(python, 'celery')}, threads",
        [*script, "fill", "JOB", "COUNT"],
        [*script, "work", "SLOTS"],
        _keys("celery-task-meta-*"),
        most_per_s=2000,
    )


def _dramatiq() -> Iterator[Contender]:
    python = str(python_of("rivals"))
    yield Contender(
        f"Dramatiq {_release(python, 'dramatiq')}, threads",
        [python, str(CONTENDERS / "on_dramatiq.py"), "fill", "JOB", "COUNT"],
        [python, "-m", "dramatiq", "on_dramatiq", "--processes", "1", "--threads", "SLOTS", "--skip-logging"],
        lambda redis, count: count - int(redis.hlen("dramatiq:bench.msgs")),
        results="no",
        most_per_s=6000,
    )


def _huey() -> Iterator[Contender]:
    python = str(python_of("rivals"))
    consumer = [python, "-m", "huey.bin.huey_consumer", "on_huey.huey", "--quiet", "--no-periodic"]
    yield Contender(
        f"Huey {_release(python, 'huey')}, threads",
        [python, str(CONTENDERS / "on_huey.py"), "fill", "JOB", "COUNT"],
        [*consumer, "--worker-type", "thread", "--workers", "SLOTS"],
        lambda redis, count: count - int(redis.llen("huey.redis.bench")),
        results="no",
        most_per_s=6000,
    )


def _arq() -> Iterator[Contender]:
    python = str(python_of("rivals-arq"))
    script = [python, str(CONTENDERS / "on_arq.py")]
    yield Contender(
        f"arq {_release(python, 'arq')}",
        [*script, "fill", "JOB", "COUNT"],
        [*script, "work", "SLOTS"],
        _keys("arq:result:*"),
        most_per_s=4000,
    )


def _bullmq() -> Iterator[Contender]:
    modules = node_modules_of(HERE / "bullmq")
    script = ["node", str(HERE / "bullmq" / "on_bullmq.js")]
    release = _said(["node", "-p", "require('bullmq/package.json').version"], {"NODE_PATH": str(modules)})
    yield Contender(
        f"BullMQ {release}, node {_said(['node', '--version'])}",
        [*script, "fill", "JOB", "COUNT"],
        [*script, "work", "SLOTS"],
        lambda redis, _: int(redis.zcard("bull:bench:completed")),
        env={"NODE_PATH": str(modules)},
    )


def _threads() -> Iterator[Contender]:
    script = [sys.executable, str(CONTENDERS / "on_threads.py")]
    yield Contender("(no queue, threads)", [], [*script, "JOB", "COUNT", "SLOTS"], lambda _, count: count, "-")


ALL_ON: Final = "jobctl, Postgres Sentry metrics"

#: By the name that `--only` takes and that stands in the table where one cannot be installed.
SOURCES: Final[dict[str, Callable[[], Iterator[Contender]]]] = {
    "jobctl, RQ": own,
    "Celery": _celery,
    "Dramatiq": _dramatiq,
    "Huey": _huey,
    "arq": _arq,
    "BullMQ": _bullmq,
    "threads": _threads,
}


def _release(python: str, distribution: str) -> str:
    return _said([python, "-c", f"from importlib.metadata import version; print(version({distribution!r}))"])


def _said(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    return subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=True
    ).stdout.strip()


# --------------------------------------------------------------------------------------------------------- what is done


@dataclass(frozen=True)
class Scenario:
    """What a worker is given.

    Attributes:
        name: What it is called where something fails.
        job: Name of the function in ``contenders/jobs.py``.
        slots: Slots.
        count: Jobs at most.
        limit_s: How long they may take from the end of the first ones on, seconds.
        service_s: What a job takes, seconds; 0 for an empty one.
    """

    name: str
    job: str
    slots: int
    count: int
    limit_s: float
    service_s: float = 0.0


def scenarios(jobs: int, quick: bool) -> dict[str, Scenario]:
    rounds, limit_s = (10, 2.5) if quick else (20, 5.0)
    return {
        "empty": Scenario("empty jobs, c = 25", "empty", 25, jobs, limit_s),
        "call25": Scenario("200 ms calls, c = 25", "call", 25, 25 * rounds, 2 * limit_s, CALL_S),
        "call100": Scenario("200 ms calls, c = 100", "call", 100, 100 * rounds, 2 * limit_s, CALL_S),
        "sleep": Scenario("1 s jobs, c = 250", "sleep", 250, 250 * (4 if quick else 6), 8.0, 1.0),
    }


@dataclass(frozen=True)
class Figures:
    """One run of one scenario; means as in the module's docstring."""

    per_s: float
    steady_per_s: float
    whole_per_s: float
    cpu_ms: float
    redis_ms: float
    commands: float
    trips: float
    pss_mb: float


@dataclass(frozen=True)
class Look:
    """The state of things at an instant."""

    done: int
    cpu_s: float
    redis_cpu_s: float
    commands: int
    reads: int


@dataclass(frozen=True)
class Counters:
    """What Redis did so far: CPU time, commands, socket reads."""

    cpu_s: float
    commands: int
    reads: int


class Ring:
    """Where the workers meet: Redis, the HTTP server, and a place for files.

    Args:
        group: Keeps all processes.
        url: Of the HTTP server.
    """

    def __init__(self, group: ProcessGroup, url: str) -> None:
        self._group = group
        self._url = url
        self._socket = group.directory / "redis.sock"
        self._numbers = itertools.count()
        self.redis = Redis(unix_socket_path=str(self._socket))

    def run(self, contender: Contender, scenario: Scenario, booking_s: float = 10.0) -> Figures:
        """One run.

        Args:
            contender: The worker.
            scenario: What it is given.
            booking_s: How long its books may take to show the last job, seconds.

        Raises:
            Failed: The worker did not do the jobs.
        """
        slots = min(scenario.slots, max(contender.slots))
        count = scenario.count
        if not scenario.service_s:
            count = min(count, int(contender.most_per_s * scenario.limit_s) + 2 * slots)
        notes = self._group.directory / f"notes-{next(self._numbers)}"
        notes.write_bytes(b"")
        env = self._environment(contender, notes)
        self.redis.flushall()
        values = {"JOB": scenario.job, "COUNT": str(count), "SLOTS": str(slots)}
        if contender.fill:
            _fill(contender, [values.get(word, word) for word in contender.fill], env)
        try:
            with self._worker(contender, [values.get(word, word) for word in contender.work], env) as process:
                return self._measure(contender, scenario, process, notes, slots, count, booking_s)
        finally:
            notes.unlink()

    def _measure(
        self,
        contender: Contender,
        scenario: Scenario,
        process: subprocess.Popen[bytes],
        notes: Path,
        slots: int,
        count: int,
        booking_s: float,
    ) -> Figures:
        self._wait(process, notes, slots, _BOOT_S)
        first = self._look(process, notes)
        self._wait(process, notes, count, scenario.limit_s, late=True)
        last = self._look(process, notes)
        deadline_s = time.monotonic() + booking_s
        while contender.booked(self.redis, count) < last.done - slots * (last.done < count):
            if time.monotonic() > deadline_s:
                booked = contender.booked(self.redis, count)
                raise Failed(f"{last.done} jobs of {count} ended, but its books show {booked}")
            time.sleep(_LOOK_S)
        booked_s = time.monotonic()
        pss_mb = _pss_mb(process)
        ends_s = sorted(end / 1e9 for (end,) in struct.iter_unpack("<q", notes.read_bytes()[: 8 * last.done]))
        done = last.done - first.done
        if done < slots:
            raise Failed(f"only {last.done} jobs of {count} ended within {scenario.limit_s:g} s")
        return Figures(
            per_s=(last.done - slots) / (booked_s - ends_s[slots - 1]),
            steady_per_s=steady_per_s(ends_s, slots, all_done=len(ends_s) == count),
            whole_per_s=len(ends_s) / (ends_s[-1] - ends_s[0] + scenario.service_s),
            cpu_ms=1000 * (last.cpu_s - first.cpu_s) / done,
            redis_ms=1000 * (last.redis_cpu_s - first.redis_cpu_s) / done,
            commands=(last.commands - first.commands) / done,
            trips=(last.reads - first.reads) / done,
            pss_mb=pss_mb,
        )

    def _look(self, process: subprocess.Popen[bytes], notes: Path) -> Look:
        counters = self.counters()
        return Look(_count(notes), _cpu_s(process), counters.cpu_s, counters.commands, counters.reads)

    def counters(self) -> Counters:
        """What Redis did so far, by one command, which does not count itself or its like."""
        info = self.redis.info("everything")
        calls = sum(values["calls"] for name, values in info.items() if name.startswith("cmdstat_"))
        looks = info.get("cmdstat_info", {"calls": 0})["calls"]
        return Counters(
            info["used_cpu_user"] + info["used_cpu_sys"], calls - looks, info["total_reads_processed"] - looks
        )

    def _wait(
        self, process: subprocess.Popen[bytes], notes: Path, wanted: int, limit_s: float, *, late: bool = False
    ) -> None:
        """Wait until that many jobs have ended; after the time limit go on if they may be late."""
        deadline_s = time.monotonic() + limit_s
        while _count(notes) < wanted:
            if process.poll() is not None:
                raise Failed(f"it ended with {process.returncode}; {self._last_words()}")
            if time.monotonic() > deadline_s:
                if late:
                    return
                raise Failed(f"{_count(notes)} jobs ended within {limit_s:g} s; {self._last_words()}")
            time.sleep(_LOOK_S)

    def _environment(self, contender: Contender, notes: Path) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)},
            "BENCH_REDIS": str(self._socket),
            "BENCH_NOTES": str(notes),
            "BENCH_URL": self._url,
            "REDIS_URL": f"unix://{self._socket}",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(CONTENDERS), os.environ.get("PYTHONPATH", "")])),
            **contender.env,
        }

    @contextmanager
    def _worker(
        self, contender: Contender, command: Sequence[str], env: Mapping[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        with self._said.open("wb") as stream:
            process = self._group.spawn(command, name=contender.name, env=env, cwd=CONTENDERS, stderr=stream)
        try:
            yield process
        finally:
            tree = _tree(process)
            self._group.stop(process, _STOP_S)
            for member in tree:
                with suppress(psutil.NoSuchProcess):
                    member.kill()

    @property
    def _said(self) -> Path:
        return self._group.directory / "said"

    def _last_words(self) -> str:
        lines = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"it said: {lines[-1]}" if lines else "it said nothing"


def steady_per_s(ends_s: Sequence[float], slots: int, *, all_done: bool) -> float:
    """Jobs per second between the end of the first round of the slots and that of the last whole one.

    Args:
        ends_s: The instants at which jobs ended, in order.
        slots: Slots.
        all_done: Whether slots ran dry, so that the last round does not count.
    """
    last = (len(ends_s) // slots - all_done) * slots
    return (last - slots) / (ends_s[last - 1] - ends_s[slots - 1])


def _fill(contender: Contender, command: Sequence[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=env, cwd=CONTENDERS, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"its queue cannot be filled: {done.stderr.strip().splitlines()[-1]}")


def _count(notes: Path) -> int:
    return notes.stat().st_size // 8


def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process tree, those of its ended and awaited members included."""
    total = 0.0
    for member in _tree(process):
        with suppress(psutil.NoSuchProcess):
            total += sum(member.cpu_times()[:4])
    return total


def _pss_mb(process: subprocess.Popen[bytes]) -> float:
    """Proportional set size of a process tree."""
    total_kb = 0
    for member in _tree(process):
        with suppress(OSError):
            for line in Path(f"/proc/{member.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith("Pss:"):
                    total_kb += int(line.split()[1])
    return total_kb * 1024 / 1e6


# ------------------------------------------------------------------------------------------------------------ the table


COLUMNS: Final = (
    *("jobs/s", "x simple", "CPU ms", "Redis ms", "commands", "trips"),
    *("200 ms, c=25", "200 ms, c=100", "1 s, c=250", "PSS 25", "PSS 250", "results"),
)
Runs = dict[str, list[Figures]]


def cells(contender: Contender, runs: Runs, simple_per_s: float | None, limits: Mapping[str, float]) -> list[str]:
    """One row: medians over the rounds."""

    def median(scenario: str, name: str) -> float | None:
        found = runs.get(scenario, [])
        return statistics.median(getattr(figures, name) for figures in found) if found else None

    def share(scenario: str) -> str:
        steady, whole = median(scenario, "steady_per_s"), median(scenario, "whole_per_s")
        if steady is None or whole is None:
            return "-"
        return f"{steady / limits[scenario]:.3f} ({whole / limits[scenario]:.2f})"

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    per_s = median("empty", "per_s")
    times = per_s / simple_per_s if per_s is not None and simple_per_s is not None else None
    return [
        number(per_s, ",.0f"),
        number(times, ".1f"),
        *(number(median("empty", name), form) for name, form in (("cpu_ms", ".3f"), ("redis_ms", ".3f"))),
        *(number(median("empty", name), form) for name, form in (("commands", ".1f"), ("trips", ".2f"))),
        *(share(scenario) for scenario in ("call25", "call100", "sleep")),
        *(number(median(scenario, "pss_mb"), ".0f") for scenario in ("empty", "sleep")),
        contender.results,
    ]


def line(name: str, texts: Sequence[str]) -> str:
    widths = [max(len(column), 8) for column in COLUMNS]
    return f"{name:<30} " + "  ".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))


def header(redis: Redis) -> str:
    info = redis.info("server")
    server = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    binary = embedded_redis.find_server()
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    memory_gb = psutil.virtual_memory().total / 1e9
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {memory_gb:.0f} GB, load average {load}\n"
        f"Python {sys.version.split()[0]}, {server} ({binary.name}, unix socket, nothing on disk), "
        f"redis-py {version('redis')}, hiredis {version('hiredis')}"
    )


@contextmanager
def http_server(group: ProcessGroup) -> Iterator[str]:
    """Answers each request after the call time; gives its URL."""
    command = [sys.executable, str(HERE / "bare_server.py"), "0", str(CALL_S), "0"]
    process = group.spawn(command, name="HTTP server", stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        yield process.stdout.readline().decode().strip() + "/"


def gather(only: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """The workers that can take part, and why others cannot."""
    contenders, absent = [], {}
    for name, source in SOURCES.items():
        try:
            contenders += list(source())
        except CannotInstall as error:
            absent[name] = f"not measured: {error}"
    absent = {name: why for name, why in absent.items() if wanted(name, only)}
    return [one for one in contenders if wanted(one.name, only)], absent


def wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(part.lower() in name.lower() for part in only)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="part of a worker's name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=30_000, help="empty jobs at most (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round and short runs: a look, no figure")
    options = parser.parse_args()
    contenders, absent = gather(options.only)
    plan = scenarios(options.jobs, options.quick)
    rounds = 1 if options.quick else options.rounds
    problems: dict[tuple[str, str], str] = {}
    with ProcessGroup() as group, ExitStack() as services:
        if wanted(ALL_ON, options.only):
            try:
                contenders.insert(1, services.enter_context(all_on(next(own()))))
            except CannotInstall as error:
                absent[ALL_ON] = f"not measured: {error}"
        results: dict[str, Runs] = {one.name: {} for one in contenders}
        embedded_redis.start(group)
        with http_server(group) as url:
            ring = Ring(group, url)
            print(header(ring.redis), flush=True)
            for number, (key, scenario) in itertools.product(range(rounds), plan.items()):
                for one in contenders:
                    if key != "empty" and scenario.slots not in one.slots:
                        continue
                    print(f"round {number + 1}: {scenario.name}: {one.name}", file=sys.stderr, flush=True)
                    try:
                        results[one.name].setdefault(key, []).append(ring.run(one, scenario))
                    except Failed as error:
                        problems[one.name, scenario.name] = str(error)
    simple = [runs["empty"] for name, runs in results.items() if "SimpleWorker" in name and runs.get("empty")]
    simple_per_s = statistics.median(figures.per_s for figures in simple[0]) if simple else None
    limits = {key: scenario.slots / scenario.service_s for key, scenario in plan.items() if scenario.service_s}
    print(f"medians of {rounds} rounds; up to {options.jobs:,} empty jobs; shares: steady (whole run)\n")
    print(line("", COLUMNS))
    for one in contenders:
        print(line(one.name, cells(one, results[one.name], simple_per_s, limits)))
    for name, why in absent.items():
        print(f"{name:<30} {why}")
    for (name, scenario), problem in problems.items():
        print(f"{name}, {scenario}: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
