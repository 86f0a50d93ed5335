"""Files that ship with jobctl or lie in the user's directory: scenarios, the locustfile, payloads and results."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tomllib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

from jobctl.errors import InvalidOption

__all__ = [
    "append_text",
    "beside_scenario",
    "find_locustfile",
    "load_directories",
    "monitoring_directory",
    "read_json",
    "read_lines",
    "read_payloads",
    "read_scenario",
    "read_text",
    "read_toml",
    "replace_bytes",
    "replace_text",
    "scenario_names",
    "write_json",
    "write_lines",
]

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def load_directories() -> list[Path]:
    """Where load files are looked for: ``./loadtests``, then what ships in the package.

    In a checkout the packaged copy does not exist and the repository's own directory stands for it.
    """
    candidates = [Path("loadtests"), _PACKAGE / "_loadtests", _PACKAGE.parent.parent / "loadtests"]
    return [directory for directory in candidates if directory.is_dir()]


def monitoring_directory() -> Path:
    """Where the files that ``jobctl monitoring init`` copies ship: in the package, or in the repository of a checkout.

    Raises:
        InvalidOption: They are missing.
    """
    for directory in (_PACKAGE / "_monitoring", _PACKAGE.parent.parent / "monitoring"):
        if (directory / "slo.toml").is_file():
            return directory
    raise InvalidOption("DIRECTORY", "the packaged files are missing", "reinstall jobctl")


def find_locustfile(given: Path | None) -> Path:
    """The locustfile to run: the given one, else the first of ours.

    A ``./loadtests/locustfile.py`` that never mentions jobctl is somebody's own Locust project and is passed over.

    Raises:
        InvalidOption: The given file does not exist, or none was found.
    """
    if given is not None:
        if not given.is_file():
            raise InvalidOption("--locustfile", f"{str(given)!r} is not a file", "give the path of a locustfile")
        return given
    for directory in load_directories():
        candidate = directory / "locustfile.py"
        if candidate.is_file() and "jobctl" in candidate.read_text(encoding="utf-8", errors="replace"):
            return candidate
    raise InvalidOption("--locustfile", "the packaged locustfile is missing", "reinstall jobctl or give a path")


def scenario_names() -> list[str]:
    """Names of all scenarios that can be found."""
    return sorted({path.stem for directory in load_directories() for path in directory.glob("scenarios/*.toml")})


def read_scenario(name_or_path: str) -> tuple[str, dict[str, Any]]:
    """Read a scenario by path or by name.

    Returns:
        Its name and its decoded TOML.

    Raises:
        InvalidOption: There is none, or it cannot be read, or is not TOML.
    """
    path = _scenario_path(name_or_path)
    return path.stem, read_toml(str(path), "--scenario")


def beside_scenario(name_or_path: str, file: str) -> str:
    """Where a file is that a scenario names: beside the scenario, unless its path is absolute.

    Raises:
        InvalidOption: There is no such scenario.
    """
    return str(_scenario_path(name_or_path).parent / file)


def _scenario_path(name_or_path: str) -> Path:
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if path.is_file():
            return path
    else:
        for directory in load_directories():
            path = directory / "scenarios" / f"{name_or_path}.toml"
            if path.is_file():
                return path
    known = ", ".join(scenario_names()) or "none was found"
    raise InvalidOption("--scenario", f"there is no scenario {name_or_path!r}", f"give a .toml file or one of: {known}")


def write_json(target: str, document: dict[str, Any], option: str = "--json") -> None:
    """Write a result to a file.

    Raises:
        InvalidOption: The file cannot be written.
    """
    try:
        Path(target).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidOption(option, f"{target!r} cannot be written ({error.strerror})", "give another path") from None


def read_text(path: str, option: str) -> str | None:
    """A text file to the letter, its line breaks included; None when there is none.

    Raises:
        InvalidOption: It is there and cannot be read.
    """
    try:
        return Path(path).read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error, option, "text file") from None


def replace_text(path: str, text: str, option: str) -> None:
    """Write a text file to the letter, as :func:`replace_bytes` does.

    Raises:
        InvalidOption: The file cannot be written.
    """
    replace_bytes(path, text.encode("utf-8"), option)


def replace_bytes(path: str, content: bytes, option: str) -> None:
    """Write a file all at once: whoever reads it meanwhile sees the old content or the new one.

    A link is followed, and an existing file keeps its mode. What is there and no file, such as ``/dev/null`` or a pipe,
    is written to and stays what it is.

    Raises:
        InvalidOption: The file cannot be written.
    """
    target = Path(path).resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if Path(path).exists() and not Path(path).is_file():
            Path(path).write_bytes(content)
            return
        fresh.write_bytes(content)
        if target.exists():
            shutil.copymode(target, fresh)
        fresh.replace(target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise InvalidOption(option, f"{path!r} cannot be written ({error.strerror})", "give another path") from None


def append_text(path: str, text: str, option: str) -> None:
    """Add to a text file that somebody else may add to as well.

    Raises:
        InvalidOption: The file cannot be written.
    """
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise InvalidOption(option, f"{path!r} cannot be written ({error.strerror})", "give another path") from None


def write_lines(target: str, lines: Iterable[str], option: str) -> None:
    """Write lines to a text file; to a compressed one if its name ends with ``.gz``.

    Raises:
        InvalidOption: The file cannot be written.
    """
    open_text = gzip.open if target.endswith(".gz") else open
    try:
        with open_text(target, "wt", encoding="utf-8", newline="") as stream:
            stream.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise InvalidOption(option, f"{target!r} cannot be written ({error.strerror})", "give another path") from None


def read_lines(path: str, option: str) -> list[str]:
    """The lines of a text file, compressed if its name ends with ``.gz``.

    Only a line break ends one, so that JSON strings may hold what else splits lines.

    Raises:
        InvalidOption: It cannot be read.
    """
    try:
        content = Path(path).read_bytes()
        text = (gzip.decompress(content) if path.endswith(".gz") else content).decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InvalidOption(option, f"{path!r} is no whole gzip file", "write it again, or give it unpacked") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error, option, "text file") from None


def read_json(path: str, option: str, remedy: str) -> Any:
    """A decoded JSON file, compressed if its name ends with ``.gz``; NaN and infinity are no JSON.

    Args:
        path: The file.
        option: What named it.
        remedy: What to give instead.

    Raises:
        InvalidOption: It cannot be read, is empty, or is not JSON.
    """

    def refuse(word: str) -> NoReturn:
        raise InvalidOption(option, f"{path!r} holds {word}, which is no figure", remedy)

    text = "\n".join(read_lines(path, option))
    if not text.strip():
        raise InvalidOption(option, f"{path!r} is empty", remedy)
    try:
        return json.loads(text, parse_constant=refuse)
    except InvalidOption:
        raise
    except (ValueError, RecursionError):
        raise InvalidOption(option, f"{path!r} is not JSON", remedy) from None


def read_toml(path: str, option: str) -> dict[str, Any]:
    """A decoded TOML file.

    Raises:
        InvalidOption: It cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error, option, "TOML file") from None
    except RecursionError:
        raise InvalidOption(option, f"{path!r} is nested too deeply", "mend the file") from None
    except ValueError as error:
        raise InvalidOption(option, f"{path!r} is not TOML ({error})", "mend the file") from None


def read_payloads(path: str, option: str = "--args-from") -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Read job arguments, one JSON value a line: an object is keyword arguments, an array positional ones.

    An object with no keys but ``args`` and ``kwargs`` gives both.

    Raises:
        InvalidOption: The file cannot be read, is empty, or a line is not such a value; the line is named.
    """
    lines = read_lines(path, option)
    payloads = [_payload(line, f"{path} line {number}", option) for number, line in enumerate(lines, 1) if line.strip()]
    if not payloads:
        raise InvalidOption(option, f"{path!r} has no line", 'write one JSON object a line, such as {"prompt": "hi"}')
    return payloads


def _unreadable(path: str, error: OSError | UnicodeDecodeError, option: str, kind: str) -> InvalidOption:
    reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is not UTF-8 text"
    return InvalidOption(option, f"{path!r} cannot be read ({reason})", f"give the path of a {kind}")


def _payload(line: str, place: str, option: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    remedy = 'write an object of keyword arguments, an array, or {"args": [...], "kwargs": {...}}'
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidOption(option, f"{place} is not JSON ({getattr(error, 'msg', error)})", remedy) from None
    if isinstance(value, list):
        return tuple(value), {}
    if not isinstance(value, dict):
        raise InvalidOption(option, f"{place} is neither an object nor an array", remedy)
    if value and set(value) <= {"args", "kwargs"}:
        args, kwargs = value.get("args", []), value.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise InvalidOption(option, f"{place} has args or kwargs of the wrong kind", remedy)
        return tuple(args), kwargs
    return (), value
