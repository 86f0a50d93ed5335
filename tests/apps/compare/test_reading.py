"""Documents of benches as sides of a comparison: what is taken, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobctl.apps.compare.reading import check_alike, differences, read_measurement
from jobctl.core.quantiles import Sample
from jobctl.errors import InvalidOption, InvalidValue
from support.bench_documents import bench_document


def test_the_histograms_of_a_document_are_its_stretches() -> None:
    values = [[0.1, 0.1, 0.3], [], [2.0]]
    run = read_measurement(bench_document(values), "r.json").run

    assert [stretch.offered for stretch in run.stretches] == [3, 0, 1]
    first, empty, last = (stretch.tallies["service"] for stretch in run.stretches)
    assert first.counts == (2, 1)
    assert first.middle_s == (pytest.approx(0.1, rel=1e-3), pytest.approx(0.3, rel=1e-3))
    assert (empty.counts, last.counts) == ((), (1,))


def test_percentiles_are_those_of_the_document_to_the_digit() -> None:
    values = [0.001 * number for number in range(1, 400)]
    run = read_measurement(bench_document([values]), "r.json").run
    tally = run.stretches[0].tallies["service"]
    at_p50 = next(high for place, high in enumerate(tally.highest_s) if sum(tally.counts[: place + 1]) >= 200)

    assert at_p50 == Sample(values).quantile(0.5)


@pytest.mark.parametrize(
    ("signals", "unsure"),
    [
        ({"p50": 0.2, "intervals": {"p50": [0.1, 0.3]}}, frozenset()),
        ({"p50": None, "intervals": {"p50": None}}, frozenset()),
        ({"p50": 0.2, "intervals": {"p50": None}}, frozenset({"sojourn"})),
    ],
    ids=["bounded", "too few", "too much alike"],
)
def test_a_median_that_could_not_be_bounded_is_of_jobs_too_much_alike(
    signals: dict[str, Any], unsure: frozenset[str]
) -> None:
    document = {**bench_document([[0.2] * 5]), "signals": {"sojourn": signals}}

    assert read_measurement(document, "r.json").run.unsure == unsure


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": "jobctl.plan/1"}, "is a document of jobctl.plan/1"),
        ({"schema": None}, "is no result of a bench"),
        ({"blocks": None}, "has no blocks to compare"),
        ({"blocks": {"length_s": 1.0, "offered": [], "failed": []}}, "has no blocks to compare"),
        ({"blocks": {"length_s": 1.0, "offered": [3], "failed": []}}, "not of one length"),
        ({"blocks": {"length_s": 1.0, "offered": [1.5], "failed": [0]}}, "blocks.offered holds something else"),
        ({"blocks": {"length_s": float("nan"), "offered": [1], "failed": [0]}}, "blocks.length_s is nan"),
        ({"config": {}}, "config.schedule_digest is"),
        ({"jobs": {"rejected": 0, "duplicated": 0}}, "lacks jobs.lost"),
        ({"jobs": None}, "lacks jobs.lost"),
        ({"offered": None}, "lacks offered.dropped"),
    ],
)
def test_another_or_a_broken_document_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        read_measurement({**bench_document([[0.1] * 5]), **change}, "r.json")


@pytest.mark.parametrize("text", ["", "HISTFAAA", "not base64 at all", "HISTFAAAACJ42pNpmSzMwMDAxMDAwAwAAAA"])
def test_what_is_no_histogram_is_refused_by_its_place(text: str) -> None:
    document = bench_document([[0.1] * 5])
    document["blocks"]["service"] = [text]
    with pytest.raises(InvalidValue, match=r"r.json: blocks.service.0 is no histogram"):
        read_measurement(document, "r.json")


def test_a_document_outlives_json() -> None:
    document = bench_document([[0.1] * 5])

    assert read_measurement(json.loads(json.dumps(document)), "r") == read_measurement(document, "r")


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"interrupted": True}, "it was interrupted"),
        ({"aborted": "a gate"}, "it ended early: a gate"),
        ({"offered": {"dropped": 3}}, "3 jobs were never enqueued"),
        (
            {"verdict": "inconclusive", "offered": {"dropped": 0, "schedule_lag_s": {"p99": 0.2}}},
            "the generator fell behind: schedule lag p99 200 ms",
        ),
        ({"verdict": "inconclusive"}, None),
        ({"verdict": "broken"}, None),
    ],
)
def test_a_run_whose_load_was_not_offered_is_in_doubt(change: dict[str, Any], doubt: str | None) -> None:
    assert read_measurement({**bench_document([[0.1] * 5]), **change}, "r").doubt == doubt


def test_what_was_asked_and_where_it_ran_must_be_the_same_unless_told() -> None:
    one = read_measurement(bench_document([[0.1]]), "a.json")
    rate = read_measurement(bench_document([[0.1]], config={"rate_per_s": 6.0}), "b.json")
    host = read_measurement(bench_document([[0.1]], host={"name": "elsewhere"}), "b.json")

    assert check_alike(one, one, ()) == ()
    with pytest.raises(
        InvalidOption, match=r"config: a.json and b.json differ: rate_per_s: 5 and 6; measure both alike"
    ):
        check_alike(one, rate, ["host"])
    with pytest.raises(InvalidOption, match=r"host: a.json and b.json differ: name: here and elsewhere"):
        check_alike(one, host, ["config"])
    assert check_alike(one, rate, ["config"]) == ("config rate_per_s: 5 and 6",)


@pytest.mark.parametrize("what", ["mix", "stages", "chaos"])
def test_what_was_asked_in_lists_must_be_the_same_too(what: str) -> None:
    one, other = (
        read_measurement(bench_document([[0.1]], config={what: value}), "r.json") for value in ([{"a": 1}], [{"a": 2}])
    )

    assert check_alike(one, one, ()) == ()
    with pytest.raises(InvalidOption, match=f"differ: {what}"):
        check_alike(one, other, ())


@pytest.mark.parametrize(("failed", "doubt"), [(2, None), (3, "3 of 5 jobs failed, most with KeyError: 'a': nothing")])
def test_against_jobs_that_mostly_failed_nothing_is_measured(failed: int, doubt: str | None) -> None:
    document = {**bench_document([[0.1] * 5], failed=failed), "errors": [{"error": "KeyError: 'a'", "jobs": 3}]}
    measured = read_measurement(document, "r.json")

    assert measured.doubt is None
    assert (measured.doubt_as_baseline or "").startswith(doubt or "")
    assert (measured.doubt_as_baseline is None) == (doubt is None)


def test_gates_and_the_last_bit_of_a_number_are_no_difference() -> None:
    one, other = (
        {"rate_per_s": rate, "gates": gates} for rate, gates in ((5.0, "none"), (5.0 + 1e-12, "wait.p95 < 1s"))
    )

    assert differences(one, other, frozenset({"gates"})) == []
