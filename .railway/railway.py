# Made by jobctl deploy render from slo.toml. Change that, not this; but for the lines that are yours.
"""A fleet of jobctl on Railway.

python3 -m pip install railway-sdk    for the python3 that railway finds
railway config plan                   shows what would change, and changes nothing
railway config apply                  does it; the railway.json of a service has to go first
"""

from railway_sdk import define_railway, github, preserve, project, service

# This file has these services and no others. Without a partial all that it does not name would be deleted, Redis too.
PARTIAL = "jobctl"

# ---- yours: these lines stay when the file is made again ----
PROJECT = "jobs"  # the project's name
WORKER, EXPORTER = "worker", "exporter"  # the services' names
REDIS_URL = "${{Redis.REDIS_URL}}"  # of the service that is named Redis
REPOSITORY = ""  # owner/name on GitHub that Railway builds; empty where `railway up` brings the code
KEPT: tuple[str, ...] = ()  # your jobs' own variables, by name: their values are set in Railway, never here
# ---- end of yours ----

# Settings and secrets of jobctl: what Railway holds stays. A variable that nothing here names is deleted.
SETTINGS = (
    "OPENROUTER_BASE_URL",
    "OPENROUTER_API_KEY",
    "JOB_CALL_TIMEOUT",
    "JOB_ATTEMPTS",
    "JOB_RETRY_BASE",
    "JOB_RETRY_CAP",
    "JOB_RECOVER_AFTER",
    "JOB_ABANDON_LIMIT",
    "JOB_ALLOW",
    "DATABASE_URL",
    "JOB_DB_TIMEOUT",
    "SENTRY_DSN",
    "SENTRY_TRACES_SAMPLE_RATE",
    "JOB_SENTRY_ERRORS",
    "JOB_METRICS_HOST",
    "OPENROUTER_RPM",
    "OPENROUTER_TPM",
    "OPENROUTER_BURST",
    "JOB_QUEUE_MODELS",
    "JOB_LIMITER_FAILURE",
)

# One line for each option, so that a change shows what it changes.
WORK = (
    "jobctl work",
    "--queues high,default,low",
    "--concurrency 25",
    "--drain-timeout 180s",
    "--db-pool-size 5",
    "--metrics-port 9100",
)


@define_railway
def main(ctx: object = None) -> object:
    """What Railway's command line compares with what is there."""
    shared = {
        "source": github(REPOSITORY) if REPOSITORY else None,
        "build": {"builder": "DOCKERFILE"},
        "healthcheck": "/readyz",
        "healthcheckTimeout": 120,
        "deploy": {"restartPolicyType": "ALWAYS"},
    }
    variables = {name: preserve() for name in (*SETTINGS, *KEPT)}
    variables |= {"REDIS_URL": REDIS_URL, "JOB_PLANNED_REPLICAS": "2"}
    worker = service(
        WORKER,
        **shared,
        start=" ".join(WORK),
        replicas=2,
        env={
            **variables,
            "PORT": "9100",
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "190",
            "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS": "30",
        },
    )
    exporter = service(
        EXPORTER,
        **shared,
        start="jobctl exporter --port 9200",
        replicas=1,
        env={
            **variables,
            "PORT": "9200",
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "10",
        },
    )
    return project(PROJECT, resources=[worker, exporter])
