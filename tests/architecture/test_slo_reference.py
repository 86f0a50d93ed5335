"""The reference of slo.toml tells every key that is read, with its real default, and the example is one of them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from jobctl.core.metrics import BUCKETS_S
from jobctl.core.operations import KEYS, Email, Fleet, Scrape, Slack, Thresholds, Webhook, parse_operations, unwatched
from jobctl.core.slo import Objective

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "slo.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "monitoring" / "slo.toml").read_text(encoding="utf-8")
TABLES = {
    "fleet": Fleet,
    "thresholds": Thresholds,
    "scrape": Scrape,
    "notify.email": Email,
    "notify.slack": Slack,
    "notify.webhook": Webhook,
}


def told() -> dict[str, dict[str, str]]:
    """Table -> key -> what it is when it is left out."""
    tables: dict[str, dict[str, str]] = {}
    name = ""
    for line in PAGE.splitlines():
        if heading := re.match(r"(?:## )?`\[+([a-z.]+)\]+`", line):
            name = heading[1]
        elif row := re.match(r"\| `(\w+)` \| .+ \| (.*?) ?\|$", line):
            tables.setdefault(name, {})[row[1]] = row[2]
    return tables


def test_every_key_is_told_and_no_other() -> None:
    expected = {name: set(KEYS[kind]) for name, kind in TABLES.items()}
    expected["scrape"].add("workers")
    expected |= {"objective": {"slo", "over"}, "notify": {"runbook"}}

    assert {name: set(keys) for name, keys in told().items()} == expected


@pytest.mark.parametrize(("name", "kind"), TABLES.items())
def test_what_is_left_out_has_the_value_that_is_told(name: str, kind: type) -> None:
    defaults = {one.name: one.default for one in fields(kind)}
    for key, (attribute, parse) in KEYS[kind].items():
        default, text = defaults[attribute], told()[name][key]
        if default is MISSING:
            assert text == "has to be there", key
        elif default is not None and default != "":
            assert parse(text) == default, key


def test_the_bounds_and_the_percentile_are_those_that_can_be_watched() -> None:
    (listed,) = re.findall(r"histogram \(([\d., \nor]+) s\)", PAGE)
    assert [float(bound) for bound in re.findall(r"[\d.]+", listed)] == list(BUCKETS_S)
    least = float(re.findall(r"at least p(\d+)", PAGE)[0])
    assert unwatched(Objective("wait", least / 100, 1.0)) is None
    assert unwatched(Objective("wait", (least - 1) / 100, 1.0)) is not None


def test_the_example_is_read_and_shows_every_key_that_most_need() -> None:
    content = tomllib.loads(EXAMPLE)
    shown = {
        name: set(content.get("notify", content).get(name.rpartition(".")[2], {})) for name in TABLES if "." in name
    }
    shown |= {name: set(content[name]) for name in TABLES if "." not in name}

    parse_operations(content)
    assert {name: set(KEYS[kind]) - shown[name] for name, kind in TABLES.items()} == {name: set() for name in TABLES}


def test_what_the_example_shows_is_what_is_taken_without_it() -> None:
    content = tomllib.loads(EXAMPLE)
    whole = parse_operations(content)
    bare = parse_operations({"objective": content["objective"]})

    assert (whole.thresholds, whole.scrape) == (bare.thresholds, bare.scrape)
