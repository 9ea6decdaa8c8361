"""How a request is written: with the headers that it is given, and its body, and nothing else.

Invariant: a call's `Progress` says that a byte may have left before the first one can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import ClientRequest
from aiohttp.payload import Payload

from catena.outside.network import PROGRESS

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

__all__ = ["AsSigned", "Body"]


class Body(Payload):
    """The bytes that were signed. They leave together with the head."""

    _value: bytes

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text; the library demands it and we never ask."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send, once it is noted that something may have been sent."""
        PROGRESS.get().is_sent = True
        await writer.write(self._value)


class AsSigned(ClientRequest):
    """A request to which nothing is added."""

    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:  # noqa: ANN401  # theirs
        """Take the body; without one, say nothing of its length."""
        if body is not None:
            super().update_body_from_data(body, _stacklevel)

    async def send(self, conn: Connection) -> ClientResponse:
        """Send what has no body at once; a body speaks for itself."""
        if not self.body:
            PROGRESS.get().is_sent = True
        return await super().send(conn)
