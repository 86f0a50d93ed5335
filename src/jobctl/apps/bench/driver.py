"""A bench from start to verdict, over a load generator that runs elsewhere.

Order of a run, and why: the generator says ``ready`` once its slow imports are done; only then is the start agreed, so
that no arrival is late because a process was still starting. Its records arrive after the drain and are the only source
of figures. An interrupt stops the sending and nothing else: what happened so far is still counted and judged. So does
a gate that ends the run when it is broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobctl.apps.bench.session import read_records
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.chaos import Disturbance, PlayedFault, TimedFault
from jobctl.core.crew import GeneratorUse
from jobctl.core.gate_figures import RunFacts
from jobctl.core.gates import Gate
from jobctl.core.gating import (
    GateResult,
    LiveGates,
    judge_gates,
    replaced_promises,
    with_gates,
)
from jobctl.core.judging import Circumstances, Excuse, Judgement, doubts_about, judge
from jobctl.core.queueing import WaitPrediction, predict_wait
from jobctl.core.records import JobRecord
from jobctl.core.shapes import WantedShape
from jobctl.core.slo import Verdict
from jobctl.core.summary import Summary, Window, conserved, summarise
from jobctl.core.usage import Usage, UsageReading, usage_between
from jobctl.errors import JobctlError, RunFailed
from jobctl.ports import LoadRun

__all__ = ["BenchConfig", "BenchResult", "Ending", "Prediction", "conclude", "run"]

#: Different errors that a report lists.
_MOST_ERRORS: Final = 5


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """What a bench was asked to do, beyond its load.

    Attributes:
        spec: The load.
        rate_per_s: The rate asked for; the mean over the schedule when it changes.
        replicas: Workers; None when they are somebody else's and were not told.
        concurrency: Slots of each worker; None likewise.
        scenario: Its name; None without one.
        injected_share: Probability of an injected fault, over all kinds; so many failures are expected.
        max_schedule_lag_s: The generator's lateness (p99) beyond which the run is inconclusive.
        shape: The shape of the load; None where a scenario's stages say it.
        time_scale: How many times as fast time runs in it; None where it does as it does.
        chaos: Faults on a timetable.
        recover_after_s: Within this time jobs of a worker that fell silent run again.
        mock: Options of the mock that is started; None when none is needed.
        gates: What must hold beside the promises that hold without gates.
    """

    spec: LoadSpec
    rate_per_s: float
    replicas: int | None
    concurrency: int | None
    scenario: str | None
    injected_share: float
    max_schedule_lag_s: float
    shape: WantedShape | None = None
    time_scale: float | None = None
    chaos: tuple[TimedFault, ...] = ()
    recover_after_s: float = 30.0
    mock: tuple[str, ...] | None = None
    gates: tuple[Gate, ...] = ()

    @property
    def slots(self) -> int | None:
        """Slots over all workers."""
        return self.replicas * self.concurrency if self.replicas and self.concurrency else None

    @property
    def peak_per_s(self) -> float:
        """The highest rate of the schedule; of a replay, that of its busiest minute."""
        return max(max(stage.start_per_s, stage.end_per_s) for stage in self.spec.stages)

    @property
    def is_steady(self) -> bool:
        """Whether the rate never changes; recorded arrivals keep no rate."""
        spec, peak_per_s = self.spec, self.peak_per_s
        return spec.instants is None and all(s.start_per_s == s.end_per_s == peak_per_s for s in spec.stages)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What queueing theory says about the load that was offered, from the measured service times."""

    utilisation: float
    wait: WaitPrediction


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a run that is over, beside what its generator told.

    Attributes:
        interrupted: Whether somebody cut it short.
        parts: What became of the workers and the mock that ended by themselves.
        readings: What the workers had used, in order of time.
        faults: What was broken on purpose.
        aborted: Why a gate ended it early; None where none did.
        stopped_by: The gates that were broken while it went on, each with when.
    """

    interrupted: bool
    parts: Sequence[str] = ()
    readings: Sequence[UsageReading] = ()
    faults: tuple[PlayedFault, ...] = ()
    aborted: str | None = None
    stopped_by: Mapping[Gate, str] = field(default_factory=dict)

    @property
    def cut_short(self) -> bool:
        """Whether the schedule was not played to its end."""
        return self.interrupted or self.aborted is not None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """A bench's figures and its verdict.

    Attributes:
        config: What was asked.
        started_at_s: When the schedule began, seconds since the epoch.
        summary: The figures.
        dropped: Arrivals that were due and never sent.
        judgement: The verdict and why.
        predicted: Theory's figures; None where slots or service times are not known, or the rate changes.
        tool_statistics: Rows the load tool counted itself.
        interrupted: Whether the run was cut short.
        errors: What failed jobs said, the commonest first, with how many said it.
        records: What became of each job, in the order of the schedule.
        usage: What the workers used of the machine during the window; None where nobody measured it.
        faults: The faults that were played, in order of time.
        gates: How each gate stands.
        aborted: Why a gate ended the run early; None where none did.
        generator: What generating the load took; None where the generator does not say.
        doubts: Why the load or the instants may be wrong, as the generator said.
    """

    config: BenchConfig
    started_at_s: float
    summary: Summary
    dropped: int
    judgement: Judgement
    predicted: Prediction | None
    tool_statistics: tuple[Mapping[str, Any], ...]
    interrupted: bool
    errors: tuple[tuple[str, int], ...] = ()
    records: tuple[JobRecord, ...] = ()
    usage: Usage | None = None
    faults: tuple[PlayedFault, ...] = ()
    gates: tuple[GateResult, ...] = ()
    aborted: str | None = None
    generator: GeneratorUse | None = None
    doubts: tuple[str, ...] = ()


def run(
    config: BenchConfig,
    load: LoadRun,
    agree_start: Callable[[], float],
    on_progress: Callable[[Mapping[str, Any]], None],
    is_interrupted: Callable[[], bool],
    ended_parts: Callable[[], Sequence[str]] = tuple,
    read_usage: Callable[[], UsageReading | None] = lambda: None,
    played_faults: Callable[[], Sequence[PlayedFault]] = tuple,
) -> BenchResult:
    """Drive a bench.

    Args:
        config: What is asked.
        load: The generator.
        agree_start: Called when the generator is ready; fixes the instant of offset 0 and returns it.
        on_progress: Takes each ``progress`` message.
        is_interrupted: Whether somebody cut the run short, asked once it is over.
        ended_parts: What became of the workers and the mock that ended by themselves, asked once it is over.
        read_usage: What the workers have used so far, asked with every message; None where nobody knows.
        played_faults: What was broken on purpose, asked once it is over and before anything else.

    Raises:
        RunFailed: The generator could not measure the run to its end.
        JobctlError: The generator ended without a result, or the books do not balance.
        KeyboardInterrupt: The run was cut short before it began.
    """
    records: list[JobRecord] = []
    readings: list[UsageReading] = []
    end: Mapping[str, Any] | None = None
    referee = _Referee(config, load)
    for message in load.events():
        match message["event"]:
            case "ready":
                referee.begin(agree_start())
            case "progress":
                on_progress(message)
                referee.see_backlog(message)
            case "ended":
                referee.see(message)
            case "records":
                records.extend(read_records(message["records"]))
            case "failed":
                raise RunFailed(f"the run could not be measured: {message['reason']}")
            case "end":
                end = message
        reading = read_usage()
        if reading is not None:
            readings.append(reading)
    faults = tuple(played_faults())
    interrupted = is_interrupted()
    if end is None and not interrupted:
        raise load.failure()
    if end is None or end["start_s"] is None:
        raise KeyboardInterrupt
    ending = Ending(interrupted, ended_parts(), readings, faults, referee.aborted, referee.broken)
    return conclude(config, records, end, ending)


class _Referee:
    """Ends a run early when one of its gates is broken.

    Args:
        config: What was asked.
        load: The generator.
    """

    def __init__(self, config: BenchConfig, load: LoadRun) -> None:
        self._config = config
        self._load = load
        self._gates: LiveGates | None = None
        #: Why the run was ended.
        self.aborted: str | None = None

    @property
    def broken(self) -> Mapping[Gate, str]:
        """The gates that were seen to be broken, each with when."""
        return {} if self._gates is None else self._gates.broken

    def begin(self, start_s: float) -> None:
        """The schedule begins at that instant, seconds since the epoch."""
        spec = self._config.spec
        window = Window(start_s + spec.warmup_s, start_s + spec.duration_s)
        self._gates = LiveGates(self._config.gates, start_s, window)

    def see(self, message: Mapping[str, Any]) -> None:
        """Show an ``ended`` message to the gates."""
        if self._gates is not None:
            self._end(self._gates.see(list(read_records(message["records"])), message["elapsed_s"]))

    def see_backlog(self, message: Mapping[str, Any]) -> None:
        """Show the backlog of a ``progress`` message to the gates."""
        if self._gates is not None:
            self._end(self._gates.see_backlog(message["backlog"], message["elapsed_s"]))

    def _end(self, reason: str | None) -> None:
        if reason is not None and self.aborted is None:
            self.aborted = reason
            self._load.interrupt()


def conclude(config: BenchConfig, records: Sequence[JobRecord], end: Mapping[str, Any], ending: Ending) -> BenchResult:
    """The figures and the verdict of a run that is over.

    Args:
        config: What was asked.
        records: What became of each job, in the order of the schedule.
        end: The generator's ``end`` message.
        ending: What else is known of it.

    Raises:
        JobctlError: The books do not balance.
    """
    start_s, end_s = end["start_s"], end["offered_until_s"]
    warmup_s = config.spec.warmup_s
    if ending.cut_short:  # of a schedule cut short half is judged at least
        warmup_s = min(warmup_s, (end_s - start_s) / 2)
    window = Window(start_s + warmup_s, end_s)
    disturbance = Disturbance.of(ending.faults, start_s, config.recover_after_s, config.replicas)
    summary = summarise(records, window, config.slots, disturbance.struck)
    if not conserved(summary.counts):
        raise JobctlError(f"the books do not balance: {summary.counts}")
    circumstances = Circumstances(
        dropped=end["dropped"],
        max_schedule_lag_s=config.max_schedule_lag_s,
        injected_share=config.injected_share,
        interrupted=ending.interrupted,
        aborted=ending.aborted is not None,
        excuse=_excuse(config, disturbance, records),
        replaced=replaced_promises(config.gates),
    )
    facts = RunFacts(
        records=records,
        start_s=start_s,
        window=window,
        slots=config.slots,
        doubts=(*disturbance.problems, *doubts_about(summary, circumstances), *end.get("doubts", ())),
        cut_short=ending.cut_short,
    )
    gates = judge_gates(config.gates, facts, ending.stopped_by)
    judgement = with_gates(judge(summary, circumstances), gates)
    doubts = (*end.get("doubts", ()), *ending.parts)
    if doubts:  # the instants may be wrong, or the fleet that was asked for is not the one that was measured
        verdict = Verdict.INCONCLUSIVE if judgement.verdict is Verdict.KEPT else judgement.verdict
        judgement = Judgement(verdict, (*judgement.reasons, *doubts))
    return BenchResult(
        config=config,
        started_at_s=start_s,
        summary=summary,
        dropped=end["dropped"],
        judgement=judgement,
        predicted=_predict(config, summary),
        tool_statistics=tuple(end["tool_statistics"]),
        interrupted=ending.interrupted,
        errors=tuple(Counter(record.error for record in records if record.error).most_common(_MOST_ERRORS)),
        records=tuple(records),
        generator=GeneratorUse(**end["generator"]) if end.get("generator") else None,
        usage=usage_between(ending.readings, window.start_s, window.end_s, _attempts_in(window, records)),
        faults=ending.faults,
        gates=gates,
        aborted=ending.aborted,
        doubts=tuple(end.get("doubts", ())),
    )


def _excuse(config: BenchConfig, disturbance: Disturbance, records: Sequence[JobRecord]) -> Excuse:
    """What the faults of the run explain of it."""
    failed, duplicated = disturbance.excused(records)
    return Excuse(
        failed=failed,
        duplicated=duplicated,
        calm_from_s=disturbance.calm_from_s,
        slots_lost=disturbance.replicas_lost * (config.concurrency or 0),
        problems=disturbance.problems,
    )


def _attempts_in(window: Window, records: Iterable[JobRecord]) -> int:
    """Attempts of the jobs whose last one began in the window; the earlier ones of such a job are taken to be near."""
    return sum(record.retries + 1 for record in records if record.started_s and window.holds(record.started_s))


def _predict(config: BenchConfig, summary: Summary) -> Prediction | None:
    """Theory's figures.

    None for a rate that changes, for jobs that overtake others by their queue, and for a fleet that is broken: the
    formulas know none of these.
    """
    mean_s, slots = summary.service.mean, config.slots
    is_known = config.is_steady and len(config.spec.queues) == 1 and not config.chaos
    if slots is None or not mean_s or not summary.offered_jobs or not is_known:
        return None
    scv = summary.service.scv
    wait = predict_wait(
        arrival_rate_per_s=summary.offered_per_s,
        arrival_scv=config.spec.arrivals.scv,
        mean_service_s=mean_s,
        service_scv=1.0 if scv is None else scv,
        slots=slots,
    )
    return Prediction(summary.offered_per_s * mean_s / slots, wait)
