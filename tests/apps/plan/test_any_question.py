"""Whatever is asked, the answer keeps to its schema, contradicts nothing it says itself, and can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import chdir
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jobctl import settings as jobctl_settings
from jobctl.apps.plan.configure import Prepared
from jobctl.apps.plan.document import to_document
from jobctl.apps.plan.explain import explain
from jobctl.apps.plan.report import Report, to_html, to_svg_file
from jobctl.apps.plan.request import INPUTS
from jobctl.cli.plan_render import describe
from jobctl.core.plans import Plan
from jobctl.errors import InvalidOption
from jobctl.wiring.plan import answer, prepare

VALIDATOR = Draft202012Validator(json.loads((files("jobctl") / "schemas" / "plan.json").read_text()))
INPUT_OF = {told.flag: told for told in INPUTS}
DAY_S = 86_400.0
#: What a figure that was not computed, or has no finite value, looks like where nobody caught it.
STRAY = re.compile(r"\b(nan|NaN|inf|None)\b")
#: Rounding of figures that are the same by other sums.
ROUNDING = 1e-9

#: A question that fails is a command line already, and asking it again and again to shorten it takes minutes.
AS_FOUND = (Phase.explicit, Phase.generate)

Options = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module", autouse=True)
def _empty_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No ``jobctl.toml`` and no ``slo.toml`` but those of a test."""
    with chdir(tmp_path_factory.mktemp("questions")):
        yield


# ------------------------------------------------------------------------------------------------- the questions


def either(flag: str, *texts: str) -> st.SearchStrategy[Options]:
    """The option with one of these texts, or not given."""
    return st.sampled_from([(), *(((flag, text),) for text in texts)])


def rarely(options: st.SearchStrategy[Options]) -> st.SearchStrategy[Options]:
    """Most questions do without."""
    return st.one_of(st.just(()), st.just(()), options)


def together(*parts: st.SearchStrategy[Options]) -> st.SearchStrategy[Options]:
    """Options one after the other."""
    return st.tuples(*parts).map(lambda found: tuple(option for part in found for option in part))


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers whose orders of magnitude are equally likely, of three digits."""
    return st.floats(low, high).map(lambda exponent: float(f"{10**exponent:.3g}"))


@st.composite
def services(draw: st.DrawFn, mean_s: float) -> Options:
    """A service time in each of the ways in which it can be told."""
    told: list[Options] = [
        (("--service-time", f"{mean_s:g}s"),),
        *((("--service-time", f"{mean_s:g}s"), ("--service-scv", scv)) for scv in ("0", "0.25", "4", "100")),
        *((("--service-p50", f"{mean_s:g}s"), ("--service-p95", f"{mean_s * x:g}s")) for x in (1.5, 3, 20)),
        (("--service-time", f"gamma:mean={mean_s:g}s,scv=2"),),
        (("--service-time", f"constant:{mean_s:g}s"),),
        (
            ("--job-type", f"short 0.6 exponential:{mean_s / 2:g}s"),
            ("--job-type", f"long 0.4 constant:{mean_s * 2:g}s"),
        ),
    ]
    return draw(st.sampled_from(told))


@st.composite
def promises(draw: st.DrawFn, mean_s: float) -> Options:
    """None, one or two of them."""
    bound_s, jobs = draw(powers(-2, 2.5)), draw(st.sampled_from([1, 1000, 100_000]))
    texts = [
        *(f"{statistic} wait <= {bound_s:g}s" for statistic in ("mean", "p50", "p95", "p99.9")),
        f"p99 wait <= {bound_s:g}s over every hour",
        f"p95 wait <= {bound_s:g}s over the whole day",
        f"p95 sojourn <= {4 * mean_s + bound_s:g}s",
        f"mean sojourn <= {2 * mean_s + bound_s:g}s",
        f"drain {jobs} jobs <= {10 * bound_s:g}s",
        "cover 95% of the day",
    ]
    return tuple(("--slo", text) for text in draw(st.lists(st.sampled_from(texts), max_size=2, unique=True)))


@st.composite
def questions(draw: st.DrawFn, budget: str = "0") -> Options:
    """The options of a command line that means something."""
    mean_s = draw(powers(-2, 2.5))
    per_day = min(1e9, max(1.0, float(f"{draw(powers(-2, 2.5)) / mean_s * DAY_S:.6g}")))
    per_minute = per_day / 1440
    spikes = either("--spike", "1@0:00", "500@14:30", "10000@23:59:59")
    failures = together(
        st.sampled_from(["0", "0.01", "0.5", "0.999", "1"]).map(lambda rate: (("--failure-rate", rate),)),
        either("--attempts", "1", "2", "5", "25"),
        either("--failed-ratio", "0.01x", "3x", "1ms", "20s"),
        either("--retry-jitter", "0", "0.5"),
    )
    upstream = together(
        st.sampled_from([0.5, 1.01, 1.3, 2, 1e4]).map(lambda x: (("--upstream-rpm", f"{per_minute * x:.6g}"),)),
        either("--upstream-burst", "0", "60", "5000"),
        either("--upstream-wait", "slot", "queue"),
    )
    database = together(
        st.sampled_from(["1", "5", "25"]).map(lambda number: (("--db-connections-per-replica", number),)),
        either("--db-max-clients", "10", "60", "1000"),
        either("--db-hold", "job", "share"),
    )
    parts = (
        st.just((("--per-day", f"{per_day:.6g}"),)),
        services(mean_s),
        either("--concurrency", "1", "5", "100", "1000"),
        rarely(either("--peak-factor", "1.3", "2", "2.001", "6", "24")),
        rarely(together(spikes, spikes)),
        rarely(either("--arrivals", "constant", "renewal:0.3", "renewal:4", "batch:2", "batch:50", "batch:1000")),
        rarely(failures),
        rarely(either("--job-timeout", f"{mean_s / 2:g}s", f"{mean_s * 3:g}s")),
        rarely(upstream),
        st.one_of(st.just(()), database),
        rarely(either("--cpu-per-job", f"{mean_s * 0.02:g}s", f"{mean_s:g}s")),
        either("--spare", "0", "2"),
        promises(mean_s),
        either("--window", "busiest-hour", "whole-day", "every-hour"),
        either("--max-replicas", "3", "40"),
        rarely(either("--replicas", "1", "2", "3")),
        st.just((("--budget", budget),)),
    )
    return draw(together(*parts))


def answered(options: Options) -> tuple[Prepared, Plan, dict[str, Any]]:
    """A question's answer, and its document as it is read back from a file."""
    flags: dict[str, Any] = {}
    for flag, text in options:
        told = INPUT_OF[flag]
        value = told.parse(text)
        flags[told.name] = [*flags.get(told.name, ()), value] if told.many else value
    try:
        prepared = prepare(jobctl_settings.load_plan(flags, env={})[0])
        plan = answer(prepared)
    except InvalidOption:
        assume(False)  # few contradict themselves, and hypothesis counts those
        raise
    document = to_document(plan, prepared.assumptions, prepared.prices)
    return prepared, plan, json.loads(json.dumps(document, allow_nan=False))


# ---------------------------------------------------------------------------------------------------- what holds


def fleets_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every fleet in it, the answer first."""
    own = {**document, **document["predicted"]}
    return [own, *filter(None, (document["with_spare_gone"], document["one_fewer"])), *document["table"]]


def check_percentiles(fleet: dict[str, Any]) -> None:
    """A higher percentile is no shorter, none is known where a lower one is not, and each lies in its interval."""
    for shown in (fleet["wait"], *filter(None, (fleet["windows"] or {}).values())):
        values = [shown[name] for name in ("p50", "p95", "p99")]
        known = [value for value in values if value is not None]
        assert known == sorted(known)
        assert values[: len(known)] == known
    for name in ("mean", "p50", "p95", "p99"):
        interval, value = fleet["interval"][f"wait_{name}"], fleet["wait"][name]
        if interval is not None and value is not None:
            low, high = interval
            assert low * (1 - ROUNDING) - ROUNDING <= value <= high * (1 + ROUNDING) + ROUNDING, name


def check_verdict(fleet: dict[str, Any]) -> None:
    """It holds if it breaks nothing; slots that fall behind day by day never hold."""
    assert (fleet["holds"] is True) == (not fleet["broken"])
    assert fleet["stable"] or fleet["holds"] is False
    assert all(hour["utilisation"] <= 1 + ROUNDING for hour in fleet["hours"] or ())
    p_wait = fleet["wait"]["p_wait"]
    assert p_wait is None or 0 <= p_wait <= 1 + ROUNDING


def check_table(document: dict[str, Any]) -> None:
    """From some number of replicas on they hold: not known lies between no and yes, and each row is the same fleet."""
    rank = {False: 0, None: 1, True: 2}
    rows = document["table"]
    by_replicas = {row["replicas"]: row for row in rows}
    for fewer, more in pairwise(rows):
        assert rank[fewer["holds"]] <= rank[more["holds"]]
        assert fewer["wait"]["p95"] is None or more["wait"]["p95"] is not None
        assert more["holds_one_gone"] == fewer["holds"]
    for fleet in fleets_of(document):
        row = by_replicas.get(fleet["replicas"], fleet)
        assert fleet["holds"] == row["holds"]
        assert fleet["wait"] == row["wait"]


def check_answer(document: dict[str, Any], given_replicas: bool) -> None:
    """What is feasible keeps every limit, what is not says why, and the edge lies about the answer."""
    replicas, edge = document["replicas"], document["edge"]
    assert bool(document["feasible"]) == (document["reason"] is None)
    assert document["on_edge"] or (document["feasible"] is not None and edge is None)
    if edge is not None:
        assert edge[0] + 1 == edge[1]
        assert edge[0] <= replicas <= edge[1]
    if not document["feasible"]:
        assert document["binding"] != "none"
        assert document["answers"]["with_spare"] is None
        return
    assert all(most is None or replicas <= most for most in document["max_replicas_by"].values())
    assert document["backlog_growth_per_day"] == 0
    if given_replicas:
        return
    carrying = document["with_spare_gone"] if document["spare"] else document
    fewer = document["one_fewer"]
    assert document["answers"]["with_spare"] == replicas
    assert carrying["replicas"] == replicas - document["spare"]
    assert fewer is not None or carrying["replicas"] == 1
    if edge is None:
        assert carrying["holds"] is True
        assert fewer is None or fewer["holds"] is False


def check_bounds(document: dict[str, Any]) -> None:
    """Shares are shares, and no time, count or rate is negative but a headroom."""

    def walk(value: Any, name: str) -> Iterator[tuple[str, float]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, key)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner, name)
        elif isinstance(value, int | float):
            yield name, value

    assert [(name, value) for name, value in walk(document, "") if value < 0 and name != "headroom"] == []


def check(options: Options) -> tuple[Prepared, Plan]:
    """Ask, and check all that must hold of any answer."""
    prepared, plan, document = answered(options)
    VALIDATOR.validate(document)
    for fleet in fleets_of(document):
        check_percentiles(fleet)
        check_verdict(fleet)
    check_table(document)
    check_answer(document, given_replicas=any(flag == "--replicas" for flag, _ in options))
    check_bounds(document)
    return prepared, plan


# -------------------------------------------------------------------------------------------------------- asked


@settings(max_examples=25, phases=AS_FOUND)
@given(questions())
def test_closed_forms_never_contradict_themselves(options: Options) -> None:
    check(options)


@settings(max_examples=6, phases=AS_FOUND)
@given(questions(budget="0.3s"))
def test_simulations_never_contradict_themselves(options: Options) -> None:
    check(options)


@settings(max_examples=5, phases=AS_FOUND)
@given(questions(), st.sampled_from([None, 60, 100]))
def test_every_answer_can_be_read(options: Options, width: int | None) -> None:
    prepared, plan, _ = answered(options)
    screen = list(describe(plan, prepared.assumptions, width, prepared.prices))
    report = Report(plan, screen[0], prepared.assumptions, "0", prepared.prices)
    for text in (
        "\n".join(screen),
        "\n".join(explain(plan, prepared.assumptions, width)),
        to_html(report),
        to_svg_file(report),
    ):
        assert STRAY.search(text) is None
