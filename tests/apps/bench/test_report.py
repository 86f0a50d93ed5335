from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jobctl.apps.bench.driver import BenchResult, run
from jobctl.apps.bench.report import sentence, to_document
from jobctl.core.arrivals import Stage, digest, parse_arrivals
from jobctl.core.usage import UsageReading
from support.loads import START_S, Load, make_config, make_spec


def bench(load: Load, **config: Any) -> BenchResult:
    return run(make_config(load.session.spec, **config), load, lambda: START_S, lambda message: None, lambda: False)


def document(result: BenchResult) -> dict[str, Any]:
    return to_document(result, {"cpus": 2}, {"jobctl": "0"})


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(files("jobctl").joinpath("schemas/bench.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("load", "config"),
    [
        (Load(make_spec()), {}),
        (Load(make_spec(drain_s=60.0), slots=2), {"replicas": 1, "concurrency": 2}),
        (Load(make_spec(stages=(Stage.steady(0.2, 10.0),))), {}),
        (Load(make_spec(), loses=lambda request: True), {}),
        (Load(make_spec()), {"replicas": None, "concurrency": None}),
    ],
    ids=["kept", "overloaded", "nearly empty", "all lost", "unknown workers"],
)
def test_every_outcome_is_a_valid_document(validator: Draft202012Validator, load: Load, config: dict[str, Any]) -> None:
    text = json.dumps(document(bench(load, **config)), allow_nan=False)

    assert list(validator.iter_errors(json.loads(text))) == []


def test_a_plain_bench_says_that_it_has_no_maximum_and_no_comparison() -> None:
    told = document(bench(Load(make_spec())))

    assert told["maximum"] is told["comparison"] is None


def test_what_the_mock_was_told_stands_in_the_configuration(validator: Draft202012Validator) -> None:
    told = document(bench(Load(make_spec()), mock=("--latency", "constant:1s", "--rpm", "600")))
    assert told["config"]["mock"] == ["latency constant:1s", "rpm 600"]
    assert list(validator.iter_errors(json.loads(json.dumps(told)))) == []
    assert document(bench(Load(make_spec())))["config"]["mock"] is None


def test_what_the_workers_used_is_told_for_each_attempt(validator: Draft202012Validator) -> None:
    """Two workers use 0.2 CPU seconds a second in all; the window holds 9 s and 90 jobs."""
    load = Load(make_spec())
    result = run(
        make_config(load.session.spec),
        load,
        lambda: START_S,
        lambda message: None,
        lambda: False,
        read_usage=lambda: UsageReading(load.clock.now(), 3.0 + 0.2 * (load.clock.now() - START_S), 50_000_000, 2),
    )
    found = document(result)

    assert found["usage"] == {
        "cpu_s_per_job": pytest.approx(0.02),
        "cpu_share_per_replica": pytest.approx(0.1),
        "memory_bytes_per_replica": 50_000_000,
    }
    assert list(validator.iter_errors(json.loads(json.dumps(found)))) == []
    assert document(bench(Load(make_spec())))["usage"] is None


def test_variation_and_attempts_are_told() -> None:
    found = document(bench(Load(make_spec(), fails=lambda request: request.job_id == "run-9")))

    assert found["signals"]["service"]["scv"] == pytest.approx(0.0, abs=1e-6)
    assert (found["jobs"]["attempts"], found["jobs"]["failed_attempts"]) == (100, 1)


def test_the_document_balances() -> None:
    jobs = document(bench(Load(make_spec(), fails=lambda request: request.job_id == "run-9")))["jobs"]

    assert jobs["scheduled"] == jobs["enqueued"] + jobs["rejected"]
    assert jobs["enqueued"] == jobs["finished"] + jobs["failed"] + jobs["in_flight"] + jobs["lost"]
    assert (jobs["finished"], jobs["failed"]) == (99, 1)


def test_arrivals_are_told_as_they_are_asked_for() -> None:
    spec = make_spec(arrivals=parse_arrivals("batch:5"))

    assert document(bench(Load(spec)))["config"]["arrivals"] == "batch:5"


def test_the_rate_is_given_per_second_and_per_day() -> None:
    config = document(bench(Load(make_spec()), rate_per_s=450_000 / 86_400))["config"]

    assert config["rate_per_s"] == pytest.approx(5.2083, abs=1e-4)
    assert config["per_day"] == pytest.approx(450_000)


def test_the_fingerprint_is_that_of_the_schedule() -> None:
    load = Load(make_spec(seed=5))

    assert document(bench(load))["config"]["schedule_digest"] == digest(load.session.spec.schedule())


def test_a_quantile_without_enough_samples_is_null_and_so_is_its_interval() -> None:
    wait = document(bench(Load(make_spec())))["signals"]["wait"]  # 90 window jobs: enough for p95, not for p99

    assert wait["p95"] is not None
    assert wait["intervals"]["p95"] is not None
    assert wait["p99"] is None
    assert wait["intervals"]["p99"] is None


def test_the_sentence_says_how_busy_the_fleet_was_and_what_would_do() -> None:
    """10 jobs/s x 0.5 s = 5 erlangs on 50 slots."""
    text = sentence(bench(Load(make_spec())))

    assert text == "At 10 jobs/s two replicas of 25 slots were 10% busy; one would carry it, two with one spare."


def test_the_sentence_of_an_overloaded_fleet_asks_for_more() -> None:
    """10 jobs/s x 0.5 s = 5 erlangs of constant service: six slots hold the p95 wait under a second."""
    text = sentence(bench(Load(make_spec(drain_s=60.0), slots=2), replicas=1, concurrency=2))

    assert text == "At 10 jobs/s one replica of 2 slots was 100% busy; three would carry it, four with one spare."


def test_the_sentence_about_somebody_elses_workers_claims_nothing_about_them() -> None:
    text = sentence(bench(Load(make_spec()), replicas=None, concurrency=None))

    assert text == "At 10 jobs/s 10 jobs/s came out."


def test_the_sentence_of_a_run_in_which_most_jobs_failed_sizes_nothing() -> None:
    text = sentence(bench(Load(make_spec(), fails=lambda request: int(request.job_id[4:]) > 40)))

    assert text.endswith("% busy; too few jobs finished to say what would carry it.")


def test_the_sentence_of_a_run_with_unfinished_jobs_sizes_nothing() -> None:
    result = bench(Load(make_spec(drain_s=5.0), slots=2), replicas=1, concurrency=2)

    assert result.summary.counts.in_flight > 0
    assert "would carry it, " not in sentence(result)


def test_a_rate_that_changes_is_sized_for_its_peak_and_predicted_by_nothing() -> None:
    """5 jobs/s x 0.5 s fill 2.5 slots on average; at 20 jobs/s it is 10 of them."""
    spec = make_spec(stages=(Stage.steady(2.0, 10.0), Stage.steady(20.0, 2.0), Stage.steady(2.0, 10.0)), warmup_s=0.0)
    result = bench(Load(spec, slots=4), replicas=2, concurrency=2)

    assert document(result)["predicted"] is None
    assert "jobs/s (peak 20) two replicas of 2 slots" in sentence(result)
    assert sentence(result).endswith("six would carry its peak, seven with one spare.")
    steady = bench(Load(make_spec(stages=(Stage.steady(10.0, 4.0), Stage.steady(10.0, 6.0)))))
    assert document(steady)["predicted"] is not None
