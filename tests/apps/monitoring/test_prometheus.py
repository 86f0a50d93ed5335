"""Prometheus' files: what is scraped, who is told, and how rules are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobctl.apps.monitoring.prometheus import RULE_FILES, prometheus_config, rules_document
from jobctl.core.operations import Operations, Scrape
from jobctl.core.rules import Alert, Group, Recording, Urgency
from support.monitoring import promtool


def scraped(scrape: Scrape) -> dict[str, Any]:
    return {job["job_name"]: job for job in prometheus_config(Operations(scrape=scrape), 1.0)["scrape_configs"]}


def test_workers_are_found_by_their_name_or_one_by_one() -> None:
    found = scraped(Scrape(worker_dns="worker.internal:9101", interval_s=30.0))["jobctl-worker"]
    listed = scraped(Scrape(workers=("10.0.0.1:9100", "10.0.0.2:9100")))["jobctl-worker"]

    assert found["dns_sd_configs"] == [
        {"names": ["worker.internal"], "type": "A", "port": 9101, "refresh_interval": "30s"}
    ]
    assert listed["static_configs"] == [{"targets": ["10.0.0.1:9100", "10.0.0.2:9100"]}]
    assert "dns_sd_configs" not in listed


def test_workers_on_a_network_of_ipv6_alone_are_found() -> None:
    found = scraped(Scrape(dns_type="AAAA"))["jobctl-worker"]

    assert [one["type"] for one in found["dns_sd_configs"]] == ["AAAA"]


def test_an_exporter_is_scraped_where_there_is_one() -> None:
    assert scraped(Scrape(exporter="exporter:9200"))["jobctl-exporter"]["static_configs"] == [
        {"targets": ["exporter:9200"]}
    ]
    assert set(scraped(Scrape(exporter=""))) == {"jobctl-worker"}


def test_alerts_go_where_the_file_says() -> None:
    config = prometheus_config(Operations(scrape=Scrape(alertmanager="10.0.0.9:9093")), 1.0)

    assert config["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["10.0.0.9:9093"]}]}]}


@pytest.mark.parametrize("scrape", [Scrape(), Scrape(workers=("127.0.0.1:9100",), exporter="", interval_s=1.0)])
@pytest.mark.parametrize("time_scale", [1.0, 60.0])
def test_prometheus_takes_its_configuration_and_finds_the_rules(
    scrape: Scrape, time_scale: float, tmp_path: Path
) -> None:
    for path in RULE_FILES:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("groups: []", encoding="utf-8")
    config = prometheus_config(Operations(scrape=scrape), time_scale)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    assert f"{len(RULE_FILES)} rule files found" in promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_rules_are_written_with_their_times_scaled_and_the_address_of_the_runbook() -> None:
    recording = Recording("jobctl:x:max", "max(x)", {"objective": "p95 wait <= 1 s"})
    alert = Alert(
        "JobctlX", "x > 1", 120.0, Urgency.PAGE, "It is {{ $value }}", "Do this. Then that.", {"team": "jobs"}
    )
    quick = Alert("JobctlY", "y", 0.0, Urgency.TICKET, "y", "z.")

    document = rules_document(
        (Group("slow", (recording,), interval_s=120.0), Group("own", (alert, quick))), "https://x.example/book", 60.0
    )

    assert document == {
        "groups": [
            {
                "name": "slow",
                "interval": "2s",
                "rules": [
                    {"record": "jobctl:x:max", "expr": "max(x)", "labels": {"objective": "p95 wait <= 1 s"}},
                ],
            },
            {
                "name": "own",
                "rules": [
                    {
                        "alert": "JobctlX",
                        "expr": "x > 1",
                        "for": "2s",
                        "labels": {"team": "jobs", "severity": "page"},
                        "annotations": {
                            "summary": "It is {{ $value }}",
                            "description": "Do this. Then that.",
                            "runbook_url": "https://x.example/book#jobctlx",
                        },
                    },
                    {
                        "alert": "JobctlY",
                        "expr": "y",
                        "labels": {"severity": "ticket"},
                        "annotations": {
                            "summary": "y",
                            "description": "z.",
                            "runbook_url": "https://x.example/book#jobctly",
                        },
                    },
                ],
            },
        ]
    }
