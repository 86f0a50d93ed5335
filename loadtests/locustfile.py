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

import logging
from typing import Any

from locust import User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from roles import make_load
from shapes import UntilDrained

from jobctl.errors import JobctlError

__all__ = ["OpenLoop", "UntilDrained"]

logger = logging.getLogger("jobctl.load")


class OpenLoop(User):
    """Drives the schedule; how many of them there are does not matter."""

    wait_time = constant(0)

    @task
    def drive(self) -> None:
        """Walk the schedule, or idle while another user does."""
        self.environment.load.drive()


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
        environment.load = make_load(environment)
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
        environment.load.stop()


@events.quitting.add_listener
def _quitting(environment: Environment, **_: Any) -> None:
    if hasattr(environment, "load"):
        environment.load.finish()
        environment.load.close()
