from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.running_mock import QUICK, Mock, Start, running


@pytest.fixture(scope="session")
def mock() -> Iterator[Mock]:
    """A quick mock without faults or limits, for all tests of this process."""
    with running(QUICK, {}) as started:
        yield started


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts mocks of a test's own: ``start(law, faults, rpm=..., tpm=...)``."""
    with ExitStack() as stack:
        yield lambda law=QUICK, faults=None, **limits: stack.enter_context(running(law, faults or {}, **limits))
