"""Wiring of ``jobctl compare``: results of benches, read from files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from jobctl.apps.compare.reading import Measurement
    from jobctl.apps.compare.report import Side
    from jobctl.core.regression import Comparison, Floors

__all__ = ["Compared", "compare_files"]

_OPTION: Final = "compare"
_REMEDY: Final = "give what jobctl bench --json FILE wrote"


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison of files.

    Attributes:
        comparison: What came out.
        baseline: What the first of each pair is.
        new: What the second is.
        differences: What differs between them and was allowed to.
    """

    comparison: Comparison
    baseline: Side
    new: Side
    differences: tuple[str, ...]


def compare_files(paths: Sequence[str], floors: Floors, allowed: Collection[str]) -> Compared:
    """Compare results that stand baseline, new, and so on for each repeat.

    Args:
        paths: An even number of files. The first half of the pairs is the measurement, the others its repeat.
        floors: What is too small to matter.
        allowed: ``config`` and ``host``: what may differ between the two of a pair.

    Raises:
        InvalidOption: A file is no result of a bench, or two were measured differently.
    """
    from jobctl.apps.compare.reading import check_alike, pair_up
    from jobctl.apps.compare.trial import judge_rounds

    if not paths or len(paths) % 2:
        raise InvalidOption(
            _OPTION, f"takes files in pairs, got {len(paths)}", "give BASELINE NEW, and likewise for each repeat"
        )
    for path in paths:
        if len({place // 2 for place, other in enumerate(paths) if other == path}) > 1:
            raise InvalidOption(
                _OPTION, f"{path} is in two pairs", "give each pair measurements of its own, as repeats"
            )
    measurements = [_read(path) for path in paths]
    found = [
        words
        for one, other in zip(measurements[::2], measurements[1::2], strict=True)
        for words in check_alike(one, other, allowed)
    ]
    rounds = pair_up(measurements)
    half = (len(rounds) + 1) // 2
    repeat = rounds[half:]
    told = [(each.name, each.doubt if place % 2 else each.doubt_as_baseline) for place, each in enumerate(measurements)]
    doubts = [f"{name}: {doubt}" for name, doubt in told if doubt is not None]
    comparison = judge_rounds(rounds[:half], floors, (lambda _: repeat) if repeat else None, lambda: doubts)
    broken = [f"{each.name} by itself: broken: {each.broken}" for each in measurements if each.broken is not None]
    comparison = replace(comparison, reasons=(*broken, *comparison.reasons))
    return Compared(comparison, _side(measurements[::2]), _side(measurements[1::2]), tuple(dict.fromkeys(found)))


def _side(measurements: Sequence[Measurement]) -> Side:
    from jobctl.apps.compare.report import Side

    first = measurements[0]
    return Side(", ".join(each.name for each in measurements), None, first.versions, first.host)


def _read(path: str) -> Measurement:
    from jobctl.adapters import files
    from jobctl.apps.compare.reading import read_measurement

    try:
        return read_measurement(files.read_json(path, _OPTION, _REMEDY), path)
    except InvalidOption:
        raise
    except InvalidValue as error:
        raise InvalidOption(_OPTION, error.problem, error.remedy) from None
