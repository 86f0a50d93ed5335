"""What one worker shows on its ``/metrics``."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from jobctl.adapters.http_asking import ask
from jobctl.core.facts import MetricsFacts
from jobctl.core.metrics import PREFIX
from jobctl.core.urls import without_password
from jobctl.errors import ServiceUnavailable

__all__ = ["read_metrics"]

_OPTION: Final = "--metrics"
_REMEDY: Final = "give the URL of a worker's --metrics-port, such as http://localhost:9100/metrics"


def read_metrics(url: str, *, timeout_s: float) -> MetricsFacts:
    """Scrape once.

    Args:
        url: Of the metrics; ``/metrics`` is added where it has no path.
        timeout_s: How long each part of the answer may take, seconds.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: Nobody answers there.
    """
    shown, path = without_password(url), url.partition("://")[2].partition("/")[2]
    full = url if path else f"{url.rstrip('/')}/metrics"
    response = ask(full, option=_OPTION, name="the worker", remedy=_REMEDY, timeout_s=timeout_s)
    if not response.is_success:
        raise ServiceUnavailable(_OPTION, f"{shown} answers HTTP {response.status_code}", _REMEDY)
    values: dict[str, float] = defaultdict(float)
    versions = set()
    try:
        for family in text_string_to_metric_families(response.text):
            for sample in family.samples:
                if sample.name.startswith(PREFIX):
                    values[sample.name.removeprefix(PREFIX)] += sample.value
                if sample.name == f"{PREFIX}build_info":
                    versions.add(sample.labels["version"])
    except (ValueError, KeyError, IndexError):
        return MetricsFacts(shown)  # it shows no metrics
    return MetricsFacts(shown, dict(values), frozenset(versions))
