"""The glossary's names are those of documents, options and code, and no word of the figures is missing from it."""

from __future__ import annotations

import json
import re
from inspect import signature
from pathlib import Path

import pytest
import reference

from jobctl.apps.bench.records import COLUMNS
from jobctl.core.gates import SIGNALS
from jobctl.core.metrics import FLEET, PREFIX, WORKER
from jobctl.core.queueing import predict_wait
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.slo import Verdict

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]*) \| (.+) \|$", GLOSSARY, re.MULTILINE)
NAMED = sorted({name for _, names, _ in ROWS for name in re.findall(r"`([^`]+)`", names)})


def keys_of_documents() -> set[str]:
    keys: set[str] = set()
    for path in reference.SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        keys |= {key.removesuffix("[]").rpartition(".")[2] for key, _, _ in reference.walk(schema, schema)}
    return keys


KEYS = keys_of_documents()
OPTIONS = {option for _, command in reference.commands() for parameter in command.params for option in parameter.opts}
OTHERS = {
    *SIGNALS,
    *dir(JobRecord),
    *COLUMNS,
    *signature(predict_wait).parameters,
    *(f"jobctl {' '.join(words)}" for words, _ in reference.commands()),
    *(PREFIX + metric.name for metric in (*WORKER, *FLEET)),
    "slo.toml",
    "Postponed",
}


@pytest.mark.parametrize("name", NAMED)
def test_every_name_is_one_of_a_document_an_option_or_the_code(name: str) -> None:
    assert name in KEYS | OTHERS or name.split(maxsplit=1)[0] in OPTIONS


def test_no_word_of_a_run_is_missing() -> None:
    schema = json.loads((reference.SCHEMAS / "bench.json").read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    needed = {
        *definitions["counts"]["properties"],
        *definitions["signals"]["properties"],
        *SIGNALS,
        *(outcome.value for outcome in Outcome),
        "offered",
        "achieved",
        "utilisation",
        "backlog",
        "dropped",
        "schedule_lag_s",
    } - {"backlog.max", "backlog.slope", "achieved/offered", "cost.per_job"}

    assert needed - set(NAMED) == set()
    assert {verdict.value for verdict in Verdict} <= set(re.findall(r"`(\w+)`", GLOSSARY))


def test_each_word_has_one_row_and_a_meaning() -> None:
    words = [word for word, _, _ in ROWS if word not in {"word", "---"}]

    assert len(words) == len(set(words)) > 50
    assert all(meaning.strip() for _, _, meaning in ROWS)
