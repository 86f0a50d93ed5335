"""The commands of the how-tos about watching and telling, and of monitoring's README, run as they are written."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

from lock import REPOSITORY

from support.console import commands, here, run
from support.github import read_yaml
from support.monitoring import TOOLS

HOWTOS = REPOSITORY / "docs" / "howto"


def test_trying_a_notification_by_hand_goes_as_it_is_written(tmp_path: Path) -> None:
    document = HOWTOS / "notify.md"
    script = re.search(r"^```python\n(.+?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert script is not None
    (tmp_path / "hook.py").write_text(script[1])
    shown = commands(document)
    assert [one.lines for one in shown if one.command.startswith("until grep")] == [
        ("firing JobctlFleetDown Bearer the-token",)
    ]

    for one, ran in zip(shown, run([one.command for one in shown], tmp_path, here(tmp_path, TOOLS), 40), strict=True):
        assert ran.status == 0, (one.command, ran.output)
        assert ran.missing(one.lines) == [], ran.output


def test_watching_a_fleet_begins_as_it_is_written(tmp_path: Path) -> None:
    shown = commands(HOWTOS / "monitor-a-fleet.md")

    for one, ran in zip(shown, run([one.command for one in shown], tmp_path, here(tmp_path, TOOLS), 60), strict=True):
        assert ran.status == 0, (one.command, ran.output)
        assert ran.missing(one.lines) == [], ran.output


def test_the_start_of_monitorings_readme_makes_every_secret_that_the_containers_read(tmp_path: Path) -> None:
    readme = (REPOSITORY / "monitoring" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL)
    start = blocks[0].replace("docker compose", "echo docker compose")

    subprocess.run(["bash", "-euc", start], cwd=tmp_path, env=here(tmp_path, TOOLS), check=True, capture_output=True)

    secrets = tmp_path / "monitoring" / "secrets"
    for one in read_yaml(tmp_path / "monitoring" / "docker-compose.yml")["secrets"].values():
        path = tmp_path / "monitoring" / one["file"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert len((secrets / "redis_password").read_text()) == 49
