"""A rehearsal on real parts: an embedded Redis, workers and the load generator of a bench, and what they measured."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

from jobctl.core.judging import Circumstances, Judgement, judge_books
from jobctl.core.validation import Measured, Rehearsal, Validation, measured_of, validate

if TYPE_CHECKING:
    from pathlib import Path

    from jobctl.apps.bench.driver import BenchConfig, BenchResult
    from jobctl.core.service import Law
    from jobctl.core.workload import Workload
    from jobctl.settings import Settings
    from jobctl.wiring.stand import PreparedBench

__all__ = ["rehearse"]

#: Lateness of the generator (p99) beyond which it offered another load, seconds. Waits are counted from when it sent.
_MAX_SCHEDULE_LAG_S: Final = 0.25
#: How long to wait for the last job once none arrives any more, seconds, beyond the longest back-off.
_DRAIN_S: Final = 120.0
#: How long a job may run, seconds: the rehearsal itself ends those that are to be cut off.
_JOB_TIMEOUT_S: Final = 3600


def rehearse(
    rehearsal: Rehearsal,
    on_progress: Callable[[Mapping[str, Any]], None],
    say: Callable[[str], None],
) -> Validation:
    """Run a rehearsal and judge it.

    Jobs sleep as the law says, or, where an upstream limits them, call a mock whose latency it is. Nothing of the
    settings is heard: Redis is an embedded one, and there is no database.

    Args:
        rehearsal: What to run.
        on_progress: Takes each progress message.
        say: Takes lines for the person who waits.

    Raises:
        ServiceUnavailable: A part did not start.
        RunFailed: The generator could not measure the run to its end.
        KeyboardInterrupt: It was cut short: what is predicted is the whole of it.
    """
    from jobctl.wiring.bench import run_bench

    result, _, _ = run_bench(prepare(rehearsal), on_progress, say)
    if result.interrupted:
        raise KeyboardInterrupt
    return validate(rehearsal, _measured(result), _books(result))


def prepare(rehearsal: Rehearsal) -> PreparedBench:
    """The bench that carries a rehearsal out."""
    from jobctl.adapters import files
    from jobctl.wiring.stand import PreparedBench

    locustfile = files.find_locustfile(None).resolve()
    return PreparedBench(
        config=_config(rehearsal),
        locustfile=locustfile,
        settings=_settings(rehearsal, locustfile.parent),
        own_workers=False,
        secluded=True,
    )


def law_text(law: Law) -> str:
    """The law as the mock reads it.

    Raises:
        TypeError: It has no text.
    """
    from jobctl.core.service import Constant, Exponential, Gamma, Lognormal

    match law:
        case Constant(mean_s):
            return f"constant:{mean_s!r}s"
        case Exponential(mean_s):
            return f"exponential:{mean_s!r}s"
        case Gamma(mean_s, scv):
            return f"gamma:mean={mean_s!r}s,scv={scv!r}"
        case Lognormal(mu, sigma):
            return f"lognormal:p50={math.exp(mu)!r}s,p95={math.exp(mu + NormalDist().inv_cdf(0.95) * sigma)!r}s"
    raise TypeError(f"{law!r} has no text")


def _config(rehearsal: Rehearsal) -> BenchConfig:
    from jobctl.apps.bench.driver import BenchConfig
    from jobctl.apps.bench.spec import LoadSpec
    from jobctl.wiring.load import new_run_id

    run_id = new_run_id()
    retries = rehearsal.retries
    longest_s = min(retries.cap_s, retries.base_s * retries.factor ** (retries.attempts - 1))
    spec = LoadSpec(
        run_id=run_id,
        arrivals=rehearsal.arrivals,
        stages=rehearsal.stages,
        seed=rehearsal.seed,
        warmup_s=rehearsal.warmup_s,
        workloads=(_workload(rehearsal),),
        queue=f"check-{run_id}",
        job_timeout_s=_JOB_TIMEOUT_S,
        drain_s=_DRAIN_S + retries.attempts * longest_s,
    )
    return BenchConfig(
        spec=spec,
        rate_per_s=rehearsal.arrival_rate_per_s,
        replicas=rehearsal.replicas,
        concurrency=rehearsal.concurrency,
        scenario=None,
        injected_share=rehearsal.job_failure_rate,
        max_schedule_lag_s=_MAX_SCHEDULE_LAG_S,
        mock=None if rehearsal.upstream.rpm is None else ("--latency", law_text(rehearsal.service)),
    )


def _workload(rehearsal: Rehearsal) -> Workload:
    """Jobs that sleep as the law says; with an upstream, jobs that call it."""
    from jobctl.core.arrivals import make_schedule
    from jobctl.core.workload import draw_attempts, make_workload, sleep_payload

    if rehearsal.upstream.rpm is not None:
        return make_workload("chat_completion")
    rng, retries = random.Random(f"services:{rehearsal.seed}"), rehearsal.retries
    jobs = len(make_schedule(rehearsal.arrivals, rehearsal.stages, rehearsal.seed))
    attempts = (
        draw_attempts(
            rehearsal.service,
            rng,
            retries.failure_rate,
            failed_ratio=retries.failed_ratio,
            failed_s=retries.failed_s,
            timeout_s=math.inf if rehearsal.job_timeout_s is None else rehearsal.job_timeout_s,
        )
        for _ in range(jobs)
    )
    return make_workload("sleep", payloads=[sleep_payload(*job) for job in attempts])


def _settings(rehearsal: Rehearsal, directory: Path) -> Settings:
    """What the workers are told.

    Args:
        rehearsal: What is run.
        directory: One without a settings file.
    """
    from jobctl import settings

    retries, upstream = rehearsal.retries, rehearsal.upstream
    flags: dict[str, Any] = {
        "attempts": retries.attempts,
        "retry_base_s": retries.base_s,
        "retry_cap_s": max(retries.base_s, retries.cap_s),
    }
    if upstream.rpm is not None:
        flags |= {"openrouter_rpm": upstream.rpm, "openrouter_burst": upstream.burst}
    return settings.load(flags, env={}, directory=directory)


def _books(result: BenchResult) -> Judgement:
    circumstances = Circumstances(
        dropped=result.dropped,
        max_schedule_lag_s=result.config.max_schedule_lag_s,
        injected_share=result.config.injected_share,
        interrupted=result.interrupted,
    )
    return judge_books(result.summary, circumstances)


def _measured(result: BenchResult) -> Measured | None:
    return measured_of(result.records, result.summary, result.started_at_s)
