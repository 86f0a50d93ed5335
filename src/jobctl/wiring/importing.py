"""Functions of the user's own, found by their paths."""

from __future__ import annotations

import sys

from jobctl.errors import InvalidOption

__all__ = ["check_importable", "importable_from_here"]


def importable_from_here() -> None:
    """Make modules of the working directory importable, as `rq worker` does."""
    if "" not in sys.path:
        sys.path.insert(0, "")


def check_importable(path: str, option: str) -> None:
    """Check that a worker started here could import this function.

    Raises:
        InvalidOption: It could not.
    """
    from importlib import import_module

    module_name, _, name = path.rpartition(".")
    remedy = "give the dotted path of a function that can be imported from this directory"
    importable_from_here()
    try:
        function = getattr(import_module(module_name), name, None)
    except Exception as error:
        raise InvalidOption(option, f"{module_name!r} cannot be imported ({error})", remedy) from None
    if not callable(function):
        raise InvalidOption(option, f"{module_name!r} has no function {name!r}", remedy)
