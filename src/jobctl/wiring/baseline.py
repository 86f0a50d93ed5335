"""Wiring of ``jobctl bench --baseline``: the code before and the code now, in turn on one Redis and one mock.

Both sides of a round get the same jobs at the same instants, and every run gets fresh workers. Which side comes first
changes from round to round, so that a machine that warms up or tires does so for both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.adapters.git import Revision
    from jobctl.apps.bench.driver import BenchConfig, BenchResult
    from jobctl.apps.compare.reading import Measurement
    from jobctl.core.regression import Comparison, Floors
    from jobctl.core.resampling import Round
    from jobctl.wiring.stand import PreparedBench, Stand

__all__ = ["Against", "Baseline", "BaselineResult", "code_of", "find_baseline", "run_against_baseline"]

_OPTION: Final = "--baseline"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The code before.

    Attributes:
        name: As it was asked for.
        directory: Where it stands; None where it has to be checked out.
        revision: What to check out; None where it stands somewhere.
    """

    name: str
    directory: Path | None
    revision: Revision | None


@dataclass(frozen=True, slots=True)
class Against:
    """How a bench is compared with a baseline.

    Attributes:
        baseline: The code before.
        rounds: Runs of either side; as many again confirm a regression that is suspected.
        floors: What is too small to matter.
    """

    baseline: Baseline
    rounds: int
    floors: Floors


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """What came out.

    Attributes:
        result: The new side, all its runs as one.
        comparison: Both sides; None where they were cut short before there was a whole round.
        document: The comparison as a document; None likewise.
        schedule_digest: Fingerprint of all that was offered to the new side.
        host: The machine.
        versions: Versions of jobctl, Python and what they stood on, of the new side.
    """

    result: BenchResult
    comparison: Comparison | None
    document: dict[str, Any] | None
    schedule_digest: str
    host: dict[str, Any]
    versions: dict[str, str]


def find_baseline(name: str) -> Baseline:
    """The code that a name stands for.

    Args:
        name: A revision of the repository we stand in; or a directory, which one is that begins with ``.`` or ``/``.

    Raises:
        InvalidOption: It is neither.
    """
    from jobctl.adapters.git import find_revision

    is_path = name.startswith((".", "/", "~"))
    directory, revision = Path(name).expanduser(), None if is_path else find_revision(name)
    if is_path and directory.is_dir():
        return Baseline(name, directory.resolve(), None)
    if revision is None:
        what = "is no directory" if is_path else "is no revision of this repository"
        raise InvalidOption(
            _OPTION, f"{name!r} {what}", "give a branch, tag or commit that was fetched, or a directory as ./DIR"
        )
    return Baseline(name, None, revision)


def check_comparable(config: BenchConfig, *, own_workers: bool) -> None:
    """Refuse what cannot be run in turn.

    Raises:
        InvalidOption: It is one of those.
    """
    if own_workers:
        raise InvalidOption("--no-workers", "cannot be combined with --baseline, which starts both sides", "drop it")
    if config.chaos:
        raise InvalidOption("--chaos", "cannot be combined with --baseline", "compare without faults on a timetable")


def run_against_baseline(
    prepared: PreparedBench,
    against: Against,
    on_progress: Callable[[Mapping[str, Any]], None],
    say: Callable[[str], None],
) -> BaselineResult:
    """Run both sides in turn, and again where a regression is suspected.

    Args:
        prepared: The checked bench.
        against: What it is compared with.
        on_progress: Takes each progress message.
        say: Takes lines for the person who waits.

    Raises:
        InvalidOption: The baseline cannot be checked out.
        ServiceUnavailable: A part did not start.
        KeyboardInterrupt: It was cut short before anything was measured.
    """
    from jobctl.adapters import environment
    from jobctl.apps.bench.pooling import offsets_of
    from jobctl.apps.compare.report import Side, to_document
    from jobctl.apps.compare.trial import judge_rounds
    from jobctl.core.arrivals import digest
    from jobctl.wiring.stand import Stand

    check_comparable(prepared.config, own_workers=prepared.own_workers)
    baseline = against.baseline
    functions = {workload.function for workload in prepared.config.spec.workloads}
    with code_of(baseline, functions) as code, Stand.open(prepared, say) as stand:
        turns = _Turns(stand, code, on_progress, say)

        def repeat(suspected: Sequence[str]) -> list[Round]:
            say(f"a regression is suspected ({', '.join(suspected)}); measuring again to confirm it")
            return turns.take(against.rounds)

        first, comparison, document = turns.take(against.rounds), None, None
        if first:
            comparison = judge_rounds(first, against.floors, repeat, lambda: turns.doubts)
        host, versions = environment.host(), stand.versions()
        if comparison is not None:
            commit = None if baseline.revision is None else baseline.revision.commit
            before = Side(f"{baseline.name} ({commit[:12]})" if commit else baseline.name, commit, {}, host)
            document = to_document(comparison, before, Side("the code here", None, versions, host))
        result = turns.pooled()
        offered = digest(offsets_of(result.records, result.started_at_s))
        return BaselineResult(result, comparison, document, offered, host, versions)


class _Turns:
    """The runs of both sides.

    Args:
        stand: What they run on; the new side's workers are up.
        code: Where the baseline's code is.
        on_progress: Takes each progress message.
        say: Takes lines for the person who waits.
    """

    def __init__(
        self,
        stand: Stand,
        code: Path,
        on_progress: Callable[[Mapping[str, Any]], None],
        say: Callable[[str], None],
    ) -> None:
        self._stand = stand
        self._code = code
        self._on_progress = on_progress
        self._say = say
        self._round = 0
        self._ended_parts: list[str] = []
        self._new: list[BenchResult] = []
        self._interrupted = False
        #: Why a run is not to be trusted.
        self.doubts: list[str] = []

    def take(self, rounds: int) -> list[Round]:
        """Run so many rounds; fewer where somebody cuts them short."""
        taken: list[Round] = []
        try:
            while len(taken) < rounds and not self._interrupted:
                pair = self._take_one()
                if pair is not None:
                    taken.append(pair)
        except KeyboardInterrupt:
            if not self._new:
                raise
            self._interrupted = True
        return taken

    def pooled(self) -> BenchResult:
        """The new side's runs as one."""
        from jobctl.apps.bench.pooling import pool

        config = self._stand.prepared.config
        return pool(config, self._new, interrupted=self._interrupted, ended_parts=self._ended_parts)

    def _take_one(self) -> Round | None:
        """One round; None where it was cut short."""
        from jobctl.core.resampling import Round

        self._round += 1
        new_first = self._round % 2 == 1
        told: dict[bool, Measurement] = {}
        for is_new in (new_first, not new_first):
            measured = self._run(is_new)
            if self._interrupted:
                return None
            told[is_new] = measured
        return Round(told[False].run, told[True].run)

    def _run(self, is_new: bool) -> Measurement:
        from jobctl.adapters import environment
        from jobctl.apps.bench.report import to_document
        from jobctl.apps.compare.reading import read_measurement

        stand, config = self._stand, self._config(is_new)
        name = f"round {self._round}, {'new' if is_new else 'baseline'}"
        if self._round > 1 or not is_new:
            stand.prepare(config)
            stand.rig.renew_workers(None if is_new else self._code)
        self._say(name)
        result = stand.run(config, self._on_progress)
        self._interrupted = result.interrupted
        if is_new:
            self._new.append(result)
            self._ended_parts += [f"{name}: {what}" for what in stand.rig.ended_parts()]
        measured = read_measurement(to_document(result, environment.host(), {}), name)
        doubt = measured.doubt if is_new else measured.doubt_as_baseline
        if doubt is not None:
            self.doubts.append(f"{name}: {doubt}")
        return measured

    def _config(self, is_new: bool) -> BenchConfig:
        """The load of this round, with a seed of its own; gates are judged over all rounds at the end."""
        from jobctl.wiring.load import new_run_id

        config = self._stand.prepared.config
        spec = config.spec
        run_id = spec.run_id if self._round == 1 and is_new else new_run_id()
        return replace(config, gates=(), spec=replace(spec, run_id=run_id, seed=spec.seed + self._round - 1))


@contextmanager
def code_of(baseline: Baseline, functions: Collection[str]) -> Iterator[Path]:
    """Where the baseline's code is; what was checked out for it is removed at the end, however that comes.

    Raises:
        InvalidOption: It has none of the functions, so that both sides would run what is installed.
    """
    from jobctl.adapters.git import checked_out
    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.rig import has_module

    with ExitStack() as stack:
        directory = baseline.directory
        if baseline.revision is not None:
            place = stack.enter_context(ProcessGroup()).directory / "baseline"
            directory = stack.enter_context(checked_out(baseline.revision, place, _OPTION))
        assert directory is not None
        if not any(has_module(directory, function) for function in functions):
            raise InvalidOption(
                _OPTION,
                f"{baseline.name!r} has no code of {' or '.join(sorted(functions))}: both sides would run the same",
                "name a job of yours by --job, and run it where its code is imported from",
            )
        yield directory
