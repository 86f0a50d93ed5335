"""A bench from start to verdict, over a load generator that runs elsewhere.

Order of a run, and why: the generator says ``ready`` once its slow imports are done; only then is the start agreed, so
that no arrival is late because a process was still starting. Its records arrive after the drain and are the only source
of figures. An interrupt stops the sending and nothing else: what happened so far is still counted and judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobctl.apps.bench.session import read_records
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.judging import Judgement, judge
from jobctl.core.queueing import WaitPrediction, predict_wait
from jobctl.core.records import JobRecord
from jobctl.core.slo import Verdict
from jobctl.core.summary import Summary, Window, conserved, summarise
from jobctl.core.usage import Usage, UsageReading, usage_between
from jobctl.errors import JobctlError, RunFailed
from jobctl.ports import LoadRun

__all__ = ["BenchConfig", "BenchResult", "Prediction", "run"]

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
    """

    spec: LoadSpec
    rate_per_s: float
    replicas: int | None
    concurrency: int | None
    scenario: str | None
    injected_share: float
    max_schedule_lag_s: float

    @property
    def slots(self) -> int | None:
        """Slots over all workers."""
        return self.replicas * self.concurrency if self.replicas and self.concurrency else None

    @property
    def peak_per_s(self) -> float:
        """The highest rate of the schedule."""
        return max(max(stage.start_per_s, stage.end_per_s) for stage in self.spec.stages)

    @property
    def is_steady(self) -> bool:
        """Whether the rate never changes."""
        return all(stage.start_per_s == stage.end_per_s == self.peak_per_s for stage in self.spec.stages)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What queueing theory says about the load that was offered, from the measured service times."""

    utilisation: float
    wait: WaitPrediction


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


def run(
    config: BenchConfig,
    load: LoadRun,
    agree_start: Callable[[], float],
    on_progress: Callable[[Mapping[str, Any]], None],
    is_interrupted: Callable[[], bool],
    ended_workers: Callable[[], Sequence[str]] = tuple,
    read_usage: Callable[[], UsageReading | None] = lambda: None,
) -> BenchResult:
    """Drive a bench.

    Args:
        config: What is asked.
        load: The generator.
        agree_start: Called when the generator is ready; fixes the instant of offset 0 and returns it.
        on_progress: Takes each ``progress`` message.
        is_interrupted: Whether somebody cut the run short, asked once it is over.
        ended_workers: What became of workers that ended by themselves, asked once it is over.
        read_usage: What the workers have used so far, asked with every message; None where nobody knows.

    Raises:
        RunFailed: The generator could not measure the run to its end.
        JobctlError: The generator ended without a result, or the books do not balance.
        KeyboardInterrupt: The run was cut short before it began.
    """
    records: list[JobRecord] = []
    readings: list[UsageReading] = []
    end: Mapping[str, Any] | None = None
    for message in load.events():
        match message["event"]:
            case "ready":
                agree_start()
            case "progress":
                on_progress(message)
            case "records":
                records.extend(read_records(message["records"]))
            case "failed":
                raise RunFailed(f"the run could not be measured: {message['reason']}")
            case "end":
                end = message
        reading = read_usage()
        if reading is not None:
            readings.append(reading)
    interrupted = is_interrupted()
    if end is None and not interrupted:
        raise load.failure()
    if end is None or end["start_s"] is None:
        raise KeyboardInterrupt
    return _result(config, records, end, interrupted, tuple(ended_workers()), readings)


def _result(
    config: BenchConfig,
    records: list[JobRecord],
    end: Mapping[str, Any],
    interrupted: bool,
    ended_workers: tuple[str, ...],
    readings: Sequence[UsageReading],
) -> BenchResult:
    start_s, end_s = end["start_s"], end["offered_until_s"]
    warmup_s = min(config.spec.warmup_s, (end_s - start_s) / 2)
    window = Window(start_s + warmup_s, end_s)
    summary = summarise(records, window, config.slots)
    if not conserved(summary.counts):
        raise JobctlError(f"the books do not balance: {summary.counts}")
    judgement = judge(
        summary,
        dropped=end["dropped"],
        max_schedule_lag_s=config.max_schedule_lag_s,
        injected_share=config.injected_share,
        interrupted=interrupted,
    )
    if ended_workers:  # the fleet that was asked for is not the one that was measured
        verdict = Verdict.INCONCLUSIVE if judgement.verdict is Verdict.KEPT else judgement.verdict
        judgement = Judgement(verdict, (*judgement.reasons, *ended_workers))
    return BenchResult(
        config=config,
        started_at_s=start_s,
        summary=summary,
        dropped=end["dropped"],
        judgement=judgement,
        predicted=_predict(config, summary),
        tool_statistics=tuple(end["tool_statistics"]),
        interrupted=interrupted,
        errors=tuple(Counter(record.error for record in records if record.error).most_common(_MOST_ERRORS)),
        records=tuple(records),
        usage=usage_between(readings, window.start_s, window.end_s, _attempts_in(window, records)),
    )


def _attempts_in(window: Window, records: Iterable[JobRecord]) -> int:
    """Attempts of the jobs whose last one began in the window; the earlier ones of such a job are taken to be near."""
    return sum(record.retries + 1 for record in records if record.started_s and window.holds(record.started_s))


def _predict(config: BenchConfig, summary: Summary) -> Prediction | None:
    """Theory's figures; the formulas know one rate only, so none for a rate that changes."""
    mean_s, slots = summary.service.mean, config.slots
    if slots is None or not mean_s or not summary.offered_jobs or not config.is_steady:
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
