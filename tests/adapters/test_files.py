from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.adapters import files
from jobctl.errors import InvalidOption

OURS = "# driven by jobctl\n"


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: str, text: str) -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def refusal(call: Any, *arguments: Any) -> InvalidOption:
    with pytest.raises(InvalidOption) as caught:
        call(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


# --------------------------------------------------------------------------------------------------------- locustfile


def test_a_given_locustfile_comes_first() -> None:
    write("loadtests/locustfile.py", OURS)
    given_file = write("mine.py", "# nothing about it\n")

    assert files.find_locustfile(given_file) == given_file


def test_a_given_locustfile_that_is_not_there_is_never_replaced_by_another() -> None:
    write("loadtests/locustfile.py", OURS)
    Path("directory.py").mkdir()

    for path in ("nowhere.py", "directory.py"):
        assert refusal(files.find_locustfile, Path(path)).option == "--locustfile"


def test_the_working_directorys_locustfile_comes_before_the_packaged_one() -> None:
    write("loadtests/locustfile.py", OURS)

    assert files.find_locustfile(None) == Path("loadtests/locustfile.py")


def test_without_one_here_the_packaged_one_is_found() -> None:
    found = files.find_locustfile(None)

    assert found.is_absolute()
    assert found.name == "locustfile.py"
    assert found.parent.name in {"_loadtests", "loadtests"}


def test_somebodys_own_locust_project_is_passed_over() -> None:
    write("loadtests/locustfile.py", "from locust import HttpUser\n")

    assert files.find_locustfile(None).is_absolute()


# ---------------------------------------------------------------------------------------------------------- scenarios


def test_the_packaged_scenarios_are_found_by_name() -> None:
    assert set(files.scenario_names()) >= {
        "steady-135k",
        "ramp-135k-to-450k",
        "steady-450k",
        "spike",
        "openrouter-limit",
    }
    name, content = files.read_scenario("steady-450k")
    assert name == "steady-450k"
    assert content


def test_a_scenario_here_comes_before_the_packaged_one_of_its_name() -> None:
    write("loadtests/scenarios/spike.toml", "mine = true\n")

    assert files.read_scenario("spike") == ("spike", {"mine": True})


def test_a_scenario_of_ones_own_is_found_by_name_and_listed_beside_the_packaged_ones() -> None:
    write("loadtests/scenarios/monday.toml", "mine = true\n")

    assert files.read_scenario("monday") == ("monday", {"mine": True})
    assert {"monday", "spike"} <= set(files.scenario_names())


def test_a_scenario_may_be_given_by_path() -> None:
    path = write("somewhere/odd.toml", "\ufeffa = 1\n")

    assert files.read_scenario(str(path)) == ("odd", {"a": 1})


def test_a_file_that_a_scenario_names_is_looked_for_beside_it() -> None:
    write("loadtests/scenarios/monday.toml", "mine = true\n")
    write("elsewhere/tuesday.toml", "mine = true\n")

    assert files.beside_scenario("monday", "day.csv") == "loadtests/scenarios/day.csv"
    assert files.beside_scenario("elsewhere/tuesday.toml", "day.csv") == "elsewhere/day.csv"
    assert files.beside_scenario("monday", "/data/day.csv") == "/data/day.csv"


@pytest.mark.parametrize("name", ["nowhere", "nowhere.toml", "", "loadtests"])
def test_a_scenario_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    error = refusal(files.read_scenario, name)

    assert error.option == "--scenario"
    assert "steady-450k" in error.remedy


@pytest.mark.parametrize(
    "content", [b"not toml", b"\xff\xfe", b"a = 1\na = 2", b"a = " + b"[" * 5000, b"a = " + b"1" * 5000]
)
def test_a_scenario_that_cannot_be_read_is_named(content: bytes) -> None:
    Path("broken.toml").write_bytes(content)

    assert "'broken.toml' " in refusal(files.read_scenario, "broken.toml").problem


# ----------------------------------------------------------------------------------------------------------- payloads


def test_a_line_is_keyword_arguments_positional_ones_or_both() -> None:
    lines = ['{"prompt": "hi"}', "[1, [2]]", '{"args": [3], "kwargs": {"k": 4}}', '{"args": [5]}', "{}", "[]"]
    path = write("payloads.jsonl", "\n".join(lines))

    assert files.read_payloads(str(path)) == [
        ((), {"prompt": "hi"}),
        ((1, [2]), {}),
        ((3,), {"k": 4}),
        ((5,), {}),
        ((), {}),
        ((), {}),
    ]


def test_keys_beside_args_and_kwargs_make_them_ordinary_names() -> None:
    path = write("payloads.jsonl", '{"args": [1], "more": 2}\n')

    assert files.read_payloads(str(path)) == [((), {"args": [1], "more": 2})]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_blank_lines_foreign_line_ends_and_a_byte_order_mark_are_no_matter(ending: str) -> None:
    Path("payloads.jsonl").write_bytes(f'\ufeff{{"a": 1}}{ending}{ending}  {ending}[2]{ending}'.encode())

    assert files.read_payloads("payloads.jsonl") == [((), {"a": 1}), ((2,), {})]


@given(texts=st.lists(st.text() | st.just("a\u2028b\x85c"), min_size=1, max_size=5))
def test_any_text_that_json_can_hold_arrives_as_it_was(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also those with characters that end a line elsewhere, such as U+2028."""
    path = tmp_path_factory.getbasetemp() / "payloads.jsonl"
    path.write_text("\n".join(json.dumps([text], ensure_ascii=False) for text in texts), encoding="utf-8")

    assert files.read_payloads(str(path)) == [((text,), {}) for text in texts]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \n"])
def test_a_file_without_a_line_is_refused(content: bytes) -> None:
    Path("payloads.jsonl").write_bytes(content)

    assert "has no line" in refusal(files.read_payloads, "payloads.jsonl").problem


@pytest.mark.parametrize(("path", "content"), [("nowhere", None), (".", None), ("binary", b"\xff\xfe\x00")])
def test_a_file_that_cannot_be_read_is_refused(path: str, content: bytes | None) -> None:
    if content is not None:
        Path(path).write_bytes(content)

    error = refusal(files.read_payloads, path)
    assert error.option == "--args-from"
    assert "cannot be read" in error.problem


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "[" + "1" * 5000 + "]"])
def test_a_line_that_is_not_json_is_refused_with_its_number(line: str) -> None:
    path = write("payloads.jsonl", f"[1]\n{line}\n")

    assert "payloads.jsonl line 2 is not JSON" in refusal(files.read_payloads, str(path)).problem


# ------------------------------------------------------------------------------------------------------------ results


def test_a_result_is_written_as_json() -> None:
    files.write_json("result.json", {"schema": "x/1", "value": None})

    text = Path("result.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"schema": "x/1", "value": None}
    assert text.endswith("}\n")


def test_a_result_holds_no_number_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json("result.json", {"value": float("nan")})


@pytest.mark.parametrize("target", ["nowhere/result.json", "."])
def test_a_result_that_cannot_be_written_is_refused(target: str) -> None:
    assert refusal(files.write_json, target, {}).option == "--json"


# ---------------------------------------------------------------------------------------------------- compressed lines


def test_a_compressed_file_is_read_by_its_name() -> None:
    lines = ["arrival_s,service_s", "0,1", "2,3"]
    files.write_lines("trace.csv.gz", lines, "--records")

    assert Path("trace.csv.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert files.read_lines("trace.csv.gz", "--shape") == [*lines, ""]


def test_foreign_line_ends_are_no_matter_in_a_compressed_file_either() -> None:
    Path("trace.csv.gz").write_bytes(gzip.compress("\ufeffa\r\nb\rc\n".encode()))

    assert files.read_lines("trace.csv.gz", "--shape") == ["a", "b", "c", ""]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"0,1\n", "no whole gzip file"),
        (gzip.compress(b"0,1\n" * 99, mtime=0)[:-9], "no whole gzip file"),
        (gzip.compress(b"0,1\n" * 99, mtime=0)[:10] + b"\xff" * 40, "no whole gzip file"),
        (gzip.compress(b"\xff\xfe\x00", mtime=0), "not UTF-8"),
        (None, "no such file"),
    ],
)
def test_a_broken_compressed_file_is_refused(content: bytes | None, problem: str) -> None:
    if content is not None:
        Path("trace.csv.gz").write_bytes(content)

    error = refusal(files.read_lines, "trace.csv.gz", "--shape")
    assert error.option == "--shape"
    assert problem in error.problem


def test_a_toml_file_is_decoded() -> None:
    write("slo.toml", '[[objective]]\nslo = "p95 wait <= 1s"\n')

    assert files.read_toml("slo.toml", "--slo-file") == {"objective": [{"slo": "p95 wait <= 1s"}]}


@pytest.mark.parametrize(
    ("content", "problem"), [(b"[[x", "is not TOML"), (b"\xff\xfe", "not UTF-8"), (None, "no such file")]
)
def test_what_is_no_toml_file_is_refused(content: bytes | None, problem: str) -> None:
    if content is not None:
        Path("slo.toml").write_bytes(content)

    error = refusal(files.read_toml, "slo.toml", "--slo-file")
    assert error.option == "--slo-file"
    assert problem in error.problem


def test_a_json_file_is_decoded_compressed_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b'{"a": [1, null]}'))

    for name in ("a.json", "a.json.gz"):
        assert files.read_json(str(tmp_path / name), "--from", "give another") == {"a": [1, None]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n", "is empty"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("NaN", "holds NaN, which is no figure"),
        ('{"a": Infinity}', "holds Infinity, which is no figure"),
        (None, "cannot be read \\(no such file or directory\\)"),
    ],
    ids=["empty", "cut", "deep", "NaN", "infinite", "missing"],
)
def test_what_is_no_json_is_refused_and_why(text: str | None, problem: str) -> None:
    if text is not None:
        Path("a.json").write_text(text)
    with pytest.raises(InvalidOption, match=f"--from: 'a.json' {problem}; give"):
        files.read_json("a.json", "--from", "give another")


def test_a_pipe_or_a_device_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.replace_text(str(pipe), "told", "--html")
        assert os.read(reader, 100) == b"told"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
