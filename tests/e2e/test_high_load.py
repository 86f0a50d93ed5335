"""The benches of docs/HIGH_LOAD_OPTIMIZATION.md on real parts: shorter than they are shown, with the same claims."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import high_load
import pytest
from shown_benches import benches

from support.benches import run
from support.console import Ran, commands

Document = Mapping[str, Any]

#: Lengths that are enough for each claim, of few jobs longer; the document's figures are of the whole length.
DURATION_S, OF_FEW_JOBS_S = 5, 8
#: Where a worker is killed, and how soon its jobs run again: half a minute is the default.
KILLED_AT_S = 2
RECOVER_AFTER_S = 2
#: A busy machine wakes the generator late; where lateness is not the subject it may be.
LATE = ("--max-schedule-lag", "5s")
BENCHES = benches(high_load.DOCUMENT.read_text(encoding="utf-8"))


def all_slots_are_busy(document: Document) -> None:
    """19 of 20 slots at work, and jobs still do not wait for one: what was offered was carried."""
    slots = document["config"]["replicas"] * document["config"]["concurrency"]
    assert document["achieved"]["rate_per_s"] == pytest.approx(0.95 * slots, rel=0.04)
    assert document["utilisation"] == pytest.approx(0.95, abs=0.05)


def failures_heal(document: Document) -> None:
    """Attempts failed, and jobs did not."""
    assert document["jobs"]["failed_attempts"] > 0
    assert document["jobs"]["failed"] == 0


def refusals_cost_no_attempt(document: Document) -> None:
    """Some answers were a 429: jobs waited longer for them, none was tried again."""
    assert document["signals"]["wait"]["max"] > 0.2
    assert (document["jobs"]["retried"], document["jobs"]["failed"]) == (0, 0)


def the_limit_binds_and_not_the_slots(document: Document) -> None:
    """Of 8 jobs a second 5 are let through; the others queue up before slots that are nearly all free."""
    assert document["config"]["job"] == "chat_completion"
    assert document["signals"]["wait"]["max"] > 1
    assert 0.5 <= document["signals"]["service"]["p50"] < 1
    assert 1.5 <= document["backlog"]["slope_per_s"] <= 4.5
    assert document["utilisation"] < 0.15
    assert document["jobs"]["failed"] == 0


def the_jobs_of_a_killed_worker_run_again(document: Document) -> None:
    """One of two workers was killed at work; its jobs ended on the other one."""
    assert [fault["kind"] for fault in document["faults"]] == ["replica_killed"]
    assert document["jobs"]["retried"] > 0
    assert document["jobs"]["failed"] == 0


#: What each bench claims, by an option that only it has.
CLAIMS: dict[str, Callable[[Document], None]] = {
    "--concurrency 5 ": all_slots_are_busy,
    "--concurrency 25 ": all_slots_are_busy,
    "--failure-rate": failures_heal,
    "--fault 429": refusals_cost_no_attempt,
    "--openrouter-rpm": the_limit_binds_and_not_the_slots,
    "--chaos replica_killed": the_jobs_of_a_killed_worker_run_again,
}


def told_apart(command: str) -> str:
    """The option by which a bench is known."""
    return ", ".join(option.strip() for option in CLAIMS if option in command)


@pytest.mark.parametrize(
    "command",
    # Five slots claim what 25 do; `make proof` runs both.
    [pytest.param(one, marks=[pytest.mark.proof] if "--concurrency 5 " in one else []) for one in BENCHES],
    ids=told_apart,
)
def test_a_bench_of_the_document_shows_what_it_is_there_for(command: str, tmp_path: Path) -> None:
    claim = CLAIMS[next(option for option in CLAIMS if option in command)]
    status, document, bench = run(*shorter(command), *LATE, directory=tmp_path, JOB_RECOVER_AFTER=str(RECOVER_AFTER_S))

    claim(document)
    assert ("mock http://127.0.0.1:" in bench.output) is (document["config"]["job"] == "chat_completion")
    assert document["jobs"]["lost"] == document["jobs"]["duplicated"] == 0
    assert document["jobs"]["scheduled"] == document["jobs"]["finished"]
    (shown,) = [shown for shown in commands(high_load.DOCUMENT) if shown.command == command]
    assert Ran(status, bench.output).missing(shown.lines) == [], bench.output


def test_five_times_the_slots_do_five_times_the_jobs_as_the_document_says() -> None:
    few, many = (shlex.split(command) for command in BENCHES if "--concurrency" in command)
    ratios = [
        float(many[many.index(name) + 1]) / float(few[few.index(name) + 1]) for name in ("--concurrency", "--rate")
    ]

    assert ratios == [5.0, 5.0]


def shorter(command: str) -> list[str]:
    """The words of a bench of less length, in which a fault comes sooner."""
    duration_s = DURATION_S if "--job sleep" in command else OF_FEW_JOBS_S
    command, times = re.subn(r"--duration \d+s", f"--duration {duration_s}s", command)
    assert times == 1
    return shlex.split(re.sub(r"@\d+s", f"@{KILLED_AT_S}s", command))[2:]
