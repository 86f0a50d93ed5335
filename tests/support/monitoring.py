"""The real Prometheus and Alertmanager over rendered files, a receiver of webhooks, and what PromQL selects."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from jobctl.adapters.processes import ProcessGroup

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"
TOKEN = "a-token-that-only-the-receiver-knows"
PATIENCE_S = 30.0

Found = TypeVar("Found")
Labels = Mapping[str, str]
Vector = list[tuple[Labels, float]]


def tool(name: str) -> Path:
    """A program that scripts/tools.py unpacked; a missing one fails the test."""
    program = TOOLS / name
    if not program.exists():
        pytest.fail(f"there is no {name}; run `make tools`")
    return program


def promtool(*words: str, status: int = 0) -> str:
    """What promtool says; an exit status other than the expected one fails the test."""
    done = subprocess.run([tool("promtool"), *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def free_ports(count: int) -> list[int]:
    """So many ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def soon(condition: Callable[[], Found], patience_s: float = PATIENCE_S) -> Found:
    """What a condition gives as soon as it gives anything, or at the end."""
    ends_s = time.monotonic() + patience_s
    while not (found := condition()) and time.monotonic() < ends_s:
        time.sleep(0.05)
    return found


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; it fails the test if it never does."""
    if not soon(condition, patience_s):
        pytest.fail(f"waited {patience_s:g} s in vain for {what}")


# ------------------------------------------------------------------------------------------------------------- receiver


@dataclass(frozen=True)
class Notice:
    """One alert of a message that the receiver got.

    Attributes:
        at_s: When, seconds since the epoch.
        status: ``firing`` or ``resolved``.
        labels: The alert's.
        annotations: The alert's.
        authorization: The message's header.
    """

    at_s: float
    status: str
    labels: Labels
    annotations: Labels
    authorization: str


@dataclass
class Receiver:
    """What arrived so far.

    Attributes:
        url: Where to send.
        notices: In order.
    """

    url: str = ""
    notices: list[Notice] = field(default_factory=list)

    def of(self, alert: str, status: str, since_s: float = 0.0) -> list[Notice]:
        """The notices of an alert."""
        return [
            notice
            for notice in list(self.notices)
            if (notice.labels["alertname"], notice.status) == (alert, status) and notice.at_s >= since_s
        ]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on the loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at_s = time.time()
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            authorization = self.headers.get("Authorization", "")
            receiver.notices += [
                Notice(at_s, alert["status"], alert["labels"], alert["annotations"], authorization)
                for alert in message["alerts"]
            ]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/alerts"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -------------------------------------------------------------------------------------------------------------- servers


class Prometheus:
    """A Prometheus that runs.

    Args:
        client: A client of its API.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, expression: str) -> Vector:
        """What an expression gives now.

        Raises:
            AssertionError: It cannot be evaluated; the message says why.
        """
        answer = self._client.get("query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        result, kind = answer["data"]["result"], answer["data"]["resultType"]
        if kind == "scalar":
            return [({}, float(result[1]))]
        assert kind == "vector", f"{expression} is a {kind}"
        return [(series["metric"], float(series["value"][1])) for series in result]

    def rules(self) -> list[dict[str, Any]]:
        """All rules as they were loaded, and how their last evaluation went."""
        groups = self._client.get("rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def targets(self) -> dict[str, str]:
        """Where it scrapes, and how that goes: ``up``, ``down`` or ``unknown``."""
        found = self._client.get("targets").json()["data"]["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in found}


class Alertmanager:
    """An Alertmanager that runs.

    Args:
        client: A client of its API.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def active(self, alert: str) -> list[dict[str, Any]]:
        """The alerts of this name that it was told of and holds back from nobody."""
        alerts = self._client.get("alerts", params={"active": "true", "inhibited": "false"}).json()
        return [one for one in alerts if one["labels"]["alertname"] == alert]


@contextmanager
def watching(
    files: Mapping[str, str], directory: Path, prometheus_port: int, alertmanager_port: int
) -> Iterator[tuple[Prometheus, Alertmanager]]:
    """Both servers over what was rendered, until the block ends.

    Args:
        files: By their path in ``monitoring/``.
        directory: Where they are put; the secrets are to be below ``secrets`` there.
        prometheus_port: Where Prometheus is to listen.
        alertmanager_port: Where Alertmanager is, as Prometheus' configuration has it.
    """
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    with ProcessGroup() as group:
        start(
            group,
            directory / "alertmanager.log",
            alertmanager_port,
            tool("prometheus-alertmanager"),
            f"--config.file={directory / 'alertmanager/alertmanager.yml'}",
            f"--storage.path={group.directory / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{alertmanager_port}",
            "--cluster.listen-address=",
        )
        start(
            group,
            directory / "prometheus.log",
            prometheus_port,
            tool("prometheus"),
            f"--config.file={directory / 'prometheus/prometheus.yml'}",
            f"--storage.tsdb.path={group.directory / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{prometheus_port}",
            "--rules.alert.resend-delay=2s",  # what fires before it knows its Alertmanager would be told a minute later
        )
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{prometheus_port}/api/v1", timeout=PATIENCE_S) as asked,
            httpx.Client(base_url=f"http://127.0.0.1:{alertmanager_port}/api/v2", timeout=PATIENCE_S) as told,
        ):
            yield Prometheus(asked), Alertmanager(told)


def start(
    group: ProcessGroup, log: Path, port: int, program: Path, *words: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start one of the two servers, and wait until it is ready."""
    with log.open("wb") as output:
        process = group.spawn([str(program), *words], cwd=group.directory, env=env, stdout=output, stderr=output)

    def ready() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-1000:]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/-/ready").is_success
        except httpx.TransportError:
            return False

    wait_for(ready, program.name)
    return process


# --------------------------------------------------------------------------------------------------------------- PromQL

_TOKEN: re.Pattern[str] = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    | (?P<window>\[[^\]]*\]) | (?P<time>\b\d+(?:\.\d+)?(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*\b)
    | (?P<number>\b(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\b|\b(?i:inf|nan)\b)
    | (?P<name>[a-zA-Z_:][\w:]*) | (?P<compared>==|!=|>=|<=|>|<) | (?P<other>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)
#: Those after which names of labels stand in parentheses.
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = _GROUPING | {"and", "or", "unless", "bool", "offset", "atan2", "start", "end"}


def selectors(expression: str) -> list[str]:
    """The vector selectors of an expression, without their windows.

    Every name counts that is no function, no word of the language and no label: one that is spelt wrong too.
    """
    found: list[str] = []
    for kind, token, rest in _tokens(expression):
        if kind == "selector" and token not in _WORDS and not re.match(r"\s*(\(|by\b|without\b)", rest):
            found.append(token)
    return found


def unfiltered(expression: str) -> str:
    """The expression without what makes it select: it has an answer exactly if its parts have data whose labels match.

    ``a > 1`` becomes ``a > bool 1``, ``a unless b`` becomes ``a and b``, ``absent(a)`` becomes ``count(a)``.
    """
    text = ""
    for kind, token, rest in _tokens(expression):
        if kind == "compared" and not re.match(r"\s*bool\b", rest):
            text += f"{token} bool" if rest[:1].isspace() else f"{token} bool "
        elif token == "unless":
            text += "and"
        elif token in {"absent", "absent_over_time"}:
            text += "count" if token == "absent" else "count_over_time"
        else:
            text += token
    return text


def opened(expression: str, recorded: Mapping[str, str]) -> str:
    """An expression without what makes it select, here or in a recorded series that it uses (:func:`unfiltered`).

    Args:
        expression: PromQL.
        recorded: Recorded series that are not there now, and their rules.
    """
    text = ""
    for _, token, rest in _tokens(unfiltered(expression)):
        plain = token in recorded and not re.match(r"\s*(\[|offset\b)", rest)
        text += f"({opened(recorded[token], recorded)})" if plain else token
    return text


def lacking(prometheus: Prometheus, expression: str, recorded: Mapping[str, str]) -> list[str]:
    """What an expression lacks to be answered from the series that are there; nothing when all is well.

    Each of its selectors has to find series, and the whole, when nothing is held back by a comparison, a number: then
    its parts have data whose labels match.

    Raises:
        AssertionError: It cannot be evaluated.
    """
    prometheus.query(expression)
    lost = [one for one in selectors(expression) if one not in recorded and not prometheus.query(one)]
    whole = opened(expression, recorded)
    if not lost and all(math.isnan(value) for _, value in prometheus.query(whole)):
        lost.append(whole)
    return lost


def _tokens(expression: str) -> Iterator[tuple[str, str, str]]:
    """Kind, text and what follows, of each token; a name and its matchers are one, the labels of a grouping another."""
    place, grouping = 0, False
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        assert match is not None
        kind, token, place = str(match.lastgroup), match[0], match.end()
        if kind == "name":
            kind = "selector"
            if expression[place:].startswith("{"):
                ends = _closing(expression, place, "{}")
                token, place = token + expression[place:ends], ends
        elif token == "(" and grouping:
            ends = _closing(expression, place - 1, "()")
            kind, token, place = "labels", expression[place - 1 : ends], ends
        grouping = token in _GROUPING or (grouping and token.isspace())
        yield kind, token, expression[place:]


def _closing(expression: str, opens: int, pair: str) -> int:
    """Where the parenthesis ends that opens there, texts left alone."""
    depth, place = 0, opens
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        assert match is not None
        depth += {pair[0]: 1, pair[1]: -1}.get(match[0], 0)
        place = match.end()
        if depth == 0:
            return place
    raise AssertionError(f"nothing closes {expression[opens:]!r}")
