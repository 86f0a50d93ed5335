"""RQ's timestamps, such as ``2026-01-31T12:00:00.000000Z``, and seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["epoch_s", "rq_second", "rq_time"]

_seconds: dict[int, str] = {}


def epoch_s(text: bytes | None) -> float | None:
    """A timestamp as seconds since the epoch; None when it is none."""
    try:
        return datetime.fromisoformat(text.decode()).timestamp() if text else None
    except ValueError:
        return None


def rq_time(instant_s: float) -> str:
    """An instant as RQ writes it."""
    return rq_second(int(instant_s)) + f".{int(instant_s % 1 * 1e6):06d}Z"


def rq_second(second: int) -> str:
    """The whole seconds of a timestamp; nearly always those of the last call."""
    text = _seconds.get(second)
    if text is None:
        _seconds.clear()
        text = _seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text
