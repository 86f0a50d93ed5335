from __future__ import annotations

import math
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.arrivals import CONSTANT, POISSON, ArrivalKind, Arrivals
from jobctl.core.evidence import Evidence, SeenJob, arrivals_of, from_bench, from_csv, from_jobs
from jobctl.core.service import Empirical, Exponential, Lognormal
from jobctl.errors import InvalidValue


def refusal(call: Any, *arguments: Any) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        call(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


# ------------------------------------------------------------------------------------------------------ jobs one by one


def test_service_times_are_those_of_attempts_that_succeeded() -> None:
    jobs = [
        SeenJob(service_s=1.0),
        SeenJob(service_s=3.0),
        SeenJob(service_s=9.0, succeeded=False, attempts=3, failed_attempts=3, earlier_s=12.0),
    ]
    evidence = from_jobs("here", jobs)

    assert evidence.service == Empirical((1.0, 3.0))
    assert evidence.samples == 2
    assert evidence.failure_rate == pytest.approx(3 / 5)
    assert evidence.failed_s == pytest.approx((9.0 + 12.0) / 3)
    assert evidence.attempts == 3


def test_types_are_told_apart_with_their_shares_and_the_rarest_are_one() -> None:
    jobs = [SeenJob(job_type=f"f{number}", service_s=1.0) for number in range(15)]
    jobs += [SeenJob(job_type="often", service_s=5.0)] * 25
    mix = from_jobs("here", jobs).job_types

    assert mix[0].name == "often"
    assert (mix[0].share, mix[0].service.mean_s) == pytest.approx((25 / 40, 5.0))
    assert len(mix) == 10
    assert next(job_type.share for job_type in mix if job_type.name == "other") == pytest.approx(7 / 40)
    assert math.fsum(job_type.share for job_type in mix) == pytest.approx(1.0)


def test_jobs_without_a_type_are_jobs() -> None:
    assert [job_type.name for job_type in from_jobs("here", [SeenJob(service_s=1.0)]).job_types] == ["jobs"]


def test_the_arrival_rate_is_the_gaps_over_their_time() -> None:
    evidence = from_jobs("here", [SeenJob(arrival_s=at_s, service_s=1.0) for at_s in (110.0, 100.0, 104.0, 102.0)])

    assert evidence.arrival_rate_per_s == pytest.approx(0.3)
    assert evidence.trace is not None
    assert evidence.trace.arrivals_s.tolist() == [0.0, 2.0, 4.0, 10.0]


def test_arrivals_before_the_books_are_complete_say_nothing_about_the_rate() -> None:
    """Of the jobs before 100 s every other one is forgotten."""
    jobs = [SeenJob(arrival_s=float(at_s), service_s=1.0) for at_s in [*range(0, 100, 2), *range(100, 201)]]

    assert from_jobs("here", jobs).arrival_rate_per_s == pytest.approx(0.75)
    assert from_jobs("here", jobs, complete_from_s=100.0).arrival_rate_per_s == pytest.approx(1.0)


def test_some_jobs_that_succeeded_tell_neither_a_rate_nor_failures() -> None:
    evidence = from_jobs("here", [SeenJob(arrival_s=1.0, service_s=1.0)] * 5, complete_from_s=math.inf)

    assert (evidence.arrival_rate_per_s, evidence.failure_rate, evidence.trace) == (None, None, None)
    assert evidence.service is not None


def test_jobs_that_wait_or_run_are_arrivals_and_no_attempts() -> None:
    waiting = SeenJob(arrival_s=2.0, succeeded=False, attempts=0)
    evidence = from_jobs("here", [SeenJob(arrival_s=0.0, service_s=1.0), waiting])

    assert evidence.arrival_rate_per_s == pytest.approx(0.5)
    assert evidence.failure_rate == 0.0
    assert evidence.attempts is None
    assert evidence.trace is not None
    assert evidence.trace.services_s is None  # not every one is known


def test_a_job_that_took_no_time_at_all_still_is_a_duration() -> None:
    service = from_jobs("here", [SeenJob(service_s=0.0)] * 3).service

    assert service is not None
    assert service.mean_s > 0
    assert service.scv == 0


def test_the_waits_are_told_with_the_quantiles_that_so_many_support() -> None:
    wait = from_jobs("here", [SeenJob(wait_s=number / 100) for number in range(1, 101)]).wait

    assert wait is not None
    assert (wait.jobs, wait.mean_s) == pytest.approx((100, 0.505))
    assert wait.p95_s == pytest.approx(0.95, abs=0.01)
    assert wait.p99_s is None


@pytest.mark.parametrize("seed", range(20))
def test_exponential_gaps_count_as_poisson(seed: int) -> None:
    """By chance one seed in twenty would not, P(|N| > 2) = 0.046; none of these does."""
    rng = random.Random(seed)
    at_s, jobs = 0.0, []
    for _ in range(2000):
        at_s += rng.expovariate(5.0)
        jobs.append(SeenJob(arrival_s=at_s))

    assert from_jobs("here", jobs).arrivals == POISSON


def test_gaps_that_vary_otherwise_are_a_renewal_process() -> None:
    rng = random.Random(1)
    at_s, jobs = 0.0, []
    for _ in range(4000):
        at_s += rng.gammavariate(0.25, 4.0)  # SCV 4
        jobs.append(SeenJob(arrival_s=at_s))
    arrivals = from_jobs("here", jobs).arrivals

    assert arrivals is not None
    assert str(arrivals).startswith("renewal:")
    assert arrivals.scv == pytest.approx(4.0, rel=0.15)


def test_even_gaps_are_constant_if_there_are_enough_to_tell() -> None:
    assert arrivals_of(0.001, 1000) == CONSTANT
    assert arrivals_of(0.001, 10) == POISSON
    assert arrivals_of(1e6, 1000) == Arrivals(ArrivalKind.RENEWAL, 1e4)


# ------------------------------------------------------------------------------------------------------------ a bench


def bench(**changes: Any) -> dict[str, Any]:
    """The parts of a bench's document that evidence reads."""
    signal = {"n": 400, "mean": 2.0, "scv": 0.5, "p50": 1.8, "p95": 4.0, "p99": None}
    return {
        "schema": "jobctl.bench/1",
        "verdict": "kept",
        "reasons": [],
        "interrupted": False,
        "config": {"job": "sleep", "arrivals": "renewal:4", "replicas": 2, "concurrency": 25},
        "offered": {"rate_per_s": 5.0},
        "jobs": {"attempts": 110, "failed_attempts": 11},
        "signals": {"service": signal, "wait": {**signal, "mean": 0.1}},
        "usage": {"cpu_s_per_job": 0.004, "cpu_share_per_replica": 0.1, "memory_bytes_per_replica": 50_000_000},
        **changes,
    }


def test_a_bench_tells_moments_rates_and_what_a_job_uses() -> None:
    evidence = from_bench(bench(), "r.json")

    assert evidence.source == "bench r.json"
    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(2.0)
    assert evidence.service.scv == pytest.approx(0.5)
    assert evidence.samples == 400
    assert [job_type.name for job_type in evidence.job_types] == ["sleep"]
    assert evidence.arrival_rate_per_s == 5.0
    assert str(evidence.arrivals) == "renewal:4"
    assert evidence.failure_rate == pytest.approx(0.1)
    assert (evidence.cpu_per_job_s, evidence.memory_bytes) == (0.004, 50_000_000)
    assert (evidence.concurrency, evidence.replicas) == (25, 2)
    assert evidence.wait is not None
    assert (evidence.wait.mean_s, evidence.wait.p95_s, evidence.wait.p99_s) == (0.1, 4.0, None)


def test_a_document_of_an_earlier_release_is_read_by_mean_and_p95() -> None:
    old = bench(jobs={"finished": 100}, signals={"service": {"n": 400, "mean": 1.0, "p95": 2.0}, "wait": {"n": 0}})
    del old["usage"]
    evidence = from_bench(old, "r.json")

    assert isinstance(evidence.service, Lognormal)
    assert evidence.service == Lognormal.from_mean_and_p95(1.0, 2.0)
    assert (evidence.failure_rate, evidence.cpu_per_job_s, evidence.memory_bytes, evidence.wait) == (None,) * 4


def test_a_mean_alone_makes_an_exponential_law() -> None:
    signals = {"service": {"n": 5, "mean": 1.5, "scv": None, "p95": None}, "wait": {"n": 5, "mean": 0.0}}

    assert from_bench(bench(signals=signals), "r.json").service == Exponential(1.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": "inconclusive", "reasons": ["the generator fell behind"]}, "inconclusive: the generator fell"),
        ({"interrupted": True, "verdict": "inconclusive"}, "interrupted"),
        ({"verdict": "broken", "reasons": ["the backlog grew"]}, "broken: the backlog grew"),
    ],
)
def test_a_bench_that_kept_no_promise_is_taken_with_a_note(changes: dict[str, Any], words: str) -> None:
    evidence = from_bench(bench(**changes), "r.json")

    assert evidence.service is not None
    assert any(words in note for note in evidence.notes)


def test_a_bench_in_which_nothing_finished_tells_no_service_time() -> None:
    evidence = from_bench(bench(signals={"service": {"n": 0, "mean": None}, "wait": {"n": 0, "mean": None}}), "r.json")

    assert (evidence.service, evidence.job_types) == (None, ())
    assert any("no service time" in note for note in evidence.notes)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (bench(schema="jobctl.plan/1"), "r.json is a document of jobctl.plan/1"),
        ([1, 2], "r.json is no result of a bench"),
        ({}, "r.json is no result of a bench"),
        (bench(signals={"service": {"mean": "fast"}}), "signals.service.mean is 'fast'"),
        (bench(signals={"service": {"mean": math.nan}}), "signals.service.mean is nan"),
        (bench(signals={"service": {"mean": -1}}), "signals.service.mean is -1"),
        (bench(signals=7), "signals.service.mean is 7"),
        (bench(verdict="broken", reasons=1.5), "reasons is 1.5, not a list"),
        (bench(config={"arrivals": "poisson"}), "config.job is None"),
        (bench(config={"job": "sleep", "arrivals": "sometimes"}), "sometimes"),
        (bench(config={"job": "sleep", "arrivals": "poisson", "replicas": 1.5}), "config.replicas is 1.5"),
    ],
)
def test_another_document_is_refused_in_one_line(document: object, words: str) -> None:
    assert words in str(refusal(from_bench, document, "r.json"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["service", "wait", "mean", "scv", "n", "p95", "job", "arrivals"]), inner
        ),
    ),
    st.sampled_from(["signals", "config", "jobs", "usage", "offered", "verdict", "reasons"]),
)
def test_whatever_a_document_holds_it_is_read_or_refused(value: object, key: str) -> None:
    with suppress(InvalidValue):
        assert from_bench(bench(**{key: value}), "r.json").source == "bench r.json"


def search(**changes: Any) -> dict[str, Any]:
    """What a search for the maximum of two replicas of 25 slots writes: 250 jobs/s by their slots and 200 ms."""
    maximum = {"elapsed_s": 100.0, "capacity_per_s": 247.0, "per_replica_per_s": 121.0, "limit": "slots", **changes}
    signals = {"service": {"n": 500, "mean": 0.2, "scv": 0.0}, "wait": {"n": 500, "mean": 0.0}}
    return bench(signals=signals, maximum=maximum)


def test_a_search_tells_the_capacity_of_a_replica_and_nothing_about_the_volume() -> None:
    evidence = from_bench(search(), "max.json")

    assert evidence.capacity_per_replica_per_s == pytest.approx(123.5)
    assert evidence.arrival_rate_per_s is None
    assert evidence.arrivals is None
    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(0.2)
    assert evidence.notes == (
        "its rates and arrivals are those of a search for the maximum, and say nothing about the volume",
    )


def test_a_replica_that_completes_less_than_its_slots_promise_is_worth_a_note() -> None:
    notes = from_bench(search(capacity_per_s=200.0), "max.json").notes

    assert any("100 jobs/s at most, 20% less than the 125" in note for note in notes)


def test_a_maximum_that_replicas_do_not_limit_says_nothing_about_a_replica() -> None:
    evidence = from_bench(search(per_replica_per_s=None, limit="limiter"), "max.json")

    assert evidence.capacity_per_replica_per_s is None
    assert any("limited by limiter" in note for note in evidence.notes)


# ------------------------------------------------------------------------------------------------------ a table of jobs


def table(*lines: str) -> Evidence:
    return from_csv(lines, "jobs.csv")


def test_service_times_alone_are_enough() -> None:
    evidence = table("service_s", "1.5", "2.5")

    assert evidence.service == Empirical((1.5, 2.5))
    assert (evidence.arrival_rate_per_s, evidence.arrivals, evidence.wait) == (None, None, None)
    assert evidence.source == "jobs.csv"


def test_service_times_are_read_from_start_to_finish_and_waits_from_the_queue_on() -> None:
    evidence = table(
        "Enqueued At,Started At,Finished At,Status",
        "2026-03-01T10:00:00Z,2026-03-01T10:00:02Z,2026-03-01T10:00:05Z,finished",
        "2026-03-01T10:00:10Z,2026-03-01T10:00:10Z,2026-03-01T10:00:15Z,Failed",
        "2026-03-01T10:00:20Z,,,queued",
    )

    assert evidence.service == Empirical((3.0,))
    assert evidence.failed_s == pytest.approx(5.0)
    assert evidence.failure_rate == pytest.approx(0.5)
    assert evidence.arrival_rate_per_s == pytest.approx(0.1)
    assert evidence.wait is not None
    assert evidence.wait.mean_s == pytest.approx(1.0)


def test_rows_may_be_in_any_order_and_cells_may_be_empty() -> None:
    evidence = table("arrival_s;service_ms;job_type", "30;500;a", "10;;b", "20;1500;a")

    assert evidence.service == Empirical((0.5, 1.5))
    assert evidence.arrival_rate_per_s == pytest.approx(0.1)
    assert [(job_type.name, job_type.share) for job_type in evidence.job_types] == [("a", 1.0)]


def test_a_retried_job_tells_no_wait() -> None:
    evidence = table("enqueued,started,service_s,retries", "0,1,1,0", "0,50,1,2")

    assert evidence.wait is not None
    assert (evidence.wait.jobs, evidence.wait.mean_s) == (1, 1.0)
    assert evidence.failure_rate == pytest.approx(2 / 4)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["name,size", "a,1"], "neither service times nor arrivals; it has name, size"),
        (["service_s,outcome", "1,maybe"], "jobs.csv line 2: 'maybe' is no outcome"),
        (["service_s", "fast"], "jobs.csv line 2: service_s is 'fast'"),
        (["service_s", "nan"], "jobs.csv line 2"),
        (["service_s", "-1"], "jobs.csv line 2"),
        (["started_s,finished_s", "5,4"], "jobs.csv line 2: its instants are out of order"),
        (["service_s,retries", "1,-2"], "jobs.csv line 2"),
        ([], "jobs.csv is empty"),
        (["service_s"], "neither service times nor arrivals"),
    ],
)
def test_a_table_that_tells_nothing_is_refused_in_one_line(lines: list[str], words: str) -> None:
    assert words in str(refusal(from_csv, lines, "jobs.csv"))


@given(st.lists(st.text(alphabet="0123456789.,;-eni \tsarvl_", max_size=30), max_size=6))
def test_whatever_a_file_holds_it_is_read_or_refused(lines: list[str]) -> None:
    with suppress(InvalidValue):
        evidence = from_csv(["arrival_s,service_s,outcome", *lines], "jobs.csv")
        assert (evidence.service is None) == (evidence.samples == 0)
        assert evidence.arrival_rate_per_s is None or math.isfinite(evidence.arrival_rate_per_s)


def test_clocks_that_differ_by_little_make_no_row_impossible() -> None:
    lines = ["arrival_s,enqueued_s,started_s,finished_s", "1.0,1.0,0.9996,2.0", "2.0,2.0,2.5,3.5", "3.0,3.0,3.0,4.0"]
    evidence = from_csv(lines, "jobs.csv")
    assert evidence.wait is not None
    assert evidence.wait.mean_s == pytest.approx(0.5 / 3)
