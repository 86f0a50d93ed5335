"""What the real Alertmanager says to whom: mail over TLS, Slack's webhook and another one, all on the loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import yaml

from jobctl.adapters.processes import ProcessGroup
from jobctl.apps.monitoring.alertmanager import SLACK_URL, SMTP_PASSWORD, WEBHOOK_TOKEN, alertmanager_config
from jobctl.core.operations import Email, Notify, Operations, Slack, Webhook
from support.monitoring import free_ports, start_alertmanager, wait_for
from support.notified import Told, being_told

#: A page is told after 0.1 s, a ticket after 1 s, the watchdog beats each 0.2 s.
TIME_SCALE = 300
RUNBOOK = "https://runbook.example.com/"


@dataclass(frozen=True)
class Manager:
    """An Alertmanager that runs, and those whom it tells."""

    url: str
    told: Told

    def alert(self, name: str, severity: str, *, over: bool = False, **labels: str) -> None:
        """What Prometheus says to it; or that it is over."""
        now = datetime.now(UTC)
        alert = {
            "labels": {"alertname": name, "severity": severity, **labels},
            "annotations": {
                "summary": f"{name} has p95 wait <= 1s & more",
                "description": "Look there.",
                "runbook_url": f"{RUNBOOK}#{name.lower()}",
            },
            "startsAt": (now - timedelta(seconds=over)).isoformat(),
            "endsAt": (now + timedelta(hours=not over)).isoformat(),
        }
        httpx.post(f"{self.url}/api/v2/alerts", json=[alert]).raise_for_status()

    def kept_quiet(self) -> set[tuple[str, str]]:
        """Name and objective of the alerts that another one silences."""
        alerts = httpx.get(f"{self.url}/api/v2/alerts").json()
        return {
            (one["labels"]["alertname"], one["labels"].get("objective", ""))
            for one in alerts
            if one["status"]["inhibitedBy"]
        }

    def posted(self, path: str, name: str, status: str) -> bool:
        """Whether a webhook heard of an alert."""
        return any(
            (one["labels"]["alertname"], one["status"]) == (name, status)
            for message in self.told.at(path)
            for one in message["alerts"]
        )


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    directory = tmp_path_factory.mktemp("alertmanager")
    with being_told(directory) as told, ProcessGroup() as group:
        (directory / SMTP_PASSWORD).write_text("mail-secret")  # with a line break at its end it would be another one
        (directory / SLACK_URL).write_text(f"{told.url}/slack\n")
        (directory / WEBHOOK_TOKEN).write_text("hook-secret\n")
        notify = Notify(
            Email("oncall@example.com", "alerts@example.com", told.smarthost, "alerts"),
            Slack("#jobs"),
            Webhook(f"{told.url}/webhook"),
        )
        file = directory / "alertmanager.yml"
        file.write_text(yaml.safe_dump(alertmanager_config(Operations(notify=notify), TIME_SCALE, str(directory))))
        (port,) = free_ports(1)
        start_alertmanager(group, file, port, env={**os.environ, "SSL_CERT_FILE": str(told.certificate)})
        yield Manager(f"http://127.0.0.1:{port}", told)


def mails_of(told: Told, name: str) -> list[str]:
    return [mail.text for mail in list(told.mails) if f"{name}" in mail.text]


def slack_of(told: Told, name: str) -> list[dict[str, str]]:
    attachments = [one for message in told.at("/slack") for one in message["attachments"]]
    return [one for one in attachments if name in one["text"]]


def test_a_page_goes_out_on_every_channel_with_the_way_to_the_runbook(manager: Manager) -> None:
    told, name = manager.told, "JobctlFleetDown"
    manager.alert(name, "page")
    wait_for(lambda: mails_of(told, name) and slack_of(told, name) and manager.posted("/webhook", name, "firing"), name)

    mail = next(one for one in told.mails if name in one.text)
    assert (mail.login, mail.encrypted) == (("alerts", "mail-secret"), True)
    assert (mail.message["Subject"], mail.message["To"]) == (f"[page] 1 firing: {name}", "oncall@example.com")
    assert mail.text.splitlines()[:2] == [f"{name}: {name} has p95 wait <= 1s & more", "Look there."]
    assert f"What to do: {RUNBOOK}#jobctlfleetdown" in mail.text
    (slack, *_) = slack_of(told, name)
    assert (slack["title"], slack["title_link"]) == (f"[page] 1 firing: {name}", f"{RUNBOOK}#jobctlfleetdown")
    assert slack["text"].splitlines() == [
        f"*{name}*: {name} has p95 wait &lt;= 1s &amp; more",
        "Look there.",
        f"What to do: {RUNBOOK}#jobctlfleetdown",
    ]
    assert {call.authorization for call in told.calls if call.path == "/webhook"} == {"Bearer hook-secret"}
    manager.alert(name, "page", over=True)
    wait_for(
        lambda: (
            manager.posted("/webhook", name, "resolved")
            and any("(resolved)" in text for text in mails_of(told, name))
            and any(one["title"] == f"[page] resolved: {name}" for one in slack_of(told, name))
        ),
        "its end",
    )


def test_tickets_come_in_one_message_to_people_and_not_to_the_webhook(manager: Manager) -> None:
    told = manager.told
    manager.alert("JobctlDeadSetGrows", "ticket")
    manager.alert("JobctlOpenRouterCreditLow", "ticket")
    wait_for(lambda: slack_of(told, "JobctlDeadSetGrows") and mails_of(told, "JobctlDeadSetGrows"), "tickets")

    (mail, *_) = mails_of(told, "JobctlDeadSetGrows")
    (slack, *_) = slack_of(told, "JobctlDeadSetGrows")
    assert "JobctlOpenRouterCreditLow" in mail
    assert slack["title"] == "[ticket] 2 firing"
    assert not manager.posted("/webhook", "JobctlDeadSetGrows", "firing")


def test_the_watchdog_beats_on_the_webhook_alone(manager: Manager) -> None:
    manager.alert("JobctlWatchdog", "watchdog")

    def beats() -> int:
        return sum(
            message["groupLabels"].get("alertname") == "JobctlWatchdog" for message in manager.told.at("/webhook")
        )

    wait_for(lambda: beats() >= 4, "four beats")
    assert not slack_of(manager.told, "JobctlWatchdog")
    assert not mails_of(manager.told, "JobctlWatchdog")


def test_what_caused_it_is_told_and_what_follows_is_kept_quiet(manager: Manager) -> None:
    manager.alert("JobctlWaitBudgetBurnsFast", "page", objective="p95 wait <= 1s")
    manager.alert("JobctlWaitBudgetBurnsSlowly", "ticket", objective="p95 wait <= 1s")
    manager.alert("JobctlWaitBudgetBurnsSlowly", "ticket", objective="p99 wait <= 5s")
    manager.alert("JobctlCrashLoop", "page")
    manager.alert("JobctlWorkersBelowPlan", "ticket")

    quiet = {("JobctlWaitBudgetBurnsSlowly", "p95 wait <= 1s"), ("JobctlWorkersBelowPlan", "")}
    wait_for(lambda: manager.kept_quiet() == quiet, "the silence")
    wait_for(lambda: slack_of(manager.told, "JobctlCrashLoop"), "the cause")
    assert not slack_of(manager.told, "JobctlWorkersBelowPlan")
