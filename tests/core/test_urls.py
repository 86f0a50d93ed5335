from __future__ import annotations

import pytest

from jobctl.core.urls import without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://joe:secret@host/1", "redis://joe:***@host/1"),
        ("rediss://joe:se@cr:et/@host/1", "rediss://joe:***@host/1"),
        ("unix:///tmp/redis.sock?db=1&password=secret", "unix:///tmp/redis.sock?db=1&password=***"),
        ("redis://host/0?ssl_password=secret&db=2", "redis://host/0?ssl_password=***&db=2"),
        ("joe:secret@host", "joe:***@host"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://joe@host:6379/0", "redis://joe@host:6379/0"),
        ("unix:///tmp/redis.sock", "unix:///tmp/redis.sock"),
        ("", ""),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
