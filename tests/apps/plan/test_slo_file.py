from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.plan.slo_file import check_slo_file, rewrite_slo_file
from jobctl.core.demand import Database
from jobctl.errors import InvalidValue
from support.plans import make_demand, make_plan

OBJECTIVE = '[[objective]]\nslo = "p95 wait <= 1s"\n'
#: Two replicas of 25 slots, of which one is spare, and with it what a plan may know besides.
PLAN = make_plan(make_demand(job_timeout_s=90.0, database=Database(max_clients=400, connections_per_replica=6)))
REPLICAS = PLAN.all_running.replicas
FLEET = f"""\
{OBJECTIVE}
[fleet]                         # the workers
replicas = 9                    # what jobctl plan answered
concurrency = 25                # slots of each
queues = "high,default,low"
job_timeout = "3m"              # of the longest job
db_pool_size = "4"

# of alerts
[thresholds]
credit_usd = 20
"""


def test_what_the_plan_answers_is_replaced_where_it_stands() -> None:
    change = rewrite_slo_file(FLEET, PLAN, "slo.toml")

    assert [line for line in change.diff.splitlines() if line[0] in "+-"] == [
        "--- slo.toml",
        "+++ slo.toml (planned)",
        "-replicas = 9                    # what jobctl plan answered",
        f"+replicas = {REPLICAS}                    # what jobctl plan answered",
        '-job_timeout = "3m"              # of the longest job',
        '-db_pool_size = "4"',
        '+job_timeout = "90s"             # of the longest job',
        "+db_pool_size = 6",
    ]


def test_a_second_run_changes_nothing_and_neither_does_another_way_to_say_the_same() -> None:
    once = rewrite_slo_file(FLEET, PLAN, "slo.toml")
    said = once.text.replace('"90s"', '"1.5m"').replace(f"replicas = {REPLICAS}", f'replicas = "{REPLICAS}"')

    assert rewrite_slo_file(once.text, PLAN, "slo.toml") == type(once)(once.text, "", ())
    assert rewrite_slo_file(said, PLAN, "slo.toml").diff == ""


def test_a_missing_key_goes_behind_the_last_one_of_the_table_and_a_missing_table_to_the_end() -> None:
    short = f"[fleet]\nqueues = 'a'   # mine\n\n{OBJECTIVE}"

    assert rewrite_slo_file(short, PLAN, "slo.toml").text == (
        f"[fleet]\nqueues = 'a'   # mine\nreplicas = {REPLICAS}\nconcurrency = 25\n"
        f'job_timeout = "90s"\ndb_pool_size = 6\n\n{OBJECTIVE}'
    )
    assert rewrite_slo_file(OBJECTIVE, PLAN, "slo.toml").text == (
        f'{OBJECTIVE}\n[fleet]\nreplicas = {REPLICAS}\nconcurrency = 25\njob_timeout = "90s"\ndb_pool_size = 6\n'
    )


def test_what_the_plan_does_not_know_stays() -> None:
    text = rewrite_slo_file(FLEET, make_plan(edge=(6, 7)), "slo.toml").text

    assert 'job_timeout = "3m"' in text
    assert 'db_pool_size = "4"' in text
    assert "replicas = 7 " in text


def test_line_breaks_of_another_system_stay() -> None:
    text = rewrite_slo_file(FLEET.replace("\n", "\r\n"), PLAN, "slo.toml").text

    assert text.replace("\r\n", "\n") == rewrite_slo_file(FLEET, PLAN, "slo.toml").text
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize(
    "fleet",
    [
        "fleet = {replicas = 9}\n",
        "fleet.replicas = 9\n",
        '[fleet]\nreplicas = """9"""\n',
        '["fleet"]\n"replicas" = 9\n',
    ],
    ids=["inline", "dotted", "three quotes", "a key in quotes"],
)
def test_a_file_that_cannot_be_changed_by_the_line_is_refused_with_what_to_write(fleet: str) -> None:
    text = f"{fleet}{OBJECTIVE}"
    with pytest.raises(InvalidValue) as refused:
        rewrite_slo_file(text, PLAN, "slo.toml")

    assert refused.value.problem == "slo.toml cannot be changed line by line"
    assert refused.value.remedy.startswith(f"write into its [fleet]: replicas = {REPLICAS}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = = 1", r"slo.toml is not TOML \(Invalid value \(at line 1, column 5\)\)"),
        (f"{OBJECTIVE}[fleet]\nreplica = 1\n", r".*replica.*"),
    ],
)
def test_a_file_that_means_nothing_is_refused_before_a_plan_is_made(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        check_slo_file(text, "slo.toml")


KEYS = st.sampled_from(["replicas", "concurrency", "queues", "job_timeout", "db_pool_size"])
VALUES = st.sampled_from(["1", "25", "25.0", '"25"', "'3m'", '"90s"', '"a,b"', '"""7"""', "0x19", "1_0", '"\\u0031"'])
GAPS = st.sampled_from(["", " ", "  # c", '\t# "[fleet]" = 1', " #"])
LINES = st.lists(
    st.tuples(KEYS, VALUES, GAPS).map(lambda one: f"{one[0]} = {one[1]}{one[2]}")
    | st.sampled_from(["", "# replicas = 4", "  # [fleet]"]),
    max_size=6,
)


@given(before=st.sampled_from(["", "# top\n", OBJECTIVE]), lines=LINES, after=st.sampled_from(["", "[scrape]\n", "\n"]))
def test_whatever_is_written_says_what_was_asked_and_nothing_else(before: str, lines: list[str], after: str) -> None:
    text = f"{before}[fleet]\n" + "\n".join(lines) + f"\n{after}" + ("" if "objective" in before else OBJECTIVE)
    try:
        change = rewrite_slo_file(text, PLAN, "slo.toml")
    except InvalidValue:
        return
    old, new = tomllib.loads(text), tomllib.loads(change.text)
    fleet: dict[str, Any] = new.pop("fleet")
    was: dict[str, Any] = old.pop("fleet")

    assert new == old
    assert (int(fleet["replicas"]), int(fleet["concurrency"]), int(fleet["db_pool_size"])) == (REPLICAS, 25, 6)
    assert fleet.get("queues") == was.get("queues")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in change.text.splitlines() if line.startswith("#")
    ]
