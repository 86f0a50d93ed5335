from __future__ import annotations

import socket
from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("options", "named", "remedy"),
    [
        (["--concurrency", "0"], "--concurrency", "at least 1"),
        (["--concurrency", "-3"], "--concurrency", "at least 1"),
        (["--concurrency", "many"], "--concurrency", "whole number"),
        (["--queues", ""], "--queues", "default"),
        (["--queues", "high:6,low:0"], "--queues", "at least 1"),
        (["--queues", "high:6,low"], "--queues", "all queues a weight"),
        (["--attempts", "-1"], "--attempts", "at least 1"),
        (["--retry-base", "soon"], "--retry-base", "a duration such as"),
        (["--redis-url", "nonsense"], "--redis-url", "redis://"),
        (["--redis-url", "http://localhost"], "--redis-url", "redis://"),
        (["--sentry-dsn", "nonsense"], "--sentry-dsn", "https://KEY@HOST/PROJECT"),
        (["--sentry-traces-sample-rate", "2"], "--sentry-traces-sample-rate", "0 to 1"),
        (["--sentry-errors", "some"], "--sentry-errors", "dead or every"),
        (["--metrics-port", "99999"], "--metrics-port", "at most 65535"),
    ],
)
def test_what_means_nothing_is_told_in_one_line(
    options: list[str], named: str, remedy: str, refused: Callable[..., str]
) -> None:
    said = refused("work", *options)
    assert named in said
    assert remedy in said


def test_a_taken_metrics_port_is_told_in_one_line(redis_url: str, refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = ["--redis-url", redis_url, "--metrics-host", "127.0.0.1"]
        said = refused("work", *options, "--metrics-port", str(taken.getsockname()[1]))
    assert "--metrics-port: 127.0.0.1:" in said
    assert "cannot be had (address already in use)" in said
