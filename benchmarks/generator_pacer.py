"""The pacer of jobctl in front of HTTP requests, none of which is waited for.

    python benchmarks/generator_pacer.py PORT RATE DURATION_S

``generator.py`` compares it with other tools.
"""

from __future__ import annotations

import sys
from typing import Any

from gevent import monkey


def main(port: int, rate: float, duration_s: float) -> None:
    """Send on schedule, and return once all is answered."""
    monkey.patch_all()  # before anything is imported that has sockets
    import gevent
    from geventhttpclient import HTTPClient

    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.processes import keep_time
    from jobctl.core.pacing import Send, Stop, Wait, pace

    schedule = [n / rate for n in range(round(rate * duration_s))]
    client = HTTPClient("127.0.0.1", port, concurrency=len(schedule))
    clock, sent, calls = SystemClock(), 0, []
    keep_time()
    start_s = clock.now()
    while True:
        match pace(schedule, clock.now() - start_s, sent, 100):
            case Send(_, beyond):
                calls += [gevent.spawn(_call, client) for _ in range(sent, beyond)]
                sent = beyond
            case Wait(seconds):
                clock.sleep(seconds)
            case Stop():
                break
    gevent.joinall(calls)


def _call(client: Any) -> None:
    client.get("/").read()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
