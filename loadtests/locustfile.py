"""Locust fires jobctl's open-loop schedule.

Two ways in. `jobctl bench` starts this file in a process of its own and passes the load in the environment. Plain
Locust works too, with its own web page or headless::

    locust -f loadtests/locustfile.py --scenario steady-450k
    locust -f loadtests/locustfile.py --headless --scenario spike --redis-url redis://localhost:6379/0

Without --redis-url an embedded Redis, a mock OpenRouter and workers are started, exactly as `jobctl bench` does.

Locust's users are a closed model: each waits for its task. So here a user does not run jobs. The first one walks the
schedule and sends what is due, and no task ever waits for a job; further users change nothing. Locust's statistics get
a row `enqueue` (intended arrival until Redis took it) and a row `sojourn` (intended arrival until the job ended) for
each job type.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock
from locust import User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from shapes import UntilDrained

from jobctl.apps.bench.generator import Sent
from jobctl.errors import JobctlError
from jobctl.wiring import load as wiring
from jobctl.wiring.bench import embedded_load

__all__ = ["OpenLoop", "UntilDrained"]

logger = logging.getLogger("jobctl.load")


class Load:
    """The load of one Locust process: it ties a jobctl load session to Locust's statistics and life."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._embedded: Any = None
        self._events = os.fdopen(int(os.environ["JOBCTL_EVENTS_FD"]), "w") if "JOBCTL_EVENTS_FD" in os.environ else None
        if self._events is None:
            options = environment.parsed_options
            self._embedded = embedded_load(options.scenario, options.redis_url or None, options.replicas)
            self._spec, self._redis_url = self._embedded.spec, self._embedded.redis_url
            logger.info("%s", self._embedded.introduction)
        else:
            self._spec = Path(os.environ["JOBCTL_LOAD_SPEC"]).read_text(encoding="utf-8")
            self._redis_url = os.environ["REDIS_URL"]
            # Locust handles SIGTERM only once a shape's run is over; here it ends the run, and all is still counted.
            gevent.signal_handler(signal.SIGTERM, self._stop)
        self._open()

    def _open(self) -> None:
        self.session = wiring.load_session(self._spec, self._redis_url, self._say, self._sent, self._ended)
        self.over = False
        self._counted = False
        self._counting = RLock()
        self._driver: Any = None

    def renew(self) -> None:
        """Prepare the next run, if there was one before: Locust's page can start one after another."""
        if self._driver is not None:
            self._spec = wiring.new_run(self._spec)
            self._open()

    def start(self) -> None:
        """Begin a run: one greenlet watches outcomes; the users drive."""
        self._say({"event": "ready"})
        self._start_s = wiring.agreed_start(self._redis_url, self.session.spec.run_id) if self._events else None
        gevent.spawn(self._watch)

    def drive(self) -> None:
        """Walk the schedule, if no other user does."""
        if self._driver is None:
            self._driver = gevent.getcurrent()
            self.session.fire(self._start_s)
        gevent.sleep(1)

    def finish(self) -> None:
        """Stop sending and count, once; whoever comes second waits for the first.

        The run is over only after the count: Locust ends its process soon after a shape has ended.
        """
        self.session.stop()
        with self._counting:
            if not self._counted:
                self._counted = True
                self.session.count(lambda: _rows(self._environment))
        self.over = True

    def _stop(self) -> None:
        self.session.stop()

    def close(self) -> None:
        """Stop what this process started."""
        if self._embedded is not None:
            self._embedded.close()

    def _watch(self) -> None:
        try:
            self.session.watch()
            self.finish()
        except JobctlError as error:
            logger.error("%s", error)
            self._environment.process_exit_code = 1
            self.over = True

    def _say(self, message: Any) -> None:
        if self._events is not None:
            self._events.write(json.dumps(message) + "\n")
            self._events.flush()

    def _sent(self, sent: Sent) -> None:
        job_type = self.session.spec.workload_at(sent.position).job_type
        self._fire("enqueue", job_type, sent.acknowledged_s - sent.intended_s, sent.error)

    def _ended(self, job_type: str, sojourn_s: float, failed: bool) -> None:
        self._fire("sojourn", job_type, sojourn_s, RuntimeError("the job failed") if failed else None)

    def _fire(self, kind: str, job_type: str, seconds: float, error: Exception | None) -> None:
        self._environment.events.request.fire(
            request_type=kind,
            name=job_type,
            response_time=seconds * 1000,
            response_length=0,
            exception=error,
            context={},
        )


class OpenLoop(User):
    """Drives the schedule; how many of them there are does not matter."""

    wait_time = constant(0)

    @task
    def drive(self) -> None:
        """Walk the schedule, or idle while another user does."""
        self.environment.load.drive()


def _rows(environment: Environment) -> list[dict[str, Any]]:
    """Locust's own counts, row by row."""
    return [
        {"type": entry.method, "name": entry.name, "requests": entry.num_requests, "failures": entry.num_failures}
        for _, entry in sorted(environment.stats.entries.items())
    ]


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser, **_: Any) -> None:
    parser.add_argument(
        "--scenario", default="steady-450k", include_in_web_ui=False, help="Scenario of loadtests/scenarios/ to drive"
    )
    parser.add_argument("--redis-url", default="", env_var="REDIS_URL", include_in_web_ui=False, help="Redis to use")
    parser.add_argument(
        "--replicas", type=int, default=2, include_in_web_ui=False, help="Workers to start beside an embedded Redis"
    )


@events.init.add_listener
def _init(environment: Environment, **_: Any) -> None:
    try:
        environment.load = Load(environment)
    except JobctlError as error:
        logger.error("%s", error)
        environment.runner.quit()
        raise SystemExit(2) from None
    environment.process_exit_code = 0


@events.test_start.add_listener
def _test_start(environment: Environment, **_: Any) -> None:
    environment.load.start()


@events.test_stop.add_listener
def _test_stop(environment: Environment, **_: Any) -> None:
    if hasattr(environment, "load"):  # it is missing where bad input ended Locust at its start
        environment.load.session.stop()


@events.quitting.add_listener
def _quitting(environment: Environment, **_: Any) -> None:
    if hasattr(environment, "load"):
        environment.load.finish()
        environment.load.close()
