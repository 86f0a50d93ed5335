"""Load generators that never get so far as to generate a load; those that do have their tests in e2e."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.adapters.load_process import JoinedLoad, LoadProcess
from jobctl.adapters.processes import ProcessGroup
from jobctl.core.crew import ALONE, Crew
from jobctl.errors import InvalidOption, ServiceUnavailable
from support.loads import make_spec

LOCUSTFILE = Path(__file__).resolve().parents[2] / "loadtests" / "locustfile.py"


@pytest.fixture
def group() -> Iterator[ProcessGroup]:
    with ProcessGroup() as group:
        yield group


@pytest.mark.parametrize("crew", [ALONE, Crew(2)], ids=["one process", "two processes"])
def test_a_locustfile_that_cannot_run_is_told_in_its_own_words(group: ProcessGroup, tmp_path: Path, crew: Crew) -> None:
    locustfile = tmp_path / "broken.py"
    locustfile.write_text("raise RuntimeError('not today')\n")
    load = LoadProcess(group, locustfile, make_spec().to_json(), "redis://127.0.0.1:1/0", crew)
    with pytest.raises(ServiceUnavailable, match="not today"):  # noqa: PT012 - either way of hearing of it is right
        list(load.events())
        raise load.failure()
    load.close()


def test_generators_that_do_not_join_are_waited_for_and_then_named(group: ProcessGroup) -> None:
    load = LoadProcess(group, LOCUSTFILE, make_spec().to_json(), "redis://127.0.0.1:1/0", Crew(0, 2), joining_s=0.5)
    with pytest.raises(ServiceUnavailable, match=r"fewer than 2 generators joined within 0\.5 s"):
        list(load.events())
    load.close()


def test_a_port_that_is_taken_is_refused_before_anything_is_started(group: ProcessGroup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        crew = Crew(0, 1, "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(InvalidOption, match="cannot be had") as caught:
            LoadProcess(group, LOCUSTFILE, make_spec().to_json(), "redis://127.0.0.1:1/0", crew)
    assert caught.value.option == "--master-port"


def test_a_master_that_never_comes_is_named_with_its_address(group: ProcessGroup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    load = JoinedLoad(group, LOCUSTFILE, "redis://127.0.0.1:1/0", "127.0.0.1", port, patience_s=0.5)
    with pytest.raises(ServiceUnavailable, match=rf"no master answers at 127\.0\.0\.1:{port} within 0\.5 s"):
        list(load.events())
    load.close()
