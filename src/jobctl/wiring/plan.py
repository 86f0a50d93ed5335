"""``jobctl plan``: the files and services that a question names are read, and it is answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jobctl.apps.plan.configure import Material, Prepared, configure, slo_file_of
from jobctl.apps.plan.ledger import NO_EVIDENCE, place
from jobctl.apps.plan.load import shape_of
from jobctl.apps.plan.request import Level, PlanRequest, Source
from jobctl.core.profiles import parse_shape
from jobctl.core.shapes import ShapeKind
from jobctl.core.slo import Promise, parse_slo_file
from jobctl.core.traces import parse_trace
from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobctl.apps.plan.audit import Audit, Claim, Row
    from jobctl.core.evidence import Evidence
    from jobctl.core.plans import Plan

__all__ = ["SLO_FILE", "answer", "audited", "prepare", "prepare_audit"]

#: The file of objectives that is looked for in the working directory. One of another directory is about a fleet that
#: runs, and a question of what would be is not to be judged by it unasked.
SLO_FILE: Final = "slo.toml"


def prepare(request: PlanRequest, *, target: str | None = None) -> Prepared:
    """Read what a request names and settle what is asked.

    Args:
        request: What was said.
        target: The file that takes the answer. Where no objective is named and it is a ``slo.toml``, its own count.

    Raises:
        InvalidOption: Something is missing, cannot be read, means nothing or contradicts something else.
        ServiceUnavailable: A service that it names does not answer.
    """
    shape = shape_of(request)
    material = Material(evidence=_evidence(request))
    if shape.kind is ShapeKind.FILE:
        material = replace(material, points=_points(request, shape.path))
    elif shape.kind is ShapeKind.REPLAY:
        lines, option = _lines(request, shape.path), place(request, "shape")
        try:
            material = replace(material, trace=parse_trace(lines, shape.path, request.service_rule))
        except InvalidValue as error:
            raise InvalidOption(option, error.problem, error.remedy) from None
    slo_file = slo_file_of(request)
    if slo_file is None and not request.slo:
        unasked = SLO_FILE if Path(SLO_FILE).is_file() else None
        slo_file = target if target is not None and target.endswith(".toml") else unasked
    if slo_file is not None:
        material = replace(material, promises=_promises(request, slo_file), slo_file=slo_file)
    return configure(request, material)


def prepare_audit(request: PlanRequest, rows: Sequence[Row]) -> Prepared:
    """The same for a table, whose rows bring their own volume.

    Raises:
        InvalidOption: As for :func:`prepare`, or a volume or a number of replicas was given as well.
        ServiceUnavailable: A service that it names does not answer.
    """
    for name in ("per_day", "rate", "replicas"):
        if request.level(name) is Level.FLAG:
            problem = "has no meaning with --audit, whose rows have their own"
            raise InvalidOption(place(request, name), problem, "drop one of the two")
    table = request.without("rate", "replicas")
    source = Source(Level.FLAG, "flag --audit")
    return prepare(replace(table, per_day=rows[0].jobs_per_day, sources={**table.sources, "per_day": source}))


def answer(prepared: Prepared) -> Plan:
    """Search the fewest replicas, or evaluate those that were given.

    Raises:
        InvalidOption: No fleet would do because the numbers make no sense.
    """
    from jobctl.core.planning import plan

    request = prepared.request
    try:
        return plan(
            prepared.demand,
            replicas=prepared.replicas,
            required=None if prepared.replicas is None else prepared.required,
            seed=prepared.seed,
            budget_s=prepared.budget_s,
        )
    except InvalidValue as error:
        named = place(request, "per_day", "rate", "shape") if prepared.replicas is None else place(request, "replicas")
        raise InvalidOption(named, error.problem, error.remedy) from None


def audited(prepared: Prepared, rows: Sequence[Row], claims: Sequence[Claim]) -> Audit:
    """Judge a table; the spare binds only where it was asked for.

    Raises:
        InvalidOption: A row's numbers make no sense.
    """
    from jobctl.apps.plan.audit import audit

    spare_binds = prepared.request.said("spare")
    try:
        return audit(
            prepared.demand, rows, claims, spare_binds=spare_binds, seed=prepared.seed, budget_s=prepared.budget_s
        )
    except InvalidValue as error:
        raise InvalidOption("--audit", error.problem, error.remedy) from None


def _evidence(request: PlanRequest) -> Evidence:
    if request.source is None:
        return NO_EVIDENCE
    from jobctl.wiring.evidence import read

    return read(request.source)


def _points(request: PlanRequest, path: str) -> list[tuple[float, float]]:
    lines = _lines(request, path)
    try:
        return parse_shape(lines, path)
    except InvalidValue as error:
        raise InvalidOption(place(request, "shape"), error.problem, error.remedy) from None


def _lines(request: PlanRequest, path: str) -> list[str]:
    """Of the file that a shape names; a word that is none may be a misspelt shape."""
    from jobctl.adapters.files import read_lines

    option = place(request, "shape")
    if not Path(path).exists():
        known = "steady, diurnal, a FILE of times and rates, or replay:FILE"
        raise InvalidOption(option, f"there is no file {path!r}", f"give {known}")
    return read_lines(path, option)


def _promises(request: PlanRequest, path: str) -> tuple[Promise, ...]:
    from jobctl.adapters.files import read_toml

    option = place(request, "slo_file") if request.said("slo_file") else path
    content = read_toml(path, option)
    try:
        return parse_slo_file(content)
    except InvalidValue as error:
        raise InvalidOption(path, error.problem, error.remedy) from None
