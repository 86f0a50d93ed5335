"""Functions of the user's own, found by their paths."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.core.workload import Payload

__all__ = ["check_importable", "importable_from_here"]


def importable_from_here() -> None:
    """Make modules of the working directory importable, as `rq worker` does."""
    if "" not in sys.path:
        sys.path.insert(0, "")


def check_importable(path: str, option: str, payloads: Iterable[Payload] = ()) -> None:
    """Check that a worker started here could import this function, and call it with these arguments.

    Args:
        path: Dotted path of the function.
        option: Who named it.
        payloads: Arguments of jobs, in the order in which they were given.

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
    _check_arguments(function, path, payloads)


def _check_arguments(function: Callable[..., Any], path: str, payloads: Iterable[Payload]) -> None:
    """Refuse arguments that the function cannot take: each such job would fail, and be tried again."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one written in C need not tell its own
        return
    for number, (args, kwargs) in enumerate(payloads, 1):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidOption(
                "--args-from",
                f"{path} cannot be called with the arguments of job {number} ({error})",
                f"give those of {path.rpartition('.')[2]}{_bare(signature)}, one JSON value a line",
            ) from None


def _bare(signature: inspect.Signature) -> inspect.Signature:
    """A signature without its types."""
    parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=signature.empty)
