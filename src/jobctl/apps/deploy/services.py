"""The services of a fleet on Railway: what both of its files say, in their own words.

*Health.* Railway asks ``/readyz`` on the port that the service's variable ``PORT`` names until it answers 200, and only
then takes the old deployment away (docs.railway.com/deployments/healthchecks). It sets ``PORT`` itself where nobody
does, to a number that no worker listens on; so ``PORT`` has to be the metrics port, and only the successor can say so.

*Stop.* The old deployment stays for :data:`OVERLAP_S` beside the new one, then gets SIGTERM, and SIGKILL after the
draining: the longest job and what a worker needs to end. Railway's own default is 0 s (deployment-teardown).

*Command.* It takes the place of the image's entry point in exec form, so that the worker is process 1 and gets the
signal itself; exec form knows no variables (deployments/start-command), and the port stands there as a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from jobctl.core.operations import STOP_S, Operations
from jobctl.core.railway_rewriting import Deploy
from jobctl.errors import InvalidValue

__all__ = ["OVERLAP_S", "READY_PATH", "READY_TIMEOUT_S", "Exporter", "exporter_of", "worker_of"]

#: What Railway asks. A worker is ready when it takes jobs from Redis.
READY_PATH: Final = "/readyz"
#: How long Railway asks before it gives the deployment up, seconds; a worker is up in two, Redis may need longer.
READY_TIMEOUT_S: Final = 120
#: How long the old replicas go on beside the new ones, seconds. Railway does not say that it waits for every replica to
#: be ready, and one that starts late should find the old ones still at work.
OVERLAP_S: Final = 30
#: What needs no quotes in any shell.
_PLAIN: Final = re.compile(r"[\w.:,@%+=/-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exporter:
    """The process that exposes what all workers share.

    Attributes:
        port: Where it listens.
        draining_s: Whole seconds from SIGTERM to SIGKILL; it has no jobs, and gives its place up to a worker.
    """

    port: int
    draining_s: int = STOP_S

    @property
    def command(self) -> str:
        """Its start command."""
        return f"jobctl exporter --port {self.port}"


def worker_of(operations: Operations) -> Deploy:
    """How the workers run.

    Raises:
        InvalidValue: A queue's name cannot stand in a command.
    """
    fleet = operations.fleet
    queues = ",".join(part.strip() for part in fleet.queues.split(","))
    if not _PLAIN.fullmatch(queues):
        raise InvalidValue(
            f"[fleet] queues: {fleet.queues!r} cannot stand in a start command",
            "name queues by letters, digits and . _ - only",
        )
    return Deploy(
        replicas=fleet.replicas,
        concurrency=fleet.concurrency,
        drain_timeout_s=fleet.job_timeout_s,
        db_pool_size=fleet.db_pool_size,
        queues=queues,
        metrics_port=_port(operations.scrape.worker_dns),
        further={
            "healthcheckPath": READY_PATH,
            "healthcheckTimeout": READY_TIMEOUT_S,
            "restartPolicyType": "ALWAYS",
            "overlapSeconds": OVERLAP_S,
        },
        builder="DOCKERFILE",
    )


def exporter_of(operations: Operations) -> Exporter | None:
    """How the exporter runs; None where a worker stands in for it."""
    return Exporter(_port(operations.scrape.exporter)) if operations.scrape.exporter else None


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
