"""Unpack the Debian programs that the tests run under ``.tools``, and do nothing where that is done.

    python3 scripts/tools.py              all of them
    python3 scripts/tools.py pgbouncer    some

Nothing is installed and no right is needed: apt says which packages the machine lacks, dependencies included, they are
downloaded and unpacked. A program starts as ``.tools/bin/NAME``, a launcher that names the unpacked libraries.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent / ".tools"


class Tool(NamedTuple):
    """Programs that are unpacked together.

    Attributes:
        packages: The packages that hold them; apt adds what these need.
        programs: Their paths in the packages.
        libraries: Folders of libraries that these search below the usual one.
        data: The directory, by its path when installed, whose files the programs cannot do without and look for nowhere
            else; empty where there is none.
    """

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    data: str = ""


#: What there is; the name is that of the directory under ``.tools``.
TOOLS: Final = {
    "chromium": Tool(
        ("chromium-headless-shell",), ("usr/lib/chromium/chromium-headless-shell",), libraries=("pulseaudio",)
    ),
    "prometheus": Tool(("prometheus",), ("usr/bin/prometheus", "usr/bin/promtool")),
    "alertmanager": Tool(
        ("prometheus-alertmanager",),
        ("usr/bin/prometheus-alertmanager", "usr/bin/amtool"),
        data="/usr/share/prometheus/alertmanager",
    ),
    "pgbouncer": Tool(("pgbouncer",), ("usr/sbin/pgbouncer",)),
    "redis": Tool(("redis-server", "redis-tools"), ("usr/bin/redis-server", "usr/bin/redis-cli")),
    "shellcheck": Tool(("shellcheck",), ("usr/bin/shellcheck",)),
    "faketime": Tool(("faketime", "libfaketime"), ("usr/bin/faketime",)),
    "hey": Tool(("hey",), ("usr/bin/hey",)),
}

#: Libraries of an unpacked package are searched before the machine's own, which stay where they are.
_LAUNCHER: Final = """\
#!/bin/sh
# Written by scripts/tools.py from {packages}.
root=$(cd "${{0%/*}}/../{name}" && pwd) || exit
LD_LIBRARY_PATH=$root/usr/lib/{triplet}:$root/lib/{triplet}{more}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}
export LD_LIBRARY_PATH
{open}exec "$root/{program}" "$@"
"""
#: Where a program finds its data instead: a directory that its launcher opened for it.
_OPENED: Final = "/proc/self/fd/9"
_INSTALLS: Final = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+)", re.MULTILINE)


class ToolsError(Exception):
    """Why a program is not there, in one line."""


def main(names: Sequence[str]) -> int:
    """Make the named tools present, all when none is named; returns the exit code."""
    try:
        for name in names or TOOLS:
            provide(name, ROOT)
    except ToolsError as error:
        print(f"tools: {error}", file=sys.stderr)
        return 2
    return 0


def provide(name: str, root: Path) -> None:
    """Unpack a tool below a directory unless it is there.

    Raises:
        ToolsError: There is no such tool, no apt, or apt does not give it.
    """
    if name not in TOOLS:
        raise ToolsError(f"{name!r} is none of {', '.join(TOOLS)}; name one of them")
    if present(name, root):
        return
    root.mkdir(exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not present(name, root):  # another run may have done it meanwhile
            print(f"unpacking {name} under {root.name}", file=sys.stderr)
            _unpack(name, root)


def present(name: str, root: Path) -> bool:
    """Whether a tool is unpacked, from the packages that the table names now."""
    return all(
        (root / name / program).exists() and launcher.is_file() and launcher.read_text(encoding="utf-8") == text
        for program, (launcher, text) in _launchers(name, root).items()
    )


def _launchers(name: str, root: Path) -> dict[str, tuple[Path, str]]:
    """For each program the path of its launcher, and what that holds."""
    triplet = f"{platform.machine()}-linux-gnu"
    packages = " ".join(TOOLS[name].packages)
    opened = f'exec 9<"$root{TOOLS[name].data}"\n' if TOOLS[name].data else ""
    more = "".join(f":$root/usr/lib/{triplet}/{library}" for library in TOOLS[name].libraries)
    return {
        program: (
            root / "bin" / PurePosixPath(program).name,
            _LAUNCHER.format(packages=packages, name=name, triplet=triplet, more=more, open=opened, program=program),
        )
        for program in TOOLS[name].programs
    }


def _unpack(name: str, root: Path) -> None:
    """Download and unpack; the launchers come last, so an interrupted run leaves nothing that looks present."""
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpacking-") as temporary:
        downloads, tree = Path(temporary, "packages"), Path(temporary, "tree")
        downloads.mkdir()
        try:
            _download(name, downloads)
        except ToolsError:  # a fresh machine has no lists yet, an old one names what is gone
            _run("apt-get", "-q", "update")
            _download(name, downloads)
        for package in sorted(downloads.glob("*.deb")):
            _run("dpkg", "-x", str(package), str(tree))
        for program in TOOLS[name].programs:
            if not (tree / program).exists():
                raise ToolsError(f"{program} is in none of the packages of {name}; mend the table in scripts/tools.py")
        data = TOOLS[name].data
        redirected = [_redirect(tree / program, data) for program in TOOLS[name].programs if data]
        if data and not any(redirected):
            raise ToolsError(f"no program of {name} looks for {data}; mend the table in scripts/tools.py")
        tree.chmod(0o755)  # a server that refuses root is started as somebody else
        shutil.rmtree(root / name, ignore_errors=True)
        tree.rename(root / name)
    for launcher, text in _launchers(name, root).values():
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(text, encoding="utf-8")
        launcher.chmod(0o755)


def _redirect(program: Path, data: str) -> bool:
    """Have a program look for its data where its launcher opens it; whether it looks for it at all.

    Its binary is changed, as it knows no option for that: as many bytes, filled up with slashes.
    """
    content = program.read_bytes()
    program.write_bytes(content.replace(data.encode(), _OPENED.encode().ljust(len(data), b"/")))
    return data.encode() in content


def _download(name: str, directory: Path) -> None:
    """Fetch what apt would install: the tool's packages and all they need that is not here."""
    options = ["--simulate", "--no-install-recommends", "--reinstall"]
    said = _run("apt-get", "-q", "install", *options, *TOOLS[name].packages)
    wanted = [f"{package}={version}" for package, version in _INSTALLS.findall(said)]
    _run("apt-get", "-q", "download", *wanted, cwd=directory)


def _run(*command: str, cwd: Path | None = None) -> str:
    """What a command prints.

    Raises:
        ToolsError: It is missing or fails.
    """
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except FileNotFoundError:
        raise ToolsError(
            f"there is no {command[0]} here; run this on Debian or Ubuntu, where the tests find their servers"
        ) from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.startswith("E:")] or error.stderr.splitlines()
        raise ToolsError(
            f"{' '.join(command[:2])} failed ({lines[0] if lines else error.returncode}); check apt and the network"
        ) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
