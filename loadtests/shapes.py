"""Locust load shapes for open-loop runs.

A Locust shape says how many users there are, and ends the run. jobctl's rate comes from its schedule and does not
depend on users, so one user is enough and the shape's work is the end: the run is over when the schedule was fired and
drained.
"""

from __future__ import annotations

from locust import LoadTestShape

__all__ = ["UntilDrained"]


class UntilDrained(LoadTestShape):
    """One user until the load is over."""

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate wanted now; None ends the run."""
        return None if self.runner.environment.load.over else (1, 1)
