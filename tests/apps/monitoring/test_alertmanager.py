"""Who is told of what: the configuration as the real amtool reads it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from lock import REPOSITORY

from jobctl.apps.monitoring.alertmanager import (
    SLACK_URL,
    SMTP_PASSWORD,
    WEBHOOK_TOKEN,
    alertmanager_config,
)
from jobctl.apps.monitoring.rules import alerts
from jobctl.core.operations import Email, Notify, Operations, Slack, Webhook, parse_operations
from jobctl.core.rules import Urgency
from support.monitoring import tool

EMAIL = Email("oncall@example.com", "alerts@example.com", "smtp.example.com:587", "alerts")
SLACK = Slack("#jobs")
WEBHOOK = Webhook("https://hooks.example.com/jobctl")
EVERYBODY = Notify(EMAIL, SLACK, WEBHOOK)
SECRETS = "/run/secrets"


def config(notify: Notify, time_scale: float = 1.0) -> dict[str, Any]:
    return alertmanager_config(Operations(notify=notify), time_scale, SECRETS)


def channels(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """How each receiver tells."""
    return {
        one["name"]: {key.removesuffix("_configs") for key in one if key != "name"} for one in document["receivers"]
    }


def shipped() -> Operations:
    return parse_operations(tomllib.loads((REPOSITORY / "monitoring" / "slo.toml").read_text(encoding="utf-8")))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The configuration of the slo.toml that ships, as a file."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(alertmanager_config(shipped(), 1.0, SECRETS)))
    return path


def amtool(*words: str | Path) -> str:
    done = subprocess.run([tool("amtool"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "notify",
    [EVERYBODY, Notify(), Notify(EMAIL), Notify(slack=SLACK), Notify(webhook=WEBHOOK), Notify(EMAIL, webhook=WEBHOOK)],
    ids=["everybody", "nobody", "mail", "slack", "webhook", "mail and webhook"],
)
@pytest.mark.parametrize("time_scale", [1.0, 60.0, 100_000.0])
def test_the_real_amtool_accepts_it(notify: Notify, time_scale: float, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config(notify, time_scale)))

    assert "SUCCESS" in amtool("check-config", path)


def test_every_alert_reaches_the_receiver_of_its_severity(written: Path) -> None:
    reached = {}
    for alert in alerts(shipped(), 1.0):
        labels = [f"alertname={alert.name}", f"severity={alert.urgency}", "objective=p95 wait <= 1s"]
        reached[alert.name] = amtool("config", "routes", "test", "--config.file", written, *labels).strip()

    assert reached == {alert.name: alert.urgency.value for alert in alerts(shipped(), 1.0)}
    assert set(reached.values()) == {"page", "ticket", "watchdog"}


def test_an_alert_of_no_severity_is_a_ticket(written: Path) -> None:
    assert amtool("config", "routes", "test", "--config.file", written, "alertname=Other").strip() == "ticket"


@pytest.mark.parametrize(
    ("notify", "expected"),
    [
        (EVERYBODY, {"page": {"email", "slack", "webhook"}, "ticket": {"email", "slack"}, "watchdog": {"webhook"}}),
        (Notify(EMAIL), {"page": {"email"}, "ticket": {"email"}, "nobody": set()}),
        (Notify(slack=SLACK), {"page": {"slack"}, "ticket": {"slack"}, "nobody": set()}),
        (Notify(webhook=WEBHOOK), {"page": {"webhook"}, "ticket": {"webhook"}, "watchdog": {"webhook"}}),
        (Notify(), {"nobody": set()}),
    ],
    ids=["everybody", "mail", "slack", "webhook", "nobody"],
)
def test_only_channels_that_are_configured_are_used(notify: Notify, expected: dict[str, set[str]]) -> None:
    document = config(notify)

    assert channels(document) == expected
    assert {route["receiver"] for route in document["route"]["routes"]} == set(expected)


def test_what_is_secret_is_read_from_files_and_nothing_else_is() -> None:
    document = config(EVERYBODY)
    found: dict[str, Any] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if re.search(r"password|token|secret|credential|api_url|api_key", key):
                    found[key] = inner
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    assert found == {
        "auth_password_file": f"{SECRETS}/{SMTP_PASSWORD}",
        "api_url_file": f"{SECRETS}/{SLACK_URL}",
        "credentials_file": f"{SECRETS}/{WEBHOOK_TOKEN}",
    }


def test_mail_without_a_user_logs_in_nowhere() -> None:
    document = config(Notify(replace(EMAIL, username="")))

    (mail,) = next(one["email_configs"] for one in document["receivers"] if one["name"] == "page")
    assert not {key for key in mail if key.startswith("auth_")}


def test_everybody_hears_that_it_is_over_but_nobody_hears_that_of_the_watchdog() -> None:
    told = {
        receiver["name"]: {one["send_resolved"] for key, many in receiver.items() if key != "name" for one in many}
        for receiver in config(EVERYBODY)["receivers"]
    }

    assert told == {"page": {True}, "ticket": {True}, "watchdog": {False}}


def test_pages_repeat_each_hour_tickets_each_day_and_the_watchdog_beats_each_minute() -> None:
    routes = {one["receiver"]: one for one in config(EVERYBODY)["route"]["routes"]}

    assert {name: (one["group_interval"], one["repeat_interval"]) for name, one in routes.items()} == {
        "page": ("1m", "1h"),
        "ticket": ("1h", "1d"),
        "watchdog": ("1m", "50s"),  # looked at each minute: 50 s have always passed
    }
    assert routes["ticket"]["group_by"] == ["severity"]


def test_a_time_scale_shortens_every_wait() -> None:
    (page, *_) = config(EVERYBODY, time_scale=60)["route"]["routes"]

    assert (page["group_wait"], page["group_interval"], page["repeat_interval"]) == ("500ms", "1s", "1m")


def test_an_alert_keeps_quiet_only_alerts_that_exist_and_are_no_more_urgent_than_itself() -> None:
    urgencies = {alert.name: alert.urgency for alert in alerts(shipped(), 1.0)}

    for rule in config(EVERYBODY)["inhibit_rules"]:
        (cause,) = (one.removeprefix('alertname="').removesuffix('"') for one in rule["source_matchers"])
        (effects,) = (one.removeprefix('alertname=~"').removesuffix('"').split("|") for one in rule["target_matchers"])
        assert urgencies[cause] is Urgency.PAGE
        assert {cause, *effects} <= set(urgencies)
        assert cause not in effects
        assert "JobctlWatchdog" not in effects


def test_no_two_alerts_keep_each_other_quiet() -> None:
    silences = {
        (rule["source_matchers"][0].split('"')[1], effect)
        for rule in config(EVERYBODY)["inhibit_rules"]
        for effect in rule["target_matchers"][0].split('"')[1].split("|")
    }

    assert not {(cause, effect) for cause, effect in silences if (effect, cause) in silences}
