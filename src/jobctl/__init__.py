"""jobctl: how many replicas do your background LLM jobs need, and does what you have hold?

``Worker`` is an RQ worker with many jobs in flight in one process; it is resolved on first use, so that importing
the package stays cheap. ``Postponed`` is raised in a job to have it run later without spending an attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.errors import Postponed

if TYPE_CHECKING:
    from jobctl.adapters.rq_worker import Worker

__version__ = "0.1.0"
__all__ = ["Postponed", "Worker", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Worker":
        from jobctl.wiring.worker import worker_class

        return worker_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
