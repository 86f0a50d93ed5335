from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from jobctl.cli.generators import Generators, crew_of
from jobctl.cli.main import app
from jobctl.core.crew import ALONE, MASTER_PORT, Crew
from jobctl.errors import InvalidOption

NOTHING = Generators(None, False, None, False, None, None)


def test_without_options_one_process_generates_the_load() -> None:
    assert crew_of(NOTHING) == ALONE


def test_several_processes_are_led_on_this_machine_alone() -> None:
    assert crew_of(replace(NOTHING, processes=3)) == Crew(3, 0, "127.0.0.1", None)


def test_a_master_waits_for_one_generator_unless_told_otherwise_and_starts_none() -> None:
    assert crew_of(replace(NOTHING, leads=True)) == Crew(0, 1, "0.0.0.0", MASTER_PORT)
    assert crew_of(replace(NOTHING, leads=True, processes=2, expected=4, host="10.0.0.1", port=7)) == Crew(
        2, 4, "10.0.0.1", 7
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--worker", "--master"), "--master"),
        (("--worker", "--processes", "2"), "--processes"),
        (("--worker", "--expect-workers", "2"), "--expect-workers"),
        (("--worker", "--rate", "5", "--redis-url", "redis://127.0.0.1:1"), "--worker"),
        (("--worker", "--json", "x.json", "--redis-url", "redis://127.0.0.1:1"), "--worker"),
        (("--worker",), "--worker"),
        (("--expect-workers", "2"), "--expect-workers"),
        (("--master-host", "10.0.0.1"), "--master-host"),
        (("--master-port", "7"), "--master-port"),
        (("--master",), "--master"),
        (("--master", "--find-max", "--redis-url", "redis://127.0.0.1:1"), "--find-max"),
        (("--worker", "--find-max", "--redis-url", "redis://127.0.0.1:1"), "--find-max"),
    ],
)
def test_options_that_contradict_each_other_are_named(
    words: tuple[str, ...], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    refused = CliRunner().invoke(app, ["bench", *words]).exception

    assert isinstance(refused, InvalidOption)
    assert refused.option == named
