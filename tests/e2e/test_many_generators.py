"""A load that several processes generate, here and on other machines, some of which have wrong clocks."""

from __future__ import annotations

import platform
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import redis.exceptions
from redis import Redis

from jobctl.core.arrivals import POISSON, Stage, digest, make_schedule
from support.benches import environment, run, started
from support.networks import NETWORKS, Network, connected
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
LATE = ("--max-schedule-lag", "10s")
QUICK = ("--rate", "20", "--duration", "3s", "--job", "sleep", "--service-time", "50ms", *LATE)
SCHEDULE = list(make_schedule(POISSON, (Stage.steady(20.0, 3.0),), seed=1))
FAKETIME = ROOT / f".tools/faketime/usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketimeMT.so.1"


def test_two_processes_offer_the_load_of_one(tmp_path: Path) -> None:
    status, document, bench = run(*QUICK, "--processes", "2", directory=tmp_path)

    assert status == 0, bench.output
    assert document["config"]["schedule_digest"] == digest(SCHEDULE)
    assert document["jobs"]["scheduled"] == document["jobs"]["finished"] == len(SCHEDULE)
    assert {row["type"]: row["requests"] for row in document["tool_statistics"]} == {
        "enqueue": len(SCHEDULE),
        "sojourn": len(SCHEDULE),
    }
    assert (document["generator"]["processes"], document["generator"]["sent"]) == (2, len(SCHEDULE))
    assert document["generator"]["cpu_s_per_job"] > 0
    assert re.search(r"generator +2 processes, .* of CPU a job", bench.output)
    assert bench.left_behind() == []


def test_an_interrupt_ends_all_generators_and_what_they_did_is_told(tmp_path: Path) -> None:
    words = ("--rate", "20", "--duration", "60s", "--job", "noop", "--processes", "2", *LATE, "--json", "r.json")
    with started(*words, directory=tmp_path) as bench:
        bench.wait_for(r"sent [1-9]")
        bench.process.send_signal(signal.SIGINT)
        assert bench.finish(40) == 105, bench.output

    assert re.search(r"scheduled [1-9]\d* = enqueued", bench.output)
    assert bench.left_behind() == []


def test_plain_locust_shares_the_load_out_as_well(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('job = "noop"\n[[stage]]\nduration = "2s"\nrate = 20\n')
    locustfile = ROOT / "loadtests" / "locustfile.py"
    options = ("--headless", "--scenario", "mine.toml", "--processes", "2", "--csv", "stats")
    with started("-f", str(locustfile), *options, directory=tmp_path, command=("-m", "locust")) as bench:
        assert bench.finish(60) == 0, bench.output

    rows = [line.split(",") for line in (tmp_path / "stats_stats.csv").read_text().splitlines()[1:]]
    expected = len(list(make_schedule(POISSON, (Stage.steady(20.0, 2.0),), seed=1)))
    assert {row[0]: int(row[2]) for row in rows if row[0]} == {"enqueue": expected, "sojourn": expected}
    assert bench.left_behind() == []


@pytest.mark.parametrize("kind", NETWORKS)
def test_generators_and_workers_of_other_machines_with_wrong_clocks_are_measured_right(
    kind: str, tmp_path: Path
) -> None:
    """Over there a worker's clock is 5 s behind and a generator's 3 s ahead; here one of each is right."""
    with ExitStack() as stack:
        network = stack.enter_context(connected(kind))
        url = stack.enter_context(redis_at(network.here, tmp_path))
        port = free_port(network.here)
        stack.enter_context(part(tmp_path, ("work", "--queues", "q", "--name", "here"), url))
        stack.enter_context(part(tmp_path, ("work", "--queues", "q", "--name", "there"), url, network, "-5s"))
        wait_for_workers(url, 2)
        join = ("bench", "--worker", "--master-host", network.here, "--master-port", str(port))
        joined = stack.enter_context(part(tmp_path, join, url, network, "+3s"))
        where = ("--master", "--processes", "1", "--master-host", network.here, "--master-port", str(port))
        fleet = ("--no-workers", "--queue", "q", "--replicas", "2", "--concurrency", "25", "--redis-url", url)
        status, document, bench = run(*QUICK, *where, *fleet, "--records", "jobs.csv", directory=tmp_path)
        assert joined.wait(20) == 0

    assert status == 0, bench.output
    assert document["jobs"]["finished"] == len(SCHEDULE)
    assert document["generator"]["processes"] == 2
    assert {replica["name"] for replica in document["replicas"]} == {"here", "there"}
    for signal_ in ("wait", "sojourn"):  # the clocks are 8 s apart, and nothing takes a second
        assert document["signals"][signal_]["max"] < 2, signal_
    assert document["signals"]["service"]["p50"] == pytest.approx(0.05, abs=0.03)


@pytest.mark.proof
def test_a_generator_whose_master_is_gone_says_so_in_one_line(redis_url: str, tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    url = ("--redis-url", redis_url)
    at = ("--master-host", "127.0.0.1", "--master-port", str(port))
    load = ("--rate", "20", "--duration", "60s", "--job", "noop")
    with (
        started(*load, "--master", *at, *url, directory=tmp_path) as master,
        started("--worker", *at, *url, directory=tmp_path) as generator,
    ):
        master.wait_for(r"sent [1-9]")
        for process in (psutil.Process(master.process.pid), *psutil.Process(master.process.pid).children()):
            process.kill()
        assert generator.finish(40) == 2

    assert generator.output.splitlines()[-1] == (
        f"jobctl: --master-host: the master at 127.0.0.1:{port} was lost; look there why"
    )
    assert generator.left_behind() == []


@pytest.mark.proof
def test_a_generator_that_is_killed_makes_the_run_inconclusive(tmp_path: Path) -> None:
    words = ("--rate", "40", "--duration", "15s", "--job", "noop", "--processes", "2", *LATE)
    with started(*words, "--json", "r.json", directory=tmp_path) as bench:
        bench.wait_for(r"sent [1-9]")
        generators = [
            process
            for process in psutil.Process(bench.process.pid).children()
            if "--worker" in process.cmdline() and "locust" in process.cmdline()
        ]
        assert len(generators) == 2
        generators[0].kill()
        assert bench.finish(60) == 97, bench.output

    assert "1 of 2 load generators were lost; their arrivals count as never sent" in " ".join(bench.output.split())
    assert re.search(r"[1-9]\d* arrivals were due and never sent", bench.output)


# ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def redis_at(host: str, directory: Path) -> Iterator[str]:
    """A Redis that other machines reach."""
    port = free_port(host)
    program = ROOT / ".tools" / "bin" / "redis-server"
    words = ("--bind", host, "--port", str(port), "--protected-mode", "no", "--save", "")
    with (directory / "redis.log").open("wb") as log:
        server = subprocess.Popen([str(program), *words], cwd=directory, stdout=log, stderr=log)
    url = f"redis://{host}:{port}/0"
    try:
        with Redis.from_url(url) as client:
            wait_until(lambda: is_there(client))
        yield url
    finally:
        server.kill()
        server.wait()


def is_there(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False


@contextmanager
def part(
    directory: Path, words: tuple[str, ...], url: str, network: Network | None = None, clock: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A jobctl command, on the other machine where a network is given, with a clock that is wrong by so much."""
    wrong = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": clock} if clock is not None else {}
    if clock is not None:
        assert FAKETIME.exists(), "there is no faketime; run `make tools`"
    enter = network.enter if network is not None else ()
    with (directory / f"{words[-1]}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *enter,
                "env",
                *(f"{name}={value}" for name, value in wrong.items()),
                sys.executable,
                "-m",
                "jobctl",
                *words,
            ],
            cwd=directory,
            env=environment(directory, REDIS_URL=url),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20 if clock is None else 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if clock is None:
                raise  # under a faked clock timed waits may hang (libfaketime's README), and how it stops is not asked


def wait_for_workers(url: str, count: int) -> None:
    with Redis.from_url(url) as client:
        wait_until(lambda: client.scard("rq:workers") == count)


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])
