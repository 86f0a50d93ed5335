from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.operations import STOP_S, needed_draining_s
from jobctl.core.railway import DeployFields, Fault, read_deploy, short_draining, wrong_types

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "railway_fields.schema.json").read_text(encoding="utf-8"))
WORK = "jobctl work --queues high,low --concurrency 25 --drain-timeout 3m --db-pool-size=5 --metrics-port 9100"


def test_what_a_file_says_of_its_worker_is_read() -> None:
    content = {
        "deploy": {
            "startCommand": f"sh -c 'exec {WORK}'",
            "numReplicas": 2,
            "drainingSeconds": 190,
            "healthcheckPath": "/readyz",
            "restartPolicyType": "ALWAYS",
            "cronSchedule": "0 5 * * *",
        }
    }

    assert read_deploy(content) == DeployFields(
        replicas=2,
        draining_s=190,
        start_command=f"sh -c 'exec {WORK}'",
        drain_timeout_s=180.0,
        concurrency=25,
        db_pool_size=5,
        metrics_port=9100,
        healthcheck_path="/readyz",
        restart_policy="ALWAYS",
        queues=("high", "low"),
        cron_schedule="0 5 * * *",
    )


def test_what_is_said_of_production_goes_before_what_is_said_of_all() -> None:
    here = {"drainingSeconds": 10, "startCommand": WORK}
    environments = {"production": {"deploy": here}, "pr": {"deploy": {"numReplicas": 1}}}
    fields = read_deploy({"deploy": {"drainingSeconds": 190, "numReplicas": 2}, "environments": environments})

    assert (fields.draining_s, fields.replicas, fields.start_command, fields.in_production) == (10, 2, WORK, True)


@pytest.mark.parametrize(
    ("deploy", "replicas"),
    [
        ({"multiRegionConfig": {"a": {"numReplicas": 2}, "b": {"numReplicas": 3}, "c": None}, "numReplicas": 9}, 5),
        ({"multiRegionConfig": {"a": {}}, "numReplicas": 4}, 4),
        ({"numReplicas": "4"}, None),
        ({"numReplicas": True}, None),
    ],
)
def test_replicas_are_those_of_all_regions_and_a_text_is_no_number(deploy: dict[str, Any], replicas: int) -> None:
    assert read_deploy({"deploy": deploy}).replicas == replicas


@pytest.mark.parametrize(
    "command", ["node worker.js", "jobctl work & jobctl work", "jobctl work --drain-timeout $D", 5]
)
def test_a_command_that_says_no_drain_timeout_gives_none(command: object) -> None:
    assert read_deploy({"deploy": {"startCommand": command}}).drain_timeout_s is None


@pytest.mark.parametrize(
    ("command", "queues"),
    [("jobctl work --queues=high:5,low:1", ("high", "low")), ("jobctl work", None), ("jobctl work --queues $Q", None)],
)
def test_queues_are_those_of_the_command_as_far_as_it_says_them(command: str, queues: tuple[str, ...] | None) -> None:
    assert read_deploy({"deploy": {"startCommand": command}}).queues == queues


@pytest.mark.parametrize(
    ("builder", "command", "exec_form"),
    [
        ("DOCKERFILE", WORK, True),
        ("DOCKERFILE", "/bin/sh -c 'exec jobctl work --metrics-port $PORT'", False),
        ("DOCKERFILE", "bash -lc 'jobctl work'", False),
        ("RAILPACK", WORK, False),
        (None, WORK, False),
    ],
)
def test_no_shell_reads_the_command_of_an_image_but_one_that_it_names(
    builder: str | None, command: str, exec_form: bool
) -> None:
    fields = read_deploy({"build": {"builder": builder}, "deploy": {"startCommand": command}})

    assert fields.exec_form is exec_form


@pytest.mark.parametrize(
    ("deploy", "draining_s", "needed_s"),
    [
        # 180 s of --drain-timeout and the ten that a worker needs to end: 189 is a second short, 190 is not.
        ({"startCommand": WORK, "drainingSeconds": 189}, 189, 190),
        ({"startCommand": WORK, "drainingSeconds": 190}, None, None),
        ({"startCommand": WORK}, 0, 190),  # Railway's own default
        ({"startCommand": WORK, "drainingSeconds": "600"}, 0, 190),  # a text is not read
        ({"startCommand": "jobctl work", "drainingSeconds": 34}, 34, 35),  # the worker's own 25 s
        ({"startCommand": "jobctl work", "drainingSeconds": 35}, None, None),
    ],
)
def test_a_draining_is_too_short_from_a_second_below_what_the_worker_needs(
    deploy: dict[str, Any], draining_s: int | None, needed_s: int | None
) -> None:
    fault = short_draining(read_deploy({"deploy": deploy}), drain_timeout_s=25.0)

    if draining_s is None:
        assert fault is None
    else:
        assert fault is not None
        assert fault.path == "deploy.drainingSeconds"
        assert fault.problem.startswith(f"Railway kills the worker after {draining_s} s")
        assert fault.remedy == f"write {needed_s}, or shorten --drain-timeout"


def test_a_draining_has_whole_seconds() -> None:
    assert needed_draining_s(25.5) == 26 + STOP_S


@pytest.mark.parametrize(
    ("path", "value", "problem", "remedy"),
    [
        ("deploy.drainingSeconds", "190", "is the text '190', and Railway reads a whole number", "write 190 without"),
        ("deploy.drainingSeconds", "3m", "is the text '3m', and Railway reads a whole number", "write a whole number"),
        ("deploy.drainingSeconds", 1.5, "is the number 1.5, and Railway reads a whole number", "write a whole number"),
        ("deploy.drainingSeconds", -1, "is -1", "write 0 or more"),
        (
            "deploy.overlapSeconds",
            "30",
            "is the text '30', and Railway reads a whole number",
            "write 30 without quotes",
        ),
        ("deploy.numReplicas", 0, "is 0", "write 1 or more"),
        ("deploy.numReplicas", True, "is true, and Railway reads a whole number", "write a whole number"),
        ("deploy.healthcheckTimeout", [], "is a list, and Railway reads a whole number", "write a whole number"),
        ("deploy.healthcheckPath", 5, "is the number 5, and Railway reads a text", "write it in quotes"),
        ("deploy.startCommand", ["jobctl"], "is a list, and Railway reads a text", "write it in quotes"),
        ("deploy.restartPolicyType", "SOMETIMES", "is 'SOMETIMES'", "write ALWAYS or ON_FAILURE or NEVER"),
        ("deploy.restartPolicyType", 1, "is the number 1", "write ALWAYS"),
        ("deploy.sleepApplication", "false", "is the text 'false', and Railway reads true or false", "write one"),
        ("deploy.preDeployCommand", [1], "is a list, and Railway reads a list of texts", 'write ["...", "..."]'),
        ("deploy.multiRegionConfig", [1], "is a list, and Railway reads an object for each region", "write {"),
        (
            "deploy.multiRegionConfig",
            {"us-west2": {"numReplicas": "2"}},
            "has in us-west2 a numReplicas that is the text '2', and Railway reads a whole number",
            "write 2 without quotes",
        ),
        ("build.builder", "DOCKER", "is 'DOCKER'", "write RAILPACK or DOCKERFILE"),
        ("build.watchPatterns", "src", "is the text 'src', and Railway reads a list of texts", "write ["),
    ],
)
def test_a_field_of_another_type_than_railway_reads_is_found(path: str, value: Any, problem: str, remedy: str) -> None:
    section, name = path.split(".")
    (fault,) = wrong_types({section: {name: value}})

    assert (fault.path, fault.problem) == (path, problem)
    assert fault.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ([], "railway.json"),
        ({"deploy": 5}, "deploy"),
        ({"environments": []}, "environments"),
        ({"environments": {"pr": 1}}, "environments.pr"),
        ({"environments": {"pr": {"deploy": {"numReplicas": "1"}}}}, "environments.pr.deploy.numReplicas"),
    ],
)
def test_what_is_no_object_and_what_an_environment_says_is_found_as_well(content: object, path: str) -> None:
    assert [fault.path for fault in wrong_types(content)] == [path]


def test_null_an_unknown_field_and_either_case_of_a_choice_are_fine() -> None:
    nothing = dict.fromkeys(SCHEMA["properties"]["deploy"]["properties"])

    assert wrong_types({"deploy": nothing, "build": None, "environments": None}) == []
    assert (
        wrong_types({"deploy": {"restartPolicyType": "never", "runtime": "V2"}, "build": {"builder": "railpack"}}) == []
    )


VALUES = st.none() | st.booleans() | st.integers(1, 9) | st.floats(0.1, 9.9) | st.text("1aA", max_size=2)
NAMES = sorted(
    (section, name) for section in ("build", "deploy") for name in SCHEMA["properties"][section]["properties"]
)


@given(
    place=st.sampled_from(NAMES),
    value=VALUES
    | st.sampled_from(["ALWAYS", "DOCKERFILE"])
    | st.lists(VALUES, max_size=2)
    | st.dictionaries(st.sampled_from(["a", "numReplicas"]), VALUES | st.dictionaries(st.just("numReplicas"), VALUES)),
)
def test_the_check_and_the_types_of_railways_own_command_line_agree(place: tuple[str, str], value: Any) -> None:
    """A number of 1.0 is whole for a JSON schema, and a choice is upper case there: neither is generated."""
    section, name = place
    content = {section: {name: value}}

    assert (wrong_types(content) == []) == jsonschema.Draft7Validator(SCHEMA).is_valid(content)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["deploy", "build", "environments", "startCommand", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_no_content_of_a_file_breaks_the_reading(content: object) -> None:
    assert all(isinstance(fault, Fault) for fault in wrong_types(content))
    assert isinstance(read_deploy(content), DeployFields)
