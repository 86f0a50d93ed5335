"""The load generators of a bench: Locust in processes of its own, heard through a pipe.

One generator is one process. Several are led by a master, another Locust process: it shares out the load, gathers what
they report and is the one that is heard, so that a bench sees one generator however many there are. Those of this
machine are started here, those of others join.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from jobctl.adapters.listening import listen
from jobctl.adapters.processes import ProcessGroup, log_lines
from jobctl.core.crew import ALONE, Crew
from jobctl.errors import InvalidOption, JobctlError, RunFailed, ServiceUnavailable

__all__ = ["JoinedLoad", "LoadProcess"]

#: How long the load generator may say nothing; a frozen Redis silences it.
_SILENCE_S: Final = 60.0
#: How long it is waited for what it says before its crew is looked after.
_LOOK_S: Final = 0.5
#: How long a master waits for its generators: somebody may have to start them by hand.
_JOINING_S: Final = 300.0
#: How long a generator waits for its master.
_MASTER_S: Final = 60.0
_CHUNK: Final = 1 << 16


class _Locust:
    """One Locust process that is heard through a pipe.

    It runs in the group's private directory, with that as its home and without Locust's environment variables, because
    Locust's own settings (tags, more processes, files to write) would change what is measured.

    Args:
        group: The guarded process group it joins.
        locustfile: What it runs; an absolute path.
        redis_url: Where jobs go.
        options: Further options of Locust.
        env: Further variables.
    """

    def __init__(
        self, group: ProcessGroup, locustfile: Path, redis_url: str, options: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self._group = group
        self.log = group.directory / f"load-{uuid4().hex[:8]}.log"
        self._events, writer = os.pipe()
        try:
            with self.log.open("wb") as stream:
                self.process: subprocess.Popen[bytes] = group.spawn(
                    [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary", *options],
                    name="load generator",
                    env={
                        **{name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")},
                        "HOME": str(group.directory),
                        "JOBCTL_EVENTS_FD": str(writer),
                        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()])),
                        "REDIS_URL": redis_url,
                        **env,
                    },
                    cwd=group.directory,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    pass_fds=(writer,),
                )
        finally:
            os.close(writer)
        self._buffer = b""

    def hear(self, timeout_s: float) -> list[dict[str, Any]] | None:
        """What it says within that time, message by message; None once it has ended."""
        if not select.select([self._events], [], [], timeout_s)[0]:
            return []
        chunk = os.read(self._events, _CHUNK)
        if not chunk:
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def telling_line(self) -> str:
        """The last line of its log that tells of an error; Locust prints its tables after it."""
        lines = log_lines(self.log)
        return next((line for line in reversed(lines) if "Error" in line or "ERROR" in line), lines[-1])

    def close(self) -> None:
        """End it if it still runs."""
        self._group.stop(self.process, timeout_s=2.0)
        os.close(self._events)


class LoadProcess:
    """The load generator of one run, alone or with a crew.

    Args:
        group: The guarded process group it joins.
        locustfile: What Locust runs; an absolute path.
        spec: The load, as JSON.
        redis_url: Where jobs go.
        crew: Who generates the load.
        joining_s: How long to wait for generators that join.

    Raises:
        InvalidOption: The master cannot listen where it should.
    """

    def __init__(
        self,
        group: ProcessGroup,
        locustfile: Path,
        spec: str,
        redis_url: str,
        crew: Crew = ALONE,
        joining_s: float = _JOINING_S,
    ) -> None:
        self._crew = crew
        self._joining_s = joining_s
        self._is_ready = False
        self._began_s = time.monotonic()
        load = group.directory / f"load-{uuid4().hex[:8]}.json"
        load.write_text(spec, encoding="utf-8")
        port = _usable_port(crew.host, crew.port) if crew.has_master else None
        self._leader = _Locust(
            group, locustfile, redis_url, _master_options(crew, port), {"JOBCTL_LOAD_SPEC": str(load)}
        )
        followers = crew.processes if crew.has_master else 0
        options = ["--worker", "--master-host", _reachable(crew.host), "--master-port", str(port)]
        self._followers = [_Locust(group, locustfile, redis_url, options, {}) for _ in range(followers)]

    def events(self) -> Iterator[dict[str, Any]]:
        """What the generator says, message by message, until it ends.

        Raises:
            RunFailed: It has said nothing for long; it speaks about once a second while it is well.
            ServiceUnavailable: One of its crew ended before the run began, or too few joined.
        """
        heard_s = time.monotonic()
        while (messages := self._leader.hear(_LOOK_S)) is not None:
            if messages:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > _SILENCE_S and (self._is_ready or not self._crew.joining):
                raise RunFailed(f"the load generator said nothing for {_SILENCE_S:g} s; does Redis still answer?")
            for message in messages:
                self._is_ready |= message["event"] == "ready"
                yield message
            if not self._is_ready:
                self._check_crew()

    def interrupt(self) -> None:
        """Ask it to stop sending, count and end; its last messages still arrive."""
        self._leader.process.terminate()

    def failure(self) -> JobctlError:
        """Why it ended without a result: a run that failed, or, when it never began, a locustfile that cannot run."""
        status = self._leader.process.wait()
        if self._is_ready:
            return RunFailed(f"the load generator ended with status {status} in the middle of the run")
        return _ended_early(self._leader)

    def close(self) -> None:
        """End whatever still runs."""
        for locust in (self._leader, *self._followers):
            locust.close()

    def _check_crew(self) -> None:
        """Whether all that were started still run, and those that are to join may still do so."""
        if self._crew.joining and time.monotonic() - self._began_s > self._joining_s:
            raise ServiceUnavailable(
                "--expect-workers",
                f"fewer than {self._crew.joining} generators joined within {self._joining_s:g} s",
                "start them with jobctl bench --worker, and check the way",
            )
        for follower in self._followers:
            if follower.process.poll() is not None:
                raise _ended_early(follower)


class JoinedLoad:
    """A generator that joins the load of a master, on this machine or another.

    Args:
        group: The guarded process group it joins.
        locustfile: What Locust runs; an absolute path.
        redis_url: Where jobs go.
        host: The master's.
        port: Likewise.
        patience_s: How long it looks for the master.
    """

    def __init__(
        self,
        group: ProcessGroup,
        locustfile: Path,
        redis_url: str,
        host: str,
        port: int,
        patience_s: float = _MASTER_S,
    ) -> None:
        self._patience_s = patience_s
        self._master = f"{host}:{port}"
        options = ["--worker", "--master-host", host, "--master-port", str(port)]
        self._locust = _Locust(group, locustfile, redis_url, options, {})

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, message by message, until it ends.

        Raises:
            ServiceUnavailable: The master was not found, or lost.
        """
        began_s, is_connected = time.monotonic(), False
        while (messages := self._locust.hear(_LOOK_S)) is not None:
            for message in messages:
                is_connected = True
                if message["event"] == "lost":
                    raise ServiceUnavailable(
                        "--master-host", f"the master at {self._master} was lost", "look there why"
                    )
                yield message
            if not is_connected and time.monotonic() - began_s > self._patience_s:
                raise ServiceUnavailable(
                    "--master-host",
                    f"no master answers at {self._master} within {self._patience_s:g} s",
                    "start jobctl bench --master there, and check the way",
                )
        if self._locust.process.wait() != 0 and not is_connected:
            raise _ended_early(self._locust)

    def interrupt(self) -> None:
        """Ask it to stop sending, count and end."""
        self._locust.process.terminate()

    def close(self) -> None:
        """End it if it still runs."""
        self._locust.close()


def _master_options(crew: Crew, port: int | None) -> list[str]:
    if not crew.has_master:
        return []
    where = ["--master-bind-host", crew.host, "--master-bind-port", str(port)]
    return ["--master", *where, "--expect-workers", str(crew.size)]


def _reachable(host: str) -> str:
    """An address of this machine at which a master is found that listens there."""
    return "127.0.0.1" if host in {"*", "0.0.0.0"} else host


def _usable_port(host: str, port: int | None) -> int:
    """A port at which the master can listen.

    Raises:
        InvalidOption: It cannot listen there.
    """
    try:
        with listen(host, port or 0, host_option="--master-host", port_option="--master-port") as probe:
            return int(probe.getsockname()[1])
    except InvalidOption as error:
        raise InvalidOption(error.option, error.problem, "give another one") from None


def _ended_early(locust: _Locust) -> ServiceUnavailable:
    return ServiceUnavailable(
        "load generator", f"ended early: {locust.telling_line()}", "give --locustfile another file or mend it"
    )
