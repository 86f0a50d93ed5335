"""Plain Locust users, each at a constant rate: what ``generator.py`` compares jobctl's schedule with."""

from __future__ import annotations

from locust import FastHttpUser, constant_throughput, task

__all__ = ["Plain"]


class Plain(FastHttpUser):
    """Ten requests a second, if the answers come fast enough."""

    wait_time = constant_throughput(10)

    @task
    def get(self) -> None:
        """One request."""
        self.client.get("/")
