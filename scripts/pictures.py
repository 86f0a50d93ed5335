"""Draw the pictures of the explanations, or prove that they are up to date.

::

    python scripts/pictures.py [--check]

Queues are drawn from :mod:`jobctl.core.queueing`, by which ``jobctl plan`` answers, so a picture shows what the
commands beside it print. What load generators did is read from ``docs/figures/generator.txt``, which ``make proof``
writes. Nothing depends on chance, a clock or a font.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import made_files

from jobctl.core.capacity import attempts_per_job
from jobctl.core.charts import Axis, Chart, Form, Panel, Point, Series, Span, Threshold, draw, theme_style, to_svg
from jobctl.core.queueing import offered_load_erlangs, predict_wait
from jobctl.core.units import SECONDS_PER_DAY

REPOSITORY: Final = Path(__file__).resolve().parent.parent
IMAGES: Final = REPOSITORY / "docs" / "images"
GENERATORS: Final = REPOSITORY / "docs" / "figures" / "generator.txt"

#: The job of all pictures: it holds a slot for 8 s on average, and a replica has 25 slots.
SERVICE_S: Final = 8.0
SLOTS: Final = 25

_WIDTH: Final = 640.0
_HEIGHT: Final = 180.0
#: Steps in which a curve is drawn.
_STEPS: Final = 196
#: A day of the retries' and the upstream's pictures: 450,000 jobs of 4.8 s keep 25 slots at work.
_RATE_PER_S: Final = 450_000 / SECONDS_PER_DAY
_SHORT_S: Final = 4.8
_ATTEMPTS: Final = 5
#: What the upstream of its picture allows, calls a minute.
_UPSTREAM_RPM: Final = 600.0

#: The system of the picture on loops: it answers at once, but stands still for a while.
ANSWER_S: Final = 0.05
STALL_S: Final = (10.0, 15.0)
LOOPS_RATE_PER_S: Final = 10.0
LOOPS_FOR_S: Final = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return made_files.run("pictures", "Draw the pictures of the explanations.", drawn, arguments)


def drawn() -> dict[Path, str]:
    """What each picture's file has to hold."""
    return {IMAGES / name: to_svg([draw(chart, _WIDTH)], theme_style()) + "\n" for name, chart in pictures().items()}


def pictures() -> dict[str, Chart]:
    """Each picture by its name below ``docs/images``."""
    makers: dict[str, Callable[[], Chart]] = {
        "wait-by-utilisation.svg": wait_by_utilisation,
        "wait-by-variability.svg": wait_by_variability,
        "wait-when-pooled.svg": wait_when_pooled,
        "load-by-failures.svg": load_by_failures,
        "carried-by-replicas.svg": carried_by_replicas,
        "closed-and-open-loop.svg": closed_and_open_loop,
        "generators-in-a-stall.svg": generators_in_a_stall,
    }
    return {name: make() for name, make in makers.items()}


def mean_wait_s(
    utilisation: float, slots: int = SLOTS, service_s: float = SERVICE_S, arrival_scv: float = 1, service_scv: float = 1
) -> float:
    """The mean wait where so many slots are at work on average."""
    rate = utilisation * slots / service_s
    return predict_wait(
        arrival_rate_per_s=rate,
        mean_service_s=service_s,
        slots=slots,
        arrival_scv=arrival_scv,
        service_scv=service_scv,
    ).mean_s


def wait_by_utilisation() -> Chart:
    """Mean wait against utilisation, on 1, 25 and 100 slots."""
    counts = (1, SLOTS, 4 * SLOTS)
    told = ", ".join(f"{mean_wait_s(0.8, slots):.3g} s on {_slots(slots)}" for slots in counts)
    return _curves(
        "Mean wait of jobs that take 8 s, by utilisation",
        f"At a utilisation of 80 % the mean wait is {told}; on 25 slots it is {mean_wait_s(0.95):.3g} s at 95 %.",
        [(_slots(slots), partial(mean_wait_s, slots=slots)) for slots in counts],
    )


def wait_by_variability() -> Chart:
    """Mean wait against utilisation, for service times and arrivals that vary more or less."""
    variants = {
        "every job takes 8 s": (1.0, 0.0),
        "exponential": (1.0, 1.0),
        "the same, in bursts": (4.0, 1.0),
    }
    told = ", ".join(
        f"{mean_wait_s(0.8, arrival_scv=arrivals, service_scv=service):.3g} s ({name})"
        for name, (arrivals, service) in variants.items()
    )
    return _curves(
        "Mean wait on 25 slots, by how much jobs vary",
        f"At a utilisation of 80 % the mean wait is {told}.",
        [
            (name, partial(mean_wait_s, arrival_scv=arrivals, service_scv=service))
            for name, (arrivals, service) in variants.items()
        ],
    )


def wait_when_pooled() -> Chart:
    """Mean wait on two replicas, each with a queue of its own or both with one."""
    apart, shared = mean_wait_s(0.8), mean_wait_s(0.8, 2 * SLOTS)
    return _curves(
        "Mean wait on two replicas of 25 slots",
        f"At a utilisation of 80 % it is {apart:.3g} s with a queue for each and {shared:.3g} s with one for both.",
        [
            ("a queue for each", mean_wait_s),
            ("one queue for both", partial(mean_wait_s, slots=2 * SLOTS)),
        ],
        most_s=4.0,
    )


def load_by_failures() -> Chart:
    """Slots at work against the share of attempts that fail, where failures are as long as successes or longer."""
    ratios = (1.0, 3.0)
    told = " and ".join(f"{slots_at_work(0.2, ratio):.1f} of 50 slots ({_ratio(ratio)})" for ratio in ratios)
    shares = [0.5 * step / _STEPS for step in range(_STEPS + 1)]
    panel = Panel(
        "Slots at work on two replicas",
        tuple(
            Series(_ratio(ratio), tuple(_cut(share, slots_at_work(share, ratio), 120) for share in shares), tone)
            for tone, ratio in enumerate(ratios, 1)
        ),
        Form.LINES,
        (Threshold(2.0 * SLOTS, "all 50 slots"),),
        _HEIGHT,
    )
    axis = Axis(0, 0.5, _percents(0, 10, 20, 30, 40, 50), 0, "share of the attempts that fail")
    account = f"Without failures 25 slots are at work. Where a fifth of the attempts fail: {told}."
    return Chart("Slots at work by the share of attempts that fail", account, axis, (panel,))


def slots_at_work(failure_rate: float, failed_ratio: float) -> float:
    """The load in erlangs: rate x attempts a job x mean time of an attempt."""
    slot_s = _SHORT_S * (1 + failure_rate * (failed_ratio - 1))
    return offered_load_erlangs(_RATE_PER_S * attempts_per_job(failure_rate, _ATTEMPTS), slot_s)


def carried_by_replicas() -> Chart:
    """Jobs a day that a fleet carries, by its replicas, behind a limit of the upstream."""
    limit = _UPSTREAM_RPM / 60 * SECONDS_PER_DAY
    counts = range(1, 7)
    slots = {count: count * SLOTS / _SHORT_S * SECONDS_PER_DAY for count in counts}
    panel = Panel(
        "Jobs a day that are carried",
        (Series("", tuple(Point(count, min(slots[count], limit)) for count in counts)),),
        thresholds=(Threshold(limit, f"the upstream's {_UPSTREAM_RPM:g} calls a minute"),),
        height=_HEIGHT,
        write="{:,.0f}".format,
    )
    axis = Axis(1, 7, tuple((count + 0.5, str(count)) for count in counts), 1, "replicas")
    account = (
        f"One replica carries {slots[1]:,.0f} jobs a day, two would carry {slots[2]:,.0f}; the upstream admits "
        f"{limit:,.0f}, so a third replica adds nothing."
    )
    return Chart("Jobs a day that are carried, by replicas", account, axis, (panel,))


def closed_and_open_loop() -> Chart:
    """What a closed and an open loop measure of one system that stands still for five seconds."""
    closed, opened = closed_loop(), open_loop()
    start, end = STALL_S
    panels = tuple(
        Panel(
            name,
            (Series("", _points(measured), tone),),
            Form.LINES,
            (),
            0.6 * _HEIGHT,
            f"{len(measured)} calls, {_slow(measured)} of them slower than 1 s",
            lambda seconds: f"{seconds:g} s",
        )
        for tone, (name, measured) in enumerate({"Open loop": opened, "Closed loop": closed}.items(), 1)
    )
    ticks = tuple((float(second), f"{second} s") for second in range(0, 31, 5))
    axis = Axis(0, LOOPS_FOR_S, ticks, 0, "", spans=(Span(start, end, "the system stands still"),))
    account = (
        f"Of {len(opened)} calls of the open loop {_slow(opened)} took longer than a second, p95 "
        f"{_quantile(opened, 0.95):.2f} s; of {len(closed)} of the closed loop {_slow(closed)}, p95 "
        f"{_quantile(closed, 0.95):.2f} s."
    )
    return Chart("A system that stands still for five seconds, measured by two loops", account, axis, panels)


def open_loop() -> dict[float, float]:
    """When each call was due, and how long after that its answer came; calls do not wait for each other."""
    due = [number / LOOPS_RATE_PER_S for number in range(round(LOOPS_FOR_S * LOOPS_RATE_PER_S))]
    return {at: _answered(at) - at for at in due}


def closed_loop() -> dict[float, float]:
    """The same for one user who sends a call, waits for its answer, and then until the next is due."""
    measured, at = {}, 0.0
    while at < LOOPS_FOR_S - 1e-9:
        measured[at] = _answered(at) - at
        at = round(max(at + 1 / LOOPS_RATE_PER_S, at + measured[at]), 9)
    return measured


def generators_in_a_stall() -> Chart:
    """What of a schedule three load generators sent while the server stood still, and how late, as measured."""
    rows = re.findall(
        r"^(\w+) +stalled +([\d.]+)% .* ([\d.]+)ms +[\d.]+ms$", GENERATORS.read_text("utf-8"), re.MULTILINE
    )
    sent = [float(share) / 100 for _, share, _ in rows]
    late_s = [float(p99) / 1000 for _, _, p99 in rows]
    names = [name for name, _, _ in rows]
    panels = (
        _bars("Requests that came, of those that were due", names, sent, "{:.0%}".format, "{:.1%}".format),
        _bars("Lateness, p99", names, late_s, "{:g} s".format, "{:.2f} s".format),
    )
    axis = Axis(0, len(rows), tuple((place + 0.5, name) for place, name in enumerate(names)), 1)
    account = " ".join(f"{panel.name}: {panel.note}." for panel in panels)
    return Chart("What three generators send while the server stands still", account, axis, panels)


def _bars(
    name: str,
    names: Sequence[str],
    values: Sequence[float],
    write: Callable[[float], str],
    tell: Callable[[float], str],
) -> Panel:
    """A bar for each value, from left to right, and all of them in words."""
    note = ", ".join(f"{label} {tell(value)}" for label, value in zip(names, values, strict=True))
    bars = tuple(Point(place, value) for place, value in enumerate(values))
    return Panel(name, (Series("", bars),), note=note, write=write)


def _curves(
    name: str, account: str, curves: Sequence[tuple[str, Callable[[float], float]]], most_s: float = 10.0
) -> Chart:
    """Waits against utilisation, up to a wait that still tells something."""
    utilisations = [step / 200 for step in range(1, _STEPS + 1)]
    panel = Panel(
        "Mean wait",
        tuple(
            Series(label, tuple(_cut(utilisation, wait(utilisation), most_s) for utilisation in utilisations), tone)
            for tone, (label, wait) in enumerate(curves, 1)
        ),
        Form.LINES,
        (),
        _HEIGHT,
        write=lambda seconds: f"{seconds:g} s",
    )
    return Chart(name, account, Axis(0, 1, _percents(0, 20, 40, 60, 80, 100), 0, "utilisation"), (panel,))


def _cut(x: float, y: float, most: float) -> Point:
    """A point of a curve that ends where it leaves the picture."""
    return Point(x, y if y <= most else None)


def _percents(*ticks: int) -> tuple[tuple[float, str], ...]:
    return tuple((tick / 100, f"{tick}%") for tick in ticks)


def _slots(slots: int) -> str:
    return "1 slot" if slots == 1 else f"{slots} slots"


def _ratio(ratio: float) -> str:
    return "failures as long as successes" if ratio == 1 else f"failures {ratio:g} times as long"


def _points(measured: dict[float, float]) -> tuple[Point, ...]:
    """What was measured; the line breaks where a call that was due was not sent."""
    points: list[Point] = []
    for at, took in measured.items():
        if points and at - points[-1].x > 1.5 / LOOPS_RATE_PER_S:
            points.append(Point(at, None))
        points.append(Point(at, took))
    return tuple(points)


def _answered(sent: float) -> float:
    """When a call is answered: after its time, or after the stall that it fell into and its time."""
    start, end = STALL_S
    return (end if start <= sent < end else sent) + ANSWER_S


def _slow(measured: dict[float, float]) -> int:
    return sum(took > 1 for took in measured.values())


def _quantile(measured: dict[float, float], q: float) -> float:
    return sorted(measured.values())[int(q * len(measured))]


if __name__ == "__main__":
    sys.exit(main())
