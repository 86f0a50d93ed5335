from __future__ import annotations

from dataclasses import replace

from jobctl.apps.plan.audit import audit, parse_claim, parse_rows, to_document
from jobctl.cli.plan_audit_render import describe_audit
from jobctl.core.arrivals import POISSON
from jobctl.core.demand import Demand, JobType, Upstream
from jobctl.core.profiles import diurnal_profile, steady_profile
from jobctl.core.service import Exponential
from jobctl.core.slo import DEFAULT_OBJECTIVE

DEMAND = Demand(steady_profile(1.0), POISSON, (JobType("jobs", 1.0, Exponential(4.8)),), 25, (DEFAULT_OBJECTIVE,))


def test_the_table_of_an_audit_as_a_screen() -> None:
    rows = parse_rows("2:450000,3:1350000,5:2250000,3:1000000,5:1000000")
    claims = [parse_claim("33x@135000"), parse_claim("2x@450k")]
    lines = list(describe_audit(audit(DEMAND, rows, claims, budget_s=0)))

    assert lines[:10] == [
        '3 of 5 rows hold "p95 wait <= 1 s", at a mean service time of 4.80 s and 25 slots a replica.',
        "",
        "replicas   jobs/day  utilisation  p95 wait  holds  spare  needs   up to  1 gone",
        "       2    450,000        50.0%       0 s    yes      0      3  7.97 s  3.81 s",
        "       3  1,350,000       100.0%   endless     no     -1      5  4.32 s  2.85 s",
        "       5  2,250,000       100.0%   endless     no     -1      7  4.47 s  3.57 s",
        "       3  1,000,000        74.1%       0 s    yes      0      4  5.74 s  3.77 s",
        "       5  1,000,000        44.4%       0 s    yes      2      4  9.73 s  7.73 s",
        "needs: replicas for the volume, 1 spare among them",
        "up to: the longest mean service time at which the row holds, and with 1 gone",
    ]
    assert lines[11].startswith("3 replicas for 1,350,000 a day: ")
    assert lines[12].startswith("5 replicas for 2,250,000 a day: ")
    assert lines[13:] == [
        "",
        "33x at 135,000 a day is not true: 2 replicas carry 6.67x the rate; "
        "it takes a service time of at most 0.970 s.",
        "2x at 450,000 a day is true: 2 replicas carry 2x the rate; it takes a service time of at most 4.80 s.",
    ]


def test_a_row_on_the_edge_is_told_apart_from_one_that_holds() -> None:
    audited = audit(DEMAND, parse_rows("2:450000,5:450000"), budget_s=0)
    edge, sure = audited.rows
    undecided = replace(edge.plan, all_running=replace(edge.plan.all_running, on_edge=True))
    audited = replace(audited, rows=(replace(edge, plan=undecided), sure))
    lines = list(describe_audit(audited))

    assert [line.split()[5] for line in lines[3:5]] == ["yes?", "yes"]
    assert lines[-1] == ("2 replicas for 450,000 a day: on the edge, the simulation could not tell within its budget.")
    assert [row["on_edge"] for row in to_document(audited)["rows"]] == [True, False]


def test_a_full_fleet_is_full_whatever_volume_the_demand_came_with() -> None:
    demand = replace(DEMAND, profile=steady_profile(450_000 / 86_400))
    lines = list(describe_audit(audit(demand, parse_rows("5:2250000"), budget_s=0)))

    assert lines[3].split()[:4] == ["5", "2,250,000", "100.0%", "endless"]


def test_no_line_of_the_table_is_wider_than_a_terminal() -> None:
    lines = list(describe_audit(audit(DEMAND, parse_rows("2:450000,12:9999999"), budget_s=0)))

    assert max(map(len, lines[2:7])) <= 80


def test_without_a_spare_nothing_is_said_about_one() -> None:
    demand = replace(DEMAND, spare=0)
    verdict, _, heads, row, *rest = describe_audit(audit(demand, parse_rows("2:450k"), budget_s=0))

    assert verdict.startswith('1 of 1 row holds "p95 wait <= 1 s", at')
    assert heads.split() == [
        "replicas",
        "jobs/day",
        "utilisation",
        "p95",
        "wait",
        "holds",
        "spare",
        "needs",
        "up",
        "to",
    ]
    assert row.split()[:4] == ["2", "450,000", "50.0%", "0"]
    assert rest == [
        "needs: replicas for the volume",
        "up to: the longest mean service time at which the row holds",
    ]


def test_a_spare_that_binds_stands_in_the_verdict() -> None:
    audited = audit(DEMAND, parse_rows("2:450k"), spare_binds=True, budget_s=0)

    assert next(describe_audit(audited)).startswith('0 of 1 row holds "p95 wait <= 1 s" with 1 gone, at')


def test_where_any_service_time_will_do_it_is_said() -> None:
    demand = replace(DEMAND, job_timeout_s=5.0)
    lines = list(describe_audit(audit(demand, parse_rows("9:45k"), [parse_claim("2x@45k")], budget_s=0)))

    assert lines[3].split()[-2:] == ["any", "any"]
    assert lines[-1].endswith("; no service time is too long for it.")


def test_what_no_number_and_no_service_time_can_do_is_said() -> None:
    demand = replace(DEMAND, upstream=Upstream(rpm=300), profile=diurnal_profile(1.0, 2.0))
    lines = list(describe_audit(audit(demand, parse_rows("1:450k"), [parse_claim("9x@450k")], budget_s=0)))

    assert lines[3].split()[-4:] == ["-", "-", "never", "never"]
    assert lines[-1].startswith(
        "9x at 450,000 a day is not true: 1 replica carries 0.48x the peak rate; no service time"
    )
