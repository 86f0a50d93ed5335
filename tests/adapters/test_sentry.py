"""What reaches Sentry: a real endpoint on the loopback takes the envelopes."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sentry_sdk

from jobctl.adapters.sentry import TRACE_META_KEY, SentryObserver, publishing, start
from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted
from jobctl.errors import Postponed
from jobctl.ports import UpstreamAnswer
from support.sentry_server import PUBLIC_KEY, Event, SentryServer, sentry_server
from support.servers import SocketServer, silent

Make = Callable[..., SentryObserver]


@pytest.fixture(scope="module")
def running_server() -> Iterator[SentryServer]:
    with sentry_server() as server:
        yield server


@pytest.fixture
def server(running_server: SentryServer) -> SentryServer:
    """A server to which nothing came yet."""
    running_server.forget()
    return running_server


@pytest.fixture
def make(server: SentryServer) -> Iterator[Make]:
    """Makes the observer of a test; Sentry is off again after it."""
    yield lambda **options: SentryObserver(server.dsn, **options)
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.get_global_scope().set_client(None)


def started(job_id: str = "job-1", *, attempt: int = 2, meta: dict[str, Any] | None = None) -> JobStarted:
    return JobStarted(job_id, "high", "app.tasks.chat", attempt, 99.5, 100.0, meta or {})


def run(
    observer: SentryObserver,
    job: JobStarted,
    body: Callable[[], object],
    outcome: JobOutcome = JobOutcome.DEAD,
    reason: str = "error",
) -> None:
    """A job's life as the worker tells it: the outcome is known after the body ended."""
    error: BaseException | None = None
    try:
        with observer.running(job):
            body()
    except Exception as raised:
        error = raised
    observer.ended(JobEnded(job, 101.0, outcome, reason, error))


def fail(text: str = "no such thing") -> Callable[[], object]:
    def body() -> None:
        raise ValueError(text)

    return body


def crumbs(event: Event) -> list[str]:
    return [crumb["message"] for crumb in event.get("breadcrumbs", {}).get("values", [])]


# ------------------------------------------------------------------------------------------------------------ errors


def test_the_error_of_a_dead_job_comes_with_the_jobs_tags(server: SentryServer, make: Make) -> None:
    observer = make()
    run(observer, started(meta={"model": "openai/gpt"}), fail())
    observer.close(5.0)

    (event,) = server.errors
    assert event["tags"] == {
        "job": "job-1",
        "queue": "high",
        "attempt": "2",
        "job_type": "app.tasks.chat",
        "model": "openai/gpt",
        "outcome": "dead",
        "reason": "error",
    }
    (raised,) = event["exception"]["values"]
    assert (raised["type"], raised["value"]) == ("ValueError", "no such thing")
    assert raised["mechanism"] == {"type": "jobctl", "handled": False}
    assert raised["stacktrace"]["frames"][-1]["function"] == "body"


@pytest.mark.parametrize("outcome", JobOutcome)
@pytest.mark.parametrize("every_error", [False, True])
def test_an_error_is_sent_when_retries_are_spent_or_each_time_if_so_wished(
    server: SentryServer, make: Make, outcome: JobOutcome, every_error: bool
) -> None:
    observer = make(every_error=every_error)
    run(observer, started(), fail(), outcome)
    observer.close(5.0)

    wanted = outcome is JobOutcome.DEAD or (every_error and outcome is JobOutcome.RETRIED)
    assert len(server.errors) == wanted


def test_a_job_that_is_dead_without_an_error_says_why(server: SentryServer, make: Make) -> None:
    observer = make()
    observer.ended(JobEnded(started(), 101.0, JobOutcome.DEAD, "refused"))
    observer.close(5.0)

    (event,) = server.errors
    assert event["message"] == "job of app.tasks.chat is dead: refused"
    assert event["tags"]["job"] == "job-1"


def test_jobs_whose_workers_died_are_reported_only_if_they_are_dead(server: SentryServer, make: Make) -> None:
    observer = make()
    observer.recovered(JobsRecovered("w", requeued=3, dead=0))
    observer.recovered(JobsRecovered("w", requeued=0, dead=2))
    observer.close(5.0)

    assert [event["message"] for event in server.errors] == ["2 jobs are dead: each worker that began them died"]


def test_the_model_that_a_job_called_is_named(server: SentryServer, make: Make) -> None:
    observer = make()

    def body() -> None:
        observer.answered(UpstreamAnswer("400", 0.2, "openai/gpt"))
        raise ValueError

    run(observer, started(), body)
    run(observer, started("job-2"), fail())
    observer.close(5.0)

    assert [event["tags"].get("model") for event in server.errors] == ["openai/gpt", None]


def test_a_job_that_is_given_up_while_its_thread_is_stuck_is_reported(server: SentryServer, make: Make) -> None:
    observer = make()
    job, entered, leave = started(), threading.Event(), threading.Event()

    def stuck() -> None:
        with observer.running(job):
            sentry_sdk.add_breadcrumb(message="about to hang")
            entered.set()
            leave.wait(5)

    with ThreadPoolExecutor() as pool:
        done = pool.submit(stuck)
        entered.wait(5)
        observer.ended(JobEnded(job, 101.0, JobOutcome.DEAD, "timeout", TimeoutError("too long")))
        leave.set()
        done.result(5)
    observer.close(5.0)

    (event,) = server.errors
    assert (event["tags"]["job"], crumbs(event)) == ("job-1", ["about to hang"])


# ------------------------------------------------------------------------------------------------------------ scopes


def test_nothing_of_one_job_shows_in_the_next_one_on_the_same_thread(server: SentryServer, make: Make) -> None:
    observer = make()

    def noisy() -> None:
        sentry_sdk.set_tag("noisy", "yes")
        sentry_sdk.add_breadcrumb(message="of the first")
        raise ValueError("first")

    run(observer, started("job-1"), noisy)
    run(observer, started("job-2"), fail("second"))
    observer.close(5.0)

    first, second = server.errors
    assert (crumbs(first), first["tags"]["noisy"]) == (["of the first"], "yes")
    assert (crumbs(second), second["tags"].get("noisy")) == ([], None)
    assert first["contexts"]["trace"]["trace_id"] != second["contexts"]["trace"]["trace_id"]


def test_nothing_of_the_worker_shows_in_a_job(server: SentryServer, make: Make) -> None:
    observer = make()
    with sentry_sdk.isolation_scope():
        sentry_sdk.add_breadcrumb(message="of the worker")
        run(observer, started(), fail())
    observer.close(5.0)

    assert crumbs(server.errors[0]) == []


def test_coroutines_on_one_loop_keep_apart_though_they_interleave(server: SentryServer, make: Make) -> None:
    observer = make()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def body(name: str) -> None:
        for step in range(3):
            sentry_sdk.add_breadcrumb(message=f"{name} {step}")
            await asyncio.sleep(0.01)
        raise ValueError(name)

    def on_slot(name: str) -> None:
        run(observer, started(name), lambda: asyncio.run_coroutine_threadsafe(body(name), loop).result(5))

    with ThreadPoolExecutor(8) as pool:  # the task runs in a copy of the context in which it is handed over
        list(pool.map(on_slot, [f"job-{number}" for number in range(8)]))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    observer.close(5.0)

    assert len(server.errors) == 8
    for event in server.errors:
        name = event["tags"]["job"]
        assert (event["exception"]["values"][0]["value"], crumbs(event)) == (
            name,
            [f"{name} {step}" for step in range(3)],
        )


def test_what_a_job_logs_is_a_breadcrumb_and_what_the_worker_logs_is_nothing(server: SentryServer, make: Make) -> None:
    observer = make()

    def body() -> None:
        logging.getLogger("app").warning("half full")
        for name in ("rq.worker", "jobctl.adapters.rq_worker", "jobctl"):
            logging.getLogger(name).error("job failed")
        raise ValueError

    run(observer, started(), body)
    observer.close(5.0)

    (event,) = server.errors
    assert crumbs(event) == ["half full"]


def test_what_a_job_logs_as_an_error_is_an_event_with_the_jobs_tags(server: SentryServer, make: Make) -> None:
    observer = make()
    run(observer, started(), lambda: logging.getLogger("app").error("lost %s", "it"), JobOutcome.SUCCEEDED)
    observer.close(5.0)

    (event,) = server.errors
    assert (event["logentry"]["formatted"], event["tags"]["job"]) == ("lost it", "job-1")


# ------------------------------------------------------------------------------------------------------------ traces


def test_publish_and_process_are_one_trace(server: SentryServer, make: Make) -> None:
    observer = make(traces_sample_rate=1.0)
    with sentry_sdk.start_transaction(name="POST /chat"), publishing("high", ["job-1"]) as meta:
        pass
    run(observer, started(meta=meta), lambda: None, JobOutcome.SUCCEEDED)
    observer.close(5.0)

    web, process = server.transactions
    (publish,) = web["spans"]
    assert publish["op"] == "queue.publish"
    assert publish["data"]["messaging.message.id"] == "job-1"
    assert publish["data"]["messaging.destination.name"] == "high"
    trace = process["contexts"]["trace"]
    assert (process["transaction"], trace["op"], trace["status"]) == ("app.tasks.chat", "queue.process", "ok")
    assert (trace["trace_id"], trace["parent_span_id"]) == (publish["trace_id"], publish["span_id"])
    assert trace["data"]["messaging.message.id"] == "job-1"
    assert trace["data"]["messaging.destination.name"] == "high"
    assert trace["data"]["messaging.message.retry.count"] == 1
    assert trace["data"]["messaging.message.receive.latency"] == pytest.approx(500)  # Sentry's unit is milliseconds


def test_publishing_outside_of_a_span_is_a_transaction_of_its_own_and_counts_its_batch(
    server: SentryServer, make: Make
) -> None:
    observer = make(traces_sample_rate=1.0)
    with publishing("high", ["a", "b", "c"]):
        pass
    observer.close(5.0)

    (publish,) = server.transactions
    assert publish["contexts"]["trace"]["op"] == "queue.publish"
    assert publish["contexts"]["trace"]["data"]["messaging.batch.message_count"] == 3


def test_an_error_belongs_to_the_trace_of_its_job(server: SentryServer, make: Make) -> None:
    observer = make(traces_sample_rate=1.0)
    run(observer, started(), fail())
    observer.close(5.0)

    (event,), (process,) = server.errors, server.transactions
    assert process["contexts"]["trace"]["status"] == "internal_error"
    assert event["contexts"]["trace"]["trace_id"] == process["contexts"]["trace"]["trace_id"]
    assert event["contexts"]["trace"]["span_id"] == process["contexts"]["trace"]["span_id"]


def test_a_postponed_job_is_no_error_of_its_trace(server: SentryServer, make: Make) -> None:
    observer = make(traces_sample_rate=1.0)

    def body() -> None:
        raise Postponed(3.0, "limit")

    run(observer, started(), body, JobOutcome.POSTPONED, "limit")
    with pytest.raises(Postponed), observer.running(started()):
        body()
    observer.close(5.0)

    assert [found["contexts"]["trace"]["status"] for found in server.transactions] == ["aborted", "aborted"]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (JobOutcome.SUCCEEDED, "ok"),
        (JobOutcome.DEAD, "internal_error"),
        (JobOutcome.RETRIED, "internal_error"),
        (JobOutcome.POSTPONED, "aborted"),
    ],
)
def test_an_outcome_that_is_told_before_the_body_ends_is_the_traces(
    server: SentryServer, make: Make, outcome: JobOutcome, status: str
) -> None:
    observer = make(traces_sample_rate=1.0)
    job = started()
    with observer.running(job):  # RQ's own path catches what the job raised
        observer.ended(JobEnded(job, 101.0, outcome, "", None if status == "ok" else ValueError("caught")))
    observer.close(5.0)

    assert [found["contexts"]["trace"]["status"] for found in server.transactions] == [status]
    assert len(server.errors) == (outcome is JobOutcome.DEAD)


@pytest.mark.parametrize(("sampled", "kept"), [("1", 1), ("0", 0)])
def test_by_default_a_trace_is_kept_if_its_beginner_keeps_it(
    server: SentryServer, make: Make, sampled: str, kept: int
) -> None:
    observer = make()
    headers = {"sentry-trace": f"{'a' * 32}-{'b' * 16}-{sampled}"}
    run(observer, started(meta={TRACE_META_KEY: headers}), fail())
    run(observer, started("job-2"), lambda: None, JobOutcome.SUCCEEDED)
    observer.close(5.0)

    assert len(server.transactions) == kept
    assert server.errors[0]["contexts"]["trace"]["trace_id"] == "a" * 32


@pytest.mark.parametrize("planted", ["text", 7, ["x"], {"sentry-trace": 7}, {1: "x"}, {"sentry-trace": "nonsense"}])
def test_nonsense_in_place_of_a_trace_harms_no_job(server: SentryServer, make: Make, planted: Any) -> None:
    observer = make()
    done: list[bool] = []
    run(observer, started(meta={TRACE_META_KEY: planted}), lambda: done.append(True), JobOutcome.SUCCEEDED)

    assert done == [True]


def test_without_sentry_publishing_leaves_no_headers() -> None:
    with publishing("high", ["job-1"]) as meta:
        assert meta == {}


def test_an_enqueuer_has_traces_without_an_observer(server: SentryServer, make: Make) -> None:
    start(server.dsn, traces_sample_rate=1.0)
    with publishing("high", ["job-1"]) as meta:
        assert meta[TRACE_META_KEY]["sentry-trace"].endswith("-1")
    sentry_sdk.get_client().close(timeout=5)

    assert len(server.transactions) == 1


# ----------------------------------------------------------------------------------------------------------- secrets


def test_keys_passwords_and_prompts_stay_here(server: SentryServer, make: Make) -> None:
    observer = make(traces_sample_rate=1.0, secrets=["the-configured-secret"])
    prompt = "dear diary"

    def body() -> None:
        messages = [{"role": "user", "content": prompt}]  # a local variable
        logging.getLogger("app").warning("calling with %s", {"messages": messages})
        sentry_sdk.add_breadcrumb(message="at redis://joe:hunter22@host/0", data={"api_key": "k", "prompt": prompt})
        sentry_sdk.set_context("call", {"messages": messages, "model": "m"})
        sentry_sdk.set_extra("authorization", "Bearer hunter22hunter22")
        with sentry_sdk.start_span(op="http", name="call sk-or-v1-hunter22hunter22") as span:
            span.set_data("gen_ai.prompt", prompt)
        raise ValueError(f'refused {{"messages": "{prompt}"}} with the-configured-secret')

    run(observer, started(), body)
    observer.close(5.0)

    everything = "\n".join(server.raw)
    assert (len(server.errors), len(server.transactions)) == (1, 1)
    for secret in (prompt, "hunter22", "the-configured-secret"):
        assert secret not in everything
    assert server.errors[0]["contexts"]["call"]["model"] == "m"
    items = [line for text in server.raw for line in text.split("\n")[1:]]  # the first one is the address
    assert not any(PUBLIC_KEY in line for line in items)
    assert "vars" not in everything
    assert "argv" not in everything


# ------------------------------------------------------------------------------------------------------------- ending


def test_closing_sends_what_is_held(server: SentryServer, make: Make) -> None:
    observer = make()
    for number in range(30):
        run(observer, started(f"job-{number}"), fail(f"{number}"))
    observer.close(5.0)

    assert len(server.errors) == 30


def test_closing_ends_in_time_though_sentry_says_nothing(make: Make) -> None:
    with SocketServer(silent) as dead:
        observer = SentryObserver(f"http://{PUBLIC_KEY}@127.0.0.1:{dead.port}/1")
        run(observer, started(), fail())
        began_s = time.monotonic()
        observer.close(0.3)

        assert time.monotonic() - began_s < 1.5


def test_jobs_that_ended_leave_nothing_in_memory(make: Make) -> None:
    observer = make()
    for number in range(5):
        run(observer, started(f"job-{number}"), lambda: None, JobOutcome.SUCCEEDED)

    assert observer._held == {}


def test_rqs_own_methods_are_not_patched(make: Make) -> None:
    make()
    from rq import Queue
    from rq.worker import BaseWorker

    assert sentry_sdk.get_client().get_integration("rq") is None
    assert not hasattr(BaseWorker.perform_job, "__wrapped__")
    assert not hasattr(Queue.enqueue_job, "__wrapped__")
