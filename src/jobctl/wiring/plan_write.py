"""``jobctl plan --write``: a plan's settings, put into a ``railway.json`` or a ``slo.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jobctl.adapters.files import read_text, replace_text
from jobctl.apps.plan.railway import deploy_of
from jobctl.apps.plan.slo_file import check_slo_file, rewrite_slo_file
from jobctl.core.plans import Plan
from jobctl.core.railway_rewriting import check_rewritable, rewrite
from jobctl.core.rewriting import Rewrite
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["check_write_target", "write_plan"]

_OPTION: Final = "--write"


def check_write_target(path: str) -> None:
    """Refuse a file that no plan could be written into, before one is computed.

    Raises:
        InvalidOption: The file is of another kind, cannot be read, or holds something else than its name says.
    """
    kind = Path(path).suffix
    if kind not in {".json", ".toml"} or Path(path).name == "railway.toml":
        raise InvalidOption(
            _OPTION, f"{path!r} is neither JSON nor a slo.toml", "give the path of a railway.json or a slo.toml"
        )
    existing = read_text(path, _OPTION)
    if existing is None:
        if kind == ".toml":
            raise InvalidOption(_OPTION, f"there is no {path!r}", "run jobctl monitoring init, which makes one")
        return
    try:
        (check_rewritable if kind == ".json" else check_slo_file)(existing, Path(path).name)
    except InvalidValue as error:
        raise InvalidOption(_OPTION, error.problem, error.remedy) from None


def write_plan(path: str, plan: Plan, *, drain_timeout_s: float, dry_run: bool) -> Rewrite:
    """Write what a plan asks for into a file, or say what would be written.

    Args:
        path: A ``.json`` file, which need not exist, or a ``slo.toml``.
        plan: A plan that is feasible.
        drain_timeout_s: How long a stop waits for jobs that have no timeout of their own, seconds.
        dry_run: Write nothing.

    Raises:
        InvalidOption: The file is of another kind, cannot be read or written, or cannot take the plan.
    """
    check_write_target(path)
    existing = read_text(path, _OPTION)
    try:
        if existing is not None and Path(path).suffix == ".toml":
            change = rewrite_slo_file(existing, plan, Path(path).name)
        else:
            change = rewrite(existing, deploy_of(plan, drain_timeout_s), Path(path).name)
    except InvalidValue as error:
        raise InvalidOption(_OPTION, error.problem, error.remedy) from None
    if change.diff and not dry_run:
        replace_text(path, change.text, _OPTION)
    return change
