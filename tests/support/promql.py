"""What an expression of PromQL selects, and whether a Prometheus has what it takes to answer one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from jobctl.core.panels import EVERYTHING, Dashboard
from support.monitoring import Prometheus

_TOKEN: re.Pattern[str] = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    | (?P<window>\[[^\]]*\]) | (?P<time>\b\d+(?:\.\d+)?(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*\b)
    | (?P<number>\b(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\b|\b(?i:inf|nan)\b)
    | (?P<name>[a-zA-Z_:][\w:]*) | (?P<compared>==|!=|>=|<=|>|<) | (?P<other>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)
#: Those after which names of labels stand in parentheses.
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = _GROUPING | {"and", "or", "unless", "bool", "offset", "atan2", "start", "end"}


def expressions(shown: Dashboard) -> list[str]:
    """Every query of a dashboard's panels and marks, with everything chosen."""
    chosen = re.compile("|".join(rf"\${variable.name}\b" for variable in shown.variables))
    asked = [query.expr for row in shown.rows for panel in row.panels for query in panel.queries]
    asked += [mark.expr for mark in shown.marks]
    return [chosen.sub(EVERYTHING, expr) for expr in asked]


def selectors(expression: str) -> list[str]:
    """The vector selectors of an expression, without their windows.

    Every name counts that is no function, no word of the language and no label: one that is spelt wrong too.
    """
    found: list[str] = []
    for kind, token, rest in _tokens(expression):
        if kind == "selector" and token not in _WORDS and not re.match(r"\s*(\(|by\b|without\b)", rest):
            found.append(token)
    return found


def unfiltered(expression: str) -> str:
    """The expression without what makes it select: it has an answer exactly if its parts have data whose labels match.

    ``a > 1`` becomes ``a > bool 1``, ``a unless b`` becomes ``a and b``, ``absent(a)`` becomes ``count(a)``.
    """
    text = ""
    for kind, token, rest in _tokens(expression):
        if kind == "compared" and not re.match(r"\s*bool\b", rest):
            text += f"{token} bool" if rest[:1].isspace() else f"{token} bool "
        elif token == "unless":
            text += "and"
        elif token in {"absent", "absent_over_time"}:
            text += "count" if token == "absent" else "count_over_time"
        else:
            text += token
    return text


def opened(expression: str, recorded: Mapping[str, str]) -> str:
    """An expression without what makes it select, here or in a recorded series that it uses (:func:`unfiltered`).

    Args:
        expression: PromQL.
        recorded: Recorded series that are not there now, and their rules.
    """
    text = ""
    for _, token, rest in _tokens(unfiltered(expression)):
        plain = token in recorded and not re.match(r"\s*(\[|offset\b)", rest)
        text += f"({opened(recorded[token], recorded)})" if plain else token
    return text


def lacking(prometheus: Prometheus, expression: str, recorded: Mapping[str, str]) -> list[str]:
    """What an expression lacks to be answered from the series that are there; nothing when all is well.

    Each of its selectors has to find series, and the whole, when nothing is held back by a comparison, a number: then
    its parts have data whose labels match.

    Raises:
        AssertionError: It cannot be evaluated.
    """
    prometheus.query(expression)
    lost = [one for one in selectors(expression) if one not in recorded and not prometheus.query(one)]
    whole = opened(expression, recorded)
    if not lost and all(math.isnan(value) for _, value in prometheus.query(whole)):
        lost.append(whole)
    return lost


def _tokens(expression: str) -> Iterator[tuple[str, str, str]]:
    """Kind, text and what follows, of each token; a name and its matchers are one, the labels of a grouping another."""
    place, grouping = 0, False
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        assert match is not None
        kind, token, place = str(match.lastgroup), match[0], match.end()
        if kind == "name":
            kind = "selector"
            if expression[place:].startswith("{"):
                ends = _closing(expression, place, "{}")
                token, place = token + expression[place:ends], ends
        elif token == "(" and grouping:
            ends = _closing(expression, place - 1, "()")
            kind, token, place = "labels", expression[place - 1 : ends], ends
        grouping = token in _GROUPING or (grouping and token.isspace())
        yield kind, token, expression[place:]


def _closing(expression: str, opens: int, pair: str) -> int:
    """Where the parenthesis ends that opens there, texts left alone."""
    depth, place = 0, opens
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        assert match is not None
        depth += {pair[0]: 1, pair[1]: -1}.get(match[0], 0)
        place = match.end()
        if depth == 0:
            return place
    raise AssertionError(f"nothing closes {expression[opens:]!r}")
