"""A function of the user's own is looked at before anything is started."""

from __future__ import annotations

import pytest

from jobctl.core.workload import Payload
from jobctl.errors import InvalidOption
from jobctl.wiring.importing import check_importable


def test_arguments_that_the_function_takes_are_taken() -> None:
    check_importable("textwrap.indent", "--job", [(("a", "> "), {}), (("a",), {"prefix": "> "})])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (((), {}), "missing a required argument: 'text'"),
        ((("a", "> "), {"perfix": "> "}), "got an unexpected keyword argument 'perfix'"),
        ((("a", "> ", None, 1), {}), "too many positional arguments"),
    ],
)
def test_arguments_that_it_cannot_take_are_refused_with_the_job_and_what_would_do(payload: Payload, why: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        check_importable("textwrap.indent", "--job", [(("a", "> "), {}), payload])

    assert caught.value.option == "--args-from"
    assert f"the arguments of job 2 ({why})" in caught.value.problem
    assert "indent(text, prefix, predicate=None)" in caught.value.remedy


def test_a_function_that_does_not_tell_its_arguments_is_left_alone() -> None:
    check_importable("builtins.max", "--job", [((), {})])


@pytest.mark.parametrize(
    ("path", "why"),
    [("no_such_module.f", "'no_such_module' cannot be imported"), ("textwrap.nothing", "has no function 'nothing'")],
)
def test_a_function_that_is_not_there_is_refused(path: str, why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        check_importable(path, "--job")
