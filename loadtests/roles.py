"""What a Locust process is in a jobctl load: the only one, the master of several, or one generator of those.

All three look alike to the locustfile: a run is started, driven by users (or not), stopped, finished and, on Locust's
page, renewed. A master shares the load out when a run starts. Its messages and those of its generators travel in
Locust's own messages::

    master -- jobctl_load: the load and a shard of it --> generator
    master <-- jobctl_said: what a single generator says on its pipe -- generator
    master -- jobctl_stop --> generator
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.lock import RLock
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from jobctl.apps.bench.generator import Sent
from jobctl.core.crew import WHOLE, Shard
from jobctl.errors import JobctlError
from jobctl.wiring import load as wiring
from jobctl.wiring.bench import embedded_load

__all__ = ["Alone", "Generator", "Master", "make_load"]

logger = logging.getLogger("jobctl.load")

_LOOK_S: Final = 0.5
#: A generator that has not heard of its master for so long is alone, seconds; a heartbeat comes every second.
_SILENCE_S: Final = 10.0


def make_load(environment: Environment) -> Alone | Master | Generator:
    """What this process is."""
    if isinstance(environment.runner, MasterRunner):
        return Master(environment)
    return Generator(environment) if isinstance(environment.runner, WorkerRunner) else Alone(environment)


class _Role:
    """What all of them share: the pipe to `jobctl bench`, where there is one, and Locust's statistics."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._events = os.fdopen(int(os.environ["JOBCTL_EVENTS_FD"]), "w") if "JOBCTL_EVENTS_FD" in os.environ else None
        if self._events is not None:
            # Locust handles SIGTERM only once a shape's run is over; here it ends the run, and all is still counted.
            gevent.signal_handler(signal.SIGTERM, self.stop)
        self.over = False

    def stop(self) -> None:
        """Send nothing more."""
        raise NotImplementedError

    def tell(self, message: Any) -> None:
        """Write a message into the pipe."""
        if self._events is not None:
            self._events.write(json.dumps(message) + "\n")
            self._events.flush()

    def _count_in_locust(self, kind: str, job_type: str, seconds: float, error: Exception | None) -> None:
        self._environment.events.request.fire(
            request_type=kind,
            name=job_type,
            response_time=seconds * 1000,
            response_length=0,
            exception=error,
            context={},
        )

    def _rows(self) -> list[dict[str, Any]]:
        """Locust's own counts, row by row."""
        return [
            {"type": entry.method, "name": entry.name, "requests": entry.num_requests, "failures": entry.num_failures}
            for _, entry in sorted(self._environment.stats.entries.items())
        ]


class _Leading(_Role):
    """A process that knows the load, from `jobctl bench` or from its own command line."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._embedded: Any = None
        options = environment.parsed_options
        if self._events is None:
            self._embedded = embedded_load(options.scenario, options.redis_url or None, options.replicas)
            self._spec, self._redis_url = self._embedded.spec, self._embedded.redis_url
            logger.info("%s; schedule %s", self._embedded.introduction, wiring.schedule_digest(self._spec))
        else:
            self._spec = Path(os.environ["JOBCTL_LOAD_SPEC"]).read_text(encoding="utf-8")
            self._redis_url = os.environ["REDIS_URL"]
        #: The URL that every process of this machine may know; one that somebody gave may hold a password.
        self._shared_url = None if options.redis_url else self._redis_url
        options.redis_url = ""  # Locust sends its options to all generators, and shows them on its page

    def close(self) -> None:
        """Stop what this process started."""
        if self._embedded is not None:
            self._embedded.close()


class _Sending(_Role):
    """A process that sends jobs and follows them."""

    session: Any = None

    def _open(self, spec: str, redis_url: str, shard: Shard) -> None:
        self.session = wiring.load_session(spec, redis_url, self._say, self._sent, self._ended, shard)
        self._counted = False
        self._counting = RLock()

    def _say(self, message: Any) -> None:
        raise NotImplementedError

    def _count(self) -> None:
        """Stop sending and count, once; whoever comes second waits for the first."""
        self.session.stop()
        with self._counting:
            if not self._counted:
                self._counted = True
                self.session.count(self._rows)

    def _sent(self, sent: Sent) -> None:
        job_type = self.session.spec.workload_at(sent.position).job_type
        self._count_in_locust("enqueue", job_type, sent.acknowledged_s - sent.intended_s, sent.error)

    def _ended(self, job_type: str, sojourn_s: float, failed: bool) -> None:
        error = RuntimeError("the job failed") if failed else None
        self._count_in_locust("sojourn", job_type, sojourn_s, error)


class Alone(_Leading, _Sending):
    """The only process of a load."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._prepare()

    def _prepare(self) -> None:
        self._open(self._spec, self._redis_url, WHOLE)
        self.over = False
        self._driver: Any = None

    def renew(self) -> None:
        """Say at once that the next run is not over, before the shape asks; it is prepared when it starts."""
        self.over = False

    def start(self) -> None:
        """Begin a run, Locust's page can start one after another: one greenlet watches outcomes; the users drive."""
        if self._driver is not None:
            self._spec = wiring.new_run(self._spec)
            self._prepare()
        self.tell({"event": "ready"})
        self._start_s = wiring.agreed_start(self._redis_url, self.session.spec.run_id) if self._events else None
        gevent.spawn(self._watch)

    def drive(self) -> None:
        """Walk the schedule, if no other user does."""
        if self._driver is None:
            self._driver = gevent.getcurrent()
            self.session.fire(self._start_s)
        gevent.sleep(1)

    def stop(self) -> None:
        """Send nothing more."""
        self.session.stop()

    def finish(self) -> None:
        """Stop sending and count.

        The run is over only after the count: Locust ends its process soon after a shape has ended.
        """
        self._count()
        self.over = True

    def _watch(self) -> None:
        try:
            self.session.watch()
            self.finish()
        except JobctlError as error:
            logger.error("%s", error)
            self._environment.process_exit_code = 1
            self.over = True

    def _say(self, message: Any) -> None:
        self.tell(message)


class Master(_Leading):
    """Shares a load out and sends nothing itself."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._runner: MasterRunner = environment.runner
        self._runner.register_message("jobctl_said", self._heard)
        self._conductor: Any = None
        self._names: list[str] = []

    def renew(self) -> None:
        """Prepare the next run, if there was one before."""
        if self.over:
            self._spec = wiring.new_run(self._spec)
            self._conductor, self.over = None, False

    def start(self) -> None:
        """Begin a run: each generator that is there gets its shard."""
        self.renew()
        self._names = [client.id for client in self._runner.clients.ready]
        self._conductor = wiring.make_conductor(self._spec, self._redis_url, self._names, self._say)
        for name in self._names:
            shard = self._conductor.shard(name)
            load = {"spec": self._spec, "shard": [shard.index, shard.count], "redis_url": self._shared_url}
            self._runner.send_message("jobctl_load", load, name)
        gevent.spawn(self._look_after)

    def drive(self) -> None:
        """Nothing: a master's users are its generators'."""

    def stop(self) -> None:
        """Let nobody send any more."""
        for name in self._names:
            self._runner.send_message("jobctl_stop", {}, name)

    def finish(self) -> None:
        """Let all generators stop and count, and wait for what they say."""
        if self._conductor is not None:
            self.stop()
            while not self._conductor.over:
                gevent.sleep(_LOOK_S / 10)
        self.over = True

    def _look_after(self) -> None:
        conductor = self._conductor
        while not conductor.over:
            gevent.sleep(_LOOK_S)
            for name in self._names:
                client = self._runner.clients.get(name)
                if client is None or client.state == STATE_MISSING:
                    conductor.lose(name)
        self.over = True

    def _heard(self, msg: Any, **_: Any) -> None:
        if self._conductor is not None:
            self._conductor.hear(msg.node_id, msg.data)

    def _say(self, message: Any) -> None:
        self.tell(message)
        match message["event"]:
            case "ready" if self._events is None:  # nobody else agrees on a start
                wiring.agree_start_at(self._redis_url, self._conductor.run_id)
            case "failed":
                logger.error("%s", message["reason"])
                self._environment.process_exit_code = 1


class Generator(_Sending):
    """One of several that send; a master leads it."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._runner: WorkerRunner = environment.runner
        self._redis_url = environment.parsed_options.redis_url
        self._runner.register_message("jobctl_load", self._take, concurrent=True)
        self._runner.register_message("jobctl_stop", lambda **_: self.stop(), concurrent=True)
        self._is_fired = self._is_orphan = False
        self._counts: Counter[tuple[str, str, bool]] = Counter()
        environment.events.request.add_listener(self._tally)
        self.tell({"event": "connected"})
        gevent.spawn(self._look_for_master)

    def renew(self) -> None:
        """Nothing: the master sends the next run."""

    def start(self) -> None:
        """Nothing: the master sends the load."""

    def drive(self) -> None:
        """Nothing: the load's own greenlet drives it."""
        gevent.sleep(1)

    def stop(self) -> None:
        """Send nothing more; what was sent is counted, and told."""
        if self.session is not None:
            self.session.stop()
            if not self._is_fired:
                self._count()

    def finish(self) -> None:
        """Locust ends this process: what was sent is counted and told, unless it was or nobody hears it."""
        if self.session is None:
            return
        if self._is_orphan:
            self.session.stop()
        else:
            self._count()

    def close(self) -> None:
        """Nothing was started here."""

    def _take(self, msg: Any, **_: Any) -> None:
        """Run the shard that the master sent, to its end."""
        redis_url = self._redis_url or msg.data["redis_url"]
        try:
            if not redis_url:
                self._say({"event": "failed", "reason": "a load generator knows no Redis; give it --redis-url"})
                return
            self._is_fired = False
            self._counts.clear()
            self._open(msg.data["spec"], redis_url, Shard(*msg.data["shard"]))
            self._say({"event": "ready"})
            start_s = wiring.agreed_start(redis_url, self.session.spec.run_id)
            if self._counted:  # it was stopped meanwhile
                return
            self._is_fired = True
            driver = gevent.spawn(self.session.fire, start_s)
            self.session.watch()
            driver.join()
            self._count()
        except JobctlError as error:
            logger.error("%s", error)
            self._say({"event": "failed", "reason": f"a load generator: {error}"})

    def _tally(self, request_type: str, name: str, exception: Exception | None = None, **_: Any) -> None:
        """Count along: Locust forgets its counts whenever it has reported them to the master."""
        self._counts[request_type, name, exception is not None] += 1

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "type": kind,
                "name": name,
                "requests": self._counts[kind, name, False] + self._counts[kind, name, True],
                "failures": self._counts[kind, name, True],
            }
            for kind, name in sorted({(kind, name) for kind, name, _ in self._counts})
        ]

    def _look_for_master(self) -> None:
        while True:
            gevent.sleep(1)
            heard_s = self._runner.last_heartbeat_timestamp
            if heard_s is not None and time.time() - heard_s > _SILENCE_S:
                logger.error("the master has not been heard of for %g s", _SILENCE_S)
                self._is_orphan = True
                self.tell({"event": "lost"})
                self._environment.process_exit_code = 2
                self.finish()
                self._runner.quit()
                return

    def _say(self, message: Any) -> None:
        self._runner.send_message("jobctl_said", message)
        if message["event"] != "records":
            self.tell(message)
