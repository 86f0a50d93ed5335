"""Plain help in panels: the options that most people need first, the others under headings of their own."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["PanelledCommand"]


class PanelledCommand(TyperCommand):
    """A command whose help shows each panel of options under its heading."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, those without a panel first, each panel in the order of its first option."""
        panels: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for heading, records in panels.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
