"""Write the pages of the reference that tell what the program itself knows, or prove that they are up to date.

::

    python scripts/reference.py [--check]

The command line is told by ``--help``, settings by :data:`jobctl.settings.FIELDS`, exit codes by the comments of
:class:`~jobctl.cli.exit_status.ExitStatus`, documents by their JSON Schemas. Nothing in these pages is written by hand.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import made_files
from typer.main import get_command

from jobctl import settings
from jobctl.apps.plan.request import INPUTS
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import app

REPOSITORY: Final = Path(__file__).resolve().parent.parent
REFERENCE: Final = REPOSITORY / "docs" / "reference"
SCHEMAS: Final = REPOSITORY / "src" / "jobctl" / "schemas"

#: Columns of the help, as many as a terminal has at least.
WIDTH: Final = 80
#: The documents in the order in which a reader meets them; one that is not listed comes last.
_ORDER: Final = ("bench", "compare", "plan", "audit", "doctor")
_ROOT: Final = get_command(app)
_NOTE: Final = "<!-- Made by scripts/reference.py from the program; change that instead. -->"
#: How a schema's bounds are written.
_BOUNDS: Final = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return made_files.run("reference", "Write the generated pages of the reference.", files, arguments)


def files() -> dict[Path, str]:
    """What each page's file has to hold."""
    return {REFERENCE / name: text for name, text in pages().items()}


def pages() -> dict[str, str]:
    """Each page by its name below ``docs/reference``."""
    makers: dict[str, Callable[[], Iterator[str]]] = {
        "cli.md": command_line,
        "settings.md": all_settings,
        "exit-codes.md": exit_codes,
        "documents.md": documents,
    }
    return {name: f"{_NOTE}\n\n" + "\n".join(make()).rstrip() + "\n" for name, make in makers.items()}


def command_line() -> Iterator[str]:
    """The help of every verb, and of every verb of a group."""
    yield from (
        "# Command line",
        "",
        "What the help of each verb prints. `jobctl --version` prints the version. An error is one line on standard",
        "error that names the option and the remedy; [exit codes](exit-codes.md) have one meaning each.",
        "",
    )
    for words, command in commands():
        yield from (f"{'#' * (len(words) + 1)} {' '.join(('jobctl', *words))}", "", "```text")
        yield from (help_text(words, command), "```", "")


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command by its words after ``jobctl``, each group before what is in it."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        if words:
            yield words, command
        for name, child in getattr(command, "commands", {}).items():
            yield from below((*words, name), child)

    yield from below((), _ROOT)


def help_text(words: Sequence[str], command: Any) -> str:
    """What ``--help`` prints of a command on a terminal of :data:`WIDTH` columns."""
    group: Any = _ROOT
    context = command.context_class(group, info_name="jobctl")
    for name in words[:-1]:
        group = group.commands[name]
        context = command.context_class(group, info_name=name, parent=context)
    options = dict(_ROOT.context_settings, terminal_width=WIDTH, max_content_width=WIDTH)
    context = command.context_class(command, info_name=words[-1], parent=context, **options)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def all_settings() -> Iterator[str]:
    """Each setting with its names, and the inputs of ``[plan]``."""
    yield from (
        "# Settings",
        "",
        "A flag beats the environment, which beats `jobctl.toml` in the working directory, which beats the default.",
        "`jobctl config` shows each value and where it came from; secrets never show. A flag belongs to the verbs that",
        "use it: [the command line](cli.md) tells which.",
        "",
        "| setting | flag | environment | `jobctl.toml` | default |",
        "| --- | --- | --- | --- | --- |",
    )
    flags = {option for _, command in commands() for parameter in command.params for option in parameter.opts}
    for field in settings.FIELDS:
        flag = f"`{field.flag}`" if field.flag in flags else ""
        default = "" if field.default is None else f"`{_default(field)}`"
        yield _row(field.meaning, flag, f"`{field.env}`", f"`{field.name}`", default)
    faults = "../howto/break-it-on-purpose.md#your-own-mock"
    yield from (
        "",
        "Durations are written `90s`, `5m` or `1h30m`; a bare number is seconds. In the file a table of its own holds",
        "what one line cannot: [retries](../howto/retries-and-the-dead-set.md#policies-per-job-type) of a job type,",
        "[limits](../howto/openrouter-limits.md) of a model.",
        "",
        "## Environment variables that are no settings",
        "",
        "| variable | meaning |",
        "| --- | --- |",
        f"| `{settings.MOCK_CONTROL}` | the secret by which [faults are imposed on a mock]({faults}) |",
        f"| `{settings.STEP_SUMMARY}` | where GitHub Actions wants a step's summary; a bench adds its report |",
        "",
        "## The `[plan]` table",
        "",
        "Whatever describes the question of `jobctl plan` may stand in `[plan]` of `jobctl.toml`. A flag beats it.",
        "",
        "| key | flag | meaning |",
        "| --- | --- | --- |",
    )
    for asked in INPUTS:
        key = f"`{asked.key}`, a list" if asked.many else f"`{asked.key}`"
        yield _row(key, f"`{asked.flag} {asked.metavar}`", asked.meaning)


def exit_codes() -> Iterator[str]:
    """Each exit code with its meaning, and what each command says of them."""
    yield from (
        "# Exit codes",
        "",
        "Each has one meaning with every command. Where several apply, 105 goes before 99, 99 before 98, 98 before 97.",
        "",
        "| code | meaning |",
        "| --- | --- |",
    )
    source = inspect.getsource(ExitStatus)
    meanings = {
        int(code): text.replace("#:", "") for text, code in re.findall(r"((?: *#: .+\n)+) +\w+ = (\d+)", source)
    }
    for status in ExitStatus:
        yield _row(str(int(status)), meanings[int(status)])
    yield from ("", "## By command", "")
    for words, command in commands():
        for paragraph in (command.help or "").split("\n\n"):
            if "xit code" in paragraph:
                yield f"- `jobctl {' '.join(words)}`: {' '.join(paragraph.split())}"


def documents() -> Iterator[str]:
    """Each kind of JSON document, key by key."""
    yield from (
        "# Documents",
        "",
        "What `--json` writes. The JSON Schemas ship in the package as `jobctl/schemas/*.json`; this is the same for",
        "people. The key `schema` names the document and its version: keys may be added to a version, none is taken",
        "away or changes its meaning. Times are seconds, shares lie in 0..1, `null` means: not measured, not known, or",
        "too few samples. The words are those of the [glossary](../glossary.md).",
        "",
        "In the tables `a.b` is `b` inside of `a`, `a[]` an item of the list `a`, `a.*` any key of `a`. *Optional*",
        "keys are left out where they say nothing.",
        "",
    )
    names = sorted(path.stem for path in SCHEMAS.glob("*.json"))
    for name in sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
        title, _, about = schema["title"].partition(": ")
        yield from (f"## {title}", "", _sentence(about), schema.get("description", ""), "")
        yield from ("| key | value | meaning |", "| --- | --- | --- |")
        for key, node, optional in walk(schema, schema):
            if not node.get("description") and next(_inside(schema, node, ""), None):
                continue  # what stands in it is told in the next rows
            yield _row(f"`{key}`", value_of(node) + (", optional" if optional else ""), node.get("description", ""))
        yield ""


def walk(
    schema: Mapping[str, Any], node: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every key below a node: its path, what is known of it, and whether it may be left out."""
    for key, child in node.get("properties", {}).items():
        known = resolved(schema, child)
        place = f"{path}.{key}" if path else key
        yield place, known, key not in node.get("required", ())
        yield from _inside(schema, known, place)
    rest = node.get("additionalProperties")
    if isinstance(rest, dict) and rest:
        known = resolved(schema, rest)
        yield f"{path}.*", known, False
        yield from _inside(schema, known, f"{path}.*")


def _inside(
    schema: Mapping[str, Any], node: Mapping[str, Any], place: str
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """What stands in an object, or in each item of a list."""
    yield from walk(schema, node, place)
    if "items" in node:
        yield from _inside(schema, resolved(schema, node["items"]), f"{place}[]")


def resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """A node with what its references say put in; what it says itself goes first.

    Of alternatives the one with a structure counts, beside null.
    """
    found = dict(node)
    while "$ref" in found:
        target: Any = schema
        for step in found.pop("$ref").removeprefix("#/").split("/"):
            target = target[step]
        found = {**target, **found}
    choices = [resolved(schema, choice) for choice in found.pop("anyOf", found.pop("oneOf", ()))]
    if choices:
        kinds = [kind for choice in choices for kind in _kinds(choice)]
        structured = next((choice for choice in choices if choice.get("type") != "null"), {})
        found = {**structured, **found, "type": list(dict.fromkeys(kinds))}
    return found


def value_of(node: Mapping[str, Any]) -> str:
    """What a key may hold, in few words: a constant, a choice, or a type with its bounds."""
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in node["enum"])
    kinds = " or ".join(_kinds(node))
    if "items" in node and "type" in node["items"] and node["items"]["type"] != "object":
        kinds = kinds.replace("array", f"array of {' or '.join(_kinds(node['items']))}")
    bounds = [f"{sign} {node[name]:g}" for name, sign in _BOUNDS.items() if name in node]
    return ", ".join([kinds, *bounds])


def _kinds(node: Mapping[str, Any]) -> list[str]:
    kind = node.get("type", "any")
    return [kind] if isinstance(kind, str) else list(kind)


def _default(field: settings.Field) -> str:
    """A default as its option takes it."""
    if isinstance(field.default, float):
        return f"{field.default:g}s" if field.name.endswith("_s") else f"{field.default:g}"
    return str(field.default)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in cells)} |"


if __name__ == "__main__":
    sys.exit(main())
