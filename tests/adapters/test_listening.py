from __future__ import annotations

import socket

import pytest

from jobctl.adapters.listening import listen
from jobctl.errors import InvalidOption


def test_port_0_picks_a_free_port_on_which_clients_are_accepted_at_once() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()) as client:
        assert listener.getsockname()[1] > 0
        assert client.getpeername() == listener.getsockname()


def test_a_port_can_be_had_again_as_soon_as_it_is_left() -> None:
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0]:
            pass
    with listen(*address) as again:
        assert again.getsockname() == address


def test_a_taken_port_is_the_ports_fault() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(InvalidOption, match="address already in use") as caught:
        listen(*taken.getsockname())
    assert caught.value.option == "--port"


def test_a_port_that_cannot_exist_is_the_ports_fault() -> None:
    with pytest.raises(InvalidOption) as caught:
        listen("127.0.0.1", 70_000)
    assert caught.value.option == "--port"


@pytest.mark.parametrize("host", ["", "192.0.2.1", "no such host", "x" * 300, "::zz"])
def test_an_address_that_is_not_this_machines_is_the_hosts_fault(host: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        listen(host, 0)
    assert caught.value.option == "--host"


def test_the_options_to_blame_can_be_others() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(InvalidOption, match="--metrics-port 0 picks") as caught:
        listen(*taken.getsockname(), host_option="--metrics-host", port_option="--metrics-port")
    assert caught.value.option == "--metrics-port"
    with pytest.raises(InvalidOption) as caught:
        listen("", 0, host_option="--metrics-host")
    assert caught.value.option == "--metrics-host"
