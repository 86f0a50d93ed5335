"""How fast a day is played out: CPU seconds of ``core.simulation.serve`` for 450,000 jobs.

    python benchmarks/simulation.py [--jobs 450000] [--repeats 3] [--slots 50 500 100000]

Poisson arrivals at a utilisation of 0.85, exponential service. Retries: 5 % of attempts fail, three attempts. Upstream:
admits 10 % more calls than there are jobs. Both: the two together, and a timeout of five mean services. Figures are the
least of the repeats; drawing arrivals and services is not in them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from jobctl.core.demand import Retries, Upstream
from jobctl.core.simulation import serve

UTILISATION = 0.85
RETRIES = Retries(attempts=3, failure_rate=0.05)


def rules(rate_per_s: float) -> Mapping[str, Mapping[str, Any]]:
    """The columns."""
    upstream = Upstream(rpm=60 * 1.1 * rate_per_s, burst=5)
    return {
        "plain": {},
        "retries": {"retries": RETRIES},
        "upstream": {"upstream": upstream},
        "both": {"retries": RETRIES, "upstream": upstream, "timeout_s": 5.0},
    }


def cpu_s(arrivals: Sequence[float], services: Sequence[float], slots: int, repeats: int, **given: Any) -> float:
    """The least CPU time of one run."""
    taken = []
    for repeat in range(repeats):
        began = time.process_time()
        serve(arrivals, services, slots, rng=random.Random(repeat), **given)
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=450_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slots", type=int, nargs="+", default=[50, 500, 100_000])
    options = parser.parse_args()
    print(f"CPU seconds for {options.jobs:,} jobs at a utilisation of {UTILISATION}\n")
    print(f"{'slots':>8}" + "".join(f"{name:>10}" for name in rules(1.0)))
    rng = random.Random(1)
    services = [rng.expovariate(1.0) for _ in range(options.jobs)]
    for slots in options.slots:
        rate_per_s = UTILISATION * slots
        arrivals = list(accumulate(rng.expovariate(rate_per_s) for _ in range(options.jobs)))
        figures = [cpu_s(arrivals, services, slots, options.repeats, **given) for given in rules(rate_per_s).values()]
        print(f"{slots:>8,}" + "".join(f"{figure:>10.2f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
