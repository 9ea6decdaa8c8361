"""A small HTTP client for load: one connection that is kept alive, JSON out, bytes back.

Invariant: a request is sent once and never again by itself, so whoever lost its answer knows that
its outcome is open. Nothing waits longer than `ANSWER_SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["ANSWER_SECONDS", "Reply", "Wire"]

ANSWER_SECONDS: Final = 60.0
"""Longer than any answer may take; past it a test fails instead of hanging."""


class Reply(NamedTuple):
    """What came back. Names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:  # noqa: ANN401  # any JSON
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def replayed(self) -> bool:
        """Whether it is the answer that an earlier request with the same key was given."""
        return self.headers.get("idempotency-replayed") == "true"

    @property
    def meaning(self) -> tuple[int, Any]:
        """What must be the same whenever the same key is answered: all but the request's id."""
        content = self.content
        content.pop("request_id", None)
        return self.status, content


class Wire:
    """One caller's connection to an API process, opened anew when it was closed.

    `find` gives host and port at that moment, since a restarted process may be elsewhere.
    """

    def __init__(self, find: Callable[[], tuple[str, int]], secret: str) -> None:
        self._find = find
        self._authorization = f"Authorization: Bearer {secret}\r\n"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str) -> Reply:
        """Read. Raises ConnectionError when there is no answer."""
        return await self._exchange(self.request("GET", path))

    async def post(self, path: str, body: object, key: str) -> Reply:
        """Write under this key. Raises ConnectionError when there is no answer."""
        return await self._exchange(self.request("POST", path, body, key))

    def request(self, method: str, path: str, body: object = None, key: str = "") -> bytes:
        """A whole request as it goes over the wire."""
        head = f"{method} {path} HTTP/1.1\r\nHost: catena\r\n{self._authorization}"
        if body is None:
            return f"{head}\r\n".encode()
        content = json.dumps(body).encode()
        head += f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content

    async def open(self) -> asyncio.StreamWriter:
        """Connect unless there is a connection."""
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(*self._find())
        return self._writer

    async def send_and_leave(self, data: bytes, *, reset: bool) -> None:
        """Send these bytes and hang up at once: by the book, or with a reset."""
        writer = await self.open()
        writer.write(data)
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            # The other side may have gone first.
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def _exchange(self, data: bytes) -> Reply:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer = await self.open()
                writer.write(data)
                return await self.read()
        except asyncio.IncompleteReadError as cut:
            await self.close()
            raise ConnectionError("The connection ended before its answer did.") from cut
        except TimeoutError as late:
            await self.close()
            raise AssertionError(f"No answer within {ANSWER_SECONDS} s.") from late
        except OSError as lost:
            await self.close()
            raise ConnectionError("There is no connection.") from lost

    async def read(self) -> Reply:
        """The next answer on this connection."""
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            await self.close()
        return Reply(int(first.split(" ")[1]), headers, body)
