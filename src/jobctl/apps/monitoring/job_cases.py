"""Cases for the alerts on jobs that are not worked off: what happens, and nearly the same that has another reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from jobctl.apps.monitoring.rule_cases import QUEUE, SECOND, Case, Firing, both, case, exporter, worker
from jobctl.core.operations import Operations

__all__ = ["job_cases"]

_AGE: Final = "jobctl_queue_oldest_age_seconds"
_DEPTH: Final = "jobctl_queue_depth"
_FREE: Final = {**both("jobctl_slots", "25x60"), **both("jobctl_slots_busy", "20x60"), **both("up", "1x60")}
_FULL: Final = {**_FREE, **both("jobctl_slots_busy", "24x60")}
#: A queue whose next job gets older while more jobs come.
_GROWS: Final = {**exporter(_AGE, "0+60x60", QUEUE), **exporter(_DEPTH, "10+5x60", QUEUE)}


def job_cases(operations: Operations) -> Iterator[Case]:
    """All of them."""
    yield from _stuck()
    yield from _undersized(operations)
    yield from _limited()
    yield from _standing()
    yield from _dead(operations)
    yield from _abandoned()
    yield from _scheduled()


def _headroom(share: float, breaker: int = 0) -> Mapping[str, str]:
    """The limiter's state of two models: so much is left of one, and all of the other."""
    model = 'model="openai/gpt-4o-mini"'
    return {
        **exporter("jobctl_limiter_headroom", f"{share:g}x60", model),
        **exporter("jobctl_limiter_headroom", "1x60", 'model="another"'),
        **exporter("jobctl_breaker_open", f"{breaker}x60", model),
    }


def _stuck() -> Iterator[Case]:
    alert, told = "JobctlJobsStuck", Firing({"queue": "default"}, ("default", "12m 0s"))
    yield case(alert, "jobs wait while slots are free", _GROWS, _FREE, minutes=12, tells=told)
    yield case(alert, "that, and calls are allowed", _GROWS, _FREE, _headroom(0.11), minutes=12, tells=told)
    yield case(
        alert,
        "for a minute nobody tells of the fleet, then a worker does",
        exporter(_AGE, "0+60x12 stale", QUEUE),
        exporter(_DEPTH, "10+5x12 stale", QUEUE),
        worker(_AGE, "_x14 840+60x40", QUEUE),
        worker(_DEPTH, "_x14 80+5x40", QUEUE),
        _FREE,
        minutes=18,
        tells=Firing({"queue": "default"}, ("default", "18m 0s")),
    )
    yield case(alert, "every slot is busy", _GROWS, _FULL, minutes=12)
    yield case(alert, "no call is allowed", _GROWS, _FREE, _headroom(0.09), minutes=12)
    yield case(alert, "the breaker is open", _GROWS, _FREE, _headroom(1, breaker=1), minutes=12)
    older = exporter(_AGE, "50+2x60", QUEUE)
    told = Firing({"queue": "default"}, ("default", "1m 14s"))
    yield case(alert, "jobs wait a little longer than a minute", _GROWS, older, _FREE, minutes=12, tells=told)
    yield case(alert, "they wait a little less", _GROWS, exporter(_AGE, "34+2x60", QUEUE), _FREE, minutes=12)
    yield case(alert, "they have waited for four minutes", _GROWS, _FREE, minutes=9)
    yield case(alert, "no worker tells of slots", _GROWS, minutes=12)


def _undersized(operations: Operations) -> Iterator[Case]:
    alert = "JobctlFleetUndersized"

    def told(planned: int) -> Firing:
        return Firing({"queue": "default"}, ("default", "12m 0s", str(planned), "2"))

    plan = exporter("jobctl_planned_replicas", "7x60")
    yield case(alert, "jobs wait and every slot is busy", _GROWS, _FULL, plan, minutes=12, tells=told(7))
    yield case(
        alert, "that, and slo.toml alone has a plan", _GROWS, _FULL, minutes=12, tells=told(operations.fleet.replicas)
    )
    before = {**both("jobctl_slots_busy", "5x8 25x60"), **_headroom(1)}
    before |= exporter("jobctl_limiter_headroom", "0x8 1x60", 'model="openai/gpt-4o-mini"')
    yield case(
        alert,
        "first no call was allowed and slots were free, then every slot is busy",
        *(_GROWS, _FULL, plan, before),
        minutes=20,
        tells=Firing({"queue": "default"}, ("default", "20m 0s", "7", "2")),
    )
    yield case(alert, "that has just begun", _GROWS, _FULL, plan, minutes=9)
    yield case(alert, "slots are free", _GROWS, _FREE, plan, minutes=12)
    yield case(alert, "no call is allowed", _GROWS, _FULL, plan, _headroom(0.09), minutes=12)
    yield case(alert, "a burst is worked off", _GROWS, exporter(_DEPTH, "5000-50x60", QUEUE), _FULL, minutes=12)
    yield case(alert, "a backlog gets younger", _GROWS, exporter(_AGE, "3600-1x60", QUEUE), _FULL, minutes=12)


def _limited() -> Iterator[Case]:
    alert, told = "JobctlLimiterBound", Firing({"queue": "default"}, ("default",))
    none = _headroom(0.09)
    later = exporter("jobctl_scheduled_jobs", "0+20x60", QUEUE)
    put_off = worker("jobctl_jobs_finished_total", "0+50x60", f'{QUEUE},outcome="postponed"')
    yield case(alert, "jobs wait and no call is allowed", _GROWS, _FREE, none, minutes=12, tells=told)
    yield case(alert, "that, in slots that are all busy", _GROWS, _FULL, none, minutes=12, tells=told)
    yield case(alert, "the breaker is open", _GROWS, _FREE, _headroom(1, breaker=1), minutes=12, tells=told)
    yield case(alert, "jobs that were put off pile up", later, put_off, none, minutes=12, tells=told)
    yield case(alert, "that has just begun", _GROWS, _FREE, none, minutes=9)
    yield case(alert, "calls are allowed", _GROWS, _FULL, _headroom(0.11), minutes=12)
    yield case(alert, "no call is allowed, and no job waits", exporter(_AGE, "0x60", QUEUE), none, minutes=12)
    yield case(alert, "scheduled jobs pile up, and none was put off", later, none, minutes=12)
    as_many = exporter("jobctl_scheduled_jobs", "900x60", QUEUE)
    yield case(alert, "as many are put off as come back", as_many, put_off, none, minutes=12)


def _standing() -> Iterator[Case]:
    alert, told = "JobctlNoCallSucceeds", Firing({"queue": "default"}, ("default",))
    none, up = _headroom(0), both("up", "1x60")
    put_off = worker("jobctl_jobs_finished_total", "0+50x60", f'{QUEUE},outcome="postponed"')
    refused = _answered("0+10x60", status="429")
    yield case(alert, "every call is refused, and jobs are put off", put_off, refused, none, up, minutes=20, tells=told)
    yield case(alert, "the upstream asked for a long pause, and jobs wait for its end", _GROWS, _FREE, none, minutes=21,
               tells=told)  # fmt: skip
    yield case(alert, "a call in two minutes succeeds", put_off, refused, none, up, _answered("0 0 1+0.5x60"),
               minutes=20)  # fmt: skip
    pause = {**none, **exporter("jobctl_limiter_headroom", "1x4 0x10 1x60", 'model="openai/gpt-4o-mini"')}
    yield case(alert, "the upstream asked for ten minutes", put_off, pause, up, minutes=17)
    yield case(alert, "a quarter of an hour is not over", put_off, refused, none, up, minutes=9)
    yield case(alert, "jobs of twenty minutes keep every slot busy", _GROWS, _FULL, _headroom(1), minutes=21)
    yield case(alert, "no job waits at night", exporter(_AGE, "0x60", QUEUE), none, up, minutes=20)
    yield case(alert, "no worker is there", _GROWS, none, both("up", "0x60"), minutes=21)


def _answered(values: str, status: str = "200") -> Mapping[str, str]:
    """Calls of a model that end so."""
    return worker("jobctl_upstream_responses_total", values, f'status="{status}",model="another"')


def _dead(operations: Operations) -> Iterator[Case]:
    alert, metric, most = "JobctlDeadSetGrows", "jobctl_dead_jobs", operations.thresholds.dead_jobs
    told = Firing({"queue": "default"}, (_humanized(most + 1), "default"))
    yield case(
        alert, "one job more died than may", exporter(metric, f"50x9 {51 + most}x40", QUEUE), minutes=20, tells=told
    )
    yield case(alert, "as many died as may", exporter(metric, f"50x9 {50 + most}x40", QUEUE), minutes=20)
    yield case(alert, "they died longer than an hour ago", exporter(metric, f"50x4 {99 + most}x80", QUEUE), minutes=66)
    yield case(alert, "they were purged", exporter(metric, f"{99 + most}x9 0x40", QUEUE), minutes=20)
    yield case(
        alert,
        "a worker tells of as many as the exporter did",
        exporter(metric, f"{99 + most}x9 stale", QUEUE),
        worker(metric, f"_x10 {99 + most}x40", QUEUE),
        minutes=10,
    )


def _abandoned() -> Iterator[Case]:
    alert, metric = "JobctlJobsAbandoned", "jobctl_abandoned_total"
    told = Firing(says=("25",))
    yield case(alert, "a worker takes over what another one held", both(metric, "0x60"), worker(metric, "0x20 25x40"),
               minutes=25, tells=told)  # fmt: skip
    yield case(alert, "it did so longer than an hour ago", worker(metric, "0x4 25x80"), minutes=66)
    yield case(alert, "that worker starts again", worker(metric, "25x20 0x40"), minutes=25)
    began = "process_start_time_seconds"
    only = {**worker(metric, "0x10 stale"), **worker(metric, "_x19 25x60", instance=SECOND)}
    yield case(alert, "the only worker died, and the next one takes over before it is first seen", only,
               worker(began, "_x19 1140x60", instance=SECOND), minutes=25, tells=told)  # fmt: skip
    yield case(alert, "the watch begins to see a worker that took over long ago", worker(metric, "_x69 25x60"),
               worker(began, "_x69 0x60"), minutes=75)  # fmt: skip


def _scheduled() -> Iterator[Case]:
    alert, jobs, scheduler = "JobctlSchedulerAbsent", "jobctl_scheduled_jobs", "jobctl_scheduler_up"
    waits, told = exporter(jobs, "7x60", QUEUE), Firing({"queue": "default"}, ("7", "default"))
    nobody, of_another = exporter(scheduler, "0x60", QUEUE), exporter(scheduler, "1x60", 'queue="another"')
    yield case(alert, "nobody moves scheduled jobs", waits, nobody, of_another, minutes=10, tells=told)
    yield case(alert, "somebody does", waits, exporter(scheduler, "1x60", QUEUE), minutes=10)
    yield case(alert, "nobody has for a minute", waits, exporter(scheduler, "1x8 0x60", QUEUE), minutes=10)
    yield case(alert, "no job is scheduled", exporter(jobs, "0x60", QUEUE), nobody, minutes=10)


def _humanized(count: int) -> str:
    """As Prometheus' template function ``humanize`` writes a count: four digits, and a prefix from 1,000 on."""
    scaled, prefix = float(count), ""
    for larger in ("k", "M", "G"):
        if scaled < 1000:
            break
        scaled, prefix = scaled / 1000, larger
    return f"{scaled:.4g}{prefix}"
