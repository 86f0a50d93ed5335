"""Panels about jobs: what comes and what leaves, how it fares, by job type and by queue."""

from __future__ import annotations

from jobctl.apps.monitoring.asking import JOBS, QUEUES, growth_per_queue, per_queue, quantile, rate, rate_window
from jobctl.apps.monitoring.times import Times
from jobctl.core.metered import ENDED_FOR_GOOD
from jobctl.core.panels import Form, Panel, Query, Row, State, Tone, Unit

__all__ = ["job_types", "load", "queues"]


def load(times: Times) -> Row:
    """What comes, what leaves, and the slots between."""
    window = rate_window(times)
    started = rate(f"jobctl_jobs_started_total{{{JOBS}}}", window)
    of_queues = rate(f"jobctl_jobs_started_total{{{QUEUES}}}", window)
    done = "|".join(ENDED_FOR_GOOD)
    arrivals = Panel(
        "Arrivals and completions",
        "Where arrivals stay above what begins, queues grow. arrivals are attempts, retries included: what begins and"
        " what queues grow by; a job type does not narrow them. enqueued counts only what jobctl enqueue put in. done"
        " counts jobs, each once: those that succeeded, failed for good or were stopped.",
        (
            Query(f"{of_queues} + sum({growth_per_queue(window)})", "arrivals"),
            Query(started, "begun"),
            Query(rate(f'jobctl_jobs_finished_total{{{JOBS},outcome=~"{done}"}}', window), "done"),
            Query(f"sum(rate(jobctl_jobs_enqueued_total{{{QUEUES}}}[{window}]))", "enqueued by jobctl"),
        ),
        Unit.JOBS_PER_S,
    )
    slots = Panel(
        "Slots",
        "Jobs that run, of how many can. While all are busy and queues grow, the fleet is too small: jobctl plan says"
        " by how much. A stuck slot holds a job that was given up; it comes back only when its worker restarts.",
        (
            Query("sum(jobctl_slots)", "slots", target=True),
            Query("sum(jobctl_slots_busy)", "busy"),
            Query("sum(jobctl_slots_stuck)", "stuck"),
        ),
        Unit.COUNT,
        nothing="no worker answers",
    )
    outcomes = Panel(
        "How attempts end",
        "By what they led to. dead failed for good: jobctl dead list. postponed and returned spent no attempt; many"
        " postponed ones wait for OpenRouter's limit. late was taken over by another worker, because this one was"
        " silent.",
        (Query(rate(f"jobctl_jobs_finished_total{{{JOBS}}}", window, "outcome"), "{{outcome}}"),),
        Unit.JOBS_PER_S,
        stacked=True,
    )
    return Row("Load", (arrivals, slots, outcomes))


def job_types(times: Times) -> Row:
    """Each kind of job for itself, and why attempts fail."""
    window = rate_window(times)
    finished = f"jobctl_jobs_finished_total{{{JOBS}"
    spent = rate(f'{finished},outcome=~"succeeded|retried|dead"}}', window, "job_type")
    failed = rate(f'{finished},outcome=~"retried|dead"}}', window, "job_type")
    begun = Panel(
        "Begun, by job type",
        "Attempts begun. A type that grew is the first suspect when waits grew.",
        (Query(rate(f"jobctl_jobs_started_total{{{JOBS}}}", window, "job_type"), "{{job_type}}"),),
        Unit.JOBS_PER_S,
        stacked=True,
    )
    service = Panel(
        "p95 service time, by job type",
        "Time on the slot, of attempts that were spent. The fleet's throughput is its slots over the mean of this:"
        " when it doubles, half the throughput is left. Beyond the last bucket, 10 minutes, it stays there.",
        (
            Query(
                quantile(0.95, f"jobctl_job_service_seconds_bucket{{{JOBS}}}", window, "job_type"),
                "{{job_type}}",
            ),
        ),
        Unit.SECONDS,
    )
    failing = Panel(
        "Failing attempts, by job type",
        "The share of the attempts spent that failed, retried ones included. Each is work done for nothing.",
        (Query(f"{failed} / {spent}", "{{job_type}}"),),
        Unit.SHARE,
        ceiling=1.0,
    )
    retries = Panel(
        "Retries, by reason",
        "Attempts that failed and are made again, by reason, such as timeout or 429. They come back as arrivals.",
        (Query(rate(f"jobctl_retries_total{{{JOBS}}}", window, "reason"), "{{reason}}"),),
        Unit.JOBS_PER_S,
        width=24,
        height=6,
        stacked=True,
        nothing="nothing was retried",
    )
    return Row("By job type", (begun, service, failing, retries))


def queues(times: Times) -> Row:
    """What waits, since when, and what is put aside."""
    window = rate_window(times)
    depth = Panel(
        "Waiting, by queue",
        "Jobs in the queue now. A burst is no harm if it is gone in time; see how it falls.",
        (Query(per_queue("jobctl_queue_depth"), "{{queue}}"),),
        Unit.COUNT,
        stacked=True,
        nothing="nothing reads the queues",
    )
    oldest = Panel(
        "The oldest that waits, by queue",
        "How long the next job of the queue has waited. When it grows by a second a second, nobody serves the queue:"
        " see that its name is among the workers' --queues.",
        (Query(per_queue("jobctl_queue_oldest_age_seconds"), "{{queue}}"),),
        Unit.SECONDS,
        nothing="nothing reads the queues",
    )
    dead = Panel(
        "Dead, by queue",
        "Jobs that failed for good and are kept: jobctl dead list, then jobctl dead retry what can heal.",
        (Query(per_queue("jobctl_dead_jobs"), "{{queue}}"),),
        Unit.COUNT,
        stacked=True,
        nothing="nothing reads the queues",
    )
    scheduled = Panel(
        "Due later, by queue",
        "Retries that back off and jobs for later. They need a scheduler.",
        (Query(per_queue("jobctl_scheduled_jobs"), "{{queue}}"),),
        Unit.COUNT,
        stacked=True,
        nothing="nothing reads the queues",
    )
    scheduler = Panel(
        "Scheduler, by queue",
        "Whether a worker holds the queue's lock and moves what is due. Without one, retries wait forever.",
        (Query(per_queue("jobctl_scheduler_up"), "{{queue}}"),),
        Unit.COUNT,
        form=Form.STATES,
        states=(State(0, "absent", Tone.ALARM), State(1, "there", Tone.GOOD)),
        nothing="nothing reads the queues",
    )
    growth = Panel(
        "Growth, by queue",
        "Jobs a second by which a queue grows, or shrinks below 0. The time until it is empty is its depth over that.",
        (Query(growth_per_queue(window), "{{queue}}"),),
        Unit.JOBS_PER_S,
        floor=None,
        nothing="nothing reads the queues",
    )
    return Row("Queues", (depth, oldest, dead, scheduled, scheduler, growth))
