from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.allowing import EVERYTHING, parse_allow
from jobctl.errors import InvalidValue

ALLOW = parse_allow("myapp.tasks, other.module.func,https://hooks.example.com/, http://localhost:8080")


@pytest.mark.parametrize(
    "path",
    [
        "myapp.tasks.send",
        "myapp.tasks.mail.send",
        "myapp.tasks.Mail.send",
        "myapp.tasks._private",
        "other.module.func",
        "jobctl.apps.work.tasks.chat_completion",
        "jobctl.apps.work.tasks.sleep",
        "jobctl.apps.work.tasks.noop",
    ],
)
def test_what_is_listed_and_what_is_below_it_is_permitted(path: str) -> None:
    assert ALLOW.permits(path)


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "eval",
        "",
        "myapp",
        "myapp.tasks2.send",
        "myapp.task",
        "myapp.other.send",
        "other.module",
        "other.module.function",
        "other.module.other",
        "myapp.tasks.send.__globals__.get",
        "myapp.tasks.__main__.run",
        "myapp.tasks..send",
        "myapp.tasks.",
        ".myapp.tasks.send",
        "myapp.tasks.a b",
        "myapp.tasks.f\n",
        "jobctl.apps.work.tasks.bind",
        "jobctl.apps.work.tasks.import_module",
        "jobctl.wiring.run_worker",
    ],
)
def test_everything_else_is_refused(path: str) -> None:
    assert not ALLOW.permits(path)


def test_without_an_entry_everything_is_permitted() -> None:
    assert EVERYTHING.permits("os.system")
    assert EVERYTHING.permits_webhook("http://anywhere/")
    assert not EVERYTHING.active
    assert str(EVERYTHING) == "everything"


def test_an_origin_alone_refuses_functions_and_a_function_alone_refuses_webhooks() -> None:
    assert not parse_allow("https://hooks.example.com").permits("myapp.tasks.send")
    assert not parse_allow("myapp.tasks").permits_webhook("https://hooks.example.com")


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/a/b?c=d#e",
        "https://hooks.example.com:443/a",
        "HTTPS://Hooks.Example.COM/a",
        "https://hooks.example.com?a=@b",
        "http://localhost:8080/",
    ],
)
def test_a_webhook_may_call_any_path_of_a_listed_origin(url: str) -> None:
    assert ALLOW.permits_webhook(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com.evil.test/",
        "https://evil.test/https://hooks.example.com",
        "https://hooks.example.com@evil.test/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com\\@evil.test/",
        "https://hooks.example.com/\\..",
        "https://hooks.example.com /",
        " https://hooks.example.com/",
        "https://hooks.example.com/\r\nHost: evil.test",
        "//hooks.example.com/",
        "file:///etc/passwd",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "",
    ],
)
def test_a_webhook_may_call_nothing_else(url: str) -> None:
    assert not ALLOW.permits_webhook(url)


def test_entries_are_shown_as_they_were_given_once_each() -> None:
    assert str(parse_allow("b.c, a ,b.c,https://host/")) == "b.c,a,https://host"


@pytest.mark.parametrize(
    "text", ["", "a,", "a b", "my-app.tasks", "a..b", "*", "https://", "https://host/path", "ftp://host", "u@host", "/"]
)
def test_an_entry_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is neither a dotted path nor an origin; give dotted paths and origins"):
        parse_allow(text)


@given(st.text(max_size=20))
def test_what_begins_like_an_entry_is_permitted_only_at_a_dot(rest: str) -> None:
    names = rest.split(".")[1:]
    below = rest.startswith(".") and all(name.isidentifier() and not name.startswith("__") for name in names)

    assert parse_allow("a.b").permits(f"a.b{rest}") == (rest == "" or below)
