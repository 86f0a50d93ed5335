"""Mocks that really listen on the loopback, each served by uvicorn on a thread of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from jobctl.apps.mock.behaviour import Behaviour, Fault
from jobctl.apps.mock.server import create_app
from jobctl.core.service import Law, Lognormal, OpenRouter
from support.servers import serving

KEY = "sk-or-v1-test"
MODEL = "openai/gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "hello"}]
#: Answers that are as long as the caller allows: the first token after 12 ms, each further one after 0.5 ms.
QUICK = OpenRouter(
    first_token=Lognormal(math.log(0.012), 0.0),
    tail_share=0.0,
    per_token=Lognormal(math.log(0.0005), 0.0),
    mean_tokens=1e12,
)


@dataclass(frozen=True)
class Mock:
    """A running mock."""

    origin: str

    @property
    def url(self) -> str:
        return f"{self.origin}/api/v1"

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20, **options)

    def stats(self) -> dict[str, object]:
        return httpx.get(f"{self.origin}/__mock__/stats").json()


Start = Callable[..., Mock]


@contextmanager
def running(law: Law, faults: dict[Fault, float], **limits: int) -> Iterator[Mock]:
    with serving(create_app(Behaviour(law, faults, seed=1), **limits)) as origin:
        yield Mock(origin)
