"""Takes webhooks in, as a service of ours would: keeps the raw bytes, and answers as it is told.

Invariant: what was heard is kept in the order in which it came, whatever it was answered with.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["Hook", "Receiver", "run_receiver"]

_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Hook:
    """A webhook as it came: names of headers in small letters, and the body's own bytes."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What listens at `url`. `statuses`: how the next ones are answered; then all are taken."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, satisfied: Callable[[list[Hook]], bool]) -> None:
        """Until what came is what was waited for."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self._news:
            await self._news.wait_for(lambda: satisfied(self.hooks))

    async def take(self, hook: Hook) -> int:
        """Keep it; gives the status that it is answered with."""
        async with self._news:
            self.hooks.append(hook)
            self._news.notify_all()
        return self.statuses.pop(0) if self.statuses else 204


@asynccontextmanager
async def run_receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback."""
    receiver = Receiver()
    open_ones: dict[asyncio.Task[None] | None, StreamWriter] = {}

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        open_ones[task] = writer
        try:
            while hook := await _read(reader):
                status = await receiver.take(hook)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the sender is gone
        finally:
            writer.close()
            del open_ones[task]

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
        yield receiver
    finally:
        server.close()
        for writer in open_ones.values():
            writer.transport.abort()
        await asyncio.gather(*filter(None, open_ones))


async def _read(reader: StreamReader) -> Hook | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
    headers = {name.lower(): value for name, value in lines}
    return Hook(headers, await reader.readexactly(int(headers.get("content-length", "0"))))
