"""``jobctl monitoring``: the files that watch a fleet, made from ``slo.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jobctl.core.operations import Operations

__all__ = ["SECRETS", "rendered"]

#: Where the containers of docker-compose.yml find their secrets.
SECRETS: Final = "/run/secrets"
_HEADER: Final = "# Made by jobctl monitoring render from slo.toml. Change that, not this.\n"


def rendered(operations: Operations, *, time_scale: float = 1.0, secrets: str = SECRETS) -> dict[str, str]:
    """The files, by their path in ``monitoring/``.

    Args:
        operations: What they are made from.
        time_scale: By how much faster than in life every window, wait and interval is; for trying alerts out.
        secrets: The directory in which Alertmanager finds its secrets.
    """
    from jobctl.adapters.grafana import dashboard_json
    from jobctl.apps.monitoring.alertmanager import alertmanager_config
    from jobctl.apps.monitoring.panels import rows
    from jobctl.apps.monitoring.prometheus import prometheus_config, rules_document
    from jobctl.apps.monitoring.rule_tests import rule_tests
    from jobctl.apps.monitoring.rules import alert_groups, recording_groups

    recorded = recording_groups(operations, time_scale)
    alerts = alert_groups(operations, time_scale)
    runbook = operations.notify.runbook
    files = {
        "prometheus/prometheus.yml": _yaml(prometheus_config(operations, time_scale)),
        "prometheus/alerts/recording-rules.yml": _yaml(rules_document(recorded, runbook, time_scale)),
        "prometheus/alerts/worker-alerts.yml": _yaml(rules_document(alerts, runbook, time_scale)),
        "alertmanager/alertmanager.yml": _yaml(alertmanager_config(operations, time_scale, secrets)),
        "grafana/dashboards/worker-dashboard.json": dashboard_json(rows(operations, time_scale)),
    }
    if time_scale == 1:
        files["prometheus/tests/worker-alerts.test.yml"] = _yaml(rule_tests(operations))
    return files


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    return _HEADER + yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)
