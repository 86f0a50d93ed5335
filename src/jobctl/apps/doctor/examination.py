"""All checks, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from jobctl.apps.doctor import (
    database_checks,
    deployment_checks,
    fleet_checks,
    observability_checks,
    openrouter_checks,
    redis_checks,
    rq_checks,
)
from jobctl.apps.doctor.findings import Check, Finding, Level
from jobctl.apps.doctor.set_up import SetUp
from jobctl.core.scrubbing import make_scrubber

__all__ = ["CHECKS", "SCHEMA", "Examination", "examine"]

SCHEMA: Final = "jobctl.doctor/1"
#: Every check, in the order in which they are shown.
CHECKS: Final[tuple[Check, ...]] = (
    *redis_checks.CHECKS,
    *rq_checks.CHECKS,
    *fleet_checks.CHECKS,
    *database_checks.CHECKS,
    *openrouter_checks.CHECKS,
    *observability_checks.CHECKS,
    *deployment_checks.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What all checks found.

    Attributes:
        findings: Each check with its finding, in order.
        strict: Whether a warning counts as a failure.
    """

    findings: tuple[tuple[Check, Finding], ...]
    strict: bool = False

    @property
    def counts(self) -> Counter[Level]:
        """How many checks came out how."""
        return Counter(finding.level for _, finding in self.findings)

    @property
    def sound(self) -> bool:
        """Whether nothing failed."""
        return not (self.counts[Level.FAIL] or (self.strict and self.counts[Level.WARN]))

    def to_document(self) -> dict[str, Any]:
        """As ``schemas/doctor.json`` has it."""
        return {
            "schema": SCHEMA,
            "sound": self.sound,
            "strict": self.strict,
            "counts": {level.name.lower(): self.counts[level] for level in Level},
            "checks": [
                {
                    "name": check.name,
                    "group": check.group.value,
                    "title": check.title,
                    "level": finding.level.name.lower(),
                    "detail": finding.detail,
                    "remedy": finding.remedy or None,
                }
                for check, finding in self.findings
            ],
        }


def examine(set_up: SetUp, *, strict: bool = False, secrets: Iterable[str] = ()) -> Examination:
    """Make every check.

    Args:
        set_up: What was seen, and how it is meant to be.
        strict: Whether a warning counts as a failure.
        secrets: Texts that must not be shown, should a server repeat one.
    """
    scrub = make_scrubber(secrets)
    findings = ((check, check.judge(set_up)) for check in CHECKS)
    return Examination(
        tuple((check, replace(finding, detail=_printable(scrub(finding.detail)))) for check, finding in findings),
        strict,
    )


def _printable(text: str) -> str:
    """Without what a terminal would obey: names of queues and errors of servers come from strangers."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
