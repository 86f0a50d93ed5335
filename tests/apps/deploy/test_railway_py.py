"""The file is evaluated with Railway's own SDK, as its command line does (railwayapp/cli 5.43.1, src/iac/eval.rs)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from jobctl.apps.deploy.railway_py import HEADER, is_ours, needs, railway_py
from jobctl.apps.deploy.services import worker_of
from jobctl.core.operations import Fleet, Operations, Scrape
from jobctl.core.railway_rewriting import rewrite
from jobctl.settings import FIELDS

OPERATIONS = Operations(fleet=Fleet(replicas=3, concurrency=10, queues="llm:3,low:1", job_timeout_s=90, db_pool_size=4))
KEPT = ("OPENROUTER_API_KEY", "SENTRY_DSN", "DATABASE_URL")
SCHEMA = json.loads((Path(__file__).parents[2] / "data" / "railway_fields.schema.json").read_text(encoding="utf-8"))


def graph(text: str) -> dict[str, Any]:
    """What the SDK makes of the file, with the partial that the command line reads beside it."""
    module: dict[str, Any] = {}
    exec(compile(text, "railway.py", "exec"), module)
    project: dict[str, Any] = module["main"]().to_graph()
    json.dumps(project)  # it is handed over as JSON
    return {**project, "partial": module["PARTIAL"]}


def services(text: str) -> dict[str, Any]:
    return {one["name"]: one for one in graph(text)["resources"]}


def made(operations: Operations = OPERATIONS, existing: str | None = None) -> str:
    return railway_py(operations, KEPT, existing)


def test_it_says_what_railway_json_says() -> None:
    old = json.loads(rewrite(None, worker_of(OPERATIONS)).text)
    worker = services(made())["worker"]
    variables = worker["variables"]

    # These four are all that `railway config migrate` takes over from railway.json (emit_railway_ts in
    # src/commands/config/migrate.rs); the others are gone with it.
    for field in ("startCommand", "healthcheckPath", "healthcheckTimeout", "numReplicas"):
        assert worker["deploy"][field] == old["deploy"][field], field
    assert worker["deploy"]["restartPolicyType"] == old["deploy"]["restartPolicyType"]
    assert worker["build"] == old["build"]
    assert variables["RAILWAY_DEPLOYMENT_DRAINING_SECONDS"] == literal(old["deploy"]["drainingSeconds"])
    assert variables["RAILWAY_DEPLOYMENT_OVERLAP_SECONDS"] == literal(old["deploy"]["overlapSeconds"])


def literal(value: int | str) -> dict[str, str]:
    return {"type": "literal", "value": str(value)}


def test_every_field_is_one_of_railways_with_its_type() -> None:
    for service in services(made()).values():
        jsonschema.Draft7Validator(SCHEMA).validate({name: service[name] for name in ("build", "deploy")})


def test_the_port_that_railway_checks_is_the_one_that_the_process_listens_on() -> None:
    operations = Operations(scrape=Scrape(worker_dns="w:9111", exporter="e:9222"))
    fleet = services(made(operations))

    assert fleet["worker"]["deploy"]["startCommand"].endswith(" --metrics-port 9111")
    assert fleet["worker"]["variables"]["PORT"] == literal(9111)
    assert fleet["exporter"]["deploy"]["startCommand"] == "jobctl exporter --port 9222"
    assert fleet["exporter"]["variables"]["PORT"] == literal(9222)
    assert fleet["exporter"]["deploy"]["healthcheckPath"] == fleet["worker"]["deploy"]["healthcheckPath"] == "/readyz"


def test_the_planned_replicas_are_told_to_both_and_there_is_one_exporter() -> None:
    fleet = services(made())

    assert {one["variables"]["JOB_PLANNED_REPLICAS"]["value"] for one in fleet.values()} == {"3"}
    assert (fleet["worker"]["deploy"]["numReplicas"], fleet["exporter"]["deploy"]["numReplicas"]) == (3, 1)


def test_secrets_are_kept_where_they_are_and_never_in_the_file() -> None:
    secrets = {one.env for one in FIELDS if one.secret} | {"DATABASE_URL"}
    for service in services(made()).values():
        assert {name for name, value in service["variables"].items() if value == {"type": "preserve"}} == set(KEPT)
        assert secrets <= set(KEPT)
        assert service["variables"]["REDIS_URL"] == literal("${{Redis.REDIS_URL}}")


def test_it_claims_no_more_than_its_own_services() -> None:
    project = graph(made())

    assert project["partial"] == "jobctl"
    assert [one["address"] for one in project["resources"]] == ["service.worker", "service.exporter"]


def test_a_fleet_whose_workers_stand_in_for_the_exporter_has_none() -> None:
    assert list(services(made(Operations(scrape=Scrape(exporter=""))))) == ["worker"]


def test_the_users_lines_stay_when_the_file_is_made_again() -> None:
    edited = (
        made()
        .replace('REPOSITORY = ""', 'REPOSITORY = "acme/jobs"')
        .replace('WORKER, EXPORTER = "worker", "exporter"', 'WORKER, EXPORTER = "My Jobs", "metrics"')
        .replace("KEPT: tuple[str, ...] = ()", 'KEPT: tuple[str, ...] = ("STRIPE_KEY",)')
    )
    again = made(Operations(fleet=Fleet(replicas=9)), edited)
    fleet = services(again)

    assert is_ours(edited)
    assert fleet["My Jobs"]["deploy"]["numReplicas"] == 9
    assert fleet["metrics"]["source"] == {"type": "github", "repo": "acme/jobs", "branch": "main"}
    assert fleet["My Jobs"]["variables"]["STRIPE_KEY"] == {"type": "preserve"}
    assert made(Operations(fleet=Fleet(replicas=9)), again) == again


@pytest.mark.parametrize(
    "text",
    [
        "from railway_sdk import project\n",
        f"{HEADER}\n",
        made().replace("# ---- end of yours ----\n", ""),
        made().replace("# ---- end of yours ----\n", "# ---- end of yours ----\n# ---- end of yours ----\n"),
        f"#!/usr/bin/env python3\n{made()}",
    ],
    ids=["another", "no lines of the user", "no end", "two ends", "another first line"],
)
def test_a_file_that_could_not_be_made_again_without_a_loss_is_not_ours(text: str) -> None:
    assert not is_ours(text)


def test_whoever_has_a_file_of_their_own_is_told_what_it_needs() -> None:
    worker, exporter = needs(OPERATIONS)

    assert worker == (
        "worker: start 'jobctl work --queues llm:3,low:1 --concurrency 10 --drain-timeout 90s --db-pool-size 4 "
        "--metrics-port 9100', replicas 3, healthcheck /readyz, variables PORT=9100 JOB_PLANNED_REPLICAS=3 "
        "RAILWAY_DEPLOYMENT_DRAINING_SECONDS=100 RAILWAY_DEPLOYMENT_OVERLAP_SECONDS=30"
    )
    assert exporter.startswith("exporter: start 'jobctl exporter --port 9200', replicas 1, healthcheck /readyz, ")
