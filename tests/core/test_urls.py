from __future__ import annotations

import pytest

from jobctl.core.urls import password_of, without_password


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


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("redis://joe:secret@host:6379/0", "secret"),
        ("rediss://:p@ss:word@host", "p@ss:word"),
        ("redis://host:6379/0", None),
        ("redis://joe@host:6379/0", None),
        ("unix:///path/to.sock", None),
        ("high,default,low", None),
    ],
)
def test_the_password_of_a_url_is_what_stands_before_its_host(url: str, password: str | None) -> None:
    assert password_of(url) == password
