"""Files that are made from ``slo.toml``: written, or compared with what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobctl.adapters.files import read_text, read_toml, replace_text
from jobctl.core.operations import Operations, parse_operations
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["DIRECTORY", "OPTION", "differing", "find_slo_file", "put", "read_operations", "slo_file_here"]

#: The argument that says where files are made.
DIRECTORY: Final = "DIRECTORY"
#: The option that names the file they are made from.
OPTION: Final = "--slo-file"
#: Where that is looked for.
_PLACES: Final = ("monitoring/slo.toml", "slo.toml")


def find_slo_file(given: str | None, directory: str | None = None) -> str:
    """The file that was named, else that of the directory, else the first that is there of those that are looked for.

    Args:
        given: What ``--slo-file`` names.
        directory: Where the files are made, if that was said.

    Raises:
        InvalidOption: There is none.
    """
    beside = None if directory is None else Path(directory) / "slo.toml"
    if given is None and beside is not None and beside.is_file():
        return str(beside)
    found = slo_file_here() if given is None else given
    if found is None:
        problem = f"is not given, and there is no {' or '.join(_PLACES)}"
        raise InvalidOption(OPTION, problem, "run jobctl monitoring init")
    return found


def slo_file_here() -> str | None:
    """The first of ``monitoring/slo.toml`` and ``slo.toml`` that is there, if any."""
    return next((place for place in _PLACES if Path(place).is_file()), None)


def read_operations(path: str) -> Operations:
    """Read how a fleet is operated.

    Raises:
        InvalidOption: The file cannot be read, or something in it means nothing.
    """
    content = read_toml(path, OPTION)
    try:
        return parse_operations(content)
    except InvalidValue as error:
        raise InvalidOption(path, error.problem, error.remedy) from None


def differing(directory: Path, files: Mapping[str, str]) -> list[str]:
    """The files, by their path in a directory, that are missing there or hold another text.

    Raises:
        InvalidOption: One cannot be read.
    """
    return [name for name, text in files.items() if read_text(str(directory / name), DIRECTORY) != text]


def put(directory: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files that differ; returns which.

    Raises:
        InvalidOption: One cannot be written.
    """
    changed = differing(directory, files)
    for name in changed:
        target = directory / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidOption(
                DIRECTORY, f"{str(target.parent)!r} cannot be made ({error.strerror})", "give another directory"
            ) from None
        replace_text(str(target), files[name], DIRECTORY)
    return changed
