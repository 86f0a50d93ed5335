"""Plain help in panels: the options that most people need first, the others under headings of their own."""

from __future__ import annotations

import re
from typing import Any, Final

from typer.core import TyperCommand

__all__ = ["PanelledCommand"]

#: A default that typer writes itself, after the sentence.
_AFTER: Final = re.compile(r"\.  (\[default: [^\]]*\])$")


class PanelledCommand(TyperCommand):
    """A command whose help shows each panel of options under its heading, and each default in its sentence."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, those without a panel first, each panel in the order of its first option."""
        panels: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                names, text = record
                panel = panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", [])
                panel.append((names, _AFTER.sub(r" \1.", text)))
        for heading, records in panels.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
