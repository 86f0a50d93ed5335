"""What breaks under a worker's feet, and what is seen of it: a Redis that is killed, a network that is cut, replicas
that are killed and replaced."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from jobctl.adapters.embedded_redis import find_server
from jobctl.adapters.processes import ProcessGroup
from support.benches import environment
from support.waiting import wait_until

TESTS: Final = Path(__file__).parents[1]
#: Long enough for anything on a busy machine, seconds.
PATIENCE_S: Final = 30.0


# -------------------------------------------------------------------------------------------------------------- servers


class DurableRedis:
    """A server that keeps on disk what it has acknowledged, and may be killed.

    Attributes:
        url: Its URL.
        socket: Its unix socket.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self.socket = group.directory / "durable.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with all it had, and wait until it answers."""
        self._process = self._group.spawn(
            [
                str(find_server()),
                *("--port", "0"),
                *("--unixsocket", str(self.socket)),
                *("--dir", str(self._group.directory)),
                *("--save", ""),
                *("--appendonly", "yes"),
                *("--appendfsync", "always"),
            ],
            env={**os.environ, "LC_ALL": "C"},
        )
        wait_until(self._answers, what="the server")

    def kill(self) -> None:
        """Kill it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def client(self) -> Redis:
        """A client of it."""
        return Redis.from_url(self.url, protocol=2)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def durable_redis() -> Iterator[DurableRedis]:
    """One that runs."""
    with ProcessGroup() as group:
        server = DurableRedis(group)
        server.start()
        yield server


class Link:
    """A network between a TCP port and a server's unix socket.

    While it is cut both sides may send, and nothing arrives. What was sent arrives later, as TCP has it, whether or not
    its sender still waits for the answer.
    """

    def __init__(self, upstream: Path) -> None:
        self._upstream = str(upstream)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._changed = threading.Condition()
        self._blocked: set[int] = set()
        self._cut = self._closed = False
        self._lose: tuple[bytes, bool] | None = None
        self._asked: set[int] = set()
        self._sockets: list[socket.socket] = []
        self._count = 0
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._closed, self._cut = True, False
            self._blocked.clear()
            self._changed.notify_all()
        for end in (self._listener, *self._sockets):
            _end(end)
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Let nothing through from now on."""
        with self._changed:
            self._cut = True
            self._blocked = set(range(self._count))

    def mend(self, late_s: float = 0.0) -> None:
        """Let through again what was sent.

        Args:
            late_s: How much later than new connections those follow that were open when it was cut: TCP waits longer
                and longer before it repeats what was not acknowledged.
        """
        with self._changed:
            self._cut = False
            self._changed.notify_all()
        time.sleep(late_s)
        with self._changed:
            self._blocked.clear()
            self._changed.notify_all()

    def lose_answer(self, *, holding: bytes = b"", to: bytes = b"") -> None:
        """Lose one answer of the server, and its connection with it: the next one that holds these bytes, or the one to
        the next request that holds those."""
        self._lose = (holding or to, bool(holding))

    @property
    def lost(self) -> bool:
        """Whether that answer was lost."""
        return self._lose is None

    def _start(self, target: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=target, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._upstream)
            except OSError:
                client.close()
                server.close()
                continue
            number, self._count = self._count, self._count + 1
            self._sockets += (client, server)
            for source, sink, answers in ((client, server, False), (server, client, True)):
                self._start(self._pump, number, source, sink, answers)

    def _pump(self, number: int, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._wait(number)
                if self._is_lost(number, data, answers):
                    break
                sink.sendall(data)
        self._wait(number)
        _end(source)
        _end(sink)

    def _wait(self, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._cut and number not in self._blocked)

    def _is_lost(self, number: int, data: bytes, answers: bool) -> bool:
        with self._changed:
            if self._lose is None:
                return False
            marker, in_answer = self._lose
            if not answers:
                if not in_answer and marker in data:
                    self._asked.add(number)
                return False
            if (marker in data) if in_answer else (number in self._asked):
                self._lose = None
                return True
            return False


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


# ------------------------------------------------------------------------------------------------------------- replicas


class Replica:
    """A ``jobctl work`` in a process of its own, whose jobs are those of ``support.chaos_jobs``.

    Args:
        directory: Takes its output.
        redis_url: Its Redis.
        *words: Options.
        before: A command that runs it.
        **env: Its environment besides.
    """

    def __init__(self, directory: Path, redis_url: str, *words: str, before: Sequence[str] = (), **env: str) -> None:
        self._log = directory / f"replica-{time.monotonic_ns()}.log"
        importable = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "jobctl", "work", "--queues", "q", *words],
                cwd=directory,
                env=environment(directory, REDIS_URL=redis_url, PYTHONPATH=importable, **env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def lines(self) -> list[str]:
        """What it said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()

    @property
    def _listens(self) -> bool:
        return any("listening on" in line for line in self.lines)

    def wait_until_it_listens(self) -> Replica:
        """Wait for the line that says so."""
        wait_until(lambda: self._listens or self.process.poll() is not None, what="the replica")
        assert self._listens, self.lines
        return self

    def kill(self) -> None:
        """Kill it, as the system does that runs out of memory."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@contextmanager
def replica(directory: Path, redis_url: str, *words: str, before: Sequence[str] = (), **env: str) -> Iterator[Replica]:
    """One that listens, and is gone afterwards."""
    worker = Replica(directory, redis_url, *words, before=before, **env)
    try:
        yield worker.wait_until_it_listens()
    finally:
        worker.kill()


class Entry(NamedTuple):
    """A line of the journal: ``begin``, ``end`` (it returned) or ``fail`` (it raised)."""

    word: str
    name: str
    pid: int
    instant_s: float


def entries(journal: Path) -> list[Entry]:
    """The journal."""
    if not journal.exists():
        return []
    words = (line.split() for line in journal.read_text().splitlines())
    return [Entry(word, name, int(pid), float(instant)) for word, name, pid, instant in words]


def times(journal: Path, word: str) -> dict[str, int]:
    """How often each job did so."""
    count: dict[str, int] = defaultdict(int)
    for entry in entries(journal):
        count[entry.name] += entry.word == word
    return dict(count)


# ---------------------------------------------------------------------------------------------------------------- storm


@dataclass(frozen=True)
class Storm:
    """What happens to a fleet while it works off a backlog.

    Attributes:
        jobs: Jobs in the queue.
        kills: How often a replica is killed and replaced.
        restarts: How often Redis is killed and started again.
        recover_after_s: As ``--recover-after`` of the replicas.
        seed: Seed of what strikes when.
        replicas: How many there are.
    """

    jobs: int
    kills: int
    restarts: int
    recover_after_s: float
    seed: int
    replicas: int = 3


@dataclass(frozen=True)
class Aftermath:
    """What a storm left behind.

    Attributes:
        finished: Ids of jobs that RQ has as finished.
        dead: Reasons of those in the dead set, by id.
        lost: Ids of all others.
        left_over: Members of queues, registries and books that should be empty.
        orphans_s: For each job that was in flight on a replica when it was killed, and ran again, the seconds from the
            kill to its next start.
        unstarted: Jobs that were in flight on a replica when it was killed and never ran again.
        ran_again: Ids of jobs that returned more than once.
        said: Lines that the replicas said altogether.
        lasted_s: How long it took.
    """

    finished: set[str]
    dead: dict[str, str]
    lost: set[str]
    left_over: list[str]
    orphans_s: list[float]
    unstarted: set[str]
    ran_again: set[str]
    said: list[str]
    lasted_s: float


def weather(storm: Storm, server: DurableRedis, directory: Path, mock_url: str, **env: str) -> Aftermath:
    """Work off a backlog through a storm.

    Blows fall at random parts of the progress, so that they always hit a fleet under full load.

    Args:
        storm: What happens.
        server: The Redis, empty.
        directory: Takes the journal and what replicas say.
        mock_url: OpenRouter.
        **env: The replicas' environment besides.
    """
    rng = random.Random(storm.seed)
    journal, names = directory / "journal", [f"job-{number:05d}" for number in range(storm.jobs)]
    with server.client() as client:
        _enqueue(client, journal, names, mock_url, rng)
    blows = sorted(
        (rng.uniform(0.02, 0.95) * storm.jobs, blow) for blow in ["kill"] * storm.kills + ["restart"] * storm.restarts
    )
    words = ("--recover-after", f"{storm.recover_after_s}", "--attempts", "3", "--retry-base", "0.1")

    def start() -> Replica:
        return Replica(directory, server.url, *words, **env)

    began_s = time.monotonic()
    fleet = [start() for _ in range(storm.replicas)]
    gone: list[Replica] = []
    killed: dict[int, float] = {}
    try:
        for at, blow in blows:
            wait_until(lambda at=at: executions_ended(journal) >= at, 10 * PATIENCE_S, f"{at:.0f} jobs")  # type: ignore[misc]
            if blow == "restart":
                for running in fleet:  # one that starts without a Redis ends at once, for the platform to start again
                    running.wait_until_it_listens()
                server.kill()
                time.sleep(rng.uniform(0.1, 1.0))
                server.start()
                continue
            victim = fleet.pop(rng.randrange(len(fleet)))
            victim.wait_until_it_listens()
            _wait_until_it_works(journal, victim, killed)
            killed[victim.process.pid] = time.monotonic()
            victim.kill()
            gone.append(victim)
            fleet.append(start())
        with server.client() as client:
            wait_until(lambda: _settled(client, storm.jobs), 10 * PATIENCE_S, "the end of every job")
        lasted_s = time.monotonic() - began_s
        stops = [worker.stop() for worker in fleet]
        assert stops == [0] * len(fleet), stops
    finally:
        for worker in fleet:
            worker.kill()
    said = [line for worker in (*gone, *fleet) for line in worker.lines]
    with server.client() as client:
        return _aftermath(client, journal, names, killed, said, lasted_s)


def _enqueue(client: Redis, journal: Path, names: Sequence[str], url: str, rng: random.Random) -> None:
    queue = Queue("q", connection=client, serializer=JSONSerializer)
    for start in range(0, len(names), 500):
        queue.enqueue_many(
            [
                Queue.prepare_data(
                    "support.chaos_jobs.call",
                    (str(journal), name, url, rng.uniform(0.003, 0.048)),
                    job_id=name,
                    result_ttl=3600,
                )
                for name in names[start : start + 500]
            ]
        )


def _wait_until_it_works(journal: Path, victim: Replica, killed: Collection[int], patience_s: float = 5.0) -> None:
    """Wait until a replica has jobs in flight that no other victim had: else it leaves no orphans, or some twice.

    What was orphaned twice runs one at a time, for it may be what kills the workers. There may be no job left for it.
    """
    ends_s = time.monotonic() + patience_s
    while time.monotonic() < ends_s:
        journalled = entries(journal)
        begun = {entry.name for entry in journalled if entry.pid == victim.process.pid and entry.word == "begin"}
        over = {entry.name for entry in journalled if entry.pid == victim.process.pid and entry.word != "begin"}
        orphans = {entry.name for entry in journalled if entry.pid in killed}
        if begun - over and not (begun - over) & orphans:
            return
        time.sleep(0.01)


def executions_ended(journal: Path) -> int:
    """How many executions have ended."""
    if not journal.exists():
        return 0
    text = journal.read_bytes()
    return text.count(b"end ") + text.count(b"fail ")


def _settled(client: Redis, jobs: int) -> bool:
    return bool(client.zcard("rq:finished:q") + client.zcard("rq:failed:q") >= jobs)


def _aftermath(
    client: Redis,
    journal: Path,
    names: Sequence[str],
    killed: Mapping[int, float],
    said: list[str],
    lasted_s: float,
) -> Aftermath:
    statuses = {name: client.hget(Job.key_for(name), "status") for name in names}
    finished = {name for name in names if statuses[name] == b"finished" and client.zscore("rq:finished:q", name)}
    failed = {name for name in names if statuses[name] == b"failed" and client.zscore("rq:failed:q", name)}
    dead = {name: (client.hget(Job.key_for(name), "jobctl_reason") or b"").decode() for name in failed}
    left_over = [
        key.decode()
        for pattern in ("rq:queue:*", "rq:wip:*", "rq:scheduled:*", "rq:execution*", "rq:worker*:executions")
        for key in client.keys(pattern)
    ]
    orphans_s, unstarted = _orphans(entries(journal), killed)
    return Aftermath(
        finished,
        dead,
        set(names) - finished - failed,
        left_over,
        orphans_s,
        unstarted,
        {name for name, count in times(journal, "end").items() if count > 1},
        said,
        lasted_s,
    )


def _orphans(journalled: Sequence[Entry], killed: Mapping[int, float]) -> tuple[list[float], set[str]]:
    """Seconds from a replica's death to the next start of each job that it had in flight; those that never started.

    In flight was what had begun there and neither returned nor raised; and what had returned and nevertheless began
    again: its success was not on the books.
    """
    by_job: dict[str, list[Entry]] = defaultdict(list)
    for entry in journalled:
        by_job[entry.name].append(entry)
    seconds, unstarted = [], set()
    for name, history in by_job.items():
        for entry, following in zip(history, [*history[1:], None], strict=True):
            if entry.pid not in killed or entry.word == "fail" or (following and following.pid == entry.pid):
                continue
            if following is not None:
                seconds.append(following.instant_s - killed[entry.pid])
            elif entry.word == "begin":
                unstarted.add(name)
    return seconds, unstarted
