"""The sockets that the API listens on, opened before anything else starts.

Invariant: a port that is taken is told at once, in one sentence, with nothing started for it.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Final

from catena.errors import SetupError

__all__ = ["open_listener", "open_listeners"]

_BACKLOG: Final = 1024
_BALANCES: Final = sys.platform == "linux"
"""Whether the system spreads connections over sockets that share a port."""


def open_listener(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens already, so that early connections wait. Port 0 takes a free one.

    `shared`: others that say so too may listen on the same port. Raises SetupError.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        raise SetupError(_explain(error, host, port)) from error
    return listener


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """One listener for each of `count` processes, all on one port. Raises SetupError.

    Where the system does not spread connections over several sockets, it is one and the same.
    """
    first = open_listener(host, port)
    if count == 1 or not _BALANCES:
        return [first] * count
    # Had it been open to sharing, a second Catena could have joined the first one unnoticed.
    port = first.getsockname()[1]
    first.close()
    return [open_listener(host, port, shared=True) for _ in range(count)]


def _explain(error: Exception, host: str, port: int) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is taken, by another program or by a Catena that runs"
                " already; stop that, or choose another port with --port."
            )
        case errno.EACCES:
            return f"This user may not listen on port {port}; choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine; choose another with --host."
        case number:
            why = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
            return f"Catena cannot listen on {host}, port {port}: {why}."
