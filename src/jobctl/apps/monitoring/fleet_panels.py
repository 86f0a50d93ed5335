"""Panels about what the jobs run on: workers, the database, Redis."""

from __future__ import annotations

from jobctl.apps.monitoring.asking import OF_WORKERS, quantiles, rate_window
from jobctl.apps.monitoring.times import Times
from jobctl.apps.monitoring.worker_alerts import UP, planned_replicas
from jobctl.core.demand import CPU_LIMIT
from jobctl.core.operations import Operations
from jobctl.core.panels import Form, Panel, Query, Row, State, Step, Tone, Unit
from jobctl.core.units import SECONDS_PER_HOUR

__all__ = ["database", "redis", "workers"]


def workers(operations: Operations, times: Times) -> Row:
    """How many there are, and how each is."""
    window = rate_window(times)
    replicas = Panel(
        "Replicas",
        "planned is what jobctl plan answered, as the exporter was told it; alive have a heartbeat in Redis; answering"
        " lets Prometheus read its metrics. Fewer alive than planned: see the platform. Fewer answering than alive:"
        " see the scrape.",
        (
            Query(planned_replicas(operations, times), "planned", target=True),
            Query("max(jobctl_workers)", "alive"),
            Query(f"sum({UP}) or vector(0)", "answering"),
        ),
        Unit.COUNT,
    )
    cpu = Panel(
        "CPU of each worker",
        f"One Python interpreter uses one core at most, and answers late above {CPU_LIMIT:g} of it, which is what"
        " jobctl plan counts with. Above the line add replicas, or take slots from each; more slots do not help.",
        (Query(f"sum by (instance) (rate(process_cpu_seconds_total{OF_WORKERS}[{window}]))", "{{instance}}"),),
        Unit.CORES,
        steps=(Step(None, Tone.GOOD), Step(CPU_LIMIT, Tone.WARNING)),
        ceiling=1.0,
        nothing="no worker answers",
    )
    memory = Panel(
        "Memory of each worker",
        "Resident memory. It levels off some minutes after the start; what grows for hours is a leak in a job.",
        (Query(f"max by (instance) (process_resident_memory_bytes{OF_WORKERS})", "{{instance}}"),),
        Unit.BYTES,
        nothing="no worker answers",
    )
    heartbeat = Panel(
        "Since each worker reached Redis",
        "Seconds since its heartbeat. A worker that stays away for long is taken over: its jobs run again elsewhere.",
        (Query("time() - max by (instance) (jobctl_last_heartbeat_seconds)", "{{instance}}"),),
        Unit.SECONDS,
        nothing="no worker answers",
    )
    abandoned = Panel(
        "Jobs of dead workers, in an hour",
        "Jobs that a worker left behind when it was killed, and another one put back or gave up. A deploy leaves none"
        " if the platform waits for the drain.",
        (Query(f"sum(increase(jobctl_abandoned_total[{times.window(SECONDS_PER_HOUR)}]))", "abandoned"),),
        Unit.COUNT,
        nothing="no worker answers",
    )
    versions = Panel(
        "Workers, by version",
        "While a deploy goes on, two versions run side by side.",
        (Query("count by (version) (jobctl_build_info)", "{{version}}"),),
        Unit.COUNT,
        stacked=True,
        nothing="no worker answers",
    )
    return Row("Workers", (replicas, cpu, memory, heartbeat, abandoned, versions))


def database(operations: Operations, times: Times) -> Row:
    """The connections of the workers' pools."""
    window = rate_window(times)
    tier = operations.fleet.db_tier
    limit = () if tier is None else (Query(f"vector({tier.most})", f"{tier} takes", target=True),)
    pool = Panel(
        "Database connections of the fleet",
        "in use are lent to jobs, open are connected, most is what all pools together may open. A deploy runs two"
        " generations: twice the most has to fit into what the database takes.",
        (
            Query("sum(jobctl_db_pool_in_use)", "in use"),
            Query("sum(jobctl_db_pool_size)", "open"),
            Query("sum(jobctl_db_pool_max)", "most", target=True),
            *limit,
        ),
        Unit.COUNT,
        nothing="no worker answers",
    )
    fullest = Panel(
        "The fullest pool",
        "The share of its connections that the busiest worker has lent. At 1 jobs wait for a connection inside their"
        " slot.",
        (Query("max(jobctl_db_pool_in_use / (jobctl_db_pool_max > 0))", "in use"),),
        Unit.SHARE,
        ceiling=1.0,
        steps=(Step(None, Tone.GOOD), Step(1.0, Tone.WARNING)),
        nothing="no database",
    )
    waits = Panel(
        "Waits for a connection",
        "How long jobs wait for one, while they hold a slot. If it lasts, raise the pool's size as far as the"
        " database goes.",
        quantiles("jobctl_db_pool_wait_seconds_bucket", window),
        Unit.SECONDS,
        nothing="nobody asked for one",
    )
    return Row("Database", (pool, fullest, waits))


def redis(operations: Operations) -> Row:
    """Whether Redis keeps what it was given."""
    share = operations.thresholds.redis_memory
    memory = Panel(
        "Redis' memory",
        "used, and the limit if it has one. At the limit writes are refused, and jobs with them: shorten how long"
        " results and failures are kept, or give it more.",
        (
            Query("max(jobctl_redis_memory_bytes)", "used"),
            Query("max(jobctl_redis_maxmemory_bytes)", "maxmemory", target=True),
            Query(f"max(jobctl_redis_maxmemory_bytes) * {share:.10g}", f"{share:.4g} of maxmemory", target=True),
        ),
        Unit.BYTES,
        nothing="nothing reads Redis",
    )
    safe = Panel(
        "Is what Redis holds safe?",
        "answers: every process that asks is answered. evicts nothing: maxmemory-policy is noeviction, else jobs"
        " vanish when it is full. append-only file: on, else a crash loses the last minutes. last write: to disk,"
        " went well.",
        (
            Query("min(jobctl_redis_up)", "answers"),
            Query("min(jobctl_redis_noeviction)", "evicts nothing"),
            Query("min(jobctl_redis_aof_enabled)", "append-only file"),
            Query("min(jobctl_redis_persistence_ok)", "last write"),
        ),
        Unit.COUNT,
        form=Form.STATES,
        states=(State(0, "no", Tone.ALARM), State(1, "yes", Tone.GOOD)),
        nothing="nothing reads Redis",
    )
    exporters = Panel(
        "Who reads the fleet's metrics",
        "Exactly one process tells what all share: jobctl exporter, or a worker that stands in. None: these panels"
        " are empty. Several: sums over processes count twice.",
        (Query("clamp_max(sum(jobctl_exporter_elected) or vector(0), 2)", "processes"),),
        Unit.COUNT,
        form=Form.STATES,
        states=(
            State(0, "nobody", Tone.ALARM),
            State(1, "one", Tone.GOOD),
            State(2, "several", Tone.WARNING),
        ),
    )
    return Row("Redis", (memory, safe, exporters))
