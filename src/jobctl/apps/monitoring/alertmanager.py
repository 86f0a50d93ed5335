"""Alertmanager's configuration: who is told of an alert, how soon, how often, and what keeps another one quiet.

An alert's label ``severity`` (:class:`jobctl.core.rules.Urgency`) says who is told: a page goes out on every channel at
once, tickets are gathered into mail and Slack, and the watchdog beats on the webhook. What is secret is in files.
Written for Alertmanager 0.25, which reads a webhook's address from its configuration only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from jobctl.core.operations import Email, Notify, Operations, Slack, Webhook
from jobctl.core.rules import Urgency, duration

__all__ = ["SLACK_URL", "SMTP_PASSWORD", "WEBHOOK_TOKEN", "alertmanager_config"]

#: The files with what is secret.
SMTP_PASSWORD: Final = "smtp_password"
SLACK_URL: Final = "slack_url"
WEBHOOK_TOKEN: Final = "webhook_token"

_NOBODY: Final = "nobody"


class _Rhythm(NamedTuple):
    """When a group of alerts is told, seconds.

    Attributes:
        wait_s: After its first alert; by then what caused it fires too, and keeps it quiet.
        interval_s: Until alerts that joined it are told.
        repeat_s: Until it is told again, unchanged; looked at every ``interval_s``.
    """

    wait_s: float
    interval_s: float
    repeat_s: float


_RHYTHMS: Final[Mapping[Urgency, _Rhythm]] = {
    Urgency.PAGE: _Rhythm(30, 60, 3600),
    Urgency.TICKET: _Rhythm(300, 3600, 86_400),
    # A beat each interval: at the next one, an entry just made would be younger than a repeat of the same length.
    Urgency.WATCHDOG: _Rhythm(1, 60, 50),
}
#: One message for each alert that pages, one for all tickets.
_GROUPS: Final[Mapping[Urgency, list[str]]] = {
    Urgency.PAGE: ["alertname"],
    Urgency.TICKET: ["severity"],
    Urgency.WATCHDOG: ["alertname"],
}

#: While the first fires, nobody hears of the others: (cause, effects, labels that both must share).
_SILENCES: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    # Whatever is read from Redis is unknown then, and workers cannot start without it.
    (
        "JobctlRedisDown",
        (
            "JobctlFleetDown", "JobctlCrashLoop", "JobctlWorkersBelowPlan", "JobctlSchedulerAbsent",
            "JobctlExporterAbsent", "JobctlJobsStuck", "JobctlFleetUndersized", "JobctlLimiterBound",
            "JobctlNoCallSucceeds", "JobctlDeadSetGrows", "JobctlJobsAbandoned", "JobctlRedisMemoryHigh",
            "JobctlRedisNotPersistent", "JobctlRedisEvicts", "JobctlWaitBudgetBurnsFast",
            "JobctlWaitBudgetBurnsSlowly",
        ),
        (),
    ),
    # A fleet that is not there neither keeps up, nor schedules, nor stands in for its exporter.
    (
        "JobctlFleetDown",
        (
            "JobctlWorkersBelowPlan", "JobctlSchedulerAbsent", "JobctlExporterAbsent", "JobctlJobsStuck",
            "JobctlFleetUndersized", "JobctlLimiterBound", "JobctlJobsAbandoned", "JobctlSlotsStuck",
            "JobctlWaitBudgetBurnsFast", "JobctlWaitBudgetBurnsSlowly",
        ),
        (),
    ),
    # Workers that start again and again are missing in between, and what they held is put back.
    ("JobctlCrashLoop", ("JobctlWorkersBelowPlan", "JobctlJobsAbandoned"), ()),
    # A breaker that stops calls leaves no headroom, and follows answers such as 429.
    ("JobctlBreakerOpen", ("JobctlNoCallSucceeds", "JobctlLimiterBound", "JobctlRateLimited"), ()),
    ("JobctlNoCallSucceeds", ("JobctlLimiterBound", "JobctlRateLimited"), ()),
    ("JobctlSuccessBudgetBurnsFast", ("JobctlSuccessBudgetBurnsSlowly",), ()),
    ("JobctlWaitBudgetBurnsFast", ("JobctlWaitBudgetBurnsSlowly",), ("objective",)),
)  # fmt: skip

_TITLE: Final = (
    "{{ with .CommonLabels.severity }}[{{ . }}] {{ end }}"
    "{{ if .Alerts.Firing }}{{ len .Alerts.Firing }} firing{{ else }}resolved{{ end }}"
    "{{ with .CommonLabels.alertname }}: {{ . }}{{ end }}"
)
_MAIL_TEXT: Final = (
    "{{ range .Alerts }}"
    '{{ .Labels.alertname }}{{ if eq .Status "resolved" }} (resolved){{ end }}: {{ .Annotations.summary }}\n'
    "{{ with .Annotations.description }}{{ . }}\n{{ end }}"
    "Since {{ .StartsAt }}\n"
    "{{ with .Annotations.runbook_url }}What to do: {{ . }}\n{{ end }}"
    "\n{{ end }}"
)
#: Slack takes these three characters for its own markup.
_ESCAPED: Final = '| reReplaceAll "&" "&amp;" | reReplaceAll "<" "&lt;" | reReplaceAll ">" "&gt;"'
_SLACK_TEXT: Final = (
    "{{ range .Alerts }}"
    '*{{ .Labels.alertname }}*{{ if eq .Status "resolved" }} (resolved){{ end }}: '
    f"{{{{ .Annotations.summary {_ESCAPED} }}}}\n"
    f"{{{{ with .Annotations.description }}}}{{{{ . {_ESCAPED} }}}}\n{{{{ end }}}}"
    "{{ with .Annotations.runbook_url }}What to do: {{ . }}\n{{ end }}"
    "{{ end }}"
)


def alertmanager_config(operations: Operations, time_scale: float, secrets: str) -> dict[str, Any]:
    """What ``alertmanager.yml`` holds.

    Args:
        operations: Who is told.
        time_scale: By how much faster than in life every wait is.
        secrets: The directory with the files :data:`SMTP_PASSWORD`, :data:`SLACK_URL` and :data:`WEBHOOK_TOKEN`.
    """
    channels = {urgency: _channels(operations.notify, urgency, secrets) for urgency in Urgency}
    names = {urgency: urgency.value if channels[urgency] else _NOBODY for urgency in Urgency}
    receivers = {names[urgency]: {"name": names[urgency], **channels[urgency]} for urgency in Urgency}
    return {
        "global": {"resolve_timeout": duration(300, time_scale)},
        "route": {
            # An alert that is none of ours, and says of nobody that he be told.
            "receiver": names[Urgency.TICKET],
            **_times(Urgency.TICKET, time_scale),
            "routes": [
                {
                    "matchers": [f'severity="{urgency.value}"'],
                    "receiver": names[urgency],
                    **_times(urgency, time_scale),
                }
                for urgency in Urgency
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": [f'alertname="{cause}"'],
                "target_matchers": [f'alertname=~"{"|".join(effects)}"'],
                **({"equal": list(shared)} if shared else {}),
            }
            for cause, effects, shared in _SILENCES
        ],
        "receivers": list(receivers.values()),
    }


def _times(urgency: Urgency, time_scale: float) -> dict[str, Any]:
    rhythm = _RHYTHMS[urgency]
    return {
        "group_by": _GROUPS[urgency],
        "group_wait": duration(rhythm.wait_s, time_scale),
        "group_interval": duration(rhythm.interval_s, time_scale),
        "repeat_interval": duration(rhythm.repeat_s, time_scale),
    }


def _channels(notify: Notify, urgency: Urgency, secrets: str) -> dict[str, list[dict[str, Any]]]:
    """How one receiver tells; empty when it tells nobody."""
    people: dict[str, list[dict[str, Any]]] = {}
    if notify.email is not None:
        people["email_configs"] = [_email(notify.email, secrets)]
    if notify.slack is not None:
        people["slack_configs"] = [_slack(notify.slack, secrets)]
    if notify.webhook is None:
        return {} if urgency is Urgency.WATCHDOG else people
    # Whoever waits for the watchdog's beat would take "resolved" for one.
    machine = {"webhook_configs": [_webhook(notify.webhook, secrets, resolved=urgency is not Urgency.WATCHDOG)]}
    if urgency is Urgency.PAGE:
        return {**people, **machine}
    return (people or machine) if urgency is Urgency.TICKET else machine


def _email(email: Email, secrets: str) -> dict[str, Any]:
    login = {"auth_username": email.username, "auth_password_file": f"{secrets}/{SMTP_PASSWORD}"}
    return {
        "to": email.to,
        "from": email.sender,
        "smarthost": email.smarthost,
        **(login if email.username else {}),
        "headers": {"Subject": _TITLE},
        "html": "",
        "text": _MAIL_TEXT,
        "send_resolved": True,
    }


def _slack(slack: Slack, secrets: str) -> dict[str, Any]:
    return {
        "api_url_file": f"{secrets}/{SLACK_URL}",
        "channel": slack.channel,
        "title": _TITLE,
        "title_link": "{{ .CommonAnnotations.runbook_url }}",
        "fallback": _TITLE,
        "text": _SLACK_TEXT,
        "send_resolved": True,
    }


def _webhook(webhook: Webhook, secrets: str, *, resolved: bool) -> dict[str, Any]:
    return {
        "url": webhook.url,
        "http_config": {
            "authorization": {"type": "Bearer", "credentials_file": f"{secrets}/{WEBHOOK_TOKEN}"},
        },
        "send_resolved": resolved,
    }
