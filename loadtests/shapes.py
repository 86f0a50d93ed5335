"""Locust load shapes for open-loop runs.

A Locust shape says how many users there are, and ends the run. jobctl's rate comes from its schedule and does not
depend on users, so one user is enough and the shape's work is the end: the run is over when the schedule was fired and
drained. How the rate runs is told by the scenario, on the page of Locust as in `jobctl bench`.
"""

from __future__ import annotations

import math

from locust import LoadTestShape

__all__ = ["UntilDrained"]


class UntilDrained(LoadTestShape):
    """One user until the load is over, or until Locust's --run-time."""

    def reset_time(self) -> None:
        """Locust starts a run, which may be its second."""
        super().reset_time()
        self.runner.environment.load.renew()

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate wanted now; None ends the run."""
        environment = self.runner.environment
        run_time_s = environment.parsed_options.run_time or math.inf
        return None if environment.load.over or self.get_run_time() >= run_time_s else (1, 1)
