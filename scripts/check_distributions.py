"""Build the source distribution and the wheel, and check what is in them.

The wheel is built twice, from the source distribution and from the repository: the two must not differ in a byte. It
must hold ``src/jobctl``, as ``jobctl/_loadtests`` the one copy of ``loadtests``, and as ``jobctl/_monitoring`` what is
written by hand in ``monitoring``; nothing less, nothing more. No distribution may hold a secret of ``monitoring``.
Nothing is downloaded: the build backend is one of the locked requirements.
"""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jobctl.wiring.monitoring import BY_HAND

REPOSITORY: Final = Path(__file__).resolve().parent.parent

#: Where each directory or file of the repository lies in the wheel.
PLACES: Final = {
    "src/jobctl": "jobctl",
    "loadtests": "jobctl/_loadtests",
    **{f"monitoring/{name}": f"jobctl/_monitoring/{name}" for name in BY_HAND},
}

#: What users rely on; each pattern must match.
PROMISED: Final = (
    "jobctl/py.typed",
    "jobctl/adapters/sql/*.sql",
    "jobctl/schemas/*.json",
    "jobctl/_loadtests/locustfile.py",
    "jobctl/_loadtests/shapes.py",
    "jobctl/_loadtests/scenarios/*.toml",
    "jobctl/_monitoring/docker-compose.yml",
    "jobctl/_monitoring/grafana/provisioning/*",
)


def main() -> int:
    """Run the check; returns the exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        direct, through_source = Path(temporary, "direct"), Path(temporary, "through-source")
        build("--wheel", "--outdir", str(direct))
        build("--outdir", str(through_source))
        wheel = next(direct.glob("*.whl"))
        complaints = faults(zipfile.ZipFile(wheel).namelist())
        if wheel.read_bytes() != (through_source / wheel.name).read_bytes():
            complaints.append("the wheel built from the source distribution differs from the one built here")
        with tarfile.open(next(through_source.glob("*.tar.gz"))) as archive:
            complaints += leaks(archive.getnames())
        sizes = {path.name: path.stat().st_size for path in sorted(through_source.iterdir())}
    for complaint in complaints:
        print(f"distributions: {complaint}", file=sys.stderr)
    if complaints:
        return 1
    print("distributions: " + ", ".join(f"{name} ({size / 1024:.0f} KiB)" for name, size in sizes.items()))
    return 0


def faults(names: Iterable[str]) -> list[str]:
    """What is wrong with a wheel of these files, one line each."""
    packed = {name for name in names if ".dist-info/" not in name}
    expected = {
        f"{place}{path.as_posix().removeprefix((REPOSITORY / origin).as_posix())}"
        for origin, place in PLACES.items()
        for path in [REPOSITORY / origin, *(REPOSITORY / origin).rglob("*")]
        if path.is_file() and "__pycache__" not in path.parts
    }
    return [
        *(f"the wheel lacks {name}" for name in sorted(expected - packed)),
        *(f"{name} does not belong in the wheel" for name in sorted(packed - expected)),
        *(f"nothing in the wheel is {pattern}" for pattern in PROMISED if not fnmatch.filter(packed, pattern)),
        *leaks(packed),
    ]


def leaks(names: Iterable[str]) -> list[str]:
    """What may be a secret in a distribution of these files, one line each."""
    return [f"{name} is in the place of secrets" for name in sorted(names) if "monitoring/secrets/" in name]


def build(*arguments: str) -> None:
    """Run the build front end on the repository with the locked build backend; what it says is shown if it fails."""
    command = [sys.executable, "-m", "build", "--no-isolation", *arguments, str(REPOSITORY)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"distributions: the build failed\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
