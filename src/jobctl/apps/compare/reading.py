"""From documents of a bench to the two sides of a comparison, refused where they measured something else."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hdrh.histogram import HdrHistogram

from jobctl.core.documents import Fields, bench_fields
from jobctl.core.regression import SIGNALS
from jobctl.core.resampling import Round, Run, Stretch, Tally
from jobctl.core.slo import Verdict
from jobctl.core.units import format_duration
from jobctl.core.words import count_of, were
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["Measurement", "check_alike", "differences", "pair_up", "read_measurement", "run_of"]

#: Histograms count whole ones.
_MICROSECONDS: Final = 1e6
#: What a bench was asked that changes nothing of what it measured.
_JUDGED: Final = frozenset({"gates", "rounds"})
#: A generator that was later than this in a run that could not be judged is why, seconds.
_LATE_S: Final = 0.05
#: Values that stand for the same.
_SAME: Final = 1e-9
_REWRITE: Final = "give the file as jobctl bench --json wrote it"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a document tells.

    Attributes:
        name: The file's.
        run: The run, stretch by stretch.
        config: What was asked, by key.
        host: The machine.
        versions: What it was measured with.
        broken: How the run broke its own promises; None where it did not.
        doubt: Why its figures are not to be trusted; None where they are.
        doubt_as_baseline: Why nothing is to be measured against it.
    """

    name: str
    run: Run
    config: Mapping[str, str | float | bool]
    host: Mapping[str, str | float | bool]
    versions: Mapping[str, str | float | bool]
    broken: str | None
    doubt: str | None
    doubt_as_baseline: str | None


def read_measurement(document: object, name: str) -> Measurement:
    """Read a bench's document.

    Args:
        document: The JSON, decoded.
        name: The file's, for messages.

    Raises:
        InvalidValue: It is something else, or lacks what a comparison needs.
    """
    read = bench_fields(document, name)
    run, doubt = run_of(read, name), _doubt(read, name)
    return Measurement(
        name=name,
        run=run,
        config={key: _plain(value) for key, value in read.everything("config").items()},
        host=read.scalars("host"),
        versions=read.scalars("versions"),
        broken="; ".join(read.texts("reasons")) if read.text_or_none("verdict") == Verdict.BROKEN else None,
        doubt=doubt,
        doubt_as_baseline=doubt or _mostly_failed(run, read),
    )


def run_of(read: Fields, name: str) -> Run:
    """The run of a document, stretch by stretch.

    Raises:
        InvalidValue: Its blocks are missing or contradict each other.
    """
    length_s = read.number("blocks", "length_s")
    offered, failed = _counts(read, name, "offered"), _counts(read, name, "failed")
    if not length_s or not offered:
        raise InvalidValue(f"{name} has no blocks to compare", "measure it again with this release of jobctl bench")
    tallies = {signal: _tallies(read, name, signal) for signal in SIGNALS}
    if {len(offered)} != {len(failed), *map(len, tallies.values())}:
        raise InvalidValue(f"{name}: the blocks are not of one length", _REWRITE)
    return Run(
        length_s=length_s,
        stretches=tuple(
            Stretch(jobs, failures, {signal: tallies[signal][place] for signal in SIGNALS})
            for place, (jobs, failures) in enumerate(zip(offered, failed, strict=True))
        ),
        schedule=read.text("config", "schedule_digest"),
        lost=read.needed_count("jobs", "lost"),
        duplicated=read.needed_count("jobs", "duplicated"),
        unsure=frozenset(signal for signal in SIGNALS if _is_unsure(read, signal)),
    )


def check_alike(one: Measurement, other: Measurement, allowed: Collection[str]) -> tuple[str, ...]:
    """Refuse to compare what was measured differently.

    Args:
        one: A measurement.
        other: The one it is compared with.
        allowed: ``config`` and ``host``: what may differ all the same.

    Returns:
        Differences that were allowed, in words.

    Raises:
        InvalidOption: There is one that was not.
    """
    found = {
        "config": differences(one.config, other.config, _JUDGED),
        "host": differences(one.host, other.host),
    }
    for what, words in found.items():
        if words and what not in allowed:
            problem = f"{one.name} and {other.name} differ: {words[0]}"
            more = f" and {len(words) - 1} more" if len(words) > 1 else ""
            raise InvalidOption(
                what, f"{problem}{more}", f"measure both alike, or say --allow-different {what} to compare them anyway"
            )
    return tuple(f"{what} {word}" for what, words in found.items() for word in words)


def differences(
    one: Mapping[str, str | float | bool],
    other: Mapping[str, str | float | bool],
    ignored: frozenset[str] = frozenset(),
) -> list[str]:
    """Where two mappings differ, in words."""
    keys = [key for key in {**one, **other} if key not in ignored and not _same(one.get(key), other.get(key))]
    return [f"{key}: {_shown(one.get(key))} and {_shown(other.get(key))}" for key in keys]


def pair_up(measurements: Sequence[Measurement]) -> list[Round]:
    """Rounds of measurements that stand baseline, new, baseline, new..."""
    return [Round(one.run, other.run) for one, other in zip(measurements[::2], measurements[1::2], strict=True)]


def _doubt(read: Fields, name: str) -> str | None:
    """Why the load was not the one that was asked for. That slots were too full is no doubt: it is what is compared."""
    if read.flag("interrupted"):
        return "it was interrupted"
    early = read.text_or_none("aborted")
    if early is not None:
        return f"it ended early: {early}"
    unsent = read.needed_count("offered", "dropped") + read.needed_count("jobs", "rejected")
    if unsent:
        return f"{were(unsent, 'job')} never enqueued"
    lag_s = read.number("offered", "schedule_lag_s", "p99") or 0.0
    if read.text_or_none("verdict") == "inconclusive" and lag_s > _LATE_S:
        return f"the generator fell behind: schedule lag p99 {format_duration(lag_s)}"
    return None


def _mostly_failed(run: Run, read: Fields) -> str | None:
    """Jobs that fail at once are quick, and whatever works is slower: that is no regression."""
    offered, failed = (sum(getattr(stretch, name) for stretch in run.stretches) for name in ("offered", "failed"))
    if failed <= offered / 2:
        return None
    errors = read.rows("errors")
    why = f", most with {errors[0].text('error')}" if errors else ""
    return f"{failed:,} of {count_of(offered, 'job')} failed{why}: nothing is measured against that"


def _plain(value: Any) -> str | float | bool:
    """A value itself; a list or an object, such as the mix, as text that is the same for the same content."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | tuple | dict) else value


def _is_unsure(read: Fields, signal: str) -> bool:
    """Whether the bench has a median of that signal and could not bound it: its jobs resemble each other too much."""
    known = read.number("signals", signal, "p50") is not None
    return known and not read.numbers("signals", signal, "intervals", "p50")


def _counts(read: Fields, name: str, key: str) -> list[int]:
    counts = read.numbers("blocks", key)
    if any(count is None or count != int(count) for count in counts):
        raise InvalidValue(f"{name}: blocks.{key} holds something else than counts", _REWRITE)
    return [int(count) for count in counts if count is not None]


def _tallies(read: Fields, name: str, signal: str) -> list[Tally]:
    return [
        _decoded(text, f"{name}: blocks.{signal}.{place}")
        for place, text in enumerate(read.texts_or_nones("blocks", signal))
    ]


def _decoded(text: str | None, place: str) -> Tally:
    if text is None:
        return Tally()
    try:
        return Tally.of(_buckets(HdrHistogram.decode(text)))
    except Exception:  # whatever the decoder makes of foreign bytes
        raise InvalidValue(f"{place} is no histogram", _REWRITE) from None


def _buckets(histogram: HdrHistogram) -> Iterator[tuple[float, float, int]]:
    """Highest and middle of each bucket that holds jobs, in seconds, and how many."""
    first, last = (histogram.get_counts_array_index(end) for end in (histogram.min_value, histogram.max_value))
    for index, count in enumerate(histogram.counts[first : last + 1], first):  # of thirty thousand buckets
        if count:
            value = histogram.get_value_from_index(index)
            low, high = histogram.get_lowest_equivalent_value(value), histogram.get_highest_equivalent_value(value)
            yield high / _MICROSECONDS, (low + high) / 2 / _MICROSECONDS, count


def _same(one: object, other: object) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_SAME)
    return one == other


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)
