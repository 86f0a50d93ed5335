"""Runs for comparisons, played out in virtual time with the noise that real ones have."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

from jobctl.core.arrivals import POISSON, Stage, make_schedule
from jobctl.core.resampling import Round, Run, Stretch, Tally
from jobctl.core.simulation import serve

#: Share by which the mean speed of one run differs from that of the next, and of one job from the next.
RUN_NOISE = 0.02
JOB_NOISE = 0.01
STRETCHES = 12


def played(
    seed: int,
    noise: random.Random,
    *,
    slower: float = 1.0,
    rate_per_s: float = 20.0,
    duration_s: float = 10.0,
    mean_s: float = 0.4,
    sigma: float = 0.6,
    slots: int = 10,
    run_noise: float = RUN_NOISE,
) -> Run:
    """A run of lognormal jobs through slots.

    Args:
        seed: Of the load: the same jobs arrive at the same instants with the same seed.
        noise: Of what differs when the same load is run again.
        slower: How many times longer the jobs take.
        rate_per_s: Arrivals.
        duration_s: Length of the window.
        mean_s: Mean service time.
        sigma: Of the logarithm of service times.
        slots: How many.
        run_noise: Relative standard deviation of one run's speed.
    """
    arrivals = list(make_schedule(POISSON, [Stage.steady(rate_per_s, duration_s)], seed))
    rng = random.Random(f"services:{seed}")
    speed = slower * math.exp(noise.gauss(0, run_noise))
    services = [
        mean_s * rng.lognormvariate(-(sigma**2) / 2, sigma) * speed * math.exp(noise.gauss(0, JOB_NOISE))
        + noise.expovariate(1 / 0.001)
        for _ in arrivals
    ]
    waits = serve(arrivals, services, slots).waits
    length_s = duration_s / STRETCHES
    stretches = []
    for number in range(STRETCHES):
        inside = [n for n, at_s in enumerate(arrivals) if int(at_s / length_s) == number]
        stretches.append(
            Stretch(
                len(inside),
                0,
                {
                    "service": tally([services[n] for n in inside]),
                    "wait": tally([waits[n] for n in inside]),
                    "sojourn": tally([waits[n] + services[n] for n in inside]),
                },
            )
        )
    return Run(length_s, tuple(stretches), str(seed))


def tally(values: Sequence[float]) -> Tally:
    """A histogram of whole milliseconds, at least one."""
    buckets = sorted(Counter(max(1, round(value * 1000)) for value in values).items())
    levels = tuple(value / 1000 for value, _ in buckets)
    return Tally(levels, levels, tuple(count for _, count in buckets))


def rounds(seed: int, count: int, noise: random.Random, *, slower: float = 1.0, **load: float) -> list[Round]:
    """Rounds of a baseline and of what is new."""
    return [
        Round(
            played(seed * 100 + nth, noise, **load),  # type: ignore[arg-type]
            played(seed * 100 + nth, noise, slower=slower, **load),  # type: ignore[arg-type]
        )
        for nth in range(count)
    ]
