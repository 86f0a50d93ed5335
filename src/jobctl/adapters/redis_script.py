"""Scripts on the server, which may forget them at any moment: then the text is sent along, in the same step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

__all__ = ["ServerScript"]


class ServerScript:
    """A Lua script.

    Args:
        connection: Redis.
        *names: The files of ``lua/`` it is made of, in order and without ending.

    Calls raise redis-py's errors.
    """

    def __init__(self, connection: Redis, *names: str) -> None:
        self._connection = connection
        self._text = _source(names)
        self._digest = hashlib.sha1(self._text.encode()).hexdigest()  # as the server names it

    def __call__(self, words: Sequence[Any], *, keys: Sequence[str] = ()) -> Any:
        """Run it.

        Args:
            words: Its ARGV.
            keys: Its KEYS.
        """
        try:
            return self._connection.evalsha(self._digest, len(keys), *keys, *words)
        except NoScriptError:
            return self._connection.eval(self._text, len(keys), *keys, *words)


@cache
def _source(names: Sequence[str]) -> str:
    folder = resources.files("jobctl.adapters") / "lua"
    return "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
