"""Keep one comment of a pull request up to date with a report; part of the GitHub action.

    python scripts/pull_request_comment.py NAME REPORT.md

The comment is found again by a line that nobody sees, which holds the gate's name. Whatever goes wrong is said and
changes no exit code: a report that nobody may write down is no reason to fail a gate, nor to pass one. A run for a fork
may not write, by GitHub's rules; its report stands in the summary of the run.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: The most characters that GitHub takes in a comment.
LONGEST: Final = 65_536
_CUT: Final = "\n\n(cut here; the artifact has all of it)\n"
_PAGE: Final = 100
_DEADLINE_S: Final = 30.0


def main(words: list[str], environment: Mapping[str, str]) -> int:
    """Run the command line; returns the exit code."""
    name, report = words
    number = pull_request_number(environment)
    if number is None or not Path(report).is_file():
        print("::notice title=Load gate::there is no pull request or no report to comment")
        return 0
    conversation = Conversation(
        environment["GITHUB_API_URL"], environment["GITHUB_REPOSITORY"], number, environment["GITHUB_TOKEN"]
    )
    try:
        conversation.put(marker(name), Path(report).read_text(encoding="utf-8"))
    except urllib.error.HTTPError as error:
        print(f"::notice title=Load gate::not commented, GitHub says {error.code}: see the summary of this run")
    except (OSError, ValueError) as error:
        print(f"::warning title=Load gate::not commented, {error}: see the summary of this run")
    return 0


def marker(name: str) -> str:
    """The line by which the comment of a gate is found again; nobody sees it."""
    return f"<!-- jobctl load gate: {name.replace('--', '- ')} -->"


def pull_request_number(environment: Mapping[str, str]) -> int | None:
    """Which pull request this run is about; None when it is about none."""
    event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = event.get("pull_request", {}).get("number")
    return number if isinstance(number, int) else None


@dataclass(frozen=True)
class Conversation:
    """The comments of one pull request.

    Attributes:
        api: GitHub's API; another one on a server of one's own.
        repository: ``owner/name``.
        number: The pull request.
        token: May write comments, or may not.
    """

    api: str
    repository: str
    number: int
    token: str

    def put(self, mark: str, markdown: str) -> None:
        """Write the comment that begins with a mark, in place of an older one if there is one.

        Raises:
            HTTPError: GitHub refuses.
            OSError: It does not answer.
        """
        body = {"body": fitted(f"{mark}\n{markdown}")}
        found = self._find(mark)
        if found is None:
            self._call("POST", f"issues/{self.number}/comments", body)
        else:
            self._call("PATCH", f"issues/comments/{found}", body)

    def _find(self, mark: str) -> int | None:
        """The comment with that mark, if a program wrote it: a person's is never overwritten."""
        ours = (
            comment["id"]
            for comment in self._comments()
            if comment["user"]["type"] == "Bot" and comment["body"].startswith(mark)
        )
        return next(ours, None)

    def _comments(self) -> Iterator[dict[str, Any]]:
        page = 1
        while comments := self._call("GET", f"issues/{self.number}/comments?per_page={_PAGE}&page={page}"):
            yield from comments
            page += 1

    def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.api}/repos/{self.repository}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Accept": "application/vnd.github+json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=_DEADLINE_S) as response:
            return json.load(response)


def fitted(body: str) -> str:
    """A text, cut where it is longer than GitHub takes."""
    return body if len(body) <= LONGEST else body[: LONGEST - len(_CUT)] + _CUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
