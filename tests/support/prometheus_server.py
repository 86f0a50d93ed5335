"""A server that speaks the part of Prometheus' HTTP API that we use, over registries of our own workers.

It knows the forms of query that the adapter writes, and no others. Counters begin at 0 with their process, so what has
increased in a window is all there is.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry

Labels = Mapping[str, str]
Series = list[tuple[Labels, float]]

_SUM: re.Pattern[str] = re.compile(r"sum(?: by \(([^)]*)\) )?\s*\(increase\((\w+)\{(.*?)\}\[\d+s\]\)\)")
_SELECTOR: re.Pattern[str] = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class FakePrometheus:
    """What a server knows.

    Attributes:
        registries: Those of the workers that it scrapes.
        peak_per_s: What a query for the busiest hour answers.
        age_s: How long ago the first sample was taken.
        url: Where it listens.
        queries: What it was asked.
    """

    registries: list[CollectorRegistry]
    peak_per_s: float = 0.0
    age_s: float = 1e9
    url: str = ""
    queries: list[str] = field(default_factory=list)

    def answer(self, query: str) -> Series:
        """The instant vector of a query."""
        self.queries.append(query)
        stretch = re.fullmatch(r"min\(min_over_time\(timestamp\(jobctl_slots\)\[(\d+)s:(\d+)s\]\)\)", query)
        if stretch is not None:
            return self._first_sample(int(stretch[1]), int(stretch[2]))
        if query.startswith("max_over_time("):
            return [({}, self.peak_per_s)]
        if query == "max(jobctl_slots)":
            return [({}, max(value for _, value in self._series("jobctl_slots")))]
        if query == "count(jobctl_slots)":
            return [({}, float(len(self.registries)))]
        form = _SUM.fullmatch(query)
        if form is None:
            raise ValueError(query)
        by = [label for label in (form[1] or "").split(", ") if label]
        wanted = dict(_SELECTOR.findall(form[3]))
        totals: dict[tuple[tuple[str, str], ...], float] = defaultdict(float)
        for labels, value in self._series(form[2]):
            if wanted.items() <= labels.items():
                totals[tuple((label, labels.get(label, "")) for label in by)] += value
        return [(dict(labels), value) for labels, value in totals.items()]

    def _first_sample(self, window_s: int, step_s: int) -> Series:
        """The first of the multiples of the step that lie in the window and before which there is a sample."""
        now_s = time.time()
        first_s = math.ceil((now_s - min(window_s, self.age_s)) / step_s) * step_s
        return [({}, float(first_s))] if first_s <= now_s else []

    def _series(self, name: str) -> Iterable[tuple[Labels, float]]:
        for registry in self.registries:
            for family in registry.collect():
                yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == name)


@contextmanager
def serving(prometheus: FakePrometheus) -> Iterator[FakePrometheus]:
    """Serve it on a free port of this machine until the block ends."""

    def answer(path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if parts.path != "/api/v1/query":
            return 404, b"404 page not found"
        try:
            series = prometheus.answer(parse_qs(parts.query)["query"][0])
        except ValueError as error:
            return 400, json.dumps({"status": "error", "errorType": "bad_data", "error": f"parse: {error}"}).encode()
        result = [{"metric": dict(labels), "value": [time.time(), repr(value)]} for labels, value in series]
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()

    with answering(answer) as url:
        prometheus.url = url
        yield prometheus


@contextmanager
def answering(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    """A server that answers each GET by a function from its path to a status and a body; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
