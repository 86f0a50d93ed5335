"""What else a demand is made of: what failures cost, what else is scarce, and what one replica uses."""

from __future__ import annotations

from typing import Final

from jobctl.apps.plan.ledger import Ledger, chosen, refuse
from jobctl.apps.plan.request import FailedTime, Level, PlanRequest
from jobctl.core.demand import Database, Hold, Machine, Retries, Upstream
from jobctl.core.pooling import pool_size
from jobctl.core.units import format_duration
from jobctl.errors import InvalidOption

__all__ = ["concurrency_of", "database_of", "machine_of", "retries_of", "upstream_of"]

#: What is said of failed attempts; their number may be said in any case.
_ABOUT_FAILURES: Final = ("failed_ratio", "retry_base", "retry_factor", "retry_cap", "retry_jitter")


def concurrency_of(ledger: Ledger) -> int:
    """Slots of one replica; the settings have a default."""
    said = ledger.request.concurrency
    assert said is not None, "the settings have a default"
    return ledger.value("concurrency", said, ledger.evidence.concurrency)


def machine_of(ledger: Ledger) -> Machine:
    """What one replica uses, as far as it is known."""
    evidence = ledger.evidence
    return Machine(
        cpu_per_job_s=ledger.optional("cpu_per_job", evidence.cpu_per_job_s, format_duration),
        memory_bytes=ledger.optional("memory", evidence.memory_bytes, lambda size: f"{size / 1e6:.4g} MB"),
    )


def retries_of(ledger: Ledger) -> Retries:
    """What becomes of attempts that fail; where nothing can fail, nothing is tried again.

    Raises:
        InvalidOption: The first wait is longer than the longest, or a flag is about failures where there are none.
    """
    request, evidence, usual = ledger.request, ledger.evidence, Retries()
    failure_rate = ledger.value("failure_rate", 0.0, evidence.failure_rate)
    if not failure_rate and request.job_timeout is None:
        if evidence.failure_rate is None and not request.said("failure_rate"):
            _refuse_idle(request, _ABOUT_FAILURES, "where no attempt fails", "give --failure-rate beside it")
        return usual
    measured = None if evidence.failed_s is None else FailedTime(seconds=evidence.failed_s)
    failed = ledger.value("failed_ratio", FailedTime(ratio=usual.failed_ratio), measured)
    base_s = ledger.value("retry_base", usual.base_s, shown=format_duration)
    cap_s = ledger.value("retry_cap", usual.cap_s, shown=format_duration)
    if base_s > cap_s:
        problem = f"{format_duration(base_s)} is longer than the longest wait, {format_duration(cap_s)}"
        refuse(request, "retry_base", problem, "give a shorter one, or a longer --retry-cap")
    return Retries(
        attempts=ledger.value("attempts", usual.attempts, evidence.attempts),
        failure_rate=failure_rate,
        failed_ratio=usual.failed_ratio if failed.ratio is None else failed.ratio,
        failed_s=failed.seconds,
        base_s=base_s,
        factor=ledger.value("retry_factor", usual.factor),
        cap_s=cap_s,
        jitter=ledger.value("retry_jitter", usual.jitter),
    )


def upstream_of(ledger: Ledger) -> Upstream:
    """The limits of what the jobs call.

    Raises:
        InvalidOption: A limit of tokens was given by a flag, and nobody says how many a job takes; or a flag is about a
            limit that nobody gives.
    """
    request, tokens = ledger.request, ledger.optional("tokens_per_job")
    rpm, tpm = ledger.optional("upstream_rpm"), _tokens_a_minute(ledger, tokens)
    if rpm is None:
        _refuse_idle(request, ("calls_per_job",), "without a limit of calls", "give --upstream-rpm beside it")
    if tpm is None:
        _refuse_idle(request, ("tokens_per_job",), "without a limit of tokens", "give --upstream-tpm beside it")
    if rpm is None and tpm is None:
        _refuse_idle(request, ("upstream_burst", "upstream_wait"), "without a limit", "give --upstream-rpm beside it")
        return Upstream()
    return Upstream(
        rpm=rpm,
        burst=ledger.value("upstream_burst", 0),
        tpm=tpm,
        tokens_per_job=tokens,
        calls_per_job=ledger.value("calls_per_job", 1.0),
        waits_in_slot=ledger.value("upstream_wait", "queue") == "slot",
    )


def database_of(ledger: Ledger, concurrency: int) -> Database:
    """The connections, if anything was said about them.

    A pool's size alone, from the settings, says only how workers are run: it limits nothing.

    Raises:
        InvalidOption: A job holds a connection all the time, and nobody says how many there are.
    """
    request, usual = ledger.request, Database()
    about = request.level("db_tier", "db_max_clients", "db_hold", "db_share")
    if about is Level.DEFAULT and request.level("db_connections_per_replica") is not Level.FLAG:
        return usual
    max_clients = _clients(ledger)
    hold = ledger.value("db_hold", usual.hold)
    if hold is Hold.JOB:
        if request.said("db_share") and request.level("db_share") >= request.level("db_hold"):
            refuse(request, "db_share", "is about connections that are held for a share", "drop it, or --db-hold job")
        if not request.said("db_connections_per_replica"):
            problem = "is missing: with --db-hold job it caps the slots"
            raise InvalidOption("--db-connections-per-replica", problem, "say how many connections a replica has")
    share = usual.share if hold is Hold.JOB else ledger.value("db_share", usual.share)
    return Database(
        max_clients=max_clients,
        connections_per_replica=ledger.value("db_connections_per_replica", pool_size(concurrency, share)),
        hold=hold,
        share=share,
    )


def _refuse_idle(request: PlanRequest, names: tuple[str, ...], where: str, remedy: str) -> None:
    """Refuse flags that do nothing; what a file or the environment says may be for another plan."""
    for name in names:
        if request.level(name) is Level.FLAG:
            refuse(request, name, f"does nothing {where}", remedy)


def _tokens_a_minute(ledger: Ledger, tokens_per_job: float | None) -> float | None:
    request, tpm = ledger.request, ledger.request.upstream_tpm
    if tpm is None:
        return None
    if tokens_per_job is not None:
        ledger.note("upstream_tpm", f"{tpm:,.10g}")
        return tpm
    if request.level("upstream_tpm") is Level.FLAG:
        remedy = "give --tokens-per-job, the mean of one attempt"
        refuse(request, "upstream_tpm", "says nothing without the tokens of a job", remedy)
    ledger.note("upstream_tpm", f"{tpm:,.10g}, not counted: --tokens-per-job is not given")
    return None


def _clients(ledger: Ledger) -> int | None:
    """The most connections that the database or its pooler takes."""
    request = ledger.request
    if chosen(request, ("db_tier",), ("db_max_clients",)) == ("db_tier",) and request.db_tier is not None:
        ledger.note("db_tier", f"{request.db_tier}, {request.db_tier.most:,} connections")
        return request.db_tier.most
    clients: int | None = ledger.optional("db_max_clients")
    return clients
