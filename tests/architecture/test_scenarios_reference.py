"""The reference of shapes and scenarios: every file in it is read, and it leaves out no key, shape or scenario."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from jobctl.adapters.files import scenario_names
from jobctl.apps.bench.configure import configure, wanted_load
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import KEYS, parse_scenario
from jobctl.core.profiles import parse_shape
from jobctl.core.shapes import BENCH_SHAPES

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "scenarios.md").read_text(encoding="utf-8")
RECORDED = (ROOT / "loadtests" / "scenarios" / "recorded.csv").read_text(encoding="utf-8").splitlines()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", REFERENCE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_scenario_that_is_shown_can_be_run(text: str) -> None:
    scenario = parse_scenario("shown", tomllib.loads(text))
    wanted = wanted_load(BenchRequest(), scenario)
    lines = RECORDED if wanted is not None and wanted.shape.kind.has_file else []

    spec = configure(BenchRequest(), scenario, None, 25, "run", shape_lines=lines).spec
    assert len(spec.schedule()) > 100


@pytest.mark.parametrize("text", blocks("csv"))
def test_the_file_of_a_day_that_is_shown_is_one(text: str) -> None:
    assert len(parse_shape(text.splitlines(), "day.csv")) > 2


@pytest.mark.parametrize(("place", "keys"), KEYS.items())
def test_every_key_is_told(place: str, keys: set[str]) -> None:
    for key in keys:
        assert re.search(rf"`(\[\[?)?{key}(\]\]?)?`", REFERENCE), f"{place}: {key}"


def test_every_shape_and_every_scenario_that_ships_is_told() -> None:
    words: list[Any] = [*(kind.value for kind in BENCH_SHAPES), *scenario_names()]
    for word in words:
        assert f"`{word}`" in REFERENCE, word
