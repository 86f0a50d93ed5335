from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.scrubbing import FILTERED, make_scrubber

scrub = make_scrubber(["a named secret"])


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("the key sk-or-v1-0123456789abcdef was refused", "was refused", "0123456789"),
        ("Authorization: Bearer abc.def-ghi/jkl", "Authorization", "abc.def"),
        ("redis://joe:hunter22@host:6379/0 is away", "@host:6379/0 is away", "hunter22"),
        ("redis://:hunter22@host", "@host", "hunter22"),
        ("https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/2", "o1.ingest.sentry.io/2", "0123456789"),
        ("postgresql://u@h/db?password=hunter22&sslmode=require", "sslmode=require", "hunter22"),
        ("host=h password='hunter22' dbname=d", "host=h", "hunter22"),
        ("api_key=hunter22 was given", "was given", "hunter22"),
        ("SUPABASE_SERVICE_KEY eyJhbGciOi.eyJpc3Mi.c2lnbmF0dXJl", "SUPABASE_SERVICE_KEY", "c2lnbmF0dXJl"),
        ('bad answer {"model": "m", "messages": [{"role": "user", "content": "my diary"}]}', '"model": "m"', "diary"),
        ("cannot parse {'content': 'my diary'}", "cannot parse", "diary"),
        (r"body \"prompt\": \"my diary\"", "body", "diary"),
        ("and a named secret here", "here", "a named secret"),
    ],
)
def test_secrets_and_prompts_go_and_the_rest_of_the_text_stays(text: str, kept: str, gone: str) -> None:
    clean = scrub(text)
    assert gone not in clean
    assert kept in clean
    assert FILTERED in clean


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "ValueError: tokens must be at least 1",
        "https://host/path?x=1",
        "total_tokens=17",
        "skip-this-one",
        "user@example.org",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(
    "key", ["password", "REDIS_PASSWORD", "api_key", "apiKey", "token", "messages", "gen_ai.prompt", "args", "dsn"]
)
def test_a_value_under_a_telling_key_goes_whole(key: str) -> None:
    assert scrub({"a": [{key: ["x", {"y": 1}]}]}) == {"a": [{key: FILTERED}]}


@pytest.mark.parametrize("piece", ["a", "eyJ-", "token ", '"messages" ', "redis://", "-sk-", "a:"])
def test_no_text_is_so_bad_that_it_takes_long(piece: str) -> None:
    began_s = time.process_time()
    scrub(piece * 1_000_000)

    assert time.process_time() - began_s < 1.0


def test_a_long_text_is_cut_after_its_secrets_are_gone() -> None:
    clean = scrub("x" * 980 + " redis://joe:hunter22@host " + "y" * 980)

    assert len(clean) == 1000
    assert clean.endswith("...")
    assert "hunter" not in clean
    assert scrub(clean) == clean


def test_other_values_keep_their_form() -> None:
    event: dict[str, Any] = {"total_tokens": 3, "ok": True, "none": None, "token": None, "list": [1, 2.5, "a"]}
    assert scrub(event) == event


@settings(max_examples=50)
@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_scrubbing_twice_changes_nothing_more(value: Any) -> None:
    once = scrub(value)
    assert scrub(once) == once
