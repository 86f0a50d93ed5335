"""The commands that a document shows, in blocks and in running text, as a shell would split them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

#: Programs that running text names in backticks; whatever else stands there is no command.
_NAMED = ("amtool", "docker", "jobctl", "locust", "make", "promtool", "python", "rq")
_BLOCK = re.compile(r"^ *```([a-z]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
#: Languages of blocks in which every line is a command.
_SHELL = ("bash", "sh", "shell")
_ENDS = ("&&", "||", ";", "|", "&", "(", ")")
#: Words of the shell before a command, and those that are none by themselves.
_KEYWORDS = {"do", "else", "if", "then", "until", "while"}
_ALONE = {"done", "fi"}
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class ShownCommand:
    """One program with its words.

    Attributes:
        words: The program first; redirections are left out.
        whole: Whether it stands in a block without dots, to be typed as it is; else it only mentions options.
    """

    words: tuple[str, ...]
    whole: bool

    @property
    def program(self) -> str:
        """What is run."""
        return self.words[0]

    def __str__(self) -> str:
        return shlex.join(self.words)


def shown_commands(markdown: str) -> list[ShownCommand]:
    """Every command of a document, in the order of blocks first and running text after them."""
    found = [command for line in _lines(markdown) for command in _split(line)]
    for text in _INLINE.findall(_BLOCK.sub("", markdown)):
        if text.split() and text.split()[0] in _NAMED:
            joined = " && " in text or " | " in text
            words = [one.words for one in _split(text)] if joined else [tuple(shlex.split(text))]
            found += [ShownCommand(one, False) for one in words]
    return found


def _lines(markdown: str) -> Iterator[str]:
    """The command lines of blocks, each with what it goes on with after a backslash."""
    for language, block in _BLOCK.findall(markdown):
        joined = re.sub(r"\\\n\s*", " ", block)
        for line in joined.splitlines():
            text = line.strip()
            prompted = text.startswith("$ ")
            bare = language in _SHELL or (not language and text.split(" ")[0] == "jobctl" and "──" not in text)
            if prompted or (bare and text and not text.startswith("#")):
                yield re.sub(r"\s#\s.*$", "", text.removeprefix("$ "))


def _split(line: str) -> Iterator[ShownCommand]:
    """The simple commands of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for token in [*lexer, ";"]:
        if token in _ENDS:
            kept = _without_keywords(_without_redirections(words))
            if kept and kept[0] not in _ALONE:
                yield ShownCommand(tuple(kept), "..." not in kept and "…" not in kept)
            words = []
        else:
            words.append(token)


def _without_redirections(words: list[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip or word in {">", ">>", "<", ">&"}:
            if not skip and kept and kept[-1].isdigit():
                kept.pop()  # the stream, as in `2>`
            skip = not skip
        else:
            kept.append(word)
    return kept


def _without_keywords(words: list[str]) -> list[str]:
    """The words from the program on: the shell's own and assignments stand before it."""
    while words and (words[0] in _KEYWORDS or _ASSIGNED.match(words[0])):
        words = words[1:]
    return words
