"""One recorded load, run again and again on real parts: a stretch of a real trace, at ten times its speed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jobctl import settings
from jobctl.adapters.files import read_lines
from jobctl.apps.bench.driver import BenchConfig
from jobctl.apps.bench.report import to_document
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.compare.reading import read_measurement
from jobctl.core.resampling import Run
from jobctl.core.service import parse_law
from jobctl.core.traces import parse_trace
from jobctl.core.workload import make_workload, sleep_payload
from jobctl.wiring.bench import prepare_bench
from jobctl.wiring.load import new_run_id
from jobctl.wiring.stand import Stand

TRACE = Path(__file__).parents[1] / "data" / "azure_llm_conv_2023.csv.gz"
#: The stretch begins so many seconds into the trace.
BEGIN_S = 600.0
FASTER = 10
_TRIES = 3
LENGTH_S = 4.0
SERVICE = "lognormal:mean=200ms,p95=450ms"


class Recorder:
    """Runs the recorded load on a stand.

    Args:
        stand: The stand.
    """

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        arrivals = parse_trace(read_lines(str(TRACE), "trace"), TRACE.name).arrivals_s
        offsets_s = [(at_s - BEGIN_S) / FASTER for at_s in arrivals]
        self._instants = tuple(at_s for at_s in offsets_s if 0 <= at_s < LENGTH_S)

    def run(self, slower: float = 1.0) -> Run:
        """The load, each job's time multiplied; once more where the generator was not on time."""
        for _ in range(_TRIES):
            result = self._stand.run(self._config(slower), lambda _: None)
            measured = read_measurement(to_document(result, {}, {}), "run")
            if measured.doubt is None:
                return measured.run
        raise AssertionError(measured.doubt)

    def _config(self, slower: float) -> BenchConfig:
        config, rng, law = self._stand.prepared.config, random.Random("recorded"), parse_law(SERVICE)
        payloads = [sleep_payload(slower * law.sample(rng)) for _ in self._instants]
        workload = make_workload("sleep", payloads=payloads)
        spec = replace(config.spec, run_id=new_run_id(), instants=self._instants, workloads=(workload,))
        return replace(config, spec=spec)


@contextmanager
def recorder(directory: Path) -> Iterator[Recorder]:
    """A stand for the recorded load: one worker of 25 slots."""
    request = BenchRequest(
        rate=50, duration_s=LENGTH_S, warmup_s=0.0, job="sleep", replicas=1, drain_s=20.0, max_schedule_lag_s=2.0
    )
    merged = settings.load({}, env={}, directory=directory)
    with Stand.open(prepare_bench(request, merged), lambda _: None) as stand:
        yield Recorder(stand)
