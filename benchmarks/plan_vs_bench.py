"""Whether benches on real parts come out as the planner's simulation says they will.

    python benchmarks/plan_vs_bench.py [--quick] [--seed 1] [--only TEXT]

Ten rehearsals of about a minute each: an embedded Redis, two worker processes, open-loop load. Of each: what was
predicted, from the law alone, beside what was measured, and two judgements (see ``jobctl.core.validation``).

*Replay* must agree for every one: it leaves nothing to chance. *Predict* asks for all figures of a run to lie where
95 % of simulated runs have all of theirs, so of ten runs of a system that is just what was simulated, one is outside
now and then. More than chance explains, at 2 %, are a failure.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jobctl.cli.plan_check_render import describe_check
from jobctl.core.arrivals import CONSTANT, POISSON, parse_arrivals
from jobctl.core.demand import Retries, Upstream
from jobctl.core.service import Constant, Exponential, Law, Lognormal
from jobctl.core.slo import Verdict
from jobctl.core.validation import Rehearsal, Validation
from jobctl.wiring.plan_check import rehearse

SERVICE_S = 0.5
REPLICAS, CONCURRENCY = 2, 15
DURATION_S, WARMUP_S = 55.0, 5.0
QUICK_S, QUICK_WARMUP_S = 10.0, 1.0
#: The share of runs that may be outside, and how often chance alone may fail the proof.
OUTSIDE, LEVEL = 0.05, 0.02

EXPONENTIAL = Exponential(SERVICE_S)
LOGNORMAL = Lognormal.from_mean_and_scv(SERVICE_S, 4.0)


@dataclass(frozen=True)
class Case:
    """One rehearsal and its name."""

    name: str
    rehearsal: Rehearsal


def case(
    name: str, utilisation: float, service: Law = EXPONENTIAL, attempts_per_job: float = 1.0, **more: object
) -> Case:
    """A rehearsal at that utilisation."""
    load = utilisation * REPLICAS * CONCURRENCY
    rehearsal = Rehearsal(
        arrival_rate_per_s=load / SERVICE_S / attempts_per_job,
        arrivals=POISSON,
        service=service,
        replicas=REPLICAS,
        concurrency=CONCURRENCY,
        duration_s=DURATION_S,
        warmup_s=WARMUP_S,
    )
    return Case(name, replace(rehearsal, **more))


#: A fifth of the attempts fail: 1 + f + f² + f³ of them for each job.
RETRIES = Retries(attempts=4, failure_rate=0.2, base_s=0.5, cap_s=4.0)
TRIES = math.fsum(0.2**number for number in range(4))
CASES = (
    case("poisson arrivals, exponential service, 0.3", 0.3),
    case("constant arrivals, exponential service, 0.85", 0.85, arrivals=CONSTANT),
    case("poisson arrivals, constant service, 0.9", 0.9, Constant(SERVICE_S)),
    case("poisson arrivals, exponential service, 0.8", 0.8),
    case("poisson arrivals, exponential service, 0.95", 0.95),
    case("poisson arrivals, lognormal service of SCV 4, 0.85", 0.85, LOGNORMAL),
    case("bursty arrivals (renewal:4), exponential service, 0.8", 0.8, arrivals=parse_arrivals("renewal:4")),
    case(
        "bursty arrivals (batch:20), lognormal service of SCV 4, 0.6",
        0.6,
        LOGNORMAL,
        arrivals=parse_arrivals("batch:20"),
    ),
    case("poisson arrivals, a limit of 2400 calls a minute that binds", 0.7, upstream=Upstream(rpm=2400)),
    case(
        "poisson arrivals, a fifth of the attempts fail and are retried, 0.85",
        0.85,
        attempts_per_job=TRIES,
        retries=RETRIES,
    ),
)
#: A short twin for the tests: queues that are felt within seconds.
QUICK = tuple(
    replace(found, rehearsal=replace(found.rehearsal, duration_s=QUICK_S, warmup_s=QUICK_WARMUP_S))
    for found in (CASES[7], CASES[9])
)


def run(cases: Sequence[Case], seed: int, say: Callable[[str], None]) -> list[Validation]:
    """Rehearse them one after the other."""
    validations = []
    for number, found in enumerate(cases, 1):
        rehearsal = replace(found.rehearsal, seed=seed + number - 1)
        validation = rehearse(rehearsal, lambda message: None, lambda line: None)
        validations.append(validation)
        say(f"{number}. {found.name}: {rehearsal.arrival_rate_per_s:.3g} jobs/s on {rehearsal.slots} slots")
        for line in describe_check(validation):
            say(f"   {line}".rstrip())
        say("")
    return validations


def most_outside(runs: int) -> int:
    """The most runs that may be outside: more of them happen to a right model less often than the level says."""
    tail, outside = 1.0, -1
    while tail > LEVEL:
        outside += 1
        tail -= math.comb(runs, outside) * OUTSIDE**outside * (1 - OUTSIDE) ** (runs - outside)
    return outside


def verdict(validations: Sequence[Validation]) -> tuple[bool, list[str]]:
    """Whether the proof holds, and what it rests on."""
    measured = [found for found in validations if found.replay is not None]
    replayed = sum(found.replay is not None and found.replay.agrees for found in measured)
    inside = sum(all(figure.agrees for figure in found.comparisons) for found in measured)
    in_order = sum(found.judgement.verdict is not Verdict.INCONCLUSIVE for found in validations)
    runs, allowed = len(validations), most_outside(len(validations))
    holds = in_order == len(measured) == replayed == runs and runs - inside <= allowed
    return holds, [
        f"runs in order     {in_order} of {runs}",
        f"replay agrees     {replayed} of {runs} (all must)",
        f"predict agrees    {inside} of {runs} (at least {runs - allowed} must: chance leaves one in twenty outside)",
        f"verdict           {'the plan agrees with reality' if holds else 'the plan does NOT agree with reality'}",
    ]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="two short runs")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="cases whose name holds this")
    given = options.parse_args()
    cases = [found for found in (QUICK if given.quick else CASES) if given.only in found.name]
    if not cases:
        options.error(f"no case's name holds {given.only!r}")
    print(f"{platform.python_implementation()} {platform.python_version()} on {os.cpu_count()} cores\n", flush=True)
    holds, lines = verdict(run(cases, given.seed, lambda line: print(line, flush=True)))
    print("\n".join(lines))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
