"""Connections to partners: resolved once, judged, and connected to that very address.

Invariant: no byte of a request leaves before its call's `Progress` says that one may have left, no
byte that came before it is taken for its answer, and there are never more connections than allowed.
Between the judging of an address and the connection to it no name is looked up again.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from aiohttp import BaseConnector, StreamReader
from aiohttp.client_proto import ResponseHandler

from catena.outside.addresses import is_public
from catena.settings import Settings

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = [
    "PROGRESS",
    "GuardedConnector",
    "NotReached",
    "Opener",
    "Progress",
    "Resolver",
    "open_socket",
    "resolve_name",
]

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises OSError or ValueError when there are none."""

Opener = Callable[[str, int], Awaitable[socket.socket]]
"""A connection to an address, never a name, and a port. Raises OSError."""


@dataclass(slots=True, eq=False)
class Progress:
    """How far one call has come, as its connection saw it."""

    is_connecting: bool = False
    is_sent: bool = False
    """A byte of the request may have left."""
    line: _Line | None = None
    """The connection that it was given."""
    body: StreamReader | None = None
    """The body of its answer, once the head has come."""


PROGRESS: Final[ContextVar[Progress]] = ContextVar("PROGRESS")
"""Of the call that the current task makes: connections are sought in the task of whoever asks."""


class NotReached(Exception):
    """There is no connection to send on. `reason` is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """The host's addresses, in the order that the system prefers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def open_socket(address: str, port: int) -> socket.socket:
    """A connection to this address, over TCP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    road = socket.socket(family, socket.SOCK_STREAM)
    try:
        road.setblocking(False)  # noqa: FBT003  # the standard library's way to say it
        await asyncio.get_running_loop().sock_connect(road, (address, port))
    except BaseException:
        road.close()
        raise
    return road


class _Line(ResponseHandler):
    """A connection that knows the call that it serves, and ends when it hears what nobody asked
    for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, forget: Callable[[_Line], None]) -> None:
        super().__init__(loop)
        self._forget = forget
        self._unread = select.poll()
        self.call: Progress | None = None
        self.was_used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to look for bytes that the loop has not read yet."""
        super().connection_made(transport)
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_silent(self) -> bool:
        """Whether nothing came since the last answer, neither here nor in the system's buffer."""
        return self.is_connected() and not self.should_close and not self._unread.poll(0)

    def data_received(self, data: bytes) -> None:
        """Take what came as the answer, if there was a question."""
        if data and (self.call is None or not self.call.is_sent):
            self.abort()
            return
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell also who reads the body: a malformed one would be waited for until the deadline."""
        super().set_exception(exc, *cause)
        if self.call is not None and self.call.body is not None:
            self.call.body.set_exception(exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the count of connections."""
        self._forget(self)
        super().connection_lost(exc)

    def close(self) -> None:
        """End at once: a partner that is slow to say goodbye holds no connection."""
        self.abort()


class GuardedConnector(BaseConnector):
    """Connects by name to addresses that may be connected to, and keeps connections for a while.

    Whoever asks for one sees to it that no more calls than `outside_connections` run at once.
    """

    def __init__(
        self, settings: Settings, resolve: Resolver, open_to: Opener, tls: ssl.SSLContext
    ) -> None:
        """`open_to` makes the connections and is only ever given addresses."""
        super().__init__(limit=0, keepalive_timeout=settings.outside_idle_seconds)
        self._allows_private = settings.allow_private_addresses
        self._connect_seconds = settings.outside_connect_seconds
        self._most = settings.outside_connections
        self._resolve = resolve
        self._open_to = open_to
        self._tls = tls
        self._lines: set[_Line] = set()
        self._idle: dict[_Line, None] = {}
        """Longest idle first."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        """A connection on which nothing has come that was not asked for. Raises NotReached."""
        while True:
            connection = await super().connect(req, traces, timeout)
            line = connection.protocol
            assert isinstance(line, _Line)  # noqa: S101  # we make them
            self._idle.pop(line, None)
            # A handshake may leave something to read that is no answer.
            if line.is_silent() or (req.is_ssl() and not line.was_used):
                break
            connection.close()
            if not line.was_used:
                raise NotReached("connection_lost")  # it spoke, or left, before it was asked
        line.was_used = True
        line.call = PROGRESS.get()
        line.call.line = line
        connection.add_callback(partial(self._rest, line))
        return connection

    def _rest(self, line: _Line) -> None:
        line.call = None
        if line in self._lines:
            self._idle[line] = None

    def _forget(self, line: _Line) -> None:
        self._lines.discard(line)
        self._idle.pop(line, None)

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        """A new connection: the one thing that a connector has to define for itself."""
        del traces, timeout
        PROGRESS.get().is_connecting = True
        while len(self._lines) >= self._most and self._idle:
            longest = next(iter(self._idle))
            self._forget(longest)
            longest.abort()
        line = _Line(self._loop, self._forget)
        self._lines.add(line)
        try:
            async with asyncio.timeout(self._connect_seconds) as deadline:
                await self._reach(line, req, deadline.when() or 0.0)
        except BaseException as error:
            self._forget(line)
            if isinstance(error, TimeoutError):
                raise NotReached("connect_timeout") from None
            raise
        return line

    async def _reach(self, line: _Line, req: ClientRequest, connect_by: float) -> None:
        port = req.port
        assert port is not None  # noqa: S101  # both schemes have one by default
        addresses = await self._find_addresses(req.host, port)
        road = await self._open_one(addresses, port, connect_by)
        if not req.is_ssl():
            await self._loop.create_connection(lambda: line, sock=road)
            return
        try:
            await self._loop.create_connection(
                lambda: line, sock=road, ssl=self._tls, server_hostname=req.host
            )
        except Exception:  # noqa: BLE001  # whatever it is, no request was on its way yet
            raise NotReached("tls_failed") from None

    async def _find_addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of the host that may be connected to."""
        try:
            found: Sequence[str] = [ip_address(host).compressed]
        except ValueError:
            try:
                found = await self._resolve(host, port)
            except (OSError, ValueError):
                found = ()
        if not found:
            raise NotReached("name_unresolved")
        allowed = [address for address in found if self._allows_private or is_public(address)]
        if not allowed:
            raise NotReached("address_refused")
        return allowed

    async def _open_one(
        self, addresses: Sequence[str], port: int, connect_by: float
    ) -> socket.socket:
        """Try one after the other; each has its share of the time, so that none takes it all."""
        reason = ""
        for number, address in enumerate(addresses):
            left = connect_by - self._loop.time()
            try:
                async with asyncio.timeout(left / (len(addresses) - number)):
                    return await self._open_to(address, port)
            except TimeoutError:
                reason = "connect_timeout"
            except ConnectionRefusedError:
                reason = "connection_refused"
            except OSError:
                reason = "address_unreachable"
        raise NotReached(reason)
