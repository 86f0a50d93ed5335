from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.cli.plan_render import describe
from jobctl.core.demand import Assumption, Database, Hold, Machine, Retries, Upstream
from jobctl.core.plans import Answers, Binding, Hour, Plan
from jobctl.core.profiles import Spike
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Drain, Objective, Window
from support.plans import ASSUMPTIONS, HOUR_S, make_demand, make_plan, make_plan_on_the_edge, make_profile

ALL = frozenset({Binding.SLOTS, Binding.OBJECTIVE, Binding.REDUNDANCY})
ONLY_SLOTS = frozenset({Binding.SLOTS})
KEEPING = frozenset({Binding.SLOTS, Binding.OBJECTIVE})
BUSY_DAY = make_demand(
    peak_factor=2.0,
    retries=Retries(3, 0.05),
    upstream=Upstream(rpm=700),
    database=Database(max_clients=200, connections_per_replica=4),
    machine=Machine(cpu_per_job_s=0.012, memory_bytes=60e6),
    max_replicas=42,
    max_replicas_reason="Railway Pro",
)


def screen(plan: Plan, width: int | None = 80, assumptions: Sequence[Assumption] = ()) -> str:
    return "\n".join(describe(plan, assumptions, width))


def answer(plan: Plan) -> str:
    return next(describe(plan, (), None))


def fact(plan: Plan, label: str, assumptions: Sequence[Assumption] = ()) -> str | None:
    """The text behind a label, of a screen that folds nothing."""
    return next(iter(facts(plan, label, assumptions)), None)


def facts(plan: Plan, label: str, assumptions: Sequence[Assumption] = ()) -> list[str]:
    """The same of a label that stands on several lines."""
    lines = screen(plan, None, assumptions).splitlines()
    return [line[13:] for line in lines if line[:13].rstrip() == label]


def table(plan: Plan, width: int | None = None) -> list[str]:
    """The table's lines, head first."""
    lines = screen(plan, width).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  replicas "))
    return lines[first : first + 1 + len(plan.around)]


def test_a_searched_plan_as_a_screen_of_80_columns() -> None:
    assert (
        screen(make_plan(make_demand(5.125)), assumptions=ASSUMPTIONS)
        == """\
3 replicas of 25 slots carry 442,800 jobs/day (5.125/s): "p95 wait <= 1 s"
holds, even with 1 gone.

load         5.125 jobs/s x 8 s = work for 41 of 75 slots
utilisation  54.7%, headroom 45.3% (1.83x); full at 9.375 jobs/s, 810,000 a day
wait         P(wait) <0.0001, mean <0.001 s, p95 0 s, p99 0 s
1 gone       2 replicas left, utilisation 82.0%, p95 wait 0.784 s; holds
binding      objective: 2 replicas with 1 gone would break "p95 wait <= 1 s"
relief       a shorter service time or more slots per replica
what if      service time +20% needs 4
method       M/M/c: exact for Poisson arrivals and exponential service in a
             steady state
given        per-day 450,000
from         bench r.json: service-time 8 s
from         env JOB_CONCURRENCY: concurrency 25
assumed      arrivals poisson, spare 1

  replicas  utilisation  P(wait)      p50      p95      p99  holds  1 gone
         1       164.0%   1.0000  endless  endless  endless     no      no
         2        82.0%   0.1208      0 s  0.784 s   2.21 s    yes      no
>        3        54.7%  <0.0001      0 s      0 s      0 s    yes     yes
         4        41.0%  <0.0001      0 s      0 s      0 s    yes     yes
         5        32.8%  <0.0001      0 s      0 s      0 s    yes     yes
         6        27.3%  <0.0001      0 s      0 s      0 s    yes     yes"""
    )


def test_a_day_as_a_chart_of_80_columns() -> None:
    lines = screen(make_plan(BUSY_DAY, 2, simulated=True, required=KEEPING)).splitlines()
    assert lines[-7:] == [
        "the day hour by hour, 2 replicas:",
        "             00:00       06:00       12:00       18:00",
        "arrivals     ▁▁▁▁▁▁▂▂▂▂▃▃▅▅▆▆▆▆▇▇████████▇▇▆▆▆▆▅▅▃▃▂▂▂▂▁▁▁▁▁▁  0.0286..4.97/s",
        "utilisation  ▁▁▁▁▁▁▁▁▂▂▃▃▄▄▅▅▅▅▆▆▆▆▇▇▇▇▆▆▆▆▅▅▅▅▄▄▃▃▂▂▁▁▁▁▁▁▁▁  0.5%..83.8%",
        "p95 wait                         ▄▄████▄▄                      0..1.14 s",
        "backlog                          ▄▄████▄▄                      0..6",
        "p95 too long over 1 s from 11:00 to 13:00",
    ]


def test_a_pipe_gets_the_day_as_figures_one_hour_a_line() -> None:
    lines = screen(make_plan(BUSY_DAY, 2, simulated=True, required=KEEPING), None).splitlines()
    first = lines.index("the day hour by hour, 2 replicas:")
    assert lines[first + 13] == "12:00        4.971 jobs/s, utilisation 83.8%, p95 wait 1.14 s, backlog 6"
    assert [line[:5] for line in lines[first + 1 : first + 25]] == [f"{hour:02}:00" for hour in range(24)]
    assert not set(screen(make_plan(BUSY_DAY, 2, simulated=True), None)) & set("▁▂▃▄▅▆▇█")


def test_a_day_without_shape_needs_no_chart() -> None:
    assert "hour by hour" not in screen(make_plan(simulated=True))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            make_plan(make_demand(), 1, required=ONLY_SLOTS),
            "1 replica of 25 slots carries 216,000 jobs/day (2.5/s) at a utilisation of 80.0%: "
            "wait mean 0.335 s, p95 2.29 s, p99 4.86 s.",
        ),
        (
            make_plan(make_demand(), 1, required=KEEPING),
            "1 replica of 25 slots breaks p95 wait <= 1 s (is 2.29 s) at 216,000 jobs/day (2.5/s).",
        ),
        (
            make_plan(make_demand(3.75), 1),
            "1 replica of 25 slots cannot keep up with 324,000 jobs/day (3.75/s): "
            "the backlog grows by 54,000 jobs a day.",
        ),
        (
            make_plan(make_demand(3.125), 1),
            "1 replica of 25 slots cannot keep up with 270,000 jobs/day (3.125/s): every slot is always busy.",
        ),
        (make_plan(make_demand(), 2), "2 replicas of 25 slots carry 216,000 jobs/day (2.5/s), but not with 1 gone."),
        (
            make_plan(make_demand(spare=0)),
            '2 replicas of 25 slots carry 216,000 jobs/day (2.5/s): "p95 wait <= 1 s" holds.',
        ),
        (
            make_plan(make_demand(promises=(DEFAULT_OBJECTIVE, Drain(1000, 600.0), Cover(0.99)))),
            "3 replicas of 25 slots carry 216,000 jobs/day (2.5/s): "
            '"p95 wait <= 1 s", "drain 1000 jobs <= 10 min" and "cover 99% of the day" hold, even with 1 gone.',
        ),
        (
            make_plan(make_demand(peak_factor=2.0)),
            "3 replicas of 25 slots carry 216,000 jobs/day (2.5/s): "
            '"p95 wait <= 1 s" holds over the busiest hour, even with 1 gone.',
        ),
        (
            make_plan(make_demand(peak_factor=2.0, promises=(Objective("wait", 0.95, 1.0, Window.WHOLE_DAY),))),
            "3 replicas of 25 slots carry 216,000 jobs/day (2.5/s): "
            '"p95 wait <= 1 s over the whole day" holds, even with 1 gone.',
        ),
        (
            make_plan(
                feasible=False, binding=Binding.UPSTREAM, reason="the upstream admits 100 jobs a day", helpless=True
            ),
            "No number of replicas will do for 216,000 jobs/day (2.5/s): the upstream admits 100 jobs a day.",
        ),
        (
            make_plan(make_demand(database=Database(100, 5, Hold.JOB))),
            '7 replicas of 5 slots of use carry 216,000 jobs/day (2.5/s): "p95 wait <= 1 s" holds, even with 1 gone.',
        ),
        (
            make_plan_on_the_edge(),
            "On the edge: 3 or 4 replicas of 25 slots for 216,000 jobs/day (2.5/s): the simulation could not tell "
            'within its budget whether 3 keep "p95 wait <= 1 s" with 1 gone.',
        ),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else None,
)
def test_the_answer_comes_first_in_one_sentence(plan: Plan, said: str) -> None:
    assert answer(plan) == said


def test_a_refusal_beats_the_edge() -> None:
    plan = replace(make_plan_on_the_edge(), feasible=False, binding=Binding.PLATFORM, reason="Hobby allows 2")
    assert answer(plan).endswith("will not do for 216,000 jobs/day (2.5/s): Hobby allows 2.")


def test_simulated_waits_stand_with_their_intervals_and_exact_ones_without() -> None:
    simulated, exact = (make_plan(make_demand(), 1, simulated=simulated) for simulated in (True, False))
    assert fact(simulated, "wait") == (
        "P(wait) 0.2091, mean 0.335 s (0.308..0.361), p95 2.29 s (2.11..2.47), p99 4.86 s (4.48..5.25)"
    )
    assert fact(exact, "wait") == "P(wait) 0.2091, mean 0.335 s, p95 2.29 s, p99 4.86 s"
    assert "95% band" in table(simulated)[0]
    assert "95% band" not in table(exact)[0]


def test_a_given_number_on_the_edge_tells_what_it_counts_as() -> None:
    plan = make_plan()
    assert plan.spare_gone is not None
    undecided = replace(plan, spare_gone=replace(plan.spare_gone, on_edge=True))
    broken = replace(undecided, feasible=False, binding=Binding.REDUNDANCY)
    unknown = replace(broken, feasible=None)
    said = (
        "On the edge: 3 replicas of 25 slots for 216,000 jobs/day (2.5/s): the simulation could not tell within its "
        'budget whether 3 keep "p95 wait <= 1 s" with 1 gone; '
    )
    counts = [answer(plan).removeprefix(said) for plan in (undecided, broken, unknown)]

    assert counts == ["it counts as kept.", "it counts as broken.", "a larger --budget may tell."]
    assert str(fact(broken, "binding")).endswith("it is too close to be told")


def test_waits_of_a_shaped_day_say_whose_they_are() -> None:
    worst, plain = make_plan(make_demand(peak_factor=2.0, window=Window.EVERY_HOUR)), make_plan()
    assert str(fact(worst, "wait")).endswith(" over the worst hour")
    assert answer(worst).endswith('"p95 wait <= 1 s" holds over every hour, even with 1 gone.')
    assert "over" not in str(fact(plain, "wait")) + answer(plain)


def test_retries_limits_cost_and_the_largest_volume_each_get_a_line() -> None:
    plan = make_plan(BUSY_DAY, simulated=True)
    assert fact(plan, "load") == "5 jobs/s at peak (2x mean) x 8.42 s = work for 42.12 of 100 slots"
    assert fact(plan, "retries") == "1.052 attempts and 8.42 s of a slot per job; 0.01% of the jobs fail for good"
    assert fact(plan, "limits") == (
        "the upstream admits 11.08 jobs/s, 957,720 a day, and the workers' own limit lets through 97.1% of that; "
        "the connections allow 25 replicas; "
        "Railway Pro allows 42 replicas"
    )
    assert fact(plan, "at most") == "about 194,000 jobs/day of this shape hold with 1 gone"
    assert str(fact(plan, "cost")).startswith("$3.03 a month, $0.47 per million jobs (docs.railway.com")
    assert str(fact(plan, "method")).endswith("; 1,234,567 jobs, seed 1")


def test_a_plain_question_gets_no_line_for_what_it_did_not_ask() -> None:
    plan = make_plan()
    for label in ("retries", "slots", "limits", "backlog", "at most", "windows", "cost", "objective", "needed"):
        assert fact(plan, label) is None, label


def test_slots_that_connections_or_cpu_leave_unused_are_named() -> None:
    by_connections = make_plan(make_demand(database=Database(100, 5, Hold.JOB)))
    by_cpu = make_plan(make_demand(machine=Machine(cpu_per_job_s=0.56)))
    assert fact(by_connections, "slots") == "5 of the 25 of a replica: its database connections allow no more"
    assert fact(by_cpu, "slots") == "10 of the 25 of a replica: its interpreter's CPU allows no more"


def test_windows_are_compared_where_they_take_different_numbers() -> None:
    plan = make_plan(make_demand(peak_factor=2.0), answers=Answers(whole_day=2, busiest_hour=3, with_spare=4))
    assert fact(plan, "windows") == "the busiest hour needs 4 replicas, the whole day 3, 1 spare among them"
    assert fact(make_plan(answers=Answers(2, None, 3)), "windows") is None


def test_a_spike_says_when_its_last_job_starts() -> None:
    spiky = make_demand(profile=make_profile(2.5, 2.0, [Spike(10_000, 43_200.0)]))
    plan = make_plan(spiky, 3, simulated=True)
    fleet = replace(plan.all_running, backlog_max=9_900, drain_s=1500.0)
    assert fact(replace(plan, all_running=fleet), "backlog") == (
        "at most 9,900 jobs, cleared in 25 min; a spike's last job starts after 17.8 min"
    )


def test_each_figure_stands_with_its_source_and_defaults_share_a_line() -> None:
    plan = make_plan()
    assert fact(plan, "given", ASSUMPTIONS) == "per-day 450,000"
    assert facts(plan, "from", ASSUMPTIONS) == ["bench r.json: service-time 8 s", "env JOB_CONCURRENCY: concurrency 25"]
    assert fact(plan, "assumed", ASSUMPTIONS) == "arrivals poisson, spare 1"


def test_figures_of_one_source_share_a_line_and_so_does_what_is_to_be_known_of_it() -> None:
    bench = [("rate", "5/s"), ("service-time", "8 s"), ("from", "its arrivals were the bench's")]
    read = [Assumption(name, value, "bench r.json") for name, value in bench]
    assert facts(make_plan(), "from", read) == [
        "bench r.json: rate 5/s; service-time 8 s; its arrivals were the bench's"
    ]


def test_a_day_without_a_peak_is_an_assumption_that_is_told() -> None:
    assert fact(make_plan(), "assumed", [Assumption("shape", "steady", "default")]) == "shape steady (no peak)"


def test_a_broken_number_says_how_many_it_takes() -> None:
    needed = '3 replicas for "p95 wait <= 1 s", 1 spare among them'
    assert [fact(make_plan(make_demand(), given), "needed") for given in (1, 2, 3)] == [needed, needed, None]
    assert fact(make_plan(make_demand(spare=0), 1), "needed") == '2 replicas for "p95 wait <= 1 s"'


def test_far_too_few_replicas_are_told_how_many_keep_up_at_least() -> None:
    far_too_few = make_plan(make_demand(25.0), 1)  # 200 erlangs fill 8 replicas, so 9 keep up
    assert (
        fact(far_too_few, "needed") == "at least 10 replicas, 1 spare among them; leave --replicas out to search them"
    )
    assert fact(far_too_few, "load") == "25 jobs/s x 8 s = work for 200 slots; there are 25"
    assert "replicas  slots" not in screen(far_too_few, None)  # each of them has a backlog without end
    of_a_day = make_plan(make_demand(25.0, peak_factor=2.0), 1)
    assert fact(of_a_day, "needed") == fact(far_too_few, "needed")


def test_a_fleet_that_is_overrun_at_the_peak_is_not_said_to_carry_it() -> None:
    busy = make_demand(2.5, peak_factor=2.0)
    plan = make_plan(busy, 1, required=ONLY_SLOTS, feasible=True, binding=Binding.NONE)
    assert answer(plan).startswith(
        "1 replica of 25 slots carries 216,000 jobs/day (2.5/s) over the day, but not at its peak, which asks for "
        "160.0% of the slots: wait mean "
    )


def test_where_the_upstream_is_full_before_the_slots_the_headroom_is_the_upstreams() -> None:
    plan = make_plan(make_demand(5.0, upstream=Upstream(rpm=600)), 4)
    admitted_per_s = plan.limits.upstream_per_s or 0.0
    assert fact(plan, "utilisation") == (
        f"40.0% of the slots; the upstream is full at {admitted_per_s:.4g} jobs/s ({admitted_per_s / 5:.3g}x)"
    )


def test_an_objective_that_nobody_asked_for_is_told_all_the_same() -> None:
    plan = make_plan(make_demand(), 1, required=ONLY_SLOTS)
    assert fact(plan, "objective") == '"p95 wait <= 1 s" would not hold (not asked for: give --slo)'


def test_the_row_of_the_answer_is_marked_and_an_unknown_verdict_is_no_verdict() -> None:
    rows = table(make_plan_on_the_edge())
    assert [row[:2] for row in rows] == ["  ", "  ", "  ", "> ", "  ", "  ", "  "]
    assert rows[3].split()[-2:] == ["?", "yes"]


def test_a_narrow_terminal_loses_the_columns_of_the_least_worth() -> None:
    plan = make_plan(BUSY_DAY, simulated=True)
    heads = [table(plan, width)[0].split() for width in (None, 80, 60, 30)]
    assert heads[0][:5] == ["replicas", "slots", "utilisation", "P(wait)", "p50"]
    assert [name in heads[1] for name in ("slots", "p50", "p95", "month", "holds")] == [False, False, True, True, True]
    assert [name in heads[2] for name in ("month", "p95", "holds")] == [False, True, True]
    assert heads[3] == ["replicas", "p95", "holds"]


def test_the_fleet_that_the_promise_is_made_for_is_the_one_on_the_chart() -> None:
    assert "the day hour by hour, 2 replicas (1 gone):" in screen(make_plan(BUSY_DAY, 3, simulated=True))
    assert "the day hour by hour, 3 replicas:" in screen(make_plan(BUSY_DAY, 3, simulated=True, required=KEEPING))


def with_hours(count: int, length_s: float, waits_s: dict[int, float]) -> Plan:
    """A day of so many parts, all as busy but for the second, with these p95 waits."""
    hours = tuple(
        Hour(part * length_s, 2.0 if part == 1 else 1.0, 0.5, waits_s.get(part, 0.0), 0) for part in range(count)
    )
    plan = make_plan(make_demand(peak_factor=2.0), 3, required=KEEPING)
    return replace(plan, all_running=replace(plan.all_running, hours=hours))


def test_the_worst_hour_is_named_where_it_is_not_the_busiest() -> None:
    assert fact(with_hours(24, HOUR_S, {1: 0.2, 2: 0.5}), "worst hour") == (
        "02:00, p95 wait 0.500 s; the busiest is 01:00 with 0.200 s"
    )
    assert fact(with_hours(24, HOUR_S, {1: 0.5, 2: 0.2}), "worst hour") is None
    assert fact(with_hours(24, HOUR_S, {}), "worst hour") is None


def test_the_stretches_beyond_the_objective_are_told_apart() -> None:
    plan = with_hours(24, HOUR_S, {3: 1.5, 4: 2.0, 5: 1.0, 23: 9.0})
    assert "p95 too long over 1 s from 03:00 to 05:00, 23:00 to 24:00" in screen(plan)


def test_three_days_share_columns_and_still_fit() -> None:
    lines = screen(with_hours(72, HOUR_S / 3, {70: 5.0})).splitlines()
    waits = next(line for line in lines if line.startswith("p95 wait"))
    assert waits[13 + 35] == "█"  # the highest of the two that share a column
    assert max(map(len, lines)) <= 80


PLANS = st.builds(
    lambda rate, scv, peak, spare, replicas, simulated, required, concurrency: make_plan(
        make_demand(
            rate,
            8.0,
            scv,
            peak,
            spare=spare,
            concurrency=concurrency,
            machine=Machine(cpu_per_job_s=0.012, memory_bytes=60e6),
        ),
        replicas,
        simulated=simulated,
        required=required,
    ),
    st.sampled_from([1e-5, 2.5, 5.2, 5000.0]),
    st.sampled_from([1.0, 2.5]),
    st.sampled_from([1.0, 2.0, 5.0]),
    st.integers(0, 2),
    st.sampled_from([None, 1, 2]),
    st.booleans(),
    st.sampled_from([ALL, KEEPING, ONLY_SLOTS]),
    st.sampled_from([25, 5000]),
)


@given(PLANS)
def test_no_line_is_wider_than_80_columns_ends_in_blanks_or_has_an_exponent_above_a_thousand(plan: Plan) -> None:
    lines = screen(plan, assumptions=ASSUMPTIONS).splitlines()
    assert [line for line in lines if len(line) > 80 or line != line.rstrip() or "e+" in line] == []
