"""A road to PostgreSQL that breaks where a test says: before a commit, or before its answer.

Invariant: it changes no byte; it only stops carrying them, in whole protocol messages. A commit is
COMMIT, or what runs `journal_write` outside of a transaction.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from tests.postgres import find_quickest_disk

__all__ = ["Fate", "Proxy", "open_proxy"]

SOCKET = ".s.PGSQL.5432"
PARSE, BIND, SYNC, QUERY, READY = b"P", b"B", b"S", b"Q", b"Z"


class Fate(Enum):
    """What becomes of a commit on its way."""

    ARRIVES = "arrives"
    NEVER_SENT = "never sent"
    """The connection breaks before the server has heard of it."""
    UNANSWERED = "unanswered"
    """The server commits; the connection breaks before the answer."""
    ABANDONED = "abandoned"
    """The connection breaks right behind it, whatever the server makes of it."""
    DELAYED = "delayed"
    """It waits for `released` before the server hears of it."""
    HELD = "held"
    """The server commits; its answer waits for `released`."""


@dataclass
class Proxy:
    """The road: `dsn` leads over it. `decide` is asked for each commit; `fates` had an effect.

    `left`: how many connections more it takes until it is shut; None for any number.
    """

    dsn: str
    decide: Callable[[], Fate] = field(default=lambda: Fate.ARRIVES)
    fates: list[Fate] = field(default_factory=list)
    is_open: bool = True
    left: int | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        """At first everything flows; while `flowing` is clear, nothing moves and nothing breaks."""
        self.flowing.set()

    def shut(self) -> None:
        """Break every connection, and refuse new ones until it is opened again."""
        self.is_open = False
        for end in self._ends:
            end.transport.abort()

    def admit(self) -> bool:
        """Whether another connection is taken; the first that is not finds everything shut."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.shut()
        return self.is_open

    def decide_in_turn(self, *fates: Fate) -> None:
        """Give the next commits these fates; those after them arrive."""
        turns = iter(fates)
        self.decide = lambda: next(turns, Fate.ARRIVES)


class _Broken(Exception):
    """The connection ends here."""


@dataclass
class _Connection:
    """One connection: which statements write, whether a transaction is open, and the fate."""

    proxy: Proxy
    writing: set[bytes] = field(default_factory=set)
    in_transaction: bool = False
    fate: Fate = Fate.ARRIVES

    async def carry_up(self, client: StreamReader, server: StreamWriter) -> None:
        """Carry the client's messages, and notice commits."""
        length = await client.readexactly(4)  # the first message has no type
        server.write(length + await client.readexactly(int.from_bytes(length) - 4))
        while True:
            kind, body = await _read_message(client)
            commits = self._notice(kind, body)
            if commits:
                self.fate = self.proxy.decide()
                self.proxy.fates.append(self.fate)
                if self.fate is Fate.NEVER_SENT:
                    raise _Broken
                if self.fate is Fate.DELAYED:
                    self.proxy.held.set()
                    await self.proxy.released.wait()
            await self.proxy.flowing.wait()
            server.write(kind + (len(body) + 4).to_bytes(4) + body)
            await server.drain()
            if self.fate is Fate.ABANDONED and kind in (SYNC, QUERY):
                raise _Broken

    async def carry_down(self, server: StreamReader, client: StreamWriter) -> None:
        """Carry the server's messages, but for the answer to a commit that has another fate."""
        while True:
            kind, body = await _read_message(server)
            if kind == READY and self.fate is Fate.UNANSWERED:
                raise _Broken
            if self.fate is Fate.HELD:
                self.proxy.held.set()
                await self.proxy.released.wait()
                self.fate = Fate.ARRIVES
            await self.proxy.flowing.wait()
            if self.fate is not Fate.UNANSWERED:
                client.write(kind + (len(body) + 4).to_bytes(4) + body)
                await client.drain()

    def _notice(self, kind: bytes, body: bytes) -> bool:
        """Whether this message commits."""
        if kind == PARSE and b"journal_write" in body:
            self.writing.add(body.split(b"\0")[0])
        elif kind == BIND:
            return body.split(b"\0")[1] in self.writing and not self.in_transaction
        elif kind == QUERY:
            self.in_transaction = body.startswith(b"BEGIN")
            return body.startswith(b"COMMIT")
        return False


async def _read_message(reader: StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    length = int.from_bytes(await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


@asynccontextmanager
async def open_proxy(dsn: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server of `dsn`, on a socket of its own."""
    place = Path(tempfile.mkdtemp(prefix="catena-", dir=find_quickest_disk()))
    parts = urlsplit(dsn)
    login = parts.netloc.rpartition("@")[0]
    query = f"host={quote(str(place), safe='')}&port=5432"
    proxy = Proxy(parts._replace(netloc=f"{login}@", query=query).geturl())

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        ends = {writer}
        try:
            await proxy.flowing.wait()
            if proxy.admit():
                server_reader, server_writer = await _connect(dsn)
                ends.add(server_writer)
                proxy._ends |= ends
                connection = _Connection(proxy)
                async with asyncio.TaskGroup() as group:
                    group.create_task(connection.carry_up(reader, server_writer))
                    group.create_task(connection.carry_down(server_reader, writer))
        except* (OSError, EOFError, _Broken):
            pass  # that is what it is for
        finally:
            proxy._ends -= ends
            for end in ends:
                end.transport.abort()

    server = await asyncio.start_unix_server(serve, place / SOCKET)
    try:
        yield proxy
    finally:
        proxy.released.set()
        proxy.flowing.set()
        server.close()
        proxy.shut()
        shutil.rmtree(place)


async def _connect(dsn: str) -> tuple[StreamReader, StreamWriter]:
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    if "host" in options:
        path = Path(options["host"][0]) / f".s.PGSQL.{options['port'][0]}"
        return await asyncio.open_unix_connection(path)
    return await asyncio.open_connection(parts.hostname, parts.port)
