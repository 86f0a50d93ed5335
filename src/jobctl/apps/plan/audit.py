"""Somebody's table of replicas by volume, judged row by row, and their claims of headroom.

A *row* says that so many replicas carry so many jobs a day. It is judged like ``jobctl plan --replicas``: by the
promises, at that volume in the demand's own shape, and by what is physically there; the spare binds only where it was
asked for. Beside the verdict stand what the row would need and the longest mean service time up to which it holds.
For that time the law of service is scaled as a whole.

A *claim* says that the fleet of the table's first row carries so many times a volume. The factor is the rate at which
the fleet is full, by its slots or by the upstream, over the rate at the planned peak: headroom until the backlog grows
without end, not until a promise breaks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobctl.apps.plan.document import assumptions_document, finite, wait_document
from jobctl.core.capacity import ceiling_per_s, limits_of, mixed_law
from jobctl.core.demand import Assumption, Demand
from jobctl.core.planning import largest_service_factor, plan
from jobctl.core.plans import Binding, Plan
from jobctl.core.units import SECONDS_PER_DAY, parse_count, parse_positive, parse_whole
from jobctl.core.variations import with_service, with_volume
from jobctl.errors import InvalidValue

__all__ = [
    "SCHEMA",
    "Audit",
    "Claim",
    "JudgedClaim",
    "JudgedRow",
    "Row",
    "audit",
    "parse_claim",
    "parse_rows",
    "to_document",
]

#: The document's name and version.
SCHEMA: Final = "jobctl.audit/1"
_ROW_REMEDY: Final = "write REPLICAS:JOBS_PER_DAY, commas between, such as 2:450k,3:1.35M"
_CLAIM_REMEDY: Final = "write TIMESx@JOBS_PER_DAY, such as 33x@135000"
_MOST_REPLICAS: Final = 1_000_000
_MOST_PER_DAY: Final = 1e9
#: A factor this close to what was claimed is what was claimed: the rest comes from rounding.
_ROUNDING: Final = 1e-9
#: Service times are searched between these shares of the given one, and to this precision.
_LEAST_FACTOR: Final = 1e-6
_MOST_FACTOR: Final = 1e6
_HALVINGS: Final = 60
#: The shares of a row's budget: for its verdict, for what it would need, and for each of its two longest service times.
_VERDICT, _NEEDED, _LONGEST = 0.6, 0.3, 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        replicas: What it says is enough.
        jobs_per_day: For this volume.
    """

    replicas: int
    jobs_per_day: float


@dataclass(frozen=True, slots=True)
class Claim:
    """Headroom that somebody claims.

    Attributes:
        factor: So many times the volume can be carried.
        jobs_per_day: That volume.
    """

    factor: float
    jobs_per_day: float

    def __str__(self) -> str:
        return f"{self.factor:.10g}x@{self.jobs_per_day:.10g}"


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A row and what became of it.

    Attributes:
        row: What was said.
        plan: That number of replicas, evaluated.
        needed: Replicas that the volume needs, the demand's spare included; None where no number would do.
        longest_service_s: Mean service time up to which the promises hold with all running; None where none is short
            enough, infinite where none is too long.
        longest_service_spare_gone_s: The same with the spare gone; None also where nothing would be left.
    """

    row: Row
    plan: Plan
    needed: int | None
    longest_service_s: float | None
    longest_service_spare_gone_s: float | None

    @property
    def holds_spare_gone(self) -> bool | None:
        """Whether the promises hold without the spare; None where simulation could not tell."""
        return False if self.plan.spare_gone is None else self.plan.spare_gone.holds

    @property
    def spare(self) -> int | None:
        """Replicas that may be gone while it holds; negative for those that are missing."""
        return None if self.needed is None else self.row.replicas - self.needed + self.plan.demand.spare


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim and what there is.

    Attributes:
        claim: What was said.
        replicas: Of the fleet that it is about.
        headroom_x: So many times the planned peak at that volume the fleet carries.
        longest_service_s: Mean service time up to which the claim is true; None where none is short enough, infinite
            where none is too long.
    """

    claim: Claim
    replicas: int
    headroom_x: float
    longest_service_s: float | None

    @property
    def is_true(self) -> bool:
        """Whether there is at least what was claimed."""
        return self.headroom_x >= self.claim.factor * (1 - _ROUNDING)


@dataclass(frozen=True, slots=True)
class Audit:
    """A table and its claims, judged.

    Attributes:
        demand: What they were judged by; its volume is of no account.
        mean_service_s: Mean time that a successful attempt holds a slot.
        rows: As they came.
        claims: As they came.
    """

    demand: Demand
    mean_service_s: float
    rows: tuple[JudgedRow, ...]
    claims: tuple[JudgedClaim, ...]

    @property
    def kept(self) -> bool | None:
        """Whether every row keeps the limits that it was held to; None where no row breaks one, but one was not told.

        Claims do not count.
        """
        kept = {judged.plan.feasible for judged in self.rows}
        return False if False in kept else None if None in kept else True


def parse_rows(text: str) -> tuple[Row, ...]:
    """Read ``2:450000,3:1.35M``; a volume may come twice.

    Raises:
        InvalidValue: A row is none, or there is none; the row is named.
    """
    rows = tuple(_row(part.strip()) for part in text.split(",") if part.strip())
    if not rows:
        raise InvalidValue("names no row", _ROW_REMEDY)
    return rows


def parse_claim(text: str) -> Claim:
    """Read ``33x@135000``.

    Raises:
        InvalidValue: It is none.
    """
    match = re.fullmatch(r"(.+?)\s*[xX]\s*@(.+)", text.strip())
    if match is None:
        raise InvalidValue(f"{text!r} is no claim", _CLAIM_REMEDY)
    try:
        return Claim(parse_positive(match[1]), _volume(match[2]))
    except InvalidValue as error:
        raise InvalidValue(f"{text!r}: {error.problem}", _CLAIM_REMEDY) from None


def audit(
    demand: Demand,
    rows: Sequence[Row],
    claims: Sequence[Claim] = (),
    *,
    spare_binds: bool = False,
    seed: int = 1,
    budget_s: float = 10.0,
) -> Audit:
    """Judge a table.

    Args:
        demand: What has to be carried, at any volume.
        rows: The table, at least one row.
        claims: About the fleet of its first row.
        spare_binds: Whether a row fails that does not hold with the spare gone.
        seed: Of the simulation.
        budget_s: Nominal seconds of simulation, which the rows share; 0 for closed forms alone.
    """
    required = frozenset({Binding.SLOTS, Binding.OBJECTIVE} | ({Binding.REDUNDANCY} if spare_binds else set()))
    judge = _Judge(demand, required, seed, budget_s / len(rows))
    return Audit(
        demand=demand,
        mean_service_s=mixed_law(demand).mean_s,
        rows=tuple(map(judge.row, rows)),
        claims=tuple(_judge_claim(demand, claim, rows[0].replicas) for claim in claims),
    )


def to_document(audited: Audit, assumptions: Sequence[Assumption] = ()) -> dict[str, Any]:
    """An audit as JSON-able values: seconds, jobs per second, fractions; null for what has no finite value."""
    demand, first = audited.demand, audited.rows[0].plan
    return {
        "schema": SCHEMA,
        "kept": audited.kept,
        "promises": [str(promise) for promise in demand.promises],
        "window": demand.window.value,
        "spare": demand.spare,
        "required": [limit.value for limit in Binding if limit in first.required],
        "arrivals": str(demand.arrivals),
        "shape": demand.profile.name,
        "concurrency": demand.concurrency,
        "mean_service_s": audited.mean_service_s,
        "rows": [_row_document(judged) for judged in audited.rows],
        "claims": [_claim_document(judged) for judged in audited.claims],
        "assumptions": assumptions_document(assumptions),
        "seed": first.seed,
    }


def _row(text: str) -> Row:
    replicas, colon, volume = text.partition(":")
    if not colon:
        raise InvalidValue(f"row {text!r} has no colon", _ROW_REMEDY)
    try:
        return Row(parse_whole(replicas, maximum=_MOST_REPLICAS), _volume(volume))
    except InvalidValue as error:
        raise InvalidValue(f"row {text!r}: {error.problem}", _ROW_REMEDY) from None


def _volume(text: str) -> float:
    jobs_per_day = parse_count(text)
    if not 1 <= jobs_per_day <= _MOST_PER_DAY:
        raise InvalidValue(f"{text.strip()!r} jobs a day are out of range", "")
    return jobs_per_day


@dataclass(frozen=True, slots=True)
class _Judge:
    """How each row is judged.

    Attributes:
        demand: What has to be carried, at any volume.
        required: The limits that a row is held to.
        seed: Of the simulation.
        budget_s: Nominal seconds of simulation for each row.
    """

    demand: Demand
    required: frozenset[Binding]
    seed: int
    budget_s: float

    def row(self, row: Row) -> JudgedRow:
        """One row."""
        demand = _at_volume(self.demand, row.jobs_per_day)
        given = plan(
            demand,
            replicas=row.replicas,
            required=self.required,
            seed=self.seed,
            budget_s=_VERDICT * self.budget_s,
            extras=False,
        )
        searched = plan(demand, seed=self.seed, budget_s=_NEEDED * self.budget_s, extras=False)
        return JudgedRow(
            row=row,
            plan=given,
            needed=searched.all_running.replicas if searched.feasible else None,
            longest_service_s=self._longest_service_s(demand, row.replicas),
            longest_service_spare_gone_s=self._longest_service_s(demand, row.replicas - demand.spare),
        )

    def _longest_service_s(self, demand: Demand, replicas: int) -> float | None:
        if replicas < 1:
            return None
        factor = largest_service_factor(demand, replicas, seed=self.seed, budget_s=_LONGEST * self.budget_s)
        return factor * mixed_law(demand).mean_s if factor > 0 else None


def _judge_claim(demand: Demand, claim: Claim, replicas: int) -> JudgedClaim:
    asked = _at_volume(demand, claim.jobs_per_day)

    def is_true(factor: float) -> bool:
        return _headroom_x(with_service(asked, factor), replicas) >= claim.factor

    factor = _largest(is_true)
    return JudgedClaim(
        claim=claim,
        replicas=replicas,
        headroom_x=_headroom_x(asked, replicas),
        longest_service_s=None if factor is None else factor * mixed_law(demand).mean_s,
    )


def _headroom_x(demand: Demand, replicas: int) -> float:
    """The rate at which the fleet is full over the rate at the planned peak."""
    limits = limits_of(demand)
    ceiling = ceiling_per_s(limits, replicas * limits.effective_slots_per_replica)
    return ceiling / limits.peak_arrival_rate_per_s


def _at_volume(demand: Demand, jobs_per_day: float) -> Demand:
    return with_volume(demand, jobs_per_day / (demand.profile.mean_per_s * SECONDS_PER_DAY))


def _largest(holds: Callable[[float], bool]) -> float | None:
    """The largest factor for which something holds that larger ones break; None where even the smallest does.

    It is infinite where none does, as where a timeout ends every attempt.
    """
    low, high = _LEAST_FACTOR, 2 * _LEAST_FACTOR
    if not holds(low):
        return None
    while holds(high):
        low, high = high, 2 * high
        if low > _MOST_FACTOR:
            return math.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _row_document(judged: JudgedRow) -> dict[str, Any]:
    answer, fleet = judged.plan, judged.plan.all_running
    return {
        "replicas": judged.row.replicas,
        "jobs_per_day": judged.row.jobs_per_day,
        "arrival_rate_per_s": answer.limits.arrival_rate_per_s,
        "peak_arrival_rate_per_s": answer.limits.peak_arrival_rate_per_s,
        "kept": answer.feasible,
        "binding": answer.binding.value,
        "reason": answer.reason or None,
        "broken": list(fleet.broken),
        "holds": fleet.holds,
        "holds_with_spare_gone": judged.holds_spare_gone,
        "on_edge": answer.on_edge,
        "stable": fleet.stable,
        "slots": fleet.slots,
        "utilisation": fleet.utilisation,
        "headroom_x": finite(fleet.headroom_x),
        "ceiling_per_s": finite(fleet.ceiling_per_s),
        "wait": wait_document(fleet.wait),
        "method": fleet.method,
        "backlog_growth_per_day": finite(answer.backlog_growth_per_day),
        "needed": judged.needed,
        "spare_there": judged.spare,
        "longest_service_s": finite(judged.longest_service_s),
        "longest_service_with_spare_gone_s": finite(judged.longest_service_spare_gone_s),
        "simulated_jobs": answer.simulated_jobs,
    }


def _claim_document(judged: JudgedClaim) -> dict[str, Any]:
    return {
        "claim": str(judged.claim),
        "replicas": judged.replicas,
        "jobs_per_day": judged.claim.jobs_per_day,
        "claimed_x": judged.claim.factor,
        "headroom_x": finite(judged.headroom_x),
        "true": judged.is_true,
        "longest_service_s": finite(judged.longest_service_s),
    }
