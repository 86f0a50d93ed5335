"""Shapes, mixes and replays of `jobctl bench` on real parts."""

from __future__ import annotations

import csv
import json
import random
import re
from importlib.resources import files
from itertools import accumulate
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from support.benches import run

#: A busy machine wakes the generator late; lateness is not the subject here.
LATE = ("--max-schedule-lag", "5s")
DAY = """
[shape]
kind = "diurnal"
rate = 60
time_scale = 28800

[[job]]
type = "sleep"
name = "short"
share = 0.75
service_time = "constant:10ms"
queue = "urgent"

[[job]]
type = "sleep"
name = "long"
share = 0.25
service_time = "constant:100ms"
queue = "bulk"
slo = "p50 wait <= 10s"
"""


def test_a_day_of_a_mix_passes_in_three_seconds_and_each_type_has_its_own_figures(tmp_path: Path) -> None:
    (tmp_path / "day.toml").write_text(DAY, encoding="utf-8")
    status, document, bench = run(
        "--scenario", "day.toml", "--warmup", "0", "--records", "r.csv", *LATE, directory=tmp_path
    )

    assert status == 0, bench.output
    schema = json.loads(files("jobctl").joinpath("schemas/bench.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    config = document["config"]
    assert (config["shape"], config["time_scale"]) == ("diurnal", 28800)
    assert config["duration_s"] == pytest.approx(3.0)
    assert config["rate_per_s"] == pytest.approx(60)

    short, long = document["by_job"]
    assert (short["job"], long["job"]) == ("short", "long")
    assert short["queue"].endswith("-urgent")
    assert long["queue"].endswith("-bulk")
    assert short["jobs"]["finished"] + long["jobs"]["finished"] == document["jobs"]["scheduled"]
    assert short["jobs"]["finished"] > 2 * long["jobs"]["finished"]
    assert short["signals"]["service"]["p50"] < 0.1 <= long["signals"]["service"]["p50"]
    assert re.search(r"^short +75\.0% +\d+", bench.output, re.MULTILINE)

    with (tmp_path / "r.csv").open(encoding="utf-8") as rows:
        intended = [float(row["intended_s"]) for row in csv.DictReader(rows)]
    # Of a cosine with a peak of 2 the middle third holds 1/3 + sin(pi/3)/pi = 0.61; the seed is fixed.
    assert sum(1 <= at_s < 2 for at_s in intended) / len(intended) == pytest.approx(0.61, abs=0.1)
    assert bench.left_behind() == []


def test_a_replay_fires_the_recorded_instants_with_the_recorded_service_times(tmp_path: Path) -> None:
    rng = random.Random(1)
    arrivals = [round(at_s, 3) for at_s in accumulate(rng.expovariate(15.0) for _ in range(30))]
    services = [round(rng.uniform(0.01, 0.1), 3) for _ in arrivals]
    rows = "\n".join(f"{at_s},{service_s}" for at_s, service_s in zip(arrivals, services, strict=True))
    (tmp_path / "jobs.csv").write_text(f"arrival_s,service_s\n{rows}\n", encoding="utf-8")
    words = ("--shape", "replay:jobs.csv", "--time-scale", "2", "--warmup", "0", "--records", "r.csv")
    status, document, bench = run(*words, *LATE, directory=tmp_path)

    assert status in {0, 97}, bench.output  # thirty jobs may be too few to tell
    assert document["config"]["shape"] == "replay:jobs.csv"
    assert document["jobs"]["finished"] == 30
    with (tmp_path / "r.csv").open(encoding="utf-8") as lines:
        records = list(csv.DictReader(lines))
    fired = [float(row["intended_s"]) for row in records]
    assert fired == pytest.approx([(at_s - arrivals[0]) / 2 for at_s in arrivals], abs=1e-5)
    # A slot is held no shorter than was recorded; by how much longer depends on the machine.
    held = [float(row["service_s"]) for row in records]
    assert all(held_s >= service_s - 1e-3 for held_s, service_s in zip(held, services, strict=True))
