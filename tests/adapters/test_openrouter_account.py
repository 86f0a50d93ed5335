"""What an account has left, asked of the mock and of servers that answer otherwise."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from jobctl.adapters.openrouter_account import OpenRouterAccount
from jobctl.core.service import Constant
from support.running_mock import KEY, MESSAGES, MODEL, running
from support.servers import SocketServer, answering, http, silent

KEY_METRIC, CREDIT_METRIC = "openrouter_key_remaining_usd", "openrouter_credit_usd"


def body(**data: Any) -> bytes:
    return http(json.dumps({"data": data}).encode(), "Content-Type: application/json", "Connection: close")


def asked_once(*answers: bytes) -> OpenRouterAccount:
    """An account that was asked; each answer is for a connection of its own."""
    left = list(answers)

    def serve(connection: socket.socket) -> None:
        answering(left.pop(0))(connection)

    with SocketServer(serve) as server:
        account = OpenRouterAccount(server.url.rstrip("/"), KEY)
        account.ask_when_due()
    return account


def test_the_mock_tells_its_credit_less_what_was_used_and_has_no_limit_for_a_key() -> None:
    with running(Constant(0.0), {}) as mock, mock.client() as client:
        client.post("chat/completions", json={"model": MODEL, "messages": MESSAGES, "max_tokens": 8})
        account = OpenRouterAccount(mock.url, KEY)
        account.ask_when_due()
        told = client.get("credits").json()["data"]

    assert told["total_usage"] > 0
    assert account.readings() == {CREDIT_METRIC: [((), told["total_credits"] - told["total_usage"])]}


def test_the_limit_of_a_key_leaves_what_it_says() -> None:
    account = asked_once(body(limit=10, limit_remaining=7.5), body(total_credits=3.0, total_usage=1.0))

    assert account.readings() == {KEY_METRIC: [((), 7.5)], CREDIT_METRIC: [((), 2.0)]}


def test_a_key_that_may_not_see_the_credit_still_shows_its_own_limit() -> None:
    refusal = http(
        b'{"error":{"code":403,"message":"Only management keys"}}', "Connection: close", status="403 Forbidden"
    )

    assert asked_once(body(limit_remaining=7.5), refusal).readings() == {KEY_METRIC: [((), 7.5)]}


@pytest.mark.parametrize(
    "nonsense", [b"", b"<html>", b"[]", b'{"data": null}', b'{"data": {"limit_remaining": "much"}}']
)
def test_nonsense_is_nothing(nonsense: bytes) -> None:
    answer = http(nonsense, "Connection: close")

    assert asked_once(answer, answer).readings() == {}


def test_it_is_asked_once_a_period() -> None:
    clock = [1000.0]
    with SocketServer(answering(body(limit_remaining=1.0))) as server:
        account = OpenRouterAccount(server.url.rstrip("/"), KEY, now_s=lambda: clock[-1])
        for at_s in (1000.0, 1030.0, 1059.0):
            clock.append(at_s)
            account.ask_when_due()
        assert server.accepted == 2  # once for each of the figures
        clock.append(1060.0)
        account.ask_when_due()
        assert server.accepted == 4


def test_a_figure_that_cannot_be_renewed_is_kept_for_three_periods_and_then_forgotten() -> None:
    clock = [1000.0]
    with SocketServer(answering(body(limit_remaining=1.0))) as server:
        account = OpenRouterAccount(server.url.rstrip("/"), KEY, now_s=lambda: clock[-1])
        account.ask_when_due()
    for at_s in (1060.0, 1120.0, 1180.0):
        clock.append(at_s)
        account.ask_when_due()  # nobody listens
        assert account.readings() == {KEY_METRIC: [((), 1.0)]}
    clock.append(1181.0)

    assert account.readings() == {}


def test_a_server_that_says_nothing_is_given_up() -> None:
    with SocketServer(silent) as server:
        account = OpenRouterAccount(server.url.rstrip("/"), KEY, timeout_s=0.1)
        began_s = time.monotonic()
        account.ask_when_due()

        assert time.monotonic() - began_s < 3
    assert account.readings() == {}
