"""A partner on loopback that speaks bytes, not HTTP: each test says how it behaves.

Invariant: it remembers every connection and every request that it read whole, so a test can tell
what arrived from what was answered.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

from catena.outside.client import Outcome, OutsideClient, Request
from catena.settings import Settings

__all__ = [
    "CERTIFICATE",
    "Behaviour",
    "Partner",
    "answer",
    "ask",
    "die",
    "is_silent",
    "make_settings",
    "read_request",
    "reset",
    "run_partner",
    "says",
    "trust",
]

CERTIFICATE = Path(__file__).with_name("partner.pem")
"""Of `partner.test`, with its key: it opens nothing but these tests."""


@dataclass
class Partner:
    """What runs at `port`, and what came there."""

    port: int = 0
    connections: int = 0
    open: int = 0
    """Of them, those that have not ended."""
    heard: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """The names that TLS clients asked for."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The client has ended a connection."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/"


Behaviour = Callable[[Partner, StreamReader, StreamWriter], Awaitable[None]]
"""What it does with one request that it has read; the connection is kept until it closes it."""


@asynccontextmanager
async def run_partner(behaviour: Behaviour, *, tls: bool = False) -> AsyncIterator[Partner]:
    """A partner that behaves so. `tls`: as `partner.test`."""
    partner = Partner()
    writers: set[StreamWriter] = set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        partner.connections += 1
        partner.open += 1
        writers.add(writer)
        try:
            while not writer.is_closing() and (request := await read_request(reader)):
                partner.heard.append(request)
                partner.arrived.set()
                await behaviour(partner, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writers.discard(writer)
            writer.close()
            partner.open -= 1
            partner.left.set()

    server = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=_present(partner) if tls else None
    )
    partner.port = server.sockets[0].getsockname()[1]
    try:
        yield partner
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await server.wait_closed()


def _present(partner: Partner) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _, name, __: partner.names.append(name)
    return context


def trust() -> ssl.SSLContext:
    """What a client needs to trust `partner.test`."""
    return ssl.create_default_context(cafile=CERTIFICATE)


async def read_request(reader: StreamReader) -> bytes:
    """One request as it came, or nothing when there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = next(
        (
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    return head + await reader.readexactly(length)


def answer(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def says(*parts: bytes, closes: bool = False) -> Behaviour:
    """It answers with these bytes."""

    async def behave(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if closes:
            writer.close()

    return behave


async def die(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
    """It closes without a word."""
    writer.close()


async def reset(_: Partner, __: StreamReader, writer: StreamWriter) -> None:
    """Its machine breaks the connection."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def is_silent(partner: Partner, _: StreamReader, __: StreamWriter) -> None:
    """It says nothing until it is released."""
    await partner.released.wait()


def make_settings(
    *,
    private: bool = True,
    connections: int = 8,
    answer_bytes: int = 1000,
    connect: float = 10,
    idle: float = 60,
) -> Settings:
    """Settings under which loopback may be called."""
    return Settings(
        allow_private_addresses=private,
        outside_connections=connections,
        outside_answer_bytes=answer_bytes,
        outside_connect_seconds=connect,
        outside_idle_seconds=idle,
    )


async def ask(
    client: OutsideClient,
    url: str,
    *,
    method: str = "POST",
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 600,
) -> Outcome:
    """One call. It fails when the call is not over long before a time that nobody waits for."""
    async with asyncio.timeout(20):
        return await client.send(Request(method, url, body, headers or {}, timeout_seconds))
