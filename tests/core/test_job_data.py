from __future__ import annotations

import json
import pickle
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rq.serializers import DefaultSerializer, JSONSerializer

from jobctl.core.job_data import inflate, job_type, read_job_data, read_value

paths = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(paths, values, st.booleans())
def test_a_json_call_is_told_whole(path: str, value: object, deflated: bool) -> None:
    data = JSONSerializer.dumps((path, None, [value], {"x": value}))
    told = read_job_data(zlib.compress(data) if deflated else data)

    assert (told.encoding, told.job_type, told.args, told.kwargs) == ("json", path, [value], {"x": value})
    assert told.size == len(data)


@given(paths, values, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_of_a_pickle_the_function_is_told_and_nothing_else(path: str, value: object, protocol: int) -> None:
    data = pickle.dumps((path, None, (value,), {"x": value}), protocol)
    told = read_job_data(zlib.compress(data))

    assert (told.encoding, told.args, told.kwargs) == ("pickle", None, None)
    assert told.job_type == path
    assert told.size == len(data)


def test_the_function_is_told_without_the_arguments_being_read() -> None:
    call = ("app.task", None, ["x" * 1_000_000], {})

    assert job_type(zlib.compress(DefaultSerializer.dumps(call))) == "app.task"
    assert job_type(zlib.compress(JSONSerializer.dumps(call))) == "app.task"


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_does_something_is_not_carried_out(protocol: int, tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "ran")
    for planted in (bomb, ("app.task", None, (bomb,), {}), (bomb, None, (), {})):
        data = pickle.dumps(planted, protocol)
        assert read_job_data(data).encoding == "pickle"
        assert read_value(data) is None

    assert not (tmp_path / "ran").exists()


@given(st.binary(max_size=200))
def test_whatever_is_there_is_told_without_an_error(data: bytes) -> None:
    for packed in (data, zlib.compress(data), zlib.compress(data)[:-3], b"[" + data, b"\x80\x04" + data):
        told = read_job_data(packed)
        assert told.encoding in {"json", "pickle", "unreadable"}


@pytest.mark.parametrize(
    "data", [b"[]", b'["f"]', b'["f", null, {}, []]', b'{"f": 1}', b"[" * 100_000, b'["\\', b"null", b"", b"\xff"]
)
def test_what_is_no_call_is_unreadable(data: bytes) -> None:
    assert read_job_data(data).encoding == "unreadable"


def test_little_that_inflates_to_much_is_cut() -> None:
    packed = zlib.compress(bytes(100 << 20))

    assert read_job_data(packed).size == 16 << 20
    assert len(inflate(packed, 10)) == 10


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"x": [NaN]}'])
def test_numbers_that_json_does_not_know_become_their_names(text: str) -> None:
    assert json.dumps(read_value(text.encode()), allow_nan=False)
