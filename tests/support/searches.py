"""Fleets of known capacity, and a search that is run against them in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jobctl.apps.bench.maximum import held_to_upstream
from jobctl.apps.mock.limits import MinuteLimit
from jobctl.core.arrivals import CONSTANT, Arrivals, Stage, make_schedule
from jobctl.core.demand import Upstream
from jobctl.core.probing import Finding, Probe, read_probe
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.searching import Aim, Bracket, known_limit, next_step, resolution
from jobctl.core.service import Law
from jobctl.core.simulation import serve
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective

UNLIMITED = Upstream()
#: How long a simulated probe waits for its last jobs, seconds.
DRAIN_S = 5.0
#: What passes between the schedules of two probes, seconds.
OVERHEAD_S = 3.0


@dataclass(frozen=True)
class SimulatedFleet:
    """Slots, the law of what holds them, what dispatch adds, and an upstream's limit."""

    slots: int
    law: Law
    dispatch_s: float = 0.0
    upstream: Upstream = UNLIMITED
    arrivals: Arrivals = CONSTANT

    @property
    def capacity_per_s(self) -> float:
        by_slots = self.slots / (self.law.mean_s + self.dispatch_s)
        return by_slots if self.upstream.rpm is None else min(by_slots, self.upstream.rpm / 60)

    def run(self, probe: Probe, seed: int) -> list[JobRecord]:
        """What becomes of a probe's jobs: those that do not end within the drain are left."""
        rng = random.Random(seed)
        stages = [Stage.steady(probe.rate_per_s, probe.duration_s)]
        if probe.push_s:
            stages.insert(0, Stage.steady(2 * probe.rate_per_s, probe.push_s))
        arrivals = list(make_schedule(self.arrivals, stages, seed))
        services = [self.law.sample(rng) + self.dispatch_s for _ in arrivals]
        waits = serve(arrivals, services, self.slots, upstream=self.upstream, rng=rng).waits
        end_s = probe.length_s + DRAIN_S
        records = []
        for number, (at_s, wait_s, service_s) in enumerate(zip(arrivals, waits, services, strict=True)):
            started_s = at_s + wait_s if at_s + wait_s < end_s else None
            finished_s = None if started_s is None or started_s + service_s > end_s else started_s + service_s
            outcome = Outcome.IN_FLIGHT if finished_s is None else Outcome.FINISHED
            records.append(JobRecord(f"run-{number}", "sleep", at_s, at_s, started_s, finished_s, outcome))
        return records


@dataclass
class MinuteFleet:
    """Slots without end before an upstream that admits so many calls in any minute, and pauses after each refusal."""

    rpm: int
    aim: Aim
    service_s: float = 0.1
    slots: int = 50
    now_s: float = 1000.0
    limit: MinuteLimit = field(init=False)
    records: list[JobRecord] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    refusals: int = 0

    def __post_init__(self) -> None:
        self.limit = MinuteLimit(self.rpm, None)

    def run(self, probe: Probe, seed: int) -> list[JobRecord]:
        """What becomes of a probe's jobs; time goes on from probe to probe."""
        self.now_s += probe.rest_s + OVERHEAD_S
        stages = [Stage.steady(2 * probe.rate_per_s, probe.push_s)] if probe.push_s else []
        arrivals = make_schedule(CONSTANT, [*stages, Stage.steady(probe.rate_per_s, probe.duration_s)], seed)
        self.refused, records, paused_until_s = [], [], 0.0
        for number, at_s in enumerate(arrivals):
            started_s = max(at_s, paused_until_s)
            while started_s < probe.length_s + DRAIN_S and not self.limit.admit(self.now_s + started_s, 0).admitted:
                self.refused.append(started_s)
                started_s = paused_until_s = started_s + 1.0
            begun = started_s if started_s < probe.length_s + DRAIN_S else None
            ended = None if begun is None else begun + self.service_s
            outcome = Outcome.IN_FLIGHT if ended is None else Outcome.FINISHED
            records.append(JobRecord(f"run-{number}", "chat", at_s, at_s, begun, ended, outcome))
        self.records += [
            replace(one, started_s=one.started_s + self.now_s) for one in records if one.started_s is not None
        ]
        self.refusals += len(self.refused)
        return records

    def held(self, finding: Finding) -> Finding:
        """A finding with the refusals of the last probe."""
        refused_at_s = self.now_s + self.refused[0] if self.refused else None
        limit = known_limit(self.aim, self.findings)
        finding = held_to_upstream(finding, limit, refused_at_s, self.now_s, self.records)
        self.now_s += finding.probe.length_s
        self.findings.append(finding)
        return finding


def search(
    fleet: SimulatedFleet | MinuteFleet,
    aim: Aim,
    seed: int,
    *,
    objectives: Sequence[Objective] = (DEFAULT_OBJECTIVE,),
    overhead_s: float = OVERHEAD_S,
    distort: Callable[[Finding], Finding] = lambda finding: finding,
) -> tuple[Bracket, list[Finding], float]:
    """Search a fleet's maximum: the answer, every finding, and the seconds that it took."""
    findings: list[Finding] = []
    elapsed_s = 0.0
    while True:
        step = next_step(aim, findings, elapsed_s)
        if isinstance(step, Bracket):
            return step, findings, elapsed_s
        records = fleet.run(step, seed * 1000 + len(findings))
        finding = read_probe(
            step, records, 0.0, objectives=objectives, slots=fleet.slots, resolution=resolution(aim, step)
        )
        findings.append(distort(finding))
        elapsed_s += step.rest_s + step.length_s + overhead_s
