"""The search for the highest sustained rate: one probe after the other on the same fleet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jobctl.core.words import were
from jobctl.errors import InvalidOption, RunFailed
from jobctl.wiring.load import new_run_id
from jobctl.wiring.stand import MOCK_KEY, PreparedBench, Stand

if TYPE_CHECKING:
    from jobctl.adapters.redis_limiter import RedisLimiter
    from jobctl.adapters.signals import Interruption
    from jobctl.apps.bench.driver import BenchResult
    from jobctl.apps.bench.maximum import FoundMaximum, WantedMaximum
    from jobctl.core.limiting import ScopeStatus
    from jobctl.core.probing import Finding, Probe
    from jobctl.core.searching import Aim, Bracket, KnownLimit

__all__ = ["find_max"]

#: Beyond so many times the time that it is given, a search is said to take longer.
_HARDLY: Final = 1.1
#: How often a rest looks whether somebody cuts it short, seconds.
_LOOK_S: Final = 0.2


def find_max(
    prepared: PreparedBench,
    wanted: WantedMaximum,
    on_finding: Callable[[Finding], None],
    on_progress: Callable[[Probe, Mapping[str, Any]], None],
    say: Callable[[str], None],
) -> tuple[FoundMaximum, dict[str, Any], dict[str, str]]:
    """Start what is missing, search, and stop everything again.

    Args:
        prepared: The checked bench; its rate and its duration are the search's.
        wanted: What is asked for.
        on_finding: Takes what each probe told.
        on_progress: Takes each progress message of a probe.
        say: Takes lines for the person who waits.

    Returns:
        The answer, the machine and the versions it was measured with.

    Raises:
        InvalidOption: The scenario has faults on a timetable, and a search has no timetable.
        KeyboardInterrupt: It was cut short before a probe told anything.
    """
    from jobctl.adapters import environment
    from jobctl.apps.bench.maximum import aim_of

    if prepared.config.chaos:
        raise InvalidOption(
            "--scenario", "has faults on a timetable, and --find-max runs many loads", "give one without [[fault]]"
        )
    calls = any(workload.synthetic not in {"sleep", "noop"} for workload in prepared.config.spec.workloads)
    with Stand.open(prepared, say) as stand:
        search = _Search(
            stand, wanted, aim_of(wanted, prepared.config.slots, calls=calls, limit=_configured_limit(prepared)), say
        )
        search.run(on_finding, on_progress)
        return search.found(), environment.host(), stand.versions()


def _configured_limit(prepared: PreparedBench) -> KnownLimit | None:
    """What flags, scenario and settings say of calls a minute: where to look, and no evidence."""
    from jobctl.apps.bench.maximum import limit_ahead

    options = prepared.config.mock or ()
    mock = dict(zip(options[::2], options[1::2], strict=True))
    models = {model for workload in prepared.config.spec.workloads for model in workload.models}
    return limit_ahead(models, prepared.settings.limits, float(mock["--rpm"]) if "--rpm" in mock else None)


class _Search:
    """A search under way.

    Args:
        stand: The fleet.
        wanted: What is asked for.
        aim: The same, as the search is told.
        say: Takes lines for the person who waits.
    """

    def __init__(self, stand: Stand, wanted: WantedMaximum, aim: Aim, say: Callable[[str], None]) -> None:
        self._stand = stand
        self._wanted = wanted
        self._aim = aim
        self._say = say
        self._findings: list[Finding] = []
        self._results: list[BenchResult] = []
        self._limiters: list[Sequence[ScopeStatus]] = []
        self._interrupted = False
        self._foretold_s: float | None = None
        self._bracket: Bracket | None = None
        self._cut: Interruption | None = None
        self._began_s = time.monotonic()

    def run(
        self, on_finding: Callable[[Finding], None], on_progress: Callable[[Probe, Mapping[str, Any]], None]
    ) -> None:
        """Run what the search asks for until it has its answer or somebody cuts it short.

        Raises:
            KeyboardInterrupt: It was cut short before a probe told anything.
        """
        from jobctl.adapters.signals import Interruption
        from jobctl.core.searching import Bracket, next_step

        with Interruption(lambda: None) as self._cut:
            while not (self._interrupted or self._cut.happened):
                step = next_step(self._aim, self._findings, self._elapsed_s())
                if isinstance(step, Bracket):
                    self._bracket = step
                    return
                try:
                    finding = self._probe(step, partial(on_progress, step))
                except KeyboardInterrupt:
                    break
                if finding is not None:
                    on_finding(finding)
                    self._foretell()
        self._interrupted = True
        if not self._findings:
            raise KeyboardInterrupt

    def found(self) -> FoundMaximum:
        """The answer so far."""
        from jobctl.apps.bench.maximum import FoundMaximum, limit_of
        from jobctl.core.searching import Stop, answer

        bracket = self._bracket or answer(self._aim, self._findings, Stop.INTERRUPTED)
        place = {id(finding): number for number, finding in enumerate(self._findings)}
        low = place[id(bracket.low)] if bracket.low is not None else len(self._findings) - 1
        high = None if bracket.high is None else place[id(bracket.high)]
        limit, evidence = limit_of(
            bracket,
            None if high is None else self._results[high],
            () if high is None else self._limiters[high],
        )
        return FoundMaximum(
            wanted=self._wanted,
            bracket=bracket,
            findings=tuple(self._findings),
            limit=limit,
            evidence=evidence,
            result=self._results[low],
            elapsed_s=self._elapsed_s(),
            interrupted=self._interrupted,
            needed_s=self._foretold_s,
        )

    def _foretell(self) -> None:
        """Say once, as soon as it shows, that the time will hardly do."""
        from jobctl.apps.bench.maximum import longer_within
        from jobctl.core.searching import needed_s

        longer_s = needed_s(self._aim, self._findings, self._elapsed_s())
        if longer_s is None or longer_s <= _HARDLY * self._aim.within_s or self._foretold_s is not None:
            return
        self._foretold_s = longer_s
        self._say(
            f"to tell {self._aim.max_width:.0%} apart, jobs so uneven take longer: give {longer_within(longer_s)}, "
            "or a wider --max-width"
        )

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _probe(self, probe: Probe, on_progress: Callable[[Mapping[str, Any]], None]) -> Finding | None:
        """Run a probe; None where it was cut short."""
        from jobctl.apps.bench.maximum import held_to_gates, held_to_upstream, probe_config
        from jobctl.core.probing import read_probe
        from jobctl.core.searching import known_limit, resolution

        if not self._rested(probe.rest_s):
            return None
        services = [finding.service_s for finding in self._findings if finding.service_s is not None]
        service_s = services[-1] if services else None
        config = probe_config(self._stand.prepared.config, probe, new_run_id(), service_s)
        limiter = self._limiter()
        limiters: list[ScopeStatus] = []
        refused_at_s: list[float] = []

        def look() -> None:
            status = self._read_limiter(limiter)
            limiters.extend(status)
            if any(scope.paused_s > 0 for scope in status):
                refused_at_s.append(time.time())

        def watch(message: Mapping[str, Any]) -> None:
            if self._cut is not None and self._cut.happened:  # it came before this load took signals for itself
                raise KeyboardInterrupt
            on_progress(message)
            look()

        with closing(limiter) if limiter is not None else nullcontext():
            result = self._stand.run(config, watch)
            look()
        ended = self._stand.rig.ended_parts()
        if ended:
            raise RunFailed(f"the fleet cannot be measured: {ended[0]}")
        if result.interrupted:
            self._interrupted = True
            return None
        finding = read_probe(
            probe,
            result.records,
            result.started_at_s,
            objectives=self._wanted.objectives,
            slots=config.slots,
            resolution=resolution(self._aim, probe),
            usual_service_s=service_s,
            doubts=_doubts(result),
        )
        self._results.append(result)
        finding = held_to_upstream(
            held_to_gates(finding, result.gates),
            known_limit(self._aim, self._findings),
            refused_at_s[0] if refused_at_s and not config.injected_share else None,
            result.started_at_s,
            [record for run in self._results for record in run.records],
        )
        self._findings.append(finding)
        self._limiters.append(limiters)
        return finding

    def _rested(self, rest_s: float) -> bool:
        """Whether so long nothing was offered, and nobody cut that short."""
        if rest_s:
            self._say(f"offering nothing for {rest_s:.0f} s: the upstream refused calls, and counts those of a minute")
        until_s = time.monotonic() + rest_s
        while time.monotonic() < until_s and not (self._cut is not None and self._cut.happened):
            time.sleep(_LOOK_S)
        return self._cut is None or not self._cut.happened

    def _limiter(self) -> RedisLimiter | None:
        """The limiter that the workers share, by their API key; None without one."""
        from jobctl.adapters.redis_limiter import RedisLimiter, fingerprint

        prepared = self._stand.prepared
        key = MOCK_KEY if prepared.config.mock is not None else prepared.settings.openrouter_api_key
        if key is None:
            return None
        return RedisLimiter(self._stand.connection, fingerprint(key), prepared.settings.limits)

    @staticmethod
    def _read_limiter(limiter: RedisLimiter | None) -> Sequence[ScopeStatus]:
        from jobctl.errors import ServiceUnavailable

        try:
            return () if limiter is None else limiter.status()
        except ServiceUnavailable:
            return ()


def _doubts(result: BenchResult) -> list[str]:
    """What was wrong with the load itself."""
    lag_s = result.summary.schedule_lag.census(0.99)
    doubts = []
    if result.dropped:
        doubts.append(f"{were(result.dropped, 'arrival')} due and never sent")
    if lag_s is not None and lag_s > result.config.max_schedule_lag_s:
        doubts.append(f"the generator fell behind: schedule lag p99 {lag_s:.3f} s")
    return doubts
