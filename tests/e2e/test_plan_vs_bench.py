"""A short twin of ``benchmarks/plan_vs_bench.py``: two runs of real parts that come out as simulated.

A busy machine wakes threads late, so more than the proof's 5 ms are allowed here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import plan_vs_bench
import pytest
from jsonschema import Draft202012Validator

from jobctl.core.judging import Judgement
from jobctl.core.slo import Verdict
from jobctl.core.validation import ALLOWED_SHARE, Comparison, Replay, Validation
from support.benches import started

#: What a busy machine adds to a wait, seconds.
LATE_S = 0.1


@pytest.mark.parametrize("case", plan_vs_bench.QUICK, ids=lambda case: case.name.partition(",")[0])
def test_a_short_run_comes_out_as_simulated(
    case: plan_vs_bench.Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bad settings of the directory and the environment are about other workers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobctl.toml").write_text('database_url = "postgres://127.0.0.1:1/none"\n')
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    said: list[str] = []
    (found,) = plan_vs_bench.run([case], 1, said.append)

    assert found.replay is not None, found.judgement
    assert found.jobs > 100
    assert found.replay.replayed_s > 0.006, "the queue is felt, beyond what the replay may be off"
    assert found.replay.measured_s == pytest.approx(found.replay.replayed_s, rel=ALLOWED_SHARE, abs=LATE_S)
    for figure in found.comparisons:
        assert figure.low - LATE_S <= figure.measured <= figure.high + LATE_S, figure
    assert case.name in said[0]
    assert any(line.strip().startswith("check:") for line in said)


def test_a_plan_is_checked_on_real_parts_from_the_command_line(tmp_path: Path) -> None:
    demand = ("--rate", "2.5", "--service-time", "8s", "--replicas", "1", "--budget", "0")
    words = (*demand, "--check", "--check-duration", "5s", "--json", "p.json")
    with started(*words, directory=tmp_path, command=("-m", "jobctl", "plan")) as checking:
        status = checking.finish()
    document = json.loads((tmp_path / "p.json").read_text())
    schema = json.loads(files("jobctl").joinpath("schemas/plan.json").read_text(encoding="utf-8"))

    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    verdict = document["check"]["verdict"]
    assert status == {"kept": 0, "broken": 99, "inconclusive": 97}[verdict], checking.output
    assert f"check: {verdict}" in checking.output
    assert document["check"]["run"]["jobs"] > 100
    assert checking.left_behind() == []


def outcome(*, replays: bool = True, inside: bool = True) -> Validation:
    figure = Comparison("wait_p95_s", 0.2, 0.1, 0.4, 0.2 if inside else 0.9)
    replayed = Replay(0.1, 0.1 if replays else 0.3)
    return Validation(plan_vs_bench.QUICK[0].rehearsal, 500, (figure,), replayed, Judgement(Verdict.KEPT))


@pytest.mark.parametrize(("runs", "allowed"), [(1, 1), (2, 1), (10, 2), (100, 10)])
def test_no_more_runs_may_be_outside_than_chance_explains(runs: int, allowed: int) -> None:
    assert plan_vs_bench.most_outside(runs) == allowed


def test_the_proof_fails_with_one_replay_or_too_many_outside_or_a_run_out_of_order() -> None:
    good, outside, unlike = outcome(), outcome(inside=False), outcome(replays=False)
    unsure = replace(good, judgement=Judgement(Verdict.INCONCLUSIVE, ("interrupted",)))

    assert plan_vs_bench.verdict([good] * 8 + [outside] * 2)[0]
    assert not plan_vs_bench.verdict([good] * 7 + [outside] * 3)[0]
    assert not plan_vs_bench.verdict([good] * 9 + [unlike])[0]
    assert not plan_vs_bench.verdict([good] * 9 + [unsure])[0]


def test_a_name_that_no_case_holds_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["plan_vs_bench.py", "--only", "no such case"])
    with pytest.raises(SystemExit) as ended:
        plan_vs_bench.main()

    assert ended.value.code == 2
