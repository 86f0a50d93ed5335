"""What a Prometheus scrapes and evaluates, by the part of its HTTP API that says so: targets, rules, Alertmanagers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from httpx import Response

from jobctl.adapters.http_asking import ask
from jobctl.core.facts import PrometheusFacts, TargetFacts
from jobctl.core.metrics import PREFIX
from jobctl.core.urls import without_password
from jobctl.errors import ServiceUnavailable

__all__ = ["read_prometheus"]

_OPTION: Final = "--prometheus"
#: Health of a target that was scraped, and of one whose turn has not come yet.
_NOT_DOWN: Final = frozenset({"up", "unknown"})
_REMEDY: Final = "start it, or give the URL of a Prometheus server, such as http://localhost:9090"
_LOCKED: Final = frozenset({401, 403})
_OUT_OF_ORDER: Final = 500
#: Its own metrics of what it sends to Alertmanagers.
_TELLING: Final = "prometheus_notifications_"
#: Figures of the fleet, by the metric: how the values of all processes make one.
_FIGURES: Final = {"planned_replicas": "max", "slots_stuck": "sum", "exporter_elected": "sum"}


def read_prometheus(url: str, *, timeout_s: float) -> PrometheusFacts:
    """Ask a Prometheus.

    Args:
        url: Its base, as in the browser; it may hold a user and a password.
        timeout_s: How long each part of an answer may take, seconds.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: It does not answer, or is no Prometheus.
    """
    api = _Api(url.rstrip("/"), timeout_s)
    try:
        targets = api.get("targets", state="active")["activeTargets"]
        rules = [rule for group in api.get("rules")["groups"] for rule in group["rules"]]
        return PrometheusFacts(
            targets=tuple(map(_target, targets)),
            alerts=frozenset(rule["name"] for rule in rules if rule["type"] == "alerting"),
            broken_rules=tuple(f"{rule['name']} ({rule['lastError']})" for rule in rules if rule.get("lastError")),
            alertmanagers=len(api.get("alertmanagers")["activeAlertmanagers"]),
            unheard=api.unheard(),
            values={
                name: float(vector[0]["value"][1])
                for name, fold in _FIGURES.items()
                if (vector := api.vector(f"{fold}({PREFIX}{name})"))
            },
            versions=frozenset(
                entry["metric"].get("version", "") for entry in api.vector(f"count by (version) ({PREFIX}build_info)")
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise api.strange() from None


class _Api:
    """The API.

    Args:
        url: The server.
        timeout_s: How long each part of an answer may take, seconds.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def vector(self, query: str) -> list[Any]:
        """The elements of an instant vector."""
        return list(self.get("query", query=query)["result"])

    def get(self, path: str, **parameters: str) -> Mapping[str, Any]:
        """The data of an answer."""
        response = self._ask(f"api/v1/{path}", **parameters)
        if response.status_code in _LOCKED:
            problem = f"{without_password(self._url)} lets nobody ask without a password (HTTP {response.status_code})"
            raise ServiceUnavailable(_OPTION, problem, "give http://user:password@host:9090")
        if response.status_code >= _OUT_OF_ORDER:
            problem = f"{without_password(self._url)} is out of order (HTTP {response.status_code})"
            raise ServiceUnavailable(_OPTION, problem, "look at its log; it may still be starting")
        answer = response.json()
        if answer["status"] != "success":
            raise self.strange()
        return dict(answer["data"])

    def _ask(self, path: str, **parameters: str) -> Response:
        return ask(
            f"{self._url}/{path}",
            option=_OPTION,
            name="Prometheus",
            remedy=_REMEDY,
            timeout_s=self._timeout_s,
            params=parameters,
        )

    def unheard(self) -> bool:
        """Whether all that Alertmanagers were sent was lost, as far as it has metrics of its own that say so.

        Until 3.0 it counts the messages that failed, from 3.1 on the alerts in them; alerts from before it had found an
        Alertmanager are lost as well.
        """
        told: dict[str, list[float]] = defaultdict(list)
        for line in self._ask("metrics").text.splitlines():
            if line.startswith(_TELLING):
                name, _, value = line.removeprefix(_TELLING).rpartition(" ")
                told[name.partition("{")[0]].append(float(value))
        failed, alerts, messages = (sum(told[name]) for name in ("errors_total", "sent_total", "latency_seconds_count"))
        lost = sum(told["dropped_total"]) * len(told["sent_total"])
        return failed > 0 and failed in {alerts, messages} and lost >= alerts

    def strange(self) -> ServiceUnavailable:
        """It is no Prometheus."""
        return ServiceUnavailable(_OPTION, f"{without_password(self._url)} does not answer as Prometheus does", _REMEDY)


def _target(entry: Mapping[str, Any]) -> TargetFacts:
    labels = entry["labels"]
    down = "" if entry["health"] in _NOT_DOWN else str(entry.get("lastError") or f"health {entry['health']}")
    return TargetFacts(str(labels["job"]), str(labels["instance"]), down)
