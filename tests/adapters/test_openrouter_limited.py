"""OpenRouter's client with a limiter, against the mock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from jobctl.adapters.memory import MemoryLimiter
from jobctl.adapters.openrouter import OpenRouterClient
from jobctl.adapters.permits import hold
from jobctl.core.limiting import Limit, Limits
from jobctl.errors import Postponed, UpstreamError, UpstreamStatus, UpstreamTimeout
from jobctl.ports import UpstreamAnswer
from support.servers import FaultyMock, serving

KEY = "sk-or-v1-test"
MODEL = "openai/gpt-4o-mini"
FREE = "meta-llama/llama-3.3-70b-instruct:free"


@dataclass
class Told:
    """What observers are told."""

    answers: list[UpstreamAnswer] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    def answered(self, answer: UpstreamAnswer) -> None:
        self.answers.append(answer)

    def waited_for_limit(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)


class Upstream(FaultyMock):
    """The mock, or one refusal for everybody."""

    refusal: tuple[dict[str, str], dict[str, Any]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.refusal is None:
            await super().__call__(scope, receive, send)
        else:
            headers, document = self.refusal
            await JSONResponse(document, 429, headers)(scope, receive, send)


@dataclass
class Rig:
    mock: Upstream
    client: OpenRouterClient
    limiter: MemoryLimiter
    told: Told

    def chat(self, model: str = MODEL, **more: Any) -> dict[str, Any]:
        return self.client.chat(messages=[{"role": "user", "content": "hello"}], model=model, **more)

    def job(self, permits: str = "", *, retry: bool = False, calls: int = 1) -> list[dict[str, Any]]:
        """A job of so many calls, as a worker runs it."""

        def run() -> list[dict[str, Any]]:
            hold(permits, retry=retry)
            return [self.chat() for _ in range(calls)]

        return Context().run(run)


@pytest.fixture
def rigs() -> Iterator[Callable[..., Rig]]:
    with ExitStack() as stack:

        def make(*demands: dict[str, str], limit: Limit | None = None, timeout_s: float = 20) -> Rig:
            mock, told = Upstream(*demands), Told()
            limiter = MemoryLimiter(Limits(limit or Limit()), clock=time.time)
            client = OpenRouterClient(
                f"{stack.enter_context(serving(mock))}/api/v1",
                KEY,
                timeout_s=timeout_s,
                limiter=limiter,
                observers=[told],
                limiter_observer=told,
            )
            stack.callback(client.close)
            return Rig(mock, client, limiter, told)

        yield make


Rigs = Callable[..., Rig]


def fault(kind: str, retry_after: str | None = None) -> dict[str, str]:
    return {"X-Mock-Fault": kind} | ({"X-Mock-Retry-After": retry_after} if retry_after is not None else {})


def paused_s(rig: Rig, model: str = MODEL) -> float:
    return next((status.paused_s for status in rig.limiter.status() if status.model == model), 0.0)


def test_a_denied_job_is_postponed_with_its_place_and_calls_nobody(rigs: Rigs) -> None:
    rig = rigs(limit=Limit(rpm=60))
    rig.job(), rig.job()
    with pytest.raises(Postponed) as first:
        rig.job()
    with pytest.raises(Postponed) as second:
        rig.job()

    assert len(rig.mock.arrived_s) == 2
    assert (first.value.reason, first.value.permits.split()[:2]) == ("limit", ["place", MODEL])
    assert second.value.delay_s - first.value.delay_s == pytest.approx(1.035, abs=0.1)
    time.sleep(first.value.delay_s)
    assert rig.job(first.value.permits)[0]["content"]


def test_a_call_that_was_granted_before_the_job_ran_is_not_asked_for_again(rigs: Rigs) -> None:
    rig = rigs(limit=Limit(rpm=60))
    granted = rig.limiter.acquire(MODEL, calls=5)
    assert granted.granted == 2

    assert [len(rig.job(granted.permits)) for _ in range(2)] == [1, 1]
    assert rig.told.waits_s == [0.0, 0.0]


def test_a_grant_for_another_model_is_worth_nothing(rigs: Rigs) -> None:
    rig = rigs(limit=Limit(rpm=60))
    rig.limiter.acquire(MODEL, calls=5)

    with pytest.raises(Postponed):
        rig.job("granted other/model 0.0")


def test_a_job_that_has_called_before_waits_in_its_slot(rigs: Rigs) -> None:
    rig = rigs(limit=Limit(rpm=600))
    rig.limiter.acquire(MODEL, calls=11)

    assert len(rig.job(calls=4)) == 4
    assert len(rig.mock.arrived_s) == 4
    assert max(rig.told.waits_s) > 0.05


def test_it_does_not_wait_beyond_its_deadline(rigs: Rigs) -> None:
    rig = rigs(limit=Limit(rpm=2), timeout_s=1)
    started_s = time.monotonic()

    with pytest.raises(Postponed):
        rig.job(calls=2)
    assert time.monotonic() - started_s < 1


def test_outside_a_worker_that_can_postpone_calls_wait(rigs: Rigs) -> None:
    rig = rigs(fault("429", "1"), limit=Limit(rpm=600))
    started_s = time.monotonic()

    assert rig.chat()["content"]
    assert 1.0 <= time.monotonic() - started_s < 3


@pytest.mark.parametrize("kind", ["429", "503", "budget"])
def test_an_upstream_that_asks_to_wait_postpones_the_job_and_pauses_all(rigs: Rigs, kind: str) -> None:
    rig = rigs(fault(kind, "7"))
    with pytest.raises(Postponed) as refused:
        rig.job()
    with pytest.raises(Postponed) as other:
        rig.job()

    assert len(rig.mock.arrived_s) == 1
    assert isinstance(refused.value.__cause__, UpstreamStatus)
    assert (refused.value.reason, other.value.reason) == ("paused", "paused")
    assert 6.9 < refused.value.delay_s < 9
    assert 6.8 < other.value.delay_s < 11
    assert [answer.status for answer in rig.told.answers] == [{"budget": "402"}.get(kind, kind)]


def test_an_error_that_may_heal_is_raised_at_once_for_the_worker_to_retry(rigs: Rigs) -> None:
    rig = rigs(fault("500"))
    with pytest.raises(UpstreamStatus, match="500"):
        rig.job()

    assert len(rig.mock.arrived_s) == 1
    assert paused_s(rig) == 0


def test_errors_in_a_row_open_the_breaker_and_refusals_of_the_caller_do_not(rigs: Rigs) -> None:
    rig = rigs(*[fault("403")] * 25, *[fault("500")] * 100)
    for _ in range(25):
        with pytest.raises(UpstreamError):
            rig.job()
    assert not rig.limiter.status()[0].breaker_open
    raised: list[Exception] = []
    while not raised or not isinstance(raised[-1], Postponed):
        try:
            rig.job()
        except (UpstreamError, Postponed) as error:
            raised.append(error)

    assert isinstance(raised[-1], Postponed)
    assert raised[-1].reason == "breaker"
    assert 20 <= len(raised) - 1 <= 27


def test_retries_beyond_the_budget_are_postponed(rigs: Rigs) -> None:
    rig = rigs()
    for _ in range(10):
        rig.job(retry=True)

    with pytest.raises(Postponed, match="retry_budget"):
        rig.job(retry=True)
    assert rig.job()


def test_a_retry_is_on_the_budget_even_if_its_call_was_granted_before(rigs: Rigs) -> None:
    rig = rigs()
    permits = rig.limiter.acquire(MODEL, calls=20).permits
    for _ in range(8):  # of ten, because what the grants had paid in is taken back
        rig.job(permits, retry=True)
    rig.limiter.acquire(MODEL, calls=2, retry=True)

    with pytest.raises(Postponed, match="retry_budget"):
        rig.job(permits, retry=True)


def refuse(rig: Rig, model: str, headers: dict[str, str], metadata: dict[str, Any] | None = None) -> Postponed:
    rig.mock.refusal = (headers, {"error": {"code": 429, "message": "later", "metadata": metadata}})
    with pytest.raises(Postponed) as refused:
        Context().run(lambda: (hold(""), rig.chat(model)))
    return refused.value


def test_a_platform_limit_tells_its_end_in_unix_milliseconds_and_pauses_the_account(rigs: Rigs) -> None:
    rig = rigs()
    reset = str(round((time.time() + 30) * 1000))

    assert 29 < refuse(rig, MODEL, {"X-RateLimit-Reset": reset, "X-RateLimit-Remaining": "0"}).delay_s < 32
    assert rig.limiter.acquire("another/model").reason == "paused"


def test_retry_after_goes_before_it(rigs: Rigs) -> None:
    reset = str(round((time.time() + 30) * 1000))

    assert refuse(rigs(), MODEL, {"Retry-After": "3", "X-RateLimit-Reset": reset}).delay_s < 5


@pytest.mark.parametrize("reset", ["", "soon", "nan", "inf", "-inf", "1e999"])
def test_a_reset_that_means_nothing_leaves_the_default_pause(rigs: Rigs, reset: str) -> None:
    assert 0.9 < refuse(rigs(), MODEL, {"X-RateLimit-Reset": reset}).delay_s < 3


def test_limits_of_a_provider_and_of_free_models_leave_other_models_alone(rigs: Rigs) -> None:
    rig = rigs()
    refuse(rig, MODEL, {"Retry-After": "9"}, {"limit_source": "upstream_provider_shared_pool"})
    refuse(rig, FREE, {"X-RateLimit-Reset": str(round((time.time() + 9) * 1000))})

    assert [rig.limiter.acquire(model).granted for model in (MODEL, FREE, "another/model")] == [0, 0, 1]


def test_observers_are_told_tokens_cost_and_words_for_what_has_no_status(rigs: Rigs) -> None:
    rig = rigs(fault("slow") | {"X-Mock-Slow-Ms": "3000"}, timeout_s=0.5)
    with pytest.raises(UpstreamTimeout):
        rig.job()
    (done,) = rig.job()
    timed_out, answered = rig.told.answers

    assert (timed_out.status, timed_out.model, timed_out.prompt_tokens) == ("timeout", MODEL, 0)
    assert 0.4 < timed_out.latency_s < 3
    assert answered == UpstreamAnswer(
        "200", done["latency_s"], MODEL, done["prompt_tokens"], done["completion_tokens"], done["cost_usd"]
    )


def test_tokens_are_charged_by_what_calls_took(rigs: Rigs) -> None:
    rig = rigs(limit=Limit(tpm=10_000_000))
    (done,) = rig.job()
    used = done["prompt_tokens"] + done["completion_tokens"]

    assert rig.limiter.acquire(MODEL, permits="").tokens == pytest.approx(used)
