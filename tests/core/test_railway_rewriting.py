from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.operations import STOP_S
from jobctl.core.railway_rewriting import Deploy, check_rewritable, rewrite
from jobctl.errors import InvalidValue

DEPLOY = Deploy(replicas=3, concurrency=25, drain_timeout_s=180.0, db_pool_size=4)
OPTIONS = "--concurrency 25 --drain-timeout 180s --db-pool-size 4"

PYTHON_WORKER = """\
{
  "$schema": "https://railway.com/railway.schema.json",
  "build": {
    "builder": "DOCKERFILE",
    "dockerfilePath": "Dockerfile"
  },
  "deploy": {
    "numReplicas": 1,
    "startCommand": "jobctl work --queues high,default,low --concurrency 5",
    "restartPolicyType": "ON_FAILURE",
    "restartPolicyMaxRetries": 10
  }
}
"""


def in_start_command(command: str) -> str:
    """A file with that start command, after a plan was written into it."""
    existing = json.dumps({"deploy": {"startCommand": command}}, indent=2)
    written: str = json.loads(rewrite(existing, DEPLOY).text)["deploy"]["startCommand"]
    return written


def test_a_worker_gets_its_replicas_its_options_and_a_draining_to_match() -> None:
    change = rewrite(PYTHON_WORKER, DEPLOY)

    assert change.notes == ()
    assert (
        change.diff
        == """\
--- railway.json
+++ railway.json (planned)
@@ -5,9 +5,10 @@
     "dockerfilePath": "Dockerfile"
   },
   "deploy": {
-    "numReplicas": 1,
-    "startCommand": "jobctl work --queues high,default,low --concurrency 5",
+    "numReplicas": 3,
+    "startCommand": "jobctl work --drain-timeout 180s --db-pool-size 4 --queues high,default,low --concurrency 25",
     "restartPolicyType": "ON_FAILURE",
-    "restartPolicyMaxRetries": 10
+    "restartPolicyMaxRetries": 10,
+    "drainingSeconds": 190
   }
 }"""
    )


def test_a_second_run_changes_nothing() -> None:
    once = rewrite(PYTHON_WORKER, DEPLOY)

    assert rewrite(once.text, DEPLOY) == type(once)(once.text, "", ())


def test_a_file_that_is_not_there_is_made_with_what_railway_needs() -> None:
    made = rewrite(None, Deploy(replicas=2, concurrency=25, drain_timeout_s=25.0))

    assert json.loads(made.text) == {
        "$schema": "https://railway.com/railway.schema.json",
        "build": {"builder": "RAILPACK"},
        "deploy": {
            "startCommand": "jobctl work --concurrency 25 --drain-timeout 25s",
            "numReplicas": 2,
            "drainingSeconds": 25 + STOP_S,
        },
    }
    assert made.diff.startswith("--- /dev/null\n+++ railway.json (planned)\n")
    assert rewrite(made.text, Deploy(2, 25, 25.0)).diff == ""


@pytest.mark.parametrize(
    ("command", "written"),
    [
        ("jobctl work", f"jobctl work {OPTIONS}"),
        ("exec jobctl work -v", f"exec jobctl work {OPTIONS} -v"),
        (".venv/bin/jobctl work --burst", f".venv/bin/jobctl work {OPTIONS} --burst"),
        ("uv run python -m jobctl work", f"uv run python -m jobctl work {OPTIONS}"),
        ("jobctl migrate && jobctl work --queues llm", f"jobctl migrate && jobctl work {OPTIONS} --queues llm"),
        ("sh -c 'exec jobctl work'", f"sh -c 'exec jobctl work {OPTIONS}'"),
        (
            "sh -c 'jobctl work --concurrency=5 --drain-timeout=30s --db-pool-size 9' ; echo gone",
            "sh -c 'jobctl work --concurrency=25 --drain-timeout=180s --db-pool-size 4' ; echo gone",
        ),
        (
            'jobctl work --concurrency "5"  --drain-timeout 180 --db-pool-size 4',
            "jobctl work --concurrency 25  --drain-timeout 180 --db-pool-size 4",
        ),
        ("jobctl work --concurrency 25 --drain-timeout 3m --db-pool-size 4", None),
        ("jobctl work --drain-timeout soon", "jobctl work --concurrency 25 --db-pool-size 4 --drain-timeout 180s"),
        ("jobctl work | tee --concurrency 9", f"jobctl work {OPTIONS} | tee --concurrency 9"),
    ],
)
def test_the_options_of_jobctl_work_change_and_all_else_in_the_command_stays(command: str, written: str | None) -> None:
    assert in_start_command(command) == (command if written is None else written)


@pytest.mark.parametrize(
    ("command", "note"),
    [
        ("node worker.js", f"the start command has no jobctl work and was left alone; its worker needs {OPTIONS}"),
        ("my-jobctl work", f"the start command has no jobctl work and was left alone; its worker needs {OPTIONS}"),
        ("jobctl worker", f"the start command has no jobctl work and was left alone; its worker needs {OPTIONS}"),
        (
            "jobctl work & jobctl work",
            f"the start command has more than one jobctl work and was left alone; its worker needs {OPTIONS}",
        ),
        (
            "jobctl work --concurrency ${JOB_CONCURRENCY:-5} --drain-timeout 180s --db-pool-size 4",
            "the start command takes these from the environment: ${JOB_CONCURRENCY:-5} (--concurrency) is to be 25",
        ),
        (None, f"the file has no start command: start the worker with {OPTIONS}"),
    ],
)
def test_a_command_that_is_not_ours_to_change_stays_and_says_so(command: str | None, note: str) -> None:
    change = rewrite(json.dumps({"deploy": {"startCommand": command}}), DEPLOY)

    assert json.loads(change.text)["deploy"]["startCommand"] == command
    assert change.notes == (note,)


def test_the_one_region_that_a_file_names_gets_the_replicas() -> None:
    existing = """{
    "deploy": {
        "startCommand": "jobctl work",
        "multiRegionConfig": {
            "us-east4-eqdc4a": {
                "numReplicas": 1
            }
        }
    }
}"""
    deploy = json.loads(rewrite(existing, DEPLOY).text)["deploy"]

    assert deploy["multiRegionConfig"] == {"us-east4-eqdc4a": {"numReplicas": 3}}
    assert "numReplicas" not in deploy


def test_a_file_with_a_region_and_a_number_beside_it_gets_both() -> None:
    existing = json.dumps({"deploy": {"numReplicas": 1, "multiRegionConfig": {"us-west2": {}}}})
    deploy = json.loads(rewrite(existing, DEPLOY).text)["deploy"]

    assert deploy["numReplicas"] == deploy["multiRegionConfig"]["us-west2"]["numReplicas"] == 3


def test_several_regions_are_left_alone_when_they_add_up_and_refused_when_they_do_not() -> None:
    def regions(*counts: int) -> str:
        return json.dumps(
            {"deploy": {"multiRegionConfig": {f"region-{n}": {"numReplicas": c} for n, c in enumerate(counts)}}}
        )

    written = json.loads(rewrite(regions(2, 1), DEPLOY).text)["deploy"]["multiRegionConfig"]
    assert written == json.loads(regions(2, 1))["deploy"]["multiRegionConfig"]
    with pytest.raises(InvalidValue) as refused:
        rewrite(regions(1, 1), DEPLOY)
    assert str(refused.value) == (
        "railway.json spreads replicas over 2 regions, and the plan does not say how many go where; share 3 among "
        "them yourself and run this again, or leave one region"
    )


def test_an_environment_with_its_own_settings_is_left_alone_and_named() -> None:
    existing = json.dumps(
        {
            "deploy": {"startCommand": f"jobctl work {OPTIONS}"},
            "environments": {
                "production": {"deploy": {"numReplicas": 9, "startCommand": "jobctl work"}},
                "pr": {"build": {}},
            },
        }
    )
    change = rewrite(existing, DEPLOY)

    assert json.loads(change.text)["environments"] == json.loads(existing)["environments"]
    assert change.notes == (
        "environment 'production' has its own numReplicas, startCommand, which count there and were left alone",
    )


def test_a_draining_that_railway_cannot_read_becomes_a_number() -> None:
    written = rewrite('{"deploy": {"drainingSeconds": "60"}}', Deploy(1, 25, 25.5)).text

    assert json.loads(written)["deploy"]["drainingSeconds"] == 26 + STOP_S


@pytest.mark.parametrize(
    ("existing", "problem"),
    [
        ('{\n  // replicas\n  "deploy": {}\n}', r"railway.json is not JSON \(.+, line 2\)"),
        ('{"deploy": {"numReplicas": 1,}}', r"railway.json is not JSON \(.+, line 1\)"),
        ("", r"railway.json is not JSON \(expecting value, line 1\)"),
        ('{"deploy": {"numReplicas": ' + "1" * 5000 + "}}", r"railway.json cannot be read \(Exceeds the limit.+\)"),
        ("[]", "railway.json holds no object"),
        ('{"deploy": 5}', "railway.json: deploy is no object"),
        ('{"deploy": {"multiRegionConfig": [1]}}', "railway.json: deploy.multiRegionConfig is no object of objects"),
        ('{"deploy": {"a": 1, "a": 2}}', "railway.json has the key 'a' twice in one object"),
    ],
)
def test_a_file_that_cannot_take_the_plan_is_refused(existing: str, problem: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        rewrite(existing, DEPLOY)

    assert re.fullmatch(problem, refused.value.problem)


KEYS = st.sampled_from(["deploy", "build", "startCommand", "numReplicas", "drainingSeconds", "x", "ключ", 'a"b', ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    top=st.dictionaries(KEYS, JSON, max_size=4),
    deploy=st.dictionaries(KEYS, JSON, max_size=4) | st.none(),
    indent=st.sampled_from([None, 0, 2, 4, "\t"]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (",", " : ")]),
    crlf=st.booleans(),
    ascii_only=st.booleans(),
)
def test_whatever_the_layout_only_the_settings_change_and_only_once(
    top: dict[str, Any],
    deploy: dict[str, Any] | None,
    indent: int | str | None,
    separators: tuple[str, str],
    crlf: bool,
    ascii_only: bool,
) -> None:
    content = {**top, "deploy": deploy}
    existing = json.dumps(content, indent=indent, separators=separators, ensure_ascii=ascii_only)
    existing = existing.replace("\n", "\r\n") if crlf else existing
    change = rewrite(existing, DEPLOY)
    written = json.loads(change.text)

    assert list(written) == list(content)
    assert {key: value for key, value in written.items() if key != "deploy"} == {
        key: value for key, value in content.items() if key != "deploy"
    }
    before = deploy or {}
    assert list(written["deploy"])[: len(before)] == list(before)
    assert written["deploy"] == {**before, "numReplicas": 3, "drainingSeconds": 190}
    assert rewrite(change.text, DEPLOY).text == change.text
    assert ("\r\n" in change.text) == ("\r\n" in existing)


@given(st.text(max_size=40) | JSON.map(json.dumps))
def test_a_text_that_is_no_object_is_refused_and_never_breaks(text: str) -> None:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict) and isinstance(content.get("deploy") or {}, dict):
        assert json.loads(rewrite(text, DEPLOY).text)["deploy"]["numReplicas"] == 3
    else:
        with pytest.raises(InvalidValue, match=r"^railway\.json"):
            rewrite(text, DEPLOY)


def test_a_file_that_is_about_something_else_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^package\.json has neither build nor deploy; give the path"):
        check_rewritable('{"name": "site", "scripts": {"start": "node ."}}', "package.json")
    check_rewritable('{"$schema": "https://railway.com/railway.schema.json"}')
