"""Files that are made from ``slo.toml``: written, or compared with what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobctl.adapters.files import read_text, read_toml, replace_text
from jobctl.core.operations import Operations, parse_operations
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["OPTION", "PLACES", "differing", "find_slo_file", "put", "read_operations"]

#: The option that names the file.
OPTION: Final = "--slo-file"
#: Where the file is looked for.
PLACES: Final = ("monitoring/slo.toml", "slo.toml")


def find_slo_file(given: str | None) -> str:
    """The file that was named, else the first of ``monitoring/slo.toml`` and ``slo.toml`` that is there.

    Raises:
        InvalidOption: There is none.
    """
    if given is not None:
        return given
    for place in PLACES:
        if Path(place).is_file():
            return place
    raise InvalidOption(OPTION, f"is not given, and there is no {' or '.join(PLACES)}", "run jobctl monitoring init")


def read_operations(path: str) -> Operations:
    """Read how a fleet is operated.

    Raises:
        InvalidOption: The file cannot be read, or something in it means nothing.
    """
    try:
        return parse_operations(read_toml(path, OPTION))
    except InvalidValue as error:
        raise InvalidOption(path, error.problem, error.remedy) from None


def differing(directory: Path, files: Mapping[str, str], option: str) -> list[str]:
    """The files, by their path in a directory, that are missing there or hold another text.

    Raises:
        InvalidOption: One cannot be read.
    """
    return [name for name, text in files.items() if read_text(str(directory / name), option) != text]


def put(directory: Path, files: Mapping[str, str], option: str) -> list[str]:
    """Write the files that differ; returns which.

    Raises:
        InvalidOption: One cannot be written.
    """
    changed = differing(directory, files, option)
    for name in changed:
        target = directory / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidOption(
                option, f"{str(target.parent)!r} cannot be made ({error.strerror})", "give another directory"
            ) from None
        replace_text(str(target), files[name], option)
    return changed
