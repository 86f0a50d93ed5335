"""What machine and which versions a result was measured with."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version

__all__ = ["host", "versions"]


def host() -> dict[str, str | int | None]:
    """The machine: enough to tell whether two results may be compared."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "name": platform.node(),
    }


def versions(redis_version: str) -> dict[str, str]:
    """Versions of jobctl, Python, the server and the libraries that matter for a figure."""
    libraries = ("jobctl", "rq", "redis", "locust", "httpx")
    return {
        "python": sys.version.split()[0],
        "redis_server": redis_version,
        **{name if name != "redis" else "redis_py": version(name) for name in libraries},
    }
