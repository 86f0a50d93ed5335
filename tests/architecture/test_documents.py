"""What README and docs say is checked against the program, so that neither can drift."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from rq.cli.cli import main as rq
from typer import TyperException
from typer.main import get_command
from typer.testing import CliRunner

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import app
from jobctl.settings import FIELDS
from support.console import Shown, commands
from support.shown_commands import ShownCommand, shown_commands

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("monitoring/**/*.md"),
    ]
)
JOBCTL = get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
#: What a document shows as a mistake, with the answer below it.
MISTAKES = {"jobctl bench --gate 'wiat.p95 < 1s'"}
#: Programs of the system or of others, whose options are their own matter.
OTHERS = {
    *(".", "cat", "cd", "chmod", "cp", "curl", "echo", "export", "git", "grep", "head", "jobs", "kill", "locust", "ls"),
    *("mkdir", "openssl", "pip", "printf", "python", "python3", "rm", "sleep", "touch", "umask"),
}
#: Those that the tests have as well, which tell their options.
TOOLS = {"amtool", "prometheus-alertmanager", "promtool", "redis-cli"}
#: What documents use of `docker compose`, by version 2 of its reference; no engine is here to ask.
COMPOSE = {
    "up": {"-d", "--detach", "--build", "--scale", "--wait"},
    "down": {"-v", "--volumes"},
    "build": {"--pull"},
    "config": {"-q", "--quiet"},
    "exec": {"-T"},
    "kill": {"-s", "--signal"},
    "logs": {"-f", "--follow", "--tail"},
    "ps": {"-a"},
    "restart": set(),
    "run": {"--rm"},
    "start": set(),
    "stop": {"-t", "--timeout"},
}
#: Where a word of a command is a file of the repository.
OURS = re.compile(r"(?:\./)?(?:benchmarks|docs|examples|loadtests|monitoring|scripts|src)/[\w./-]*\w")
#: Plans that other tests run as they are written: tests/architecture/test_high_load.py and that of the tutorial.
RUN_ELSEWHERE = {"HIGH_LOAD_OPTIMIZATION.md", "tutorial.md"}
#: Documents whose commands are parsed here and not run, and why. Some test runs those of all others, as they stand.
NOT_RUN = {
    "README.md": "a bench of half a minute, which tests/e2e/test_bench.py runs shorter, and workers that run on",
    "CONTRIBUTING.md": "the load gate's bench of a minute, whose steps tests/architecture/test_ci_files.py reads",
    "docs/howto/bench-a-fleet.md": "a mock that runs on; tests/cli/test_mock.py starts one",
    "docs/howto/find-the-maximum.md": "searches of minutes; tests/e2e/test_find_max.py runs shorter ones",
    "docs/howto/results-in-postgres.md": "an address at Supabase; tests/cli/test_migrate.py has a Postgres",
    "docs/howto/run-workers.md": "workers that run on; tests/e2e/test_work.py and test_drain.py start and stop some",
    "docs/howto/several-machines.md": "several machines; tests/e2e/test_many_generators.py has several processes",
    "docs/reference/gates.md": "benches of a minute; tests/architecture/test_gates_reference.py parses every gate",
    "docs/reference/scenarios.md": "benches of minutes; tests/architecture/test_scenarios_reference.py makes schedules",
    "docs/runbook.md": "what to look at when a fleet of yours is in trouble",
}
#: What makes a plan need a file or a stand of real parts.
NEEDING = re.compile("--(?:from|check|report|json)|replay:")


def shown_in(document: Path) -> list[ShownCommand]:
    return shown_commands(document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_shown_exists_with_its_options(document: Path) -> None:
    for command in shown_in(document):
        assert complaint_about(command) == "", str(command)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_of_ours_that_a_command_names_is_there(document: Path) -> None:
    for command in shown_in(document):
        for word in command.words:
            if OURS.fullmatch(word):
                assert (ROOT / word).exists(), f"{command}: {word}"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("$ jobctl monitoring rende\n", "rende"),
        ("$ jobctl monitoring render --tme-scale 60\n", "--tme-scale"),
        ("$ jobctl plan --per-day 450k \\\n    --servce-time 8s\n", "--servce-time"),
        ("$ jobctl plan --per-day many\n", "many"),
        ("$ cd monitoring && docker compose up --dtach\n", "--dtach"),
        ("$ make benhc\n", "benhc"),
        ("$ make bench PRE_DAY=1\n", "PRE_DAY"),
        ("$ .tools/bin/promtool check ruels x.yml\n", "ruels"),
        ("$ .tools/bin/amtool config routes test --config.flie=x.yml\n", "--config.flie"),
        ("$ rq worker --serialiser json\n", "--serialiser"),
    ],
)
def test_a_command_that_is_wrong_is_found(text: str, wrong: str, tmp_path: Path) -> None:
    document = tmp_path / "howto.md"
    document.write_text(f"```console\n{text}```\n", encoding="utf-8")

    with pytest.raises(AssertionError, match=wrong):
        test_every_command_that_is_shown_exists_with_its_options(document)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def shown_plans() -> dict[str, list[Shown]]:
    """Each plan whose screen is shown, with the screens of all documents that show it."""
    found: dict[str, list[Shown]] = {}
    for document in DOCUMENTS:
        for shown in commands(document) if document.name not in RUN_ELSEWHERE else ():
            if is_a_plan(shown):
                found.setdefault(shown.command, []).append(shown)
    return found


def is_a_plan(shown: Shown) -> bool:
    """Whether it is one that can be asked anywhere."""
    return shown.command.startswith("jobctl plan ") and not NEEDING.search(shown.command)


@pytest.mark.parametrize(("command", "screens"), shown_plans().items(), ids=shown_plans())
def test_a_plan_that_is_shown_is_what_the_program_prints(
    command: str, screens: list[Shown], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "railway.json", tmp_path)
    if "slo.toml" in command:  # where one lies, its objectives would count for every plan
        (tmp_path / "monitoring").mkdir()
        shutil.copy(ROOT / "monitoring" / "slo.toml", tmp_path / "monitoring")
    unseen = [] if any(screen.lines for screen in screens) else ["--budget", "0"]
    result = CliRunner().invoke(app, [*shlex.split(command)[1:], *unseen])
    printed = [line.rstrip() for line in result.output.splitlines() if line.strip()]

    assert result.exit_code in {int(ExitStatus.PASS), int(ExitStatus.BROKEN)}
    for screen in screens:
        told = [*screen.lines, "..."][: [*screen.lines, "..."].index("...")]
        assert printed[: len(told)] == [line.rstrip() for line in told]


def test_the_commands_of_every_document_are_run_or_it_is_said_why_not() -> None:
    others = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    texts = [path.read_text(encoding="utf-8") for path in others]
    runners = [text for text in texts if "from support.console import" in text]
    left = [document for document in DOCUMENTS if not all(is_a_plan(shown) for shown in commands(document))]
    named = {path: f'"{path.parent.name}" / "README.md"' if path.stem == "README" else path.name for path in left}
    run = {path for path in left if any(named[path] in text for text in runners)}

    assert {path.relative_to(ROOT).as_posix() for path in left if path not in run} == NOT_RUN.keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_variable_of_a_setting_that_is_named_is_one(document: Path) -> None:
    named = re.findall(r"\b(?:JOB|OPENROUTER|SENTRY)_[A-Z_]+\b", document.read_text(encoding="utf-8"))

    assert set(named) <= {field.env for field in FIELDS} | {"JOB_ID"}  # that is a word of the help


def test_every_decision_is_in_the_list_of_them() -> None:
    listed = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    for decision in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"]({decision.name})" in listed


def complaint_about(command: ShownCommand) -> str:
    """What is wrong with a command; empty for nothing."""
    if command.program in {"jobctl", "rq"}:
        return misfit(command)
    if command.program == "make":
        return unknown_to_make(command)
    if command.program == "docker":
        return unknown_to_compose(command)
    if Path(command.program).name in TOOLS:
        return unknown_to_a_tool(command)
    return "" if command.program in OTHERS else "a program that this test does not know"


def misfit(command: ShownCommand) -> str:
    """What is wrong with a command of ours or of RQ: parsed as a shell would hand it over, but not run."""
    found: Any = JOBCTL if command.program == "jobctl" else rq
    words, names, context = list(command.words[1:]), [command.program], None
    while hasattr(found, "commands") and words and not words[0].startswith("-"):
        choices = words.pop(0).split("|")  # `jobctl dead list|show` names several of a group
        unknown = [name for name in choices if name not in found.commands]
        if unknown:
            return f"no verb {unknown[0]}"
        context = found.context_class(found, info_name=names[-1], parent=context)
        names.append(choices[0])
        found = found.commands[choices[0]]
    if command.whole and command.program == "jobctl" and str(command) not in MISTAKES and not asks_for_help(words):
        try:
            found.make_context(names[-1], words, parent=context)
        except TyperException as error:
            return error.format_message()
        return ""
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
    return ", ".join(sorted(options - known - {"--help", "--version", "-h"}))


def asks_for_help(words: list[str]) -> bool:
    return bool({"--help", "-h", "--version"} & set(words))


def unknown_to_make(command: ShownCommand) -> str:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r"\$\(([A-Z_]+)\)", MAKEFILE))
    words = [word.partition("=")[::2] for word in command.words[1:] if not word.startswith("-")]
    wrong = [name for name, value in words if name not in (variables if value or name.isupper() else targets)]
    return ", ".join(wrong)


def unknown_to_compose(command: ShownCommand) -> str:
    """What version 2 of compose would not take, or what a program that it runs in a container would not."""
    words = list(command.words[2:])
    while words and words[0] in {"-f", "--file"}:
        words = words[2:]
    if command.words[1:2] != ("compose",) or not words:
        return ""
    verb, *rest = words
    if verb not in COMPOSE:
        return f"no verb {verb} of compose"
    inner: list[str] = []
    if verb in {"exec", "run"}:
        options = list(takewhile(lambda word: word.startswith("-"), rest))
        rest, inner = options, rest[len(options) + 1 :]
    if unknown := options_of(tuple(rest)) - COMPOSE[verb]:
        return ", ".join(sorted(unknown))
    return complaint_about(ShownCommand(tuple(inner), command.whole)) if inner else ""


def unknown_to_a_tool(command: ShownCommand) -> str:
    """What the real tool does not know: with its verbs and arguments it tells its help, which names every option."""
    name = Path(command.program).name
    if name == "redis-cli":
        return ""
    words = [word for word in command.words[1:] if not word.startswith("-")]
    done = subprocess.run(
        [ROOT / ".tools" / "bin" / name, *words, "--help"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return done.stderr.strip()
    told = set(re.findall(r"--(?:\[no-\])?[a-z][\w.-]*", done.stdout + done.stderr))
    return ", ".join(sorted({option for option in options_of(command.words) if option.startswith("--")} - told))


def options_of(words: tuple[str, ...]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
