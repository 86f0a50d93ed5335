"""The shape of a day: how the rate of new jobs changes over one period, which then repeats.

Model. The rate runs in straight lines (:class:`~jobctl.core.arrivals.Stage`), so its integral is exact, and a window of
the day is a list of stages again. *Spikes* come on top: jobs that arrive at one instant.

A diurnal day has its trough at 0:00 and its peak at 12:00, at F times the mean:

* F up to 2: a cosine, rate = mean (1 + (F - 1) cos x), with x the angle from the peak. Beyond 2 it would go negative.
* F beyond: the shape of von Mises' density, rate = mean exp(k cos x) / I0(k), whose peak exp(k) / I0(k) = F says what k
  is (Mardia & Jupp 2000, "Directional Statistics", 3.5.4): a bell on a circle, the narrower the larger F.

Both are drawn as straight lines between equidistant instants. For smooth periodic functions the area under such lines
agrees with the curve's beyond all powers of their number (Trefethen & Weideman 2014, "The exponentially convergent
trapezoidal rule"), so that the volume is right and the peak, an end of two lines, is too.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final

from jobctl.core.arrivals import Arrivals, Stage, draw_instants
from jobctl.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, parse_not_negative, parse_whole
from jobctl.errors import InvalidValue

__all__ = [
    "Profile",
    "Spike",
    "diurnal_profile",
    "parse_shape",
    "parse_spike",
    "parse_time",
    "shaped_profile",
    "steady_profile",
]

#: Straight lines of a diurnal day: one every five minutes. About a peak that is sharper than this they are closer: so
#: many, so many of its standard deviations to either side, beyond which there is next to no job.
_LINES: Final = 288
_LINES_SUFFICE_TO: Final = 12.0
_PEAK_LINES: Final = 160
_PEAK_REACH: Final = 8.0
#: A day whose peak is higher has its jobs within a minute.
_MOST_PEAK_FACTOR: Final = 1440.0
#: Beyond this a cosine would go negative.
_MOST_COSINE_FACTOR: Final = 2.0
#: Stretches whose jobs differ by less, relatively, are equally busy.
_ROUNDING: Final = 1e-9
_CLOCK: Final = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class Spike:
    """Jobs that arrive all at once.

    Attributes:
        jobs: How many.
        at_s: When, seconds after the period's beginning.
    """

    jobs: int
    at_s: float

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InvalidValue(f"a spike has {self.jobs} jobs", "give 1 or more")
        if not (math.isfinite(self.at_s) and self.at_s >= 0):
            raise InvalidValue(f"a spike comes at {self.at_s} s", "give a time of the day")


@dataclass(frozen=True)  # without slots, for the sums that are worked out once
class Profile:
    """The rate of new jobs over one period, which then repeats.

    Attributes:
        name: What it is, in words: ``steady``, ``diurnal, peak factor 2.5``, ``day.csv``.
        stages: The rate, jobs per second, one straight line after the other; together the period.
        spikes: Jobs that come on top of it, all at once.
    """

    name: str
    stages: tuple[Stage, ...]
    spikes: tuple[Spike, ...] = ()

    def __post_init__(self) -> None:
        if not self.stages or not any(stage.jobs for stage in self.stages):
            raise InvalidValue(f"{self.name} sums to no job at all", "give a rate above 0 somewhere")
        for spike in self.spikes:
            if spike.at_s >= self.period_s:
                raise InvalidValue(
                    f"the spike at {spike.at_s:g} s is beyond the end of {self.name}",
                    f"give a time below {self.period_s:g} s",
                )

    @cached_property
    def period_s(self) -> float:
        """After how long it repeats."""
        return self._edges_s[-1]

    @cached_property
    def jobs(self) -> float:
        """Jobs of one period, spikes included."""
        return self._jobs_to_edge[-1] + sum(spike.jobs for spike in self.spikes)

    @property
    def mean_per_s(self) -> float:
        """Mean rate, spikes included."""
        return self.jobs / self.period_s

    @cached_property
    def peak_per_s(self) -> float:
        """The highest rate; a spike has none and is not counted."""
        return max(max(stage.start_per_s, stage.end_per_s) for stage in self.stages)

    @property
    def is_steady(self) -> bool:
        """Whether the rate never changes, and no spike comes on top."""
        return not self.spikes and all(
            math.isclose(rate, self.peak_per_s, rel_tol=_ROUNDING)
            for stage in self.stages
            for rate in (stage.start_per_s, stage.end_per_s)
        )

    def rate_at(self, time_s: float) -> float:
        """The rate at any time, spikes not counted; where it jumps, that after the jump."""
        _, phase_s = self._phase(time_s)
        position = bisect_right(self._edges_s, phase_s) - 1
        return self.stages[position].rate_at(phase_s - self._edges_s[position])

    def jobs_between(self, start_s: float, end_s: float) -> float:
        """Jobs expected from ``start_s`` to before ``end_s``, any two times, spikes included."""
        return self._jobs_before(end_s) - self._jobs_before(start_s)

    def busiest(self, length_s: float) -> float:
        """Where the stretch of this length with the most jobs begins; the first if there are several.

        What a stretch holds, W(t) = L(t + length) - L(t), is a parabola between the times at which its beginning or its
        end meets an end of a stage. Its maximum is at one of these, at a vertex between two, or where a spike is just
        inside.
        """
        if length_s >= self.period_s:
            return 0.0
        if length_s not in self._busiest_starts:
            self._busiest_starts[length_s] = self._find_busiest(length_s)
        return self._busiest_starts[length_s]

    @property
    def busiest_hour_per_s(self) -> float:
        """Mean rate of its busiest hour, spikes included; of all of it where it is shorter."""
        length_s = min(SECONDS_PER_HOUR, self.period_s)
        start_s = self.busiest(length_s)
        return self.jobs_between(start_s, start_s + length_s) / length_s

    def scaled(self, factor: float) -> Profile:
        """The same shape with so many times the volume; spikes are rounded to whole jobs, at least 1.

        Raises:
            InvalidValue: The factor is not above 0.
        """
        if not (math.isfinite(factor) and factor > 0):
            raise InvalidValue(f"a volume cannot be multiplied by {factor}", "give a factor above 0")
        stages = tuple(Stage(s.duration_s, s.start_per_s * factor, s.end_per_s * factor) for s in self.stages)
        spikes = tuple(Spike(max(1, round(spike.jobs * factor)), spike.at_s) for spike in self.spikes)
        profile = Profile(self.name, stages, spikes)
        if not spikes:
            profile._busiest_starts.update(self._busiest_starts)
        return profile

    def with_spikes(self, spikes: Sequence[Spike]) -> Profile:
        """The same, with these spikes on top as well.

        Raises:
            InvalidValue: One comes after the period's end.
        """
        return replace(self, spikes=tuple(sorted((*self.spikes, *spikes), key=lambda spike: spike.at_s)))

    def between(self, start_s: float, end_s: float) -> list[Stage]:
        """The rate from one time to another, period after period; spikes left out."""
        stages = []
        period, phase_s = self._phase(start_s)
        position = bisect_right(self._edges_s, phase_s) - 1
        begin_s = start_s
        while begin_s < end_s:
            stage = self.stages[position]
            origin_s = period * self.period_s + self._edges_s[position]
            beyond_s = min(end_s, period * self.period_s + self._edges_s[position + 1])
            if beyond_s > begin_s:
                first, last = stage.rate_at(begin_s - origin_s), stage.rate_at(beyond_s - origin_s)
                stages.append(Stage(beyond_s - begin_s, first, last))
                begin_s = beyond_s
            position += 1
            if position == len(self.stages):
                period, position = period + 1, 0
        return stages

    def instants(self, arrivals: Arrivals, start_s: float, end_s: float, rng: random.Random) -> list[float]:
        """One random draw of all arrivals from ``start_s`` to before ``end_s``, spikes included, ascending.

        Args:
            arrivals: How gaps vary about the rate.
            start_s: Any time; the profile repeats.
            end_s: Any later time.
            rng: The source of chance.
        """
        drawn = draw_instants(arrivals, self.between(start_s, end_s), rng)
        if start_s:
            drawn = [start_s + offset_s for offset_s in drawn]
        for at_s, jobs in self._spikes_between(start_s, end_s):
            position = bisect_left(drawn, at_s)
            drawn[position:position] = [at_s] * jobs
        return drawn

    @cached_property
    def _edges_s(self) -> tuple[float, ...]:
        """Where stages begin, and the end of the last."""
        return tuple(accumulate((stage.duration_s for stage in self.stages), initial=0.0))

    @cached_property
    def _jobs_to_edge(self) -> tuple[float, ...]:
        """Jobs from the beginning to each of these, without spikes."""
        return tuple(accumulate((stage.jobs for stage in self.stages), initial=0.0))

    @cached_property
    def _busiest_starts(self) -> dict[float, float]:
        """What was found out of the busiest stretches, by their length."""
        return {}

    def _find_busiest(self, length_s: float) -> float:
        edges = {*self._edges_s[:-1], *((edge - length_s) % self.period_s for edge in self._edges_s)}
        starts = sorted(edges | set(self._vertices(sorted(edges), length_s)) | set(self._spike_starts(length_s)))
        held = [self.jobs_between(start_s, start_s + length_s) for start_s in starts]
        most = max(held) * (1 - _ROUNDING)
        return next(start_s for start_s, jobs in zip(starts, held, strict=True) if jobs >= most)

    def _phase(self, time_s: float) -> tuple[int, float]:
        """How many periods a time lies beyond the first one's beginning, and how far into its own."""
        period = math.floor(time_s / self.period_s)
        phase_s = min(max(0.0, time_s - period * self.period_s), self.period_s)
        return (period, phase_s) if phase_s < self.period_s else (period + 1, 0.0)

    def _jobs_before(self, time_s: float) -> float:
        period, phase_s = self._phase(time_s)
        position = bisect_right(self._edges_s, phase_s) - 1
        inside = self.stages[position].jobs_before(phase_s - self._edges_s[position])
        spikes = sum(spike.jobs for spike in self.spikes if spike.at_s < phase_s)
        return period * self.jobs + self._jobs_to_edge[position] + inside + spikes

    def _spikes_between(self, start_s: float, end_s: float) -> Iterator[tuple[float, int]]:
        first, _ = self._phase(start_s)
        last, _ = self._phase(end_s)
        for period in range(first, last + 1):
            for spike in self.spikes:
                at_s = period * self.period_s + spike.at_s
                if start_s <= at_s < end_s:
                    yield at_s, spike.jobs

    def _vertices(self, edges: Sequence[float], length_s: float) -> Iterator[float]:
        """Where the rate at the end of a stretch comes to equal that at its beginning, between two of these times."""
        for start_s, end_s in pairwise((*edges, self.period_s)):
            third_s = (end_s - start_s) / 3
            early, late = (
                self.rate_at(time_s + length_s) - self.rate_at(time_s)
                for time_s in (start_s + third_s, end_s - third_s)
            )
            if early > late:
                share = (early / (early - late) + 1) / 3
                if 0 < share < 1:
                    yield start_s + share * (end_s - start_s)

    def _spike_starts(self, length_s: float) -> Iterator[float]:
        for spike in self.spikes:
            yield spike.at_s
            yield (spike.at_s - length_s * (1 - _ROUNDING)) % self.period_s


def steady_profile(rate_per_s: float, period_s: float = SECONDS_PER_DAY) -> Profile:
    """The same rate all day."""
    return Profile("steady", (Stage.steady(rate_per_s, period_s),))


def diurnal_profile(rate_per_s: float, peak_factor: float) -> Profile:
    """A day with its trough at 0:00 and its peak at 12:00.

    Args:
        rate_per_s: Its mean.
        peak_factor: The peak over the mean.

    Raises:
        InvalidValue: The factor is below 1, or no day has it.
    """
    if not 1 <= peak_factor <= _MOST_PEAK_FACTOR:
        raise InvalidValue(
            f"a peak factor of {peak_factor:g} is out of range",
            f"give the highest rate over the mean: 1 to {_MOST_PEAK_FACTOR:g}",
        )
    times = (
        [SECONDS_PER_DAY * line / _LINES for line in range(_LINES + 1)] if peak_factor > 1 else [0.0, SECONDS_PER_DAY]
    )
    if peak_factor <= _MOST_COSINE_FACTOR:
        points = [(time_s, max(0.0, 1 + (peak_factor - 1) * math.cos(_angle(time_s)))) for time_s in times]
    else:
        k = _concentration(peak_factor)
        if peak_factor > _LINES_SUFFICE_TO:
            times = _closer_about_noon(times, k)
        points = [(time_s, peak_factor * math.exp(k * (math.cos(_angle(time_s)) - 1))) for time_s in times]
    return shaped_profile(points, rate_per_s, f"diurnal, peak factor {peak_factor:g}")


def shaped_profile(points: Sequence[tuple[float, float]], rate_per_s: float, name: str) -> Profile:
    """A day through these points, in straight lines; from the last one on to the first one of the next day.

    Args:
        points: Time of the day, seconds, ascending, and relative rate; two at the same time are a step.
        rate_per_s: The mean rate to which all of it is scaled.
        name: What it is, in words.

    Raises:
        InvalidValue: The rates sum to zero, or the mean is no rate.
    """
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        raise InvalidValue(f"a mean rate of {rate_per_s} jobs/s is none", "give a rate above 0")
    lines = list(_lines(points))
    area = math.fsum((end_s - start_s) * (first + last) / 2 for (start_s, first), (end_s, last) in lines)
    if not area > 0:
        raise InvalidValue(f"{name} sums to zero", "give a relative rate above 0 somewhere")
    factor = rate_per_s * SECONDS_PER_DAY / area
    stages = tuple(Stage(end_s - start_s, first * factor, last * factor) for (start_s, first), (end_s, last) in lines)
    return Profile(name, stages)


def parse_shape(lines: Sequence[str], place: str) -> list[tuple[float, float]]:
    """Read a day's shape: a time and a relative rate a line, comma between; a header and lines with # are skipped.

    ::

        time,rate
        00:00,1
        08:00,5
        18:30,2

    Args:
        lines: Of the file.
        place: Its name, for messages.

    Returns:
        Seconds of the day and relative rates, ascending.

    Raises:
        InvalidValue: A line is not such a pair, the times do not ascend, or all rates are zero; the line is named.
    """
    rows = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if rows and not any(character.isdigit() for character in rows[0][1]):
        header = rows.pop(0)[1].lower()
        if "arriv" in header or "service" in header:
            raise InvalidValue(f"{place} has arrivals by its header, not rates", f"give replay:{place} for those")
    points: list[tuple[float, float]] = []
    for number, line in rows:
        try:
            points.append(_point(line))
        except InvalidValue as error:
            raise InvalidValue(f"{place} line {number}: {error.problem}", error.remedy) from None
        if len(points) > 1 and points[-1][0] < points[-2][0]:
            raise InvalidValue(f"{place} line {number}: the time is before that of the line above", "sort it by time")
    if not points:
        raise InvalidValue(f"{place} holds no point", "write a time and a relative rate a line, such as 08:00,5")
    if not any(rate for _, rate in points):
        raise InvalidValue(f"{place} sums to zero", "give a relative rate above 0 somewhere")
    return points


def parse_time(text: str) -> float:
    """Read a time of the day: ``14:30``, ``14:30:05`` or seconds after midnight; 24:00 is its end.

    Raises:
        InvalidValue: The text is no such time.
    """
    remedy = "give HH:MM, HH:MM:SS or seconds, up to 24:00"
    match = _CLOCK.fullmatch(text.strip())
    try:
        time_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3] or 0) if match else parse_not_negative(text)
    except InvalidValue:
        raise InvalidValue(f"{text.strip()!r} is no time of the day", remedy) from None
    if time_s > SECONDS_PER_DAY:
        raise InvalidValue(f"{text.strip()!r} is beyond the end of the day", remedy)
    return float(time_s)


def parse_spike(text: str) -> Spike:
    """Read ``JOBS@HH:MM`` such as ``5000@14:30``, or ``5000@14:30:05``.

    Raises:
        InvalidValue: The text is none.
    """
    jobs, at, time = text.partition("@")
    try:
        if not at:
            raise InvalidValue("it has no @", "")
        if ":" not in time:  # seconds elsewhere, here more likely meant as an hour
            raise InvalidValue(f"{time.strip()!r} is no time of the day", "")
        spike = Spike(parse_whole(jobs), parse_time(time))
        if spike.at_s >= SECONDS_PER_DAY:
            raise InvalidValue(f"{time.strip()!r} is the next day", "")
    except InvalidValue as error:
        raise InvalidValue(
            f"{text!r} is no spike ({error.problem})", "give JOBS@HH:MM such as 5000@14:30, from 00:00 to 23:59"
        ) from None
    return spike


def _point(line: str) -> tuple[float, float]:
    cells = line.split(",")
    if len(cells) != 2:
        raise InvalidValue(f"{len(cells)} values", "write a time and a relative rate, such as 08:00,5")
    return parse_time(cells[0]), parse_not_negative(cells[1])


def _lines(points: Sequence[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """The straight lines of a whole day through these points, each from one (time, rate) to the next."""
    (first_s, first), (last_s, last) = points[0], points[-1]
    gap_s = first_s + SECONDS_PER_DAY - last_s
    at_midnight = last + (first - last) * (SECONDS_PER_DAY - last_s) / gap_s if gap_s > 0 else first
    if first_s > 0:
        yield (0.0, at_midnight), points[0]
    yield from ((start, end) for start, end in pairwise(points) if end[0] > start[0])
    if last_s < SECONDS_PER_DAY:
        yield points[-1], (SECONDS_PER_DAY, at_midnight)


def _angle(time_s: float) -> float:
    """The time of the day as an angle, 0 at noon."""
    return math.tau * time_s / SECONDS_PER_DAY - math.pi


def _closer_about_noon(times: Sequence[float], k: float) -> list[float]:
    """The same times, closer to one another where exp(k cos) has its peak, whose standard deviation is 1/sqrt(k)."""
    noon_s, reach_s = SECONDS_PER_DAY / 2, _PEAK_REACH / math.sqrt(k) * SECONDS_PER_DAY / math.tau
    near = [noon_s + reach_s * (2 * line / _PEAK_LINES - 1) for line in range(_PEAK_LINES + 1)]
    return [t for t in times if t < noon_s - reach_s] + near + [t for t in times if t > noon_s + reach_s]


def _concentration(peak_factor: float) -> float:
    """The k with exp(k) / I0(k) = peak factor, to 1e-12.

    ln of the left side rises with k, from 0 and, for large k, as ln(2 pi k) / 2. So k lies below the factor's square,
    and halving the interval finds it.
    """
    low, high = 0.0, peak_factor**2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _scaled_bessel(middle) * peak_factor > 1 else (low, middle)
    return (low + high) / 2


def _scaled_bessel(k: float) -> float:
    """exp(-k) I0(k), I0 being the modified Bessel function: the mean of exp(k (cos x - 1)) over x (DLMF 10.32.1).

    The mean over N equidistant angles errs by 2 I_N(k) / I0(k), about 2 exp(-N²/2k) for large k.
    """
    count = 64 + 10 * math.ceil(math.sqrt(k))
    return math.fsum(math.exp(k * (math.cos(math.tau * nth / count) - 1)) for nth in range(count)) / count
