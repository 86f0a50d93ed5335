"""``jobctl monitoring``: the files that watch a fleet, made from ``slo.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jobctl.adapters.files import monitoring_directory
from jobctl.core.operations import Operations
from jobctl.errors import InvalidOption
from jobctl.wiring.rendered import DIRECTORY, differing, put

__all__ = ["BY_HAND", "SECRETS", "begin", "rendered"]

#: Where the containers of docker-compose.yml find their secrets.
SECRETS: Final = "/run/secrets"
#: What is written by hand, files and directories: it ships with jobctl, and ``jobctl monitoring init`` copies it.
BY_HAND: Final = ("slo.toml", "docker-compose.yml", "README.md", "grafana/provisioning")
#: So that no secret is ever committed.
_UNCOMMITTED: Final = "*\n!.gitignore\n"
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
    from jobctl.apps.monitoring.compose import fleet_services
    from jobctl.apps.monitoring.panels import dashboard
    from jobctl.apps.monitoring.prometheus import prometheus_config, rules_document
    from jobctl.apps.monitoring.rule_tests import budget_tests, rule_tests
    from jobctl.apps.monitoring.rules import alert_groups, recording_groups

    recorded = recording_groups(operations, time_scale)
    alerts = alert_groups(operations, time_scale)
    runbook = operations.notify.runbook
    files = {
        "prometheus/prometheus.yml": _yaml(prometheus_config(operations, time_scale)),
        "prometheus/alerts/recording-rules.yml": _yaml(rules_document(recorded, runbook, time_scale)),
        "prometheus/alerts/worker-alerts.yml": _yaml(rules_document(alerts, runbook, time_scale)),
        "alertmanager/alertmanager.yml": _yaml(alertmanager_config(operations, time_scale, secrets)),
        "fleet.yml": _yaml(fleet_services(operations)),
        "grafana/dashboards/worker-dashboard.json": dashboard_json(dashboard(operations, time_scale)),
    }
    if time_scale == 1:
        files["prometheus/tests/worker-alerts.test.yml"] = _yaml(rule_tests(operations))
        files["prometheus/tests/budget-alerts.test.yml"] = _yaml(budget_tests(operations))
    return files


def begin(directory: Path) -> list[str]:
    """Copy what is written by hand to where it is not yet, with a place for secrets that only its owner may enter.

    Returns:
        The files that were written, by their path in the directory.

    Raises:
        InvalidOption: Another file is already there, and nothing was written; or a file cannot be written.
    """
    files = _by_hand()
    for name in differing(directory, files):
        if (directory / name).exists():
            raise InvalidOption(
                DIRECTORY,
                f"{str(directory / name)!r} is there, and is not what ships",
                "move it away, or give another directory",
            )
    written = put(directory, files)
    (directory / "secrets").chmod(0o700)
    return written


def _by_hand() -> dict[str, str]:
    source = monitoring_directory()
    texts = {}
    for name in BY_HAND:
        for path in (source / name, *sorted((source / name).rglob("*"))):
            if path.is_file():
                texts[path.relative_to(source).as_posix()] = path.read_text(encoding="utf-8")
    return {**texts, "secrets/.gitignore": _UNCOMMITTED}


def _yaml(document: Mapping[str, Any]) -> str:
    """A document as text: keys in their order, no line folded, and everything in full where it is read."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    Dumper.add_representer(str, text)
    return _HEADER + yaml.dump(dict(document), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)
