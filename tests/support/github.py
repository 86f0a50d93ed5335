"""A composite action and a pull request without GitHub: the steps are really run, the comments are kept by a server.

Of GitHub's rules only those are here that our files use: after a failed step those are skipped whose condition does not
say `always()`; `run` is bash with -eo pipefail; outputs come from the file that ``GITHUB_OUTPUT`` names. Steps
that use other actions are written down and not run.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from support.servers import serving

#: What a run writes comments with.
TOKEN = "token-of-the-run"
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_WORDS = re.compile(r"'[^']*'|&&|\|\||==|!=|!|always\(\)|[\w.-]+")
_OPERATORS = {"&&": " and ", "||": " or ", "==": "==", "!=": "!=", "!": " not ", "always()": "True"}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 file, in which `on` is a word."""
    document: dict[str, Any] = YAML(typ="safe").load(path)
    return document


@dataclass
class Job:
    """The state of a job that runs an action.

    Attributes:
        directory: The checkout.
        runner: The runner's directory for what is temporary.
        environment: What a runner gives every step.
        github: The context of that name, such as ``event_name``.
        ran: Steps that were run: name to status.
        used: Steps of other actions: name of the action to its inputs.
        log: What the steps said.
        summary: The file of the job's summary.
    """

    directory: Path
    runner: Path
    environment: Mapping[str, str]
    github: Mapping[str, str]
    ran: dict[str, int] = field(default_factory=dict)
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    log: str = ""

    @property
    def summary(self) -> Path:
        return self.runner / "summary.md"

    def run(self, action: Mapping[str, Any], inputs: Mapping[str, str], only: str | None = None) -> dict[str, str]:
        """Run an action's steps, or the one of a name, whose condition is then not asked for.

        Returns:
            Its outputs.
        """
        unknown = inputs.keys() - action["inputs"].keys()
        assert not unknown, f"the action has no inputs {unknown}"
        names: dict[str, str] = {f"github.{name}": value for name, value in self.github.items()}
        for name, description in action["inputs"].items():
            names[f"inputs.{name}"] = inputs.get(name, _filled(str(description.get("default", "")), names))
        for step in action["runs"]["steps"]:
            if self._skips(step, names) if only is None else step.get("name") != only:
                continue
            if "uses" in step:
                self.used[step["uses"]] = {key: _filled(value, names) for key, value in step["with"].items()}
            else:
                said = self._run_step(step, names)
                names.update({f"steps.{step.get('id')}.outputs.{key}": value for key, value in said.items()})
        return {name: _filled(output["value"], names) for name, output in action["outputs"].items()}

    def _skips(self, step: Mapping[str, Any], names: Mapping[str, str]) -> bool:
        condition = step.get("if", "")
        failed = any(self.ran.values()) and "always()" not in condition
        return failed or bool(condition and not _evaluated(condition, names))

    def _run_step(self, step: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
        assert step["shell"] == "bash"
        output = self.runner / "output"
        output.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.directory / _filled(step.get("working-directory", "."), names),
            env={
                **self.environment,
                **{key: _filled(value, names) for key, value in step.get("env", {}).items()},
                "RUNNER_TEMP": str(self.runner),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        self.ran[step["name"]] = done.returncode
        self.log += done.stdout
        return dict(line.split("=", 1) for line in output.read_text().splitlines())


def _filled(text: str, names: Mapping[str, str]) -> str:
    """A text with its expressions replaced; each must be a bare name."""
    return _EXPRESSION.sub(lambda found: _value(found[1], names), str(text))


def _value(name: str, names: Mapping[str, str]) -> str:
    if name.startswith("steps."):  # outputs of a step that did not run are empty
        return names.get(name, "")
    return names[name]


def _evaluated(condition: str, names: Mapping[str, str]) -> bool:
    """What a condition of names, texts in quotes and `&&`, `||`, `==`, `!=` comes to."""
    words = _WORDS.findall(condition)
    assert "".join(words) == condition.replace(" ", ""), condition
    python = [_OPERATORS.get(word) or (word if word.startswith("'") else repr(_value(word, names))) for word in words]
    return bool(eval("".join(python)))  # of names and texts that were looked at above


@dataclass
class PullRequest:
    """The comments of pull request 7 of ``owner/app``, behind GitHub's paths.

    Attributes:
        comments: As GitHub tells them.
        refuses: The status of every answer to who wants to write; None to take it.
        asked: Method and path of each call.
    """

    comments: list[dict[str, Any]] = field(default_factory=list)
    refuses: int | None = None
    asked: list[str] = field(default_factory=list)

    def add(self, body: str, kind: str = "Bot") -> None:
        """Somebody comments."""
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": {"type": kind}})

    @contextmanager
    def serving(self, directory: Path) -> Iterator[dict[str, str]]:
        """Serve them; gives the variables by which a runner is told of it."""
        event = directory / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7}}))
        with serving(Starlette(routes=self._routes())) as origin:
            yield {
                "GITHUB_API_URL": origin,
                "GITHUB_REPOSITORY": "owner/app",
                "GITHUB_EVENT_PATH": str(event),
                "GITHUB_TOKEN": TOKEN,
            }

    def _routes(self) -> list[Route]:
        return [
            Route("/repos/owner/app/issues/7/comments", self._listed, methods=["GET"]),
            Route("/repos/owner/app/issues/7/comments", self._written, methods=["POST"]),
            Route("/repos/owner/app/issues/comments/{id:int}", self._written, methods=["PATCH"]),
        ]

    async def _listed(self, request: Request) -> Response:
        self._note(request)
        size, page = int(request.query_params["per_page"]), int(request.query_params["page"])
        return JSONResponse(self.comments[size * (page - 1) : size * page])

    async def _written(self, request: Request) -> Response:
        self._note(request)
        if self.refuses is not None:
            return JSONResponse({"message": "Resource not accessible by integration"}, self.refuses)
        body = (await request.json())["body"]
        if request.method == "POST":
            self.add(body)
            return JSONResponse(self.comments[-1], 201)
        found = next(one for one in self.comments if one["id"] == request.path_params["id"])
        found["body"] = body
        return JSONResponse(found)

    def _note(self, request: Request) -> None:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        self.asked.append(f"{request.method} {request.url.path}")
