"""Connections to partners: resolved once, judged, and connected to that very address.

Invariant: no byte of a request leaves before its call's `Progress` says that one may have left.
Between the judging of an address and the connection to it no name is looked up again.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import httpcore2

from catena.outside.addresses import is_public
from catena.settings import Settings

__all__ = ["PROGRESS", "GuardedNetwork", "NotReached", "Progress", "Resolver", "resolve_name"]

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises OSError or ValueError when there are none."""


@dataclass(slots=True)
class Progress:
    """How far one call has come, as its connection saw it."""

    is_connecting: bool = False
    is_sent: bool = False
    """A byte of the request may have left."""
    is_heard: bool = False
    """A byte has been read since."""
    is_ended: bool = False
    """The other side has said that nothing more comes."""


PROGRESS: Final[ContextVar[Progress]] = ContextVar("PROGRESS")
"""Of the call that the current task makes: HTTP/1.1 is spoken in the task of whoever asks."""


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


def _name_failure(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connection_refused"
        cause = cause.__cause__
    return "address_unreachable"


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects by name to addresses that may be connected to."""

    def __init__(
        self, settings: Settings, resolve: Resolver, inner: httpcore2.AsyncNetworkBackend
    ) -> None:
        """`inner` makes the connections and is only ever given addresses."""
        self._allows_private = settings.allow_private_addresses
        self._connect_seconds = settings.outside_connect_seconds
        self._resolve = resolve
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface; ours has a name
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to one of the host's addresses. Raises NotReached."""
        del timeout, local_address, socket_options
        PROGRESS.get().is_connecting = True
        connect_by = asyncio.get_running_loop().time() + self._connect_seconds
        try:
            async with asyncio.timeout_at(connect_by):
                addresses = await self._find_addresses(host, port)
                inner = await self._connect_one(addresses, port, connect_by)
        except TimeoutError:
            raise NotReached("connect_timeout") from None
        return _WatchedStream(inner, connect_by)

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

    async def _connect_one(
        self, addresses: Sequence[str], port: int, connect_by: float
    ) -> httpcore2.AsyncNetworkStream:
        """Try one after the other; each has its share of the time, so that none takes it all."""
        reason = ""
        for number, address in enumerate(addresses):
            now = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout((connect_by - now) / (len(addresses) - number)):
                    return await self._inner.connect_tcp(address, port)
            except (TimeoutError, httpcore2.ConnectTimeout):
                reason = "connect_timeout"
            except httpcore2.ConnectError as error:
                reason = _name_failure(error)
        raise NotReached(reason)


class _WatchedStream(httpcore2.AsyncNetworkStream):
    """A connection that tells the call which uses it what has happened on it."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream, connect_by: float) -> None:
        self._inner = inner
        self._connect_by = connect_by

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface; ours is `connect_by`
    ) -> httpcore2.AsyncNetworkStream:
        """The same connection, encrypted, to whom the certificate names. Raises NotReached."""
        del timeout
        try:
            async with asyncio.timeout_at(self._connect_by):
                inner = await self._inner.start_tls(ssl_context, server_hostname)
        except BaseException as error:
            await self._inner.aclose()
            if isinstance(error, TimeoutError):
                raise NotReached("connect_timeout") from None
            if isinstance(error, Exception):  # whatever it is, no request was on its way yet
                raise NotReached("tls_failed") from None
            raise
        return _WatchedStream(inner, self._connect_by)

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface
    ) -> None:
        """Send, once it is noted that something may have been sent."""
        PROGRESS.get().is_sent = True
        await self._inner.write(buffer, timeout)

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface
    ) -> bytes:
        """Receive, and note what came."""
        data = await self._inner.read(max_bytes, timeout)
        progress = PROGRESS.get()
        if data:
            progress.is_heard = True
        else:
            progress.is_ended = True
        return data

    async def aclose(self) -> None:
        """End the connection."""
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # the interface
        """What is known of the connection, such as whether something waits to be read."""
        return self._inner.get_extra_info(info)
