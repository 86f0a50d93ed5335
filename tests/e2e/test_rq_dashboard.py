"""rq-dashboard reads what our worker writes."""

from __future__ import annotations

import pytest
import rq_dashboard
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from rq import Queue

from jobctl import Worker


def boom() -> None:
    raise RuntimeError("on purpose")


@pytest.fixture
def dashboard(redis: Redis, redis_url: str) -> FlaskClient:
    app = Flask(__name__)
    app.config.from_object(rq_dashboard.default_settings)
    app.config["RQ_DASHBOARD_REDIS_URL"] = redis_url
    rq_dashboard.web.setup_rq_connection(app)
    app.register_blueprint(rq_dashboard.blueprint, url_prefix="/rq")
    return app.test_client()


def test_queues_and_jobs_are_shown_as_those_of_rqs_own_worker(redis: Redis, dashboard: FlaskClient) -> None:
    queue = Queue("shown", connection=redis)
    done, failed = queue.enqueue("builtins.len", "four"), queue.enqueue(boom)
    Worker(["shown"], connection=redis).work(burst=True, logging_level="CRITICAL")
    waiting = queue.enqueue("builtins.len", "")

    (shown,) = dashboard.get("/rq/0/data/queues.json").json["queues"]
    assert (shown["name"], shown["count"]) == ("shown", 1)
    assert (shown["finished_job_registry_count"], shown["failed_job_registry_count"]) == (1, 1)
    assert dashboard.get(f"/rq/0/data/job/{done.id}.json").json["status"] == "finished"
    assert "on purpose" in dashboard.get(f"/rq/0/data/job/{failed.id}.json").json["exc_info"]
    assert dashboard.get(f"/rq/0/data/job/{waiting.id}.json").json["status"] == "queued"
    assert dashboard.get("/rq/").status_code == 200
