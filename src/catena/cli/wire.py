"""HTTP/1.1 over raw connections that are kept, each with one request at a time.

Invariant: every request that is sent is answered before `exchange` ends, and each answer is seen
once. It does no more for an answer than it must: its own time counts as the service's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from catena.clock import monotonic
from catena.errors import CatenaError, SetupError

__all__ = ["Address", "See", "exchange", "make_request", "parse_address"]

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_STATUS: Final = slice(9, 12)
"""Of `HTTP/1.1 201 Created`."""

See = Callable[[int, bytes, float], None]
"""Told of each answer: status, body, and the seconds it took. What it raises ends the exchange."""


class Address(NamedTuple):
    """Where a service listens."""

    host: str
    port: int


def parse_address(url: str) -> Address:
    """Host and port of an http URL. Raises SetupError."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        raise SetupError("That is no URL.") from None
    if parts.scheme != "http" or not parts.hostname:
        raise SetupError("The load is plain HTTP: give an http:// URL.")
    return Address(parts.hostname, port)


def make_request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire; one with a body says that it is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: catena"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def exchange(
    address: Address, requests: Iterator[bytes], connections: int, see: See
) -> float:
    """Send the requests over so many connections, each the next one once its last is answered.

    Gives the seconds from the first request to the last answer. Raises SetupError when the service
    cannot be reached or hangs up.
    """
    loop = asyncio.get_running_loop()
    opened: list[_Connection] = []
    try:
        for _ in range(connections):
            _, connection = await loop.create_connection(
                partial(_Connection, requests, see), *address
            )
            opened.append(connection)
        started = monotonic()
        for connection in opened:
            connection.send_next()
        await asyncio.gather(*(connection.done for connection in opened))
        return monotonic() - started
    except OSError:
        raise SetupError(f"No service listens on {address.host}, port {address.port}.") from None
    finally:
        for connection in opened:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection, and its request under way. `done` ends when there is none left to send."""

    def __init__(self, requests: Iterator[bytes], see: See) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._see = see
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def send_next(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._sent_at = monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, or a part of one."""
        received = self._received = self._received + data
        end = received.find(_HEAD_END)
        if end < 0:
            return
        head, body = received[:end].lower(), received[end + len(_HEAD_END) :]
        if len(body) < _read_length(head):
            return
        self._received = b""
        try:
            self._see(int(head[_STATUS]), body, monotonic() - self._sent_at)
        except CatenaError as error:
            self._fail(error)
        else:
            self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for an answer learns that none comes."""
        error = SetupError("The service closed a connection with a request under way.")
        error.__cause__ = exc
        self._fail(error)

    def close(self) -> None:
        """Hang up. An answer that still comes is not looked at."""
        self.done.cancel()
        self._transport.close()

    def _fail(self, error: CatenaError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _read_length(head: bytes) -> int:
    _, _, after = head.partition(_LENGTH)
    return int(after.partition(b"\r\n")[0] or 0)
