"""`jobctl bench` on real parts: a real Redis, real workers, a real load generator, each in a process of its own.

Scaled twins of the full-length proofs: seconds instead of minutes, the same claims. A bench takes seconds of CPU, so
facts that do not disturb each other are about one run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jsonschema import Draft202012Validator
from lock import REPOSITORY
from redis import Redis

from jobctl.core.arrivals import POISSON, Stage, digest, make_schedule
from jobctl.wiring.evidence import read
from support.benches import Bench, environment, run, started
from support.console import Ran as Printed
from support.console import commands
from support.waiting import wait_until

#: A busy machine wakes the generator late; where lateness is not the subject it may be.
LATE = ("--max-schedule-lag", "10s")
QUICK = ("--rate", "20", "--duration", "3s", "--job", "sleep", "--service-time", "50ms", "--replicas", "1", *LATE)
#: As many jobs in a second, where nothing has to settle.
SHORT = ("--rate", "60", "--duration", "1s", "--warmup", "0", "--replicas", "1", *LATE)


@dataclass(frozen=True)
class Ran:
    """What came of a bench, and the directory it ran in."""

    status: int
    document: Mapping[str, Any]
    bench: Bench
    directory: Path


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run of two workers, told in every way; settings for Locust's own runs lie about."""
    directory = tmp_path_factory.mktemp("quick")
    (directory / "locust.conf").write_text("processes = 2\ntags = nothing\ncsv = stats\n")
    words = (*QUICK, "--replicas", "2", "--seed", "3", "--warmup", "0", "--records", "r.csv")
    return Ran(*run(*words, directory=directory, LOCUST_TAGS="nothing", LOCUST_PROCESSES="2"), directory)


@pytest.fixture(scope="module")
def piped(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A scenario of one's own whose document goes to standard output, on a terminal that knows only ASCII."""
    directory = tmp_path_factory.mktemp("piped")
    (directory / "mine.toml").write_text(
        'job = "sleep"\nservice_time = "exponential:20ms"\n[[stage]]\nduration = "0.5s"\nrate = 20\n'
        "[[stage]]\nduration = '1s'\nfrom_rate = 20\nrate = 60\n[fleet]\nreplicas = 1\nconcurrency = 4\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "jobctl", "bench", "--scenario", "mine.toml", *LATE, "--json", "-"],
        cwd=directory,
        env=environment(directory, PYTHONIOENCODING="ascii"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run that SIGTERM ends while it goes on; SIGINT ends those of test_many_generators.py."""
    directory = tmp_path_factory.mktemp("interrupted")
    words = ("--rate", "60", "--duration", "60s", "--warmup", "0", "--job", "noop", "--replicas", "1")
    gates = ("--gate", "error_rate <= 1%", "--gate", "wait.p50 < 1us")
    told = ("--json", "r.json", "--records", "r.csv", "--html", "r.html")
    with started(*words, *gates, *told, directory=directory) as bench:
        bench.wait_for(r"sent \d{3}")  # a gate needs some thirty jobs
        bench.process.send_signal(signal.SIGTERM)
        status = bench.finish(20)
    return Ran(status, json.loads((directory / "r.json").read_text()), bench, directory)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, str]:
    """A run that nobody could interrupt, and what RQ's own command said of it while it went on."""
    directory = tmp_path_factory.mktemp("killed")
    with started("--rate", "20", "--duration", "60s", "--job", "noop", directory=directory) as bench:
        bench.wait_for(r"sent \d")
        command = [str(Path(sys.executable).with_name("rq")), "info", "-u", bench.redis_url()]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        bench.process.send_signal(signal.SIGKILL)
        bench.finish()
    return bench, said


def test_the_readme_shows_a_bench_as_it_is(quick: Ran) -> None:
    (shown,) = [one for one in commands(REPOSITORY / "README.md") if one.command.startswith("jobctl bench")]
    names = [line.split()[0] for line in shown.lines]

    assert Printed(quick.status, quick.bench.output).missing(shown.lines[: names.index("mean") + 1]) == []


def test_a_bench_accounts_for_every_job_and_leaves_nothing(quick: Ran) -> None:
    document = quick.document

    assert quick.status == 0, quick.bench.output
    assert document["verdict"] == "kept"
    schema = json.loads(files("jobctl").joinpath("schemas/bench.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    jobs = document["jobs"]
    assert jobs["scheduled"] == jobs["enqueued"] == jobs["finished"] > 40
    assert (jobs["rejected"], jobs["lost"], jobs["duplicated"]) == (0, 0, 0)
    assert document["achieved"]["rate_per_s"] == document["offered"]["rate_per_s"]
    assert document["signals"]["service"]["p50"] == pytest.approx(0.05, rel=0.5)
    assert document["utilisation"] == pytest.approx(document["predicted"]["utilisation"], rel=0.3)
    assert document["sentence"] in " ".join(quick.bench.output.split())
    assert quick.bench.left_behind() == []


def test_the_records_of_a_bench_and_its_document_tell_the_same(quick: Ran) -> None:
    by_job, as_a_whole = read(str(quick.directory / "r.csv")), read(str(quick.directory / "r.json"))

    assert by_job.samples == as_a_whole.samples == quick.document["jobs"]["finished"]
    for one, other in ((by_job.service, as_a_whole.service), (by_job.wait, as_a_whole.wait)):
        assert one is not None
        assert other is not None
        assert one.mean_s == pytest.approx(other.mean_s, rel=1e-3)
    assert by_job.arrival_rate_per_s == pytest.approx(as_a_whole.arrival_rate_per_s, rel=0.2)
    assert as_a_whole.cpu_per_job_s is not None
    assert 1e-5 < as_a_whole.cpu_per_job_s < 0.1
    assert as_a_whole.memory_bytes is not None
    assert 1e7 < as_a_whole.memory_bytes < 1e9


def test_locusts_own_statistics_count_the_same_jobs(quick: Ran) -> None:
    rows = {row["type"]: row for row in quick.document["tool_statistics"]}

    assert rows["enqueue"]["name"] == rows["sojourn"]["name"] == "sleep"
    assert rows["enqueue"]["requests"] == quick.document["jobs"]["enqueued"]
    assert rows["sojourn"]["requests"] == quick.document["jobs"]["finished"]


def test_the_schedule_that_is_offered_is_that_of_the_seed(quick: Ran) -> None:
    offered = quick.document["config"]["schedule_digest"]
    of_seed = {seed: digest(list(make_schedule(POISSON, (Stage.steady(20.0, 3.0),), seed))) for seed in (3, 4)}

    assert of_seed[3] == offered != of_seed[4]


def test_locusts_own_settings_do_not_change_the_load(quick: Ran) -> None:
    assert quick.status == 0, quick.bench.output
    assert not list(quick.directory.glob("stats*"))


def test_json_on_standard_output_is_nothing_but_json(piped: subprocess.CompletedProcess[str]) -> None:
    assert json.loads(piped.stdout)["schema"] == "jobctl.bench/1"
    assert "Verdict" in piped.stderr


def test_a_terminal_that_knows_only_ascii_gets_its_report(piped: subprocess.CompletedProcess[str]) -> None:
    assert piped.returncode == 0, piped.stderr
    assert json.loads(piped.stdout)["verdict"] == "kept"
    assert piped.stderr.isascii()


def test_an_interrupted_bench_reports_what_happened_so_far(interrupted: Ran) -> None:
    document, directory = interrupted.document, interrupted.directory

    assert interrupted.status == 105
    assert document["interrupted"] is True
    assert document["verdict"] == "inconclusive"
    assert 0 < document["jobs"]["scheduled"] < 3000
    assert len((directory / "r.csv").read_text().splitlines()) == 1 + document["jobs"]["scheduled"]
    assert "inconclusive, interrupted" in (directory / "r.html").read_text()
    assert "interrupted" in interrupted.bench.output
    assert interrupted.bench.left_behind() == []


def test_an_interrupt_goes_before_every_gate(interrupted: Ran) -> None:
    assert interrupted.status == 105
    assert [gate["verdict"] for gate in interrupted.document["gates"]] == ["kept", "inconclusive"]


def test_a_bench_interrupted_before_its_start_leaves_nothing(tmp_path: Path) -> None:
    with started(*QUICK, directory=tmp_path) as bench:
        wait_until(psutil.Process(bench.process.pid).children)  # its first part is there, the load is not
        bench.process.send_signal(signal.SIGINT)
        assert bench.finish(20) == 105

    assert "interrupted; there is no report" in bench.output
    assert "Traceback" not in bench.output
    assert bench.left_behind() == []


def test_a_killed_bench_takes_everything_with_it(killed: tuple[Bench, str]) -> None:
    assert killed[0].left_behind() == []


def test_rq_info_sees_the_workers_and_queues_of_a_running_bench(killed: tuple[Bench, str]) -> None:
    assert "2 workers, 1 queues" in killed[1]
    assert "bench-" in killed[1]


def test_failing_jobs_break_the_promise(tmp_path: Path) -> None:
    (tmp_path / "mytasks.py").write_text("def fail():\n    raise RuntimeError('on purpose')\n")
    status, document, bench = run(*SHORT, "--job", "mytasks.fail", directory=tmp_path, JOB_ATTEMPTS="1")

    assert status == 99
    assert document["jobs"]["failed"] == document["jobs"]["enqueued"]
    assert "failed" in document["reasons"][0]
    assert document["errors"] == [{"error": "RuntimeError: on purpose", "jobs": document["jobs"]["failed"]}]
    assert "RuntimeError: on purpose" in bench.output


def test_ones_own_redis_workers_jobs_and_arguments_are_used_and_left_clean(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    """The job notes what it was given, which is long; the bench's own workers run one's own jobs in the test above."""
    (tmp_path / "mytasks.py").write_text(
        "from pathlib import Path\n"
        "def note(name, *, word):\n"
        "    with Path('notes.txt').open('a') as notes:\n"
        "        notes.write(f'{name} {word}\\n')\n"
    )
    payloads = [{"args": [name], "kwargs": {"word": word * 1000}} for name, word in (("a", "x"), ("b", "y"))]
    (tmp_path / "payloads.jsonl").write_text("".join(json.dumps(payload) + "\n" for payload in payloads))
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "work", "--queues", "mine", "--redis-url", redis_url],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + 20
        while not redis.scard("rq:workers:mine") and time.monotonic() < deadline_s:
            time.sleep(0.05)
        redis.set("somebody", "else")
        words = ("--rate", "60", "--duration", "1s", "--warmup", "0", *LATE)
        jobs = ("--job", "mytasks.note", "--args-from", "payloads.jsonl")
        status, document, bench = run(
            *words, *jobs, "--no-workers", "--queue", "mine", "--redis-url", redis_url, directory=tmp_path
        )
    finally:
        worker.terminate()
        worker.wait(20)

    assert status == 0, bench.output
    assert document["config"]["replicas"] is None
    notes = (tmp_path / "notes.txt").read_text().split("\n")[:-1]
    assert len(notes) == document["jobs"]["finished"] == document["jobs"]["scheduled"]
    assert set(notes) == {f"a {'x' * 1000}", f"b {'y' * 1000}"}
    left = [key.decode() for key in redis.keys("*") if b"jobctl" in key or b"job:" in key or b"results" in key]
    assert left == []
    assert redis.get("somebody") == b"else"


def test_a_scenario_of_ones_own_is_run(piped: subprocess.CompletedProcess[str]) -> None:
    assert piped.returncode == 0, piped.stderr
    config = json.loads(piped.stdout)["config"]
    assert (config["scenario"], config["replicas"], config["concurrency"], config["duration_s"]) == ("mine", 1, 4, 1.5)
    assert config["rate_per_s"] == pytest.approx((10 + 40) / 1.5)


def test_a_census_that_takes_longer_than_locusts_patience_is_finished(tmp_path: Path) -> None:
    """Some ten thousand jobs, most of them still waiting: counting them takes a second or more."""
    status, document, bench = run(
        *("--rate", "2000", "--duration", "5s", "--job", "sleep", "--service-time", "1s", "--drain", "0", *LATE),
        directory=tmp_path,
    )

    assert status == 99, bench.output
    jobs = document["jobs"]
    assert jobs["scheduled"] > 9_000
    assert jobs["scheduled"] == jobs["finished"] + jobs["in_flight"] + jobs["failed"]
    assert jobs["lost"] == 0
    assert bench.left_behind() == []


def test_a_worker_that_dies_is_named_and_the_run_is_never_kept(tmp_path: Path) -> None:
    with started(
        *QUICK[:2], "--duration", "5s", "--job", "noop", *LATE, "--json", "r.json", directory=tmp_path
    ) as bench:
        bench.wait_for(r"sent \d")
        os.kill(bench.worker_pids()[0], signal.SIGTERM)
        status = bench.finish()

    document = json.loads((tmp_path / "r.json").read_text())
    assert status == 97, bench.output
    assert document["jobs"]["lost"] == 0
    assert any(reason.startswith("worker 1 ") for reason in document["reasons"])


def test_a_redis_that_dies_makes_the_run_inconclusive_in_one_line(tmp_path: Path) -> None:
    words = (*SHORT[:2], "--duration", "2s", "--job", "noop", "--replicas", "1", "--drain", "1s", *LATE)
    with started(*words, directory=tmp_path) as bench:
        bench.wait_for(r"sent \d")
        (server,) = (child for child in psutil.Process(bench.process.pid).children() if "-server" in child.name())
        server.kill()
        status = bench.finish(90)

    assert status == 97, bench.output
    assert "Traceback" not in bench.output
    assert "could not be measured" in bench.output.splitlines()[-1]
    assert bench.left_behind() == []


def test_locusts_page_drives_the_schedule_of_a_bench_one_run_after_another(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('job = "noop"\n[[stage]]\nduration = "1s"\nrate = 20\n')
    locustfile = Path(__file__).resolve().parents[2] / "loadtests" / "locustfile.py"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
    options = ("--scenario", "mine.toml", "--web-host", "127.0.0.1", "--web-port", str(port))
    with page, started("-f", str(locustfile), *options, directory=tmp_path, command=("-m", "locust")) as bench:
        bench.wait_for("Starting Locust|web interface", 30)
        counts = []
        wait_until(lambda: page_answers(page))
        assert "<title>Locust</title>" in page.get("/").text
        schedule = digest(list(make_schedule(POISSON, (Stage.steady(20.0, 1.0),), seed=1)))
        bench.wait_for(f"schedule {schedule}")
        for _ in range(2):
            assert page.post("/swarm", data={"user_count": 1, "spawn_rate": 1}).json()["success"]
            wait_until(lambda: page.get("/stats/requests").json()["state"] == "stopped")
            rows = {row["method"]: row["num_requests"] for row in page.get("/stats/requests").json()["stats"]}
            counts.append((rows["enqueue"], rows["sojourn"]))
        bench.process.send_signal(signal.SIGTERM)
        bench.finish(20)

    assert bench.output.count("All users spawned") == 2
    assert counts[0] == counts[1]
    assert counts[0][0] == counts[0][1] == len(list(make_schedule(POISSON, (Stage.steady(20.0, 1.0),), seed=1)))
    assert bench.left_behind() == []


def page_answers(page: httpx.Client) -> bool:
    try:
        return page.get("/").status_code == 200
    except httpx.TransportError:
        return False


def test_plain_locust_ends_at_its_run_time(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('job = "noop"\n[[stage]]\nduration = "60s"\nrate = 20\n')
    locustfile = Path(__file__).resolve().parents[2] / "loadtests" / "locustfile.py"
    options = ("--headless", "--scenario", "mine.toml", "-t", "2s")
    with started("-f", str(locustfile), *options, directory=tmp_path, command=("-m", "locust")) as bench:
        assert bench.finish(30) == 0, bench.output


def test_plain_locust_refuses_bad_input_without_a_traceback(tmp_path: Path) -> None:
    locustfile = Path(__file__).resolve().parents[2] / "loadtests" / "locustfile.py"
    options = ("--headless", "--scenario", "stedy-450k")
    with started("-f", str(locustfile), *options, directory=tmp_path, command=("-m", "locust")) as bench:
        assert bench.finish(30) == 2

    assert "there is no scenario 'stedy-450k'" in bench.output
    assert "Traceback" not in bench.output


def test_attempts_that_were_meant_to_fail_are_tried_again_and_their_slots_were_busy(tmp_path: Path) -> None:
    """A third of the attempts fail: 20 jobs/s of 50 ms keep 1.5 slots busy, not 1."""
    status, document, bench = run(
        *QUICK,
        "--failure-rate",
        "0.333",
        "--attempts",
        "8",
        "--retry-base",
        "0.2s",
        "--retry-cap",
        "0.4s",
        "--records",
        "r.csv",
        directory=tmp_path,
    )

    assert status == 0, bench.output
    jobs = document["jobs"]
    assert jobs["scheduled"] == jobs["finished"]
    assert jobs["retried"] / jobs["scheduled"] == pytest.approx(1 / 3, abs=0.25)
    rows = [line.split(",") for line in (tmp_path / "r.csv").read_text().splitlines()]
    retries, failed_s = rows[0].index("retries"), rows[0].index("failed_s")
    assert {row[failed_s] == "0.000000" for row in rows[1:] if row[retries] == "0"} == {True}
    assert all(float(row[failed_s]) >= 0.05 * int(row[retries]) for row in rows[1:])
