"""The player in virtual time, and the hands that break things on real processes and a real mock."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from jobctl.adapters.chaos import ChaosPlayer, Sabotage
from jobctl.adapters.clock import SystemClock
from jobctl.adapters.memory import VirtualClock
from jobctl.adapters.mock_control import MockControl
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.rig import Rig
from jobctl.apps.mock.behaviour import Behaviour
from jobctl.apps.mock.server import create_app
from jobctl.core.chaos import PlayedFault, TimedFault, parse_fault
from jobctl.core.service import Constant
from jobctl.errors import JobctlError, ServiceUnavailable
from support.running_mock import KEY, MESSAGES, MODEL
from support.servers import serving

START_S = 1_000.0
SECRET = "open-sesame"


class Diary:
    """Writes down what it is told to break, and when; some of it fails."""

    def __init__(self, clock: VirtualClock, fails: tuple[str, ...] = ()) -> None:
        self._clock = clock
        self._fails = fails
        self.entries: list[tuple[float, str]] = []

    def strike(self, fault: TimedFault) -> str:
        return self._write("strike", fault)

    def mend(self, fault: TimedFault) -> str:
        return self._write("mend", fault)

    def _write(self, word: str, fault: TimedFault) -> str:
        if f"{word} {fault.kind}" in self._fails:
            raise JobctlError(f"cannot {word}")
        self.entries.append((self._clock.now() - START_S, f"{word} {fault.kind}"))
        return word


def played(*texts: str, fails: tuple[str, ...] = ()) -> tuple[list[tuple[float, str]], tuple[PlayedFault, ...]]:
    clock = VirtualClock(START_S - 0.2)
    diary = Diary(clock, fails)
    player = ChaosPlayer([parse_fault(text) for text in texts], diary, clock)
    player.play(START_S)
    return diary.entries, player.stop()


def test_faults_are_played_at_their_instants() -> None:
    entries, faults = played("mock_outage@2s+3s", "replica_killed@1s", "redis_stalled@5s+1s")

    assert [(round(at_s, 3), what) for at_s, what in entries] == [
        (1.0, "strike replica_killed"),
        (2.0, "strike mock_outage"),
        (5.0, "mend mock_outage"),
        (5.0, "strike redis_stalled"),
        (6.0, "mend redis_stalled"),
    ]
    assert [(fault.kind, fault.until_s) for fault in faults] == [
        ("replica_killed", None),
        ("mock_outage", pytest.approx(5.0)),
        ("redis_stalled", pytest.approx(6.0)),
    ]
    assert faults[1].what == "strike; mend"


def test_a_fault_that_cannot_begin_says_so_and_the_rest_is_played() -> None:
    entries, faults = played("mock_outage@2s+3s", "redis_stalled@5s+1s", fails=("strike mock_outage",))

    assert [word for _, word in entries] == ["mend mock_outage", "strike redis_stalled", "mend redis_stalled"]
    assert faults[0].problem == "cannot strike"
    assert faults[1].problem is None


def test_a_fault_that_cannot_be_mended_has_no_end() -> None:
    _, faults = played("mock_outage@2s+3s", fails=("mend mock_outage",))

    assert faults[0].until_s is None
    assert faults[0].problem == "cannot mend"


def test_the_end_of_the_run_mends_what_is_under_way_and_begins_nothing() -> None:
    clock = SystemClock()
    diary = Diary(VirtualClock(START_S))
    faults = [parse_fault(text) for text in ("mock_outage@0s+60s", "replica_killed@0s+60s", "redis_stalled@30s+1s")]
    player = ChaosPlayer(faults, diary, clock)
    began_s = time.monotonic()
    assert player.start(clock.now()) <= clock.now()
    while len(diary.entries) < 2:
        time.sleep(0.005)
    outage, killed = player.stop()

    assert time.monotonic() - began_s < 20
    assert [word for _, word in diary.entries][2:] == ["mend mock_outage"]
    assert outage.until_s is not None
    assert killed.until_s is None
    assert player.stop() == (outage, killed)


def test_without_faults_nothing_is_begun() -> None:
    player = ChaosPlayer([], Diary(VirtualClock()), SystemClock())
    player.start(0.0)
    assert player.stop() == ()


# --------------------------------------------------------------------------------------------------------------- a mock


@pytest.fixture
def mock() -> Iterator[str]:
    with serving(create_app(Behaviour(Constant(0.001), {}, seed=1), control=SECRET)) as origin:
        yield f"{origin}/api/v1"


def status(url: str) -> int:
    answer = httpx.post(
        f"{url}/chat/completions",
        json={"model": MODEL, "messages": MESSAGES},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    return answer.status_code


@pytest.mark.parametrize(("fault", "answer"), [("mock_outage@0s+1s", 502), ("rate_limited@0s+1s", 429)])
def test_a_mock_is_struck_and_healed(mock: str, fault: str, answer: int) -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.mock = MockControl(mock, SECRET)
        hands = Sabotage(rig, redis_pid=None)

        assert str(answer) in hands.strike(parse_fault(fault))
        assert status(mock) == answer
        assert hands.mend(parse_fault(fault)) == "healed"
        assert status(mock) == 200


def test_who_does_not_know_the_secret_changes_nothing(mock: str) -> None:
    with pytest.raises(ServiceUnavailable, match="status 401"):
        MockControl(mock, "guess").impose("502")
    assert status(mock) == 200


def test_a_mock_that_is_gone_takes_no_fault() -> None:
    with pytest.raises(ServiceUnavailable, match="took no fault"):
        MockControl("http://127.0.0.1:1/api/v1", SECRET).impose("502")


# ---------------------------------------------------------------------------------------------------------- processes


def test_a_server_is_stopped_and_goes_on() -> None:
    with ProcessGroup() as group:
        server = group.spawn(["sleep", "60"])
        hands = Sabotage(Rig(group), redis_pid=server.pid)
        fault = parse_fault("redis_stalled@0s+1s")

        hands.strike(fault)
        assert state_of(server.pid, psutil.STATUS_STOPPED)
        hands.mend(fault)
        assert state_of(server.pid, psutil.STATUS_SLEEPING)


def test_every_replica_is_frozen_and_thawed() -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.workers = [group.spawn(["sleep", "60"]) for _ in range(2)]
        hands = Sabotage(rig, redis_pid=None)
        fault = parse_fault("replica_frozen:all@0s+1s")

        assert "worker 2" in hands.strike(fault)
        assert all(state_of(worker.pid, psutil.STATUS_STOPPED) for worker in rig.workers)
        hands.mend(fault)
        assert all(state_of(worker.pid, psutil.STATUS_SLEEPING) for worker in rig.workers)


def test_a_killed_replica_did_not_end_by_itself_and_its_cpu_time_still_counts() -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.workers = [group.spawn(["sleep", "60"]) for _ in range(2)]
        hands = Sabotage(rig, redis_pid=None)
        hands.strike(parse_fault("replica_killed:2@0s"))

        assert rig.workers[1].poll() is not None
        assert rig.ended_parts() == []
        reading = rig.read_usage()
        assert reading is not None
        assert reading.workers == 2
        rig.workers[0].kill()
        rig.workers[0].wait()
        assert [line.split(" (")[0] for line in rig.ended_parts()] == ["worker 1"]


@pytest.mark.parametrize("fault", ["replica_killed:1@0s", "replica_frozen:1@0s+1s"])
def test_a_replica_that_ended_by_itself_is_no_more_to_be_struck(fault: str) -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.workers = [group.spawn(["true"])]
        rig.workers[0].wait()

        with pytest.raises(JobctlError, match="had ended before"):
            Sabotage(rig, redis_pid=None).strike(parse_fault(fault))
        assert rig.ended_parts() != []


@pytest.mark.parametrize("fault", ["mock_outage@0s+1s", "redis_stalled@0s+1s"])
def test_what_is_not_there_is_not_struck(fault: str) -> None:
    with ProcessGroup() as group, pytest.raises(JobctlError):
        Sabotage(Rig(group), redis_pid=None).strike(parse_fault(fault))


def state_of(pid: int, wanted: str) -> bool:
    """Whether a process comes to be in that state."""
    deadline_s = time.monotonic() + 10
    while psutil.Process(pid).status() != wanted and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return psutil.Process(pid).status() == wanted
