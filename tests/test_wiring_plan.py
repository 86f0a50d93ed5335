"""The files and services that a question names are read, and it is answered."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from jobctl import settings
from jobctl.apps.plan.audit import parse_rows
from jobctl.apps.plan.configure import Prepared
from jobctl.apps.plan.request import INPUTS, PlanRequest
from jobctl.core.arrivals import CONSTANT
from jobctl.core.plans import Binding
from jobctl.core.slo import DEFAULT_OBJECTIVE, Drain, Objective, Window
from jobctl.errors import InvalidOption
from jobctl.wiring.plan import answer, audited, prepare, prepare_audit

PARSE = {told.name: told for told in INPUTS}
TRACE = "arrived_at,tokens,service_s\n2024-01-01T00:00:00,10,2\n2024-01-01T00:00:04,20,2\n2024-01-01T00:00:06,30,2\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(**texts: str) -> PlanRequest:
    """The request of a command line, its flags given as text, repeated ones with ``|`` between."""
    flags = {
        name: [PARSE[name].parse(part) for part in text.split("|")] if PARSE[name].many else PARSE[name].parse(text)
        for name, text in texts.items()
    }
    return settings.load_plan(flags, env={})[0]


def prepared(**texts: str) -> Prepared:
    return prepare(asked(**texts))


def test_a_shape_is_read_from_a_file(place: Path) -> None:
    (place / "day.csv").write_text("time,rate\n00:00,1\n12:00,3\n")
    demand = prepared(rate="2", service_time="1s", shape="day.csv").demand
    assert demand.profile.mean_per_s == pytest.approx(2.0)
    assert demand.profile.rate_at(43_200.0) == pytest.approx(3.0)


@pytest.mark.parametrize("packed", [False, True])
def test_a_trace_is_replayed_from_a_file_packed_or_not(place: Path, packed: bool) -> None:
    path = place / ("trace.csv.gz" if packed else "trace.csv")
    path.write_bytes(gzip.compress(TRACE.encode()) if packed else TRACE.encode())
    demand = prepared(shape=f"replay:{path}").demand
    assert demand.trace is not None
    assert list(demand.trace.arrivals_s) == [0.0, 4.0, 6.0]
    assert demand.job_types[0].service.mean_s == pytest.approx(2.0)


def test_a_rule_makes_service_times_of_other_columns(place: Path) -> None:
    (place / "trace.csv").write_text(TRACE)
    demand = prepared(shape="replay:trace.csv", service_rule="1.0 + 0.1 * tokens").demand
    assert demand.trace is not None
    assert list(demand.trace.services_s or ()) == pytest.approx([2.0, 3.0, 4.0])


def test_evidence_is_read_from_a_table_of_jobs(place: Path) -> None:
    rows = "\n".join(f"{arrival}.0,2.5" for arrival in range(50))
    (place / "jobs.csv").write_text(f"arrival_s,service_s\n{rows}\n")
    demand = prepared(source="jobs.csv").demand
    assert demand.profile.mean_per_s == pytest.approx(1.0)
    assert demand.job_types[0].service.mean_s == pytest.approx(2.5)
    assert demand.arrivals == CONSTANT


SLO = '[[objective]]\nslo = "p99 wait <= 2s"\nover = "whole day"\n[[objective]]\nslo = "drain 10k <= 5m"\n'


def test_objectives_are_read_from_the_file_that_lies_here_unless_others_are_named(place: Path) -> None:
    (place / "slo.toml").write_text(SLO)
    (place / "other.toml").write_text('[[objective]]\nslo = "drain 7 jobs <= 1s"\n')
    by_file = prepared(rate="2", service_time="1s")
    assert by_file.demand.promises == (Objective("wait", 0.99, 2.0, Window.WHOLE_DAY), Drain(10_000, 300.0))
    assert Binding.OBJECTIVE in by_file.required
    assert next(assumed.source for assumed in by_file.assumptions if assumed.name == "slo") == "file slo.toml"
    named = prepared(rate="2", service_time="1s", slo_file="other.toml")
    assert named.demand.promises == (Drain(7, 1.0),)
    flagged = prepared(rate="2", service_time="1s", slo="p95 wait <= 1s|drain 5 <= 1s")
    assert flagged.demand.promises == (DEFAULT_OBJECTIVE, Drain(5, 1.0))


def test_the_promises_of_the_fleet_that_runs_do_not_judge_another_one_unasked(place: Path) -> None:
    (place / "monitoring").mkdir()
    (place / "monitoring" / "slo.toml").write_text('[[objective]]\nslo = "drain 9 jobs <= 1s"\n')
    assert prepared(rate="2", service_time="1s").demand.promises == (DEFAULT_OBJECTIVE,)


def test_the_file_that_takes_the_answer_is_the_one_whose_promises_are_planned_for(place: Path) -> None:
    (place / "slo.toml").write_text(SLO)
    (place / "fleet.toml").write_text('[[objective]]\nslo = "drain 9 jobs <= 1s"\n')
    request = asked(rate="2", service_time="1s")
    assert prepare(request, target="fleet.toml").demand.promises == (Drain(9, 1.0),)
    assert prepare(request, target="railway.json").demand.promises == prepare(request).demand.promises
    given = asked(rate="2", service_time="1s", slo="p95 wait <= 1s")
    assert prepare(given, target="fleet.toml").demand.promises == (DEFAULT_OBJECTIVE,)


@pytest.mark.parametrize(
    ("name", "content", "texts", "named"),
    [
        ("day.csv", "", {"shape": "day.csv"}, "--shape: day.csv"),
        ("day.csv", "00:00,0\n", {"shape": "day.csv"}, "--shape: day.csv"),
        ("day.csv", "00:00,-1\n", {"shape": "day.csv"}, "--shape: day.csv line 1"),
        ("other", "", {"shape": "stedy"}, "--shape: there is no file 'stedy'; give steady, diurnal"),
        ("other", "", {"shape": "replay:none.csv"}, "--shape: there is no file 'none.csv'"),
        ("t.csv", "", {"shape": "replay:t.csv"}, "--shape: t.csv is empty"),
        ("t.csv", "arrival_s\n5\n3\n", {"shape": "replay:t.csv"}, "--shape: t.csv line 3"),
        ("t.csv.gz", "no gzip", {"shape": "replay:t.csv.gz"}, "--shape: "),
        ("slo.toml", "[[objective]]\nslo = 'p95 weight <= 1s'\n", {}, "slo.toml: objective 1: "),
        ("slo.toml", "[[objective", {}, "slo.toml: "),
        ("other", "", {"slo_file": "none.toml"}, "--slo-file: 'none.toml' cannot be read"),
        ("gates.toml", "[[x]]", {"slo_file": "gates.toml"}, "gates.toml: the file has an unknown key 'x'"),
        ("other", "", {"source": "none.json"}, "--from: "),
    ],
    ids=str,
)
def test_a_file_that_means_nothing_is_one_line_with_the_option(
    place: Path, name: str, content: str, texts: dict[str, str], named: str
) -> None:
    (place / name).write_text(content)
    with pytest.raises(InvalidOption) as refusal:
        prepared(**{"rate": "2", "service_time": "1s", **texts})
    assert str(refusal.value).startswith(named)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_question_is_answered_by_closed_forms_alone_without_a_budget() -> None:
    plan = answer(prepared(rate="2.5", service_time="8s", budget="0"))
    assert (plan.feasible, plan.all_running.replicas, plan.simulated_jobs) == (True, 3, 0)


def test_a_given_number_is_held_to_what_was_asked_of_it() -> None:
    texts = {"rate": "2.5", "service_time": "8s", "replicas": "1", "budget": "0"}
    assert answer(prepared(**texts)).feasible
    assert answer(prepared(**texts, slo="p95 wait <= 1s")).binding is Binding.OBJECTIVE
    assert answer(prepared(**texts, spare="1")).binding is Binding.REDUNDANCY


def test_numbers_that_make_no_sense_name_their_option() -> None:
    with pytest.raises(InvalidOption, match="--replicas"):
        answer(prepared(rate="1", service_time="8s", replicas="1000000"))


def test_the_rows_of_a_table_bring_their_own_volume() -> None:
    rows = parse_rows("2:450k,1:450k")
    judged = audited(prepare_audit(asked(service_time="8s", budget="0"), rows), rows, ())
    assert [row.plan.all_running.replicas for row in judged.rows] == [2, 1]
    assert judged.rows[0].plan.limits.arrival_rate_per_s == pytest.approx(450_000 / 86_400)
    assert not judged.kept


@pytest.mark.parametrize("texts", [{"rate": "1"}, {"per_day": "5"}, {"replicas": "3"}], ids=str)
def test_a_table_beside_a_volume_or_a_number_of_replicas_is_refused(texts: dict[str, str]) -> None:
    with pytest.raises(InvalidOption, match="has no meaning with --audit"):
        prepare_audit(asked(service_time="8s", **texts), parse_rows("2:450k"))
