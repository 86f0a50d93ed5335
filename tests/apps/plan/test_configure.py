"""What was said, what was read and the defaults become one demand, each figure with its origin."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import pytest

from jobctl.apps.plan.configure import Material, Prepared, configure, slo_file_of
from jobctl.apps.plan.load import shape_of
from jobctl.apps.plan.request import INPUTS, FailedTime, Level, PlanRequest, Source
from jobctl.core.arrivals import POISSON, parse_arrivals
from jobctl.core.demand import Database, Hold, JobType, Retries, Upstream
from jobctl.core.evidence import Evidence
from jobctl.core.plans import Binding
from jobctl.core.profiles import Spike
from jobctl.core.service import Constant, Empirical, Exponential, Lognormal, parse_law
from jobctl.core.shapes import ShapeKind, WantedShape
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Drain, Objective, Window
from jobctl.core.tiers import parse_tier
from jobctl.core.traces import Trace
from jobctl.errors import InvalidOption

FLAGS = {told.name: told.flag for told in INPUTS}
#: Twelve jobs over eleven seconds, each of half a second.
TRACE = Trace("day.csv", array("d", range(12)), array("d", [0.5] * 12))
REPLAY = WantedShape(ShapeKind.REPLAY, "day.csv")
MEASURED = Evidence(
    source="bench r.json",
    service=Constant(3.0),
    arrival_rate_per_s=7.0,
    arrivals=parse_arrivals("renewal:4"),
    failure_rate=0.1,
    failed_s=9.0,
    cpu_per_job_s=0.02,
    memory_bytes=5e7,
    concurrency=10,
    notes=("the run was short",),
)


def said(level: Level = Level.FLAG, **values: Any) -> PlanRequest:
    """A request in which all of it was said at one level, beside the defaults of the settings."""
    at = {Level.FLAG: "flag", Level.FILE: "file jobctl.toml", Level.ENVIRONMENT: "env X"}[level]
    defaults = {"concurrency": 25, "attempts": 5, "retry_base": 2.0, "retry_cap": 300.0, "upstream_burst": 0}
    sources = {name: Source(Level.DEFAULT, "default") for name in defaults if name not in values}
    for name in values:
        sources[name] = Source(level, f"flag {FLAGS[name]}" if level is Level.FLAG else at)
    return PlanRequest(**{**defaults, **values}, sources=sources)


def beside(near: PlanRequest, **values: Any) -> PlanRequest:
    """The same request with further inputs said in the file."""
    far = said(Level.FILE, **values)
    return replace(near, **values, sources={**near.sources, **{name: far.sources[name] for name in values}})


def settle(request: PlanRequest, **material: Any) -> Prepared:
    return configure(request, Material(**material))


def source_of(prepared: Prepared, name: str) -> str:
    return next(assumed.source for assumed in prepared.assumptions if assumed.name == name)


ASKED = {"rate": 2.5, "service_time": 8.0}


def test_a_rate_and_a_mean_are_enough() -> None:
    prepared = settle(said(**ASKED))
    demand = prepared.demand
    assert demand.profile.is_steady
    assert demand.profile.mean_per_s == pytest.approx(2.5)
    assert demand.job_types == (JobType("jobs", 1.0, Exponential(8.0)),)
    assert (demand.arrivals, demand.concurrency, demand.spare) == (POISSON, 25, 1)
    assert demand.promises == (DEFAULT_OBJECTIVE,)
    assert demand.window is Window.BUSIEST_HOUR
    assert (demand.retries, demand.upstream, demand.database) == (Retries(), Upstream(), Database())
    assert (prepared.seed, prepared.budget_s, prepared.replicas) == (1, 10.0, None)


def test_every_figure_names_its_origin() -> None:
    prepared = settle(beside(said(**ASKED), peak_factor=2.0, spare=2))
    origins = {assumed.name: assumed.source for assumed in prepared.assumptions}
    assert origins["rate"] == "flag --rate"
    assert origins["service-time"] == "flag --service-time"
    assert origins["peak-factor"] == origins["shape"] == origins["spare"] == "file jobctl.toml"
    assert origins["concurrency"] == origins["arrivals"] == origins["slo"] == origins["service-scv"] == "default"


def test_a_daily_volume_is_a_rate() -> None:
    assert settle(said(per_day=86_400.0, service_time=1.0)).demand.profile.mean_per_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"service_time": 8.0, "service_scv": 0.0}, Constant(8.0)),
        ({"service_time": 8.0, "service_scv": 4.0}, Lognormal.from_mean_and_scv(8.0, 4.0)),
        ({"service_time": parse_law("gamma:mean=8s,scv=2")}, parse_law("gamma:mean=8s,scv=2")),
        ({"service_p50": 6.0, "service_p95": 20.0}, Lognormal.from_p50_and_p95(6.0, 20.0)),
    ],
)
def test_the_service_time_is_told_in_three_ways(values: dict[str, Any], law: object) -> None:
    assert settle(said(rate=1.0, **values)).demand.job_types[0].service == law


def test_a_mix_keeps_its_shares() -> None:
    mix = (JobType("a", 0.3, Exponential(8.0)), JobType("b", 0.7, Constant(2.0)))
    assert settle(said(rate=1.0, job_type=mix)).demand.job_types == mix


def test_a_peak_factor_alone_is_a_diurnal_day_and_diurnal_alone_has_twice_the_mean_at_its_peak() -> None:
    by_factor = settle(said(**ASKED, peak_factor=3.0)).demand.profile
    by_shape = settle(said(**ASKED, shape=WantedShape(ShapeKind.DIURNAL))).demand.profile
    assert by_factor.peak_per_s == pytest.approx(3 * 2.5, rel=1e-3)
    assert by_shape.peak_per_s == pytest.approx(2 * 2.5, rel=1e-3)
    assert by_factor.mean_per_s == by_shape.mean_per_s == pytest.approx(2.5)


def test_a_shape_of_a_file_is_scaled_to_the_volume_and_spikes_come_on_top() -> None:
    shape = WantedShape(ShapeKind.FILE, "day.csv")
    request = said(**ASKED, shape=shape, spike=(Spike(1000, 3600.0),))
    profile = settle(request, points=((0.0, 1.0), (43_200.0, 3.0))).demand.profile
    assert profile.jobs == pytest.approx(2.5 * 86_400 + 1000)
    assert profile.peak_per_s == pytest.approx(1.5 * 2.5)


def test_a_replay_needs_neither_a_volume_nor_a_service_time() -> None:
    demand = settle(said(shape=REPLAY), trace=TRACE).demand
    assert demand.trace == TRACE
    assert demand.profile == TRACE.profile
    assert demand.job_types[0].service == Empirical(tuple(TRACE.services_s or ()))


def test_a_replay_runs_at_the_volume_or_the_speed_that_was_given() -> None:
    by_volume = settle(said(shape=REPLAY, rate=3 * TRACE.mean_per_s), trace=TRACE).demand.trace
    by_speed = settle(said(shape=REPLAY, time_scale=3.0), trace=TRACE).demand.trace
    assert by_volume is not None
    assert by_speed is not None
    assert list(by_volume.arrivals_s) == pytest.approx([second / 3 for second in range(12)])
    assert by_volume.arrivals_s == pytest.approx(by_speed.arrivals_s)
    assert by_volume.services_s == TRACE.services_s


def test_a_service_time_beside_a_replay_takes_the_place_of_its_own() -> None:
    demand = settle(said(shape=REPLAY, service_time=2.0, service_scv=0.0), trace=TRACE).demand
    assert demand.trace == replace(TRACE, services_s=None)
    assert demand.job_types[0].service == Constant(2.0)


def test_what_the_file_says_yields_to_a_replay_by_flag() -> None:
    demand = settle(beside(said(shape=REPLAY), rate=99.0, service_time=9.0, spike=(Spike(1, 0.0),)), trace=TRACE).demand
    assert demand.trace == TRACE


def test_what_was_measured_fills_in_what_was_not_said() -> None:
    prepared = settle(said(source="r.json"), evidence=MEASURED)
    demand = prepared.demand
    assert demand.profile.mean_per_s == pytest.approx(7.0)
    assert demand.arrivals == parse_arrivals("renewal:4")
    assert demand.job_types == (JobType("jobs", 1.0, Constant(3.0)),)
    assert demand.concurrency == 10
    assert (demand.machine.cpu_per_job_s, demand.machine.memory_bytes) == (0.02, 5e7)
    assert (demand.retries.failure_rate, demand.retries.failed_s, demand.retries.attempts) == (0.1, 9.0, 5)
    assert source_of(prepared, "service-time") == source_of(prepared, "rate") == "bench r.json"
    assert [assumed.value for assumed in prepared.assumptions if assumed.name == "from"] == ["the run was short"]


def test_a_flag_beats_what_was_measured_and_that_beats_the_file() -> None:
    flags = {"rate": 1.0, "service_time": 2.0, "arrivals": POISSON, "failure_rate": 0.0, "concurrency": 5}
    flagged = settle(said(source="r.json", **flags), evidence=MEASURED).demand
    assert flagged.profile.mean_per_s == pytest.approx(1.0)
    assert (flagged.arrivals, flagged.concurrency, flagged.retries) == (POISSON, 5, Retries())
    assert flagged.job_types[0].service == Exponential(2.0)
    filed = settle(beside(said(source="r.json"), **flags), evidence=MEASURED).demand
    assert filed.profile.mean_per_s == pytest.approx(7.0)
    assert filed.job_types[0].service == Constant(3.0)


def test_a_source_that_does_not_tell_the_service_time_says_so() -> None:
    with pytest.raises(InvalidOption, match=r"--service-time: is missing, and bench r.json does not tell it"):
        settle(said(source="r.json"), evidence=replace(MEASURED, service=None))


def test_a_measured_peak_makes_a_day_of_it() -> None:
    profile = settle(said(source="r.json"), evidence=replace(MEASURED, peak_factor=1.8)).demand.profile
    assert profile.peak_per_s == pytest.approx(1.8 * 7.0, rel=1e-3)


def test_retries_matter_once_something_can_fail() -> None:
    calm = settle(said(**ASKED, attempts=3)).demand
    failing = settle(said(**ASKED, failure_rate=0.1, failed_ratio=FailedTime(ratio=3.0), retry_jitter=0.0)).demand
    timed = settle(said(**ASKED, job_timeout=20.0, failed_ratio=FailedTime(seconds=5.0))).demand
    assert calm.retries == Retries()
    assert failing.retries == Retries(attempts=5, failure_rate=0.1, failed_ratio=3.0, jitter=0.0)
    assert (timed.retries.attempts, timed.retries.failed_s, timed.job_timeout_s) == (5, 5.0, 20.0)


def test_the_upstream_is_counted_where_it_limits() -> None:
    assert settle(beside(said(**ASKED), calls_per_job=3.0)).demand.upstream == Upstream()
    limited = settle(
        said(**ASKED, upstream_rpm=600.0, upstream_burst=30, upstream_tpm=1e6, tokens_per_job=2e3, upstream_wait="slot")
    ).demand.upstream
    assert limited == Upstream(rpm=600.0, burst=30, tpm=1e6, tokens_per_job=2e3, waits_in_slot=True)


def test_a_limit_of_tokens_from_the_settings_that_cannot_be_counted_is_shown_and_left_out() -> None:
    prepared = settle(beside(said(**ASKED), upstream_tpm=1e6))
    assert prepared.demand.upstream == Upstream()
    shown = next(assumed for assumed in prepared.assumptions if assumed.name == "upstream-tpm")
    assert "not counted" in shown.value


def test_the_database_is_counted_where_something_is_said_of_it() -> None:
    assert settle(beside(said(**ASKED), db_connections_per_replica=3)).demand.database == Database()
    tier = settle(said(**ASKED, db_tier=parse_tier("small"))).demand.database
    assert (tier.max_clients, tier.connections_per_replica) == (400, 4)  # ceil(25 x 0.05) + 2
    held = settle(said(**ASKED, db_hold=Hold.JOB, db_connections_per_replica=10)).demand.database
    assert (held.hold, held.connections_per_replica) == (Hold.JOB, 10)


def test_the_smaller_of_two_bounds_counts_and_says_who_sets_it() -> None:
    by_platform = settle(said(**ASKED, platform="hobby", max_replicas=20)).demand
    by_asker = settle(said(**ASKED, platform="pro", max_replicas=20)).demand
    assert (by_platform.max_replicas, by_platform.max_replicas_reason) == (6, "Railway Hobby")
    assert (by_asker.max_replicas, by_asker.max_replicas_reason) == (20, "--max-replicas")
    assert settle(said(**ASKED)).demand.max_replicas is None


@pytest.mark.parametrize(
    ("values", "material", "bound"),
    [
        ({}, {}, set()),
        ({"slo": (DEFAULT_OBJECTIVE,)}, {}, {Binding.OBJECTIVE}),
        ({"spare": 1}, {}, {Binding.REDUNDANCY}),
        ({}, {"promises": (DEFAULT_OBJECTIVE,), "slo_file": "slo.toml"}, {Binding.OBJECTIVE}),
    ],
)
def test_an_evaluation_is_held_to_the_objective_and_the_spare_where_they_were_given(
    values: dict[str, Any], material: dict[str, Any], bound: set[Binding]
) -> None:
    required = settle(said(**ASKED, replicas=2, **values), **material).required
    assert required & {Binding.OBJECTIVE, Binding.REDUNDANCY} == bound
    assert required - bound == {Binding.SLOTS}


def test_a_share_of_the_day_is_one_of_the_default_objective_where_no_other_is_given() -> None:
    own = Objective("wait", 0.99, 5.0)
    assert settle(said(**ASKED, slo=(Cover(0.99),))).demand.promises == (DEFAULT_OBJECTIVE, Cover(0.99))
    assert settle(said(**ASKED, slo=(Cover(0.99), own))).demand.promises == (Cover(0.99), own)
    assert settle(said(**ASKED, slo=(Drain(10, 5.0),))).demand.promises == (Drain(10, 5.0),)


def test_the_window_is_assumed_only_where_an_objective_leaves_it_open() -> None:
    own = Objective("wait", 0.99, 5.0, Window.EVERY_HOUR)
    assert "window" not in {assumed.name for assumed in settle(said(**ASKED, slo=(own,))).assumptions}
    assert source_of(settle(said(**ASKED, window=Window.WHOLE_DAY)), "window") == "flag --window"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"service_time": 8.0}, "--per-day: is missing"),
        ({"rate": 1.0}, "--service-time: is missing"),
        ({**ASKED, "per_day": 5.0}, "--rate: cannot be combined with --per-day"),
        ({**ASKED, "service_p50": 5.0}, "--service-p50: cannot be combined with --service-time"),
        ({**ASKED, "job_type": (JobType("a", 1.0, Constant(1.0)),)}, "--job-type: cannot be combined"),
        ({"rate": 1.0, "service_p50": 5.0}, "--service-p50: needs --service-p95"),
        ({"rate": 1.0, "service_p95": 5.0}, "--service-p95: needs --service-p50"),
        ({"rate": 1.0, "service_p50": 5.0, "service_p95": 4.0}, "--service-p95: p95 4 s is below p50 5 s"),
        (
            {"rate": 1.0, "service_p50": 1.0, "service_p95": 2.0, "service_scv": 1.0},
            "--service-scv: cannot be combined",
        ),
        ({"rate": 1.0, "service_scv": 1.0}, "--service-scv: needs the mean"),
        ({"rate": 1.0, "service_time": Constant(1.0), "service_scv": 1.0}, "--service-scv: cannot be combined"),
        ({**ASKED, "service_scv": 1e300}, "--service-scv"),
        ({"rate": 1.0, "job_type": (JobType("a", 0.5, Constant(1.0)),)}, "--job-type: has shares that sum to 0.5"),
        ({"rate": 1.0, "job_type": (JobType("a", 0.5, Constant(1.0)),) * 2}, "--job-type: names 'a' twice"),
        ({**ASKED, "shape": WantedShape(ShapeKind.STEADY), "peak_factor": 2.0}, "--peak-factor: has no meaning"),
        ({**ASKED, "peak_factor": 1e6}, "--peak-factor"),
        ({**ASKED, "time_scale": 2.0}, "--time-scale: is about a replay"),
        ({**ASKED, "service_rule": "1"}, "--service-rule: is about a replay"),
        ({**ASKED, "spike": (Spike(5, 90_000.0),)}, "--spike"),
        ({"shape": REPLAY, "arrivals": POISSON}, "--arrivals: is about made arrivals"),
        ({"shape": REPLAY, "spike": (Spike(5, 0.0),)}, "--spike: is about made arrivals"),
        ({"shape": REPLAY, "peak_factor": 2.0}, "--peak-factor: has no meaning"),
        ({"shape": REPLAY, "rate": 2.0, "time_scale": 2.0}, "--time-scale: cannot be combined with --rate"),
        ({**ASKED, "failure_rate": 0.1, "retry_base": 500.0}, "--retry-base: 8.33 min is longer"),
        ({**ASKED, "upstream_tpm": 1e6}, "--upstream-tpm: says nothing"),
        ({**ASKED, "db_tier": parse_tier("small"), "db_max_clients": 5}, "--db-max-clients: cannot be combined"),
        ({**ASKED, "db_hold": Hold.JOB}, "--db-connections-per-replica: is missing"),
        ({**ASKED, "db_hold": Hold.JOB, "db_share": 0.1}, "--db-share: is about"),
        ({**ASKED, "replicas": 5, "max_replicas": 4}, "--replicas: 5 is more than the 4 of --max-replicas"),
    ],
    ids=str,
)
def test_what_is_missing_or_contradicts_itself_is_one_line_with_the_option(values: dict[str, Any], named: str) -> None:
    request = said(**values)
    with pytest.raises(InvalidOption) as refusal:
        settle(request, trace=TRACE if shape_of(request) == REPLAY else None)
    assert str(refusal.value).startswith(named)
    assert refusal.value.remedy
    assert len(str(refusal.value).splitlines()) == 1


def test_what_contradicts_itself_in_the_file_is_named_there() -> None:
    with pytest.raises(
        InvalidOption, match=r"jobctl.toml: plan.rate: cannot be combined with jobctl.toml: plan.per_day"
    ):
        settle(said(Level.FILE, rate=1.0, per_day=1.0, service_time=1.0))


def test_a_flag_hides_the_other_spelling_of_the_file() -> None:
    request = beside(said(rate=1.0, service_p50=1.0, service_p95=2.0), per_day=1.0, service_time=9.0, service_scv=1.0)
    demand = settle(request).demand
    assert demand.profile.mean_per_s == pytest.approx(1.0)
    assert demand.job_types[0].service == Lognormal.from_p50_and_p95(1.0, 2.0)


def test_objectives_and_a_file_of_them_contradict_each_other_at_one_level_only() -> None:
    with pytest.raises(InvalidOption, match="--slo-file: cannot be combined with --slo"):
        slo_file_of(said(slo=(DEFAULT_OBJECTIVE,), slo_file="slo.toml"))
    assert slo_file_of(beside(said(slo=(DEFAULT_OBJECTIVE,)), slo_file="slo.toml")) is None
    assert slo_file_of(beside(said(slo_file="slo.toml"), slo=(DEFAULT_OBJECTIVE,))) == "slo.toml"
