"""A second machine, as far as this one can play one: a network namespace with a cable to this machine's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

__all__ = ["NETWORKS", "Network", "connected"]


@dataclass(frozen=True, slots=True)
class Network:
    """How two parts of a test reach each other.

    Attributes:
        here: This side's address.
        enter: What a command over there begins with.
    """

    here: str
    enter: tuple[str, ...]


def _may_make_namespaces() -> bool:
    try:
        return subprocess.run(["ip", "netns", "add", _name()], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
    finally:
        _remove()


def _name() -> str:
    return f"jobctl-{os.getpid()}"


def _remove() -> None:
    with suppress(FileNotFoundError):
        subprocess.run(["ip", "netns", "del", _name()], capture_output=True, check=False)


@contextmanager
def connected(kind: str) -> Iterator[Network]:
    """Two sides of a network of one of the :data:`NETWORKS`."""
    if kind == "one network namespace":
        yield Network("127.0.0.1", ())
        return
    name, number = _name(), os.getpid() % 250 + 1
    here, there = f"10.213.{number}.1", f"10.213.{number}.2"
    cable = f"jc{os.getpid() % 10_000_000}"
    try:
        for command in (
            ["ip", "netns", "add", name],
            ["ip", "link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b", "netns", name],
            ["ip", "address", "add", f"{here}/24", "dev", f"{cable}a"],
            ["ip", "link", "set", f"{cable}a", "up"],
            ["ip", "-n", name, "address", "add", f"{there}/24", "dev", f"{cable}b"],
            ["ip", "-n", name, "link", "set", f"{cable}b", "up"],
            ["ip", "-n", name, "link", "set", "lo", "up"],
        ):
            _run(command)
        yield Network(here, ("ip", "netns", "exec", name))
    finally:
        _remove()  # the cable goes with its end


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


#: What this machine can play. A test that runs in one namespace says so in its name.
NETWORKS: Final = ["two network namespaces" if _may_make_namespaces() else "one network namespace"]
