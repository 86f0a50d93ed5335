"""A listening socket, or one line that names the option to change."""

from __future__ import annotations

import errno
import socket
from typing import Final

from jobctl.errors import InvalidOption

__all__ = ["listen"]

_BACKLOG: Final = 2048


def listen(host: str, port: int, *, host_option: str = "--host", port_option: str = "--port") -> socket.socket:
    """Bind and listen.

    Args:
        host: A name or an address, IPv4 or IPv6, of this machine.
        port: The port; 0 picks a free one.
        host_option: What to name when the host is to blame.
        port_option: What to name when the port is.

    Raises:
        InvalidOption: The address cannot be had.
    """
    if not host:
        raise InvalidOption(host_option, "is empty", "give 127.0.0.1, or 0.0.0.0 for every interface")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        listener.close()
        # Which option is to blame: the port when it is taken or forbidden, the host when this machine has no such one.
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        if isinstance(error, OverflowError) or getattr(error, "errno", None) in {errno.EADDRINUSE, errno.EACCES}:
            raise InvalidOption(
                port_option,
                f"{host}:{port} cannot be had ({reason})",
                f"give another one; {port_option} 0 picks a free port",
            ) from None
        raise InvalidOption(
            host_option,
            f"{host!r} is no address of this machine ({reason})",
            "give 127.0.0.1, or 0.0.0.0 for every interface",
        ) from None
    return listener
