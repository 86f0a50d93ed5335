from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jobctl.apps.plan.slo_file import NEXT_STEP
from jobctl.cli.plan_write_render import describe_rewrite
from jobctl.core.railway import SUCCESSOR
from jobctl.errors import InvalidOption
from jobctl.wiring.plan_write import write_plan
from support.plans import make_plan

EXISTING = '{\r\n  "deploy": {\r\n    "startCommand": "jobctl work",\r\n    "region": "ü"\r\n  }\r\n}'


def test_a_dry_run_shows_what_would_change_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "railway.json"
    path.write_bytes(EXISTING.encode())

    change = write_plan(str(path), make_plan(), drain_timeout_s=25.0, dry_run=True)
    shown = list(describe_rewrite(change, "railway.json", dry_run=True))

    assert path.read_bytes() == EXISTING.encode()
    assert '+    "startCommand": "jobctl work --concurrency 25 --drain-timeout 25s",' in shown[0]
    assert shown[1:] == ["railway.json: not written (--dry-run)", f"note: {SUCCESSOR}."]


def test_the_file_is_written_to_the_letter_through_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "railway.json"
    real.write_bytes(EXISTING.encode())
    real.chmod(0o640)
    link.symlink_to(real)

    change = write_plan(str(link), make_plan(), drain_timeout_s=25.0, dry_run=False)

    assert link.is_symlink()
    assert real.read_bytes() == change.text.encode()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["railway.json", "real.json"]


def test_a_second_run_says_that_nothing_changes_and_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "railway.json"
    write_plan(str(path), make_plan(), drain_timeout_s=25.0, dry_run=False)
    written = path.stat()

    change = write_plan(str(path), make_plan(), drain_timeout_s=25.0, dry_run=False)

    assert next(describe_rewrite(change, "railway.json", dry_run=False)) == "railway.json: nothing to change"
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    path = tmp_path / "railway.json"
    plan = make_plan()
    change = write_plan(str(path), plan, drain_timeout_s=25.0, dry_run=False)

    assert json.loads(path.read_text())["deploy"]["numReplicas"] == plan.all_running.replicas
    assert "railway.json: written" in describe_rewrite(change, "railway.json", dry_run=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("railway.toml", None, "is neither JSON nor a slo.toml; give the path of a railway.json or a slo.toml"),
        ("railway.ts", None, "is neither JSON nor a slo.toml; give the path of a railway.json or a slo.toml"),
        ("slo.toml", None, "there is no '"),
        ("slo.toml", b"a = = 1", "slo.toml is not TOML (Invalid value (at line 1, column 5)); mend the file"),
        ("slo.toml", b"[flet]", "unknown"),
        ("railway.json", b"\xff", "cannot be read (it is not UTF-8 text); give the path of a text file"),
        ("railway.json", b"{} // ours", "railway.json is not JSON (extra data, line 1); take comments"),
        ("missing/railway.json", None, "cannot be written (No such file or directory); give another path"),
    ],
)
def test_a_file_that_cannot_take_the_plan_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidOption) as refused:
        write_plan(str(path), make_plan(), drain_timeout_s=25.0, dry_run=False)

    assert str(refused.value).startswith("--write: ")
    assert message in str(refused.value)


def test_a_slo_file_takes_the_plan_and_the_next_step_is_said(tmp_path: Path) -> None:
    path, plan = tmp_path / "slo.toml", make_plan()
    path.write_text('[[objective]]\nslo = "p95 wait <= 1s"\n\n[fleet]\nreplicas = 40  # many\n')

    change = write_plan(str(path), plan, drain_timeout_s=25.0, dry_run=False)

    assert f"replicas = {plan.all_running.replicas} " in path.read_text()
    assert "job_timeout" not in path.read_text()  # the plan was not told one, and the worker's own drain is none
    assert list(describe_rewrite(change, "slo.toml", dry_run=False))[1:] == [
        "slo.toml: written",
        f"note: {NEXT_STEP}.",
    ]
