"""`jobctl bench --find-max` on real parts against fleets whose capacity is known.

One search of seconds, with a bracket as wide as so few jobs can tell; the full-length ones carry the mark *proof*.
"""

from __future__ import annotations

import json
import signal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jobctl.core.evidence import from_bench
from jobctl.core.service import Constant
from support.benches import run, started
from support.running_mock import KEY, running

#: A busy machine wakes the generator late; where lateness is not the subject it may be.
LATE = ("--max-schedule-lag", "2s")
SMALL = ("--replicas", "1", "--concurrency", "5", "--job", "sleep", "--service-time", "100ms", *LATE)


def test_a_search_brackets_the_capacity_and_its_document_is_a_benchs(tmp_path: Path) -> None:
    status, document, bench = run(
        "--find-max", *SMALL, "--rate", "25", "--max-width", "30%", "--within", "25s", directory=tmp_path
    )
    maximum = document["maximum"]

    if status:  # the time was over before the promised rate was held for longer than a probe
        assert status == 97, bench.output
        assert document["reasons"] == ["25 jobs/s were promised, and only a short probe held; give --within 1m"]
    schema = json.loads(files("jobctl").joinpath("schemas/bench.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    assert maximum["low_per_s"] <= 50.0
    assert maximum["low_per_s"] <= maximum["capacity_per_s"] <= maximum["high_per_s"]
    assert maximum["limit"] == "slots"
    assert document["config"]["rate_per_s"] == maximum["low_per_s"], "the document is the low end's"
    assert maximum["sentence"] == document["sentence"]
    assert maximum["sentence"] in " ".join(bench.output.split())
    assert max(map(len, bench.output.splitlines())) <= 100
    assert bench.left_behind() == []
    evidence = from_bench(document, "max.json")
    assert evidence.capacity_per_replica_per_s == pytest.approx(maximum["capacity_per_s"])
    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(0.1, rel=0.3)


@pytest.mark.proof
def test_a_cap_below_the_maximum_is_no_maximum_unless_it_is_what_was_asked_for(tmp_path: Path) -> None:
    status, document, bench = run(
        "--find-max", *SMALL, "--rate", "20", "--max-rate", "20", "--within", "30s", directory=tmp_path
    )

    assert status == 0, bench.output
    assert document["maximum"]["reached"] is False
    assert document["maximum"]["high_per_s"] is document["maximum"]["width"] is None
    assert "maximum not reached" in document["sentence"]


@pytest.mark.proof
def test_a_fleet_that_does_not_carry_what_it_must_is_broken(tmp_path: Path) -> None:
    status, document, bench = run(
        "--find-max", *SMALL, "--rate", "100", "--max-width", "50%", "--within", "8s", directory=tmp_path
    )

    assert status == 99, bench.output
    assert "promised" in document["reasons"][0]


def test_an_interrupted_search_reports_what_it_found(tmp_path: Path) -> None:
    target = tmp_path / "max.json"
    with started("--find-max", *SMALL, "--rate", "20", "--json", str(target), directory=tmp_path) as bench:
        bench.wait_for(r"double +20 jobs/s .* held", timeout_s=40)
        bench.process.send_signal(signal.SIGTERM)

        assert bench.finish() == 105, bench.output
    document = json.loads(target.read_text())
    assert document["interrupted"] is True
    assert document["maximum"]["stopped_by"] == "interrupted"
    assert document["maximum"]["low_per_s"] >= 20.0


@pytest.mark.proof
@pytest.mark.parametrize(("within", "expected"), [("3m", 97), ("6m", 105)])
def test_an_upstream_that_refuses_is_waited_for_only_if_there_is_time(
    within: str, expected: int, tmp_path: Path
) -> None:
    words = ("--find-max", "--within", within, "--json", "max.json", *LATE)
    with (
        running(Constant(0.1), {}, rpm=60) as mock,
        started(*words, "--openrouter-url", mock.url, directory=tmp_path, OPENROUTER_API_KEY=KEY) as bench,
    ):
        if expected == 105:
            bench.wait_for("offering nothing for 61 s", timeout_s=60)
            bench.process.send_signal(signal.SIGTERM)
        status = bench.finish(timeout_s=60.0)
    document = json.loads((tmp_path / "max.json").read_text())

    assert status == expected, bench.output
    assert document["maximum"]["limit"] == "upstream"
    if expected == 97:
        assert "after it had accepted 60 in a minute; give --within 6m" in document["reasons"][0]


@pytest.mark.proof
def test_a_limit_that_nobody_told_is_found_by_its_refusals(tmp_path: Path) -> None:
    words = ("--find-max", "--within", "6m", "--json", "max.json", *LATE)
    with (
        running(Constant(0.1), {}, rpm=1200) as mock,
        started(*words, "--openrouter-url", mock.url, directory=tmp_path, OPENROUTER_API_KEY=KEY) as bench,
    ):
        status = bench.finish(timeout_s=420.0)
    maximum = json.loads((tmp_path / "max.json").read_text())["maximum"]

    assert status == 0, bench.output
    assert maximum["width"] <= 0.05
    assert holds(maximum, 20.0), maximum
    assert maximum["limit"] == "upstream"


def holds(maximum: dict[str, Any], *truths_per_s: float) -> bool:
    return all(maximum["low_per_s"] <= truth_per_s <= maximum["high_per_s"] for truth_per_s in truths_per_s)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("words", "truths_per_s", "limit"),
    [
        (("--job", "sleep", "--service-time", "200ms"), (250.0,), "slots"),
        (("--openrouter-rpm", "1200", "--latency", "constant:100ms"), (1200 / 61.8, 20.0), "limiter"),
        (("--rpm", "1200", "--latency", "constant:100ms"), (20.0,), "upstream"),
        (("--replicas", "1", "--concurrency", "1", "--job", "sleep", "--service-time", "200ms"), (5.0,), "slots"),
    ],
    ids=["2 x 25 slots of 200 ms", "a limiter of 20 calls/s", "an upstream of 20 calls/s", "one slot of 200 ms"],
)
def test_a_bracket_of_five_percent_holds_a_known_capacity_within_three_minutes(
    words: tuple[str, ...], truths_per_s: tuple[float, ...], limit: str, tmp_path: Path
) -> None:
    with started("--find-max", *words, "--json", "max.json", directory=tmp_path) as bench:
        status = bench.finish(timeout_s=300.0)
    maximum = json.loads((tmp_path / "max.json").read_text())["maximum"]

    assert status == 0, bench.output
    assert maximum["width"] <= 0.05
    assert maximum["elapsed_s"] <= 180.0
    assert holds(maximum, *truths_per_s), maximum
    assert maximum["limit"] == limit
