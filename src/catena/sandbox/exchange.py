"""One HTTP request and its answer, as ASGI has them; or no answer at all.

Invariant: a connection that is cut is cut before a byte of an answer has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["CuttingProtocol", "Exchange", "Message", "TooLarge"]

Message = MutableMapping[str, Any]

_CUT: Final = "catena.sandbox.cut"
_BODY_BYTES: Final = 65_536
_JSON: Final = b"application/json"


class TooLarge(Exception):
    """The body is larger than any that the sandbox takes."""


class CuttingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which lets the application cut the connection."""

    def on_message_begin(self) -> None:
        """Say how, beside what a request has."""
        super().on_message_begin()
        self.scope["extensions"] = {_CUT: {"cut": self.transport.abort}}


class Exchange:
    """A request, once `read`. `headers`: names in small letters, the last of each."""

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.body = b""

    async def read(self) -> None:
        """Take the body. Raises TooLarge."""
        while True:
            message = await self._receive()
            self.body += message.get("body", b"")
            if len(self.body) > _BODY_BYTES:
                raise TooLarge
            if not message.get("more_body", False):
                return

    async def reply(
        self, status: int, content: bytes, *, type: bytes = _JSON, replayed: bool = False
    ) -> None:
        """Answer. `replayed`: as this key was answered before."""
        headers = [(b"content-type", type), (b"content-length", str(len(content)).encode())]
        if replayed:
            headers.append((b"idempotent-replayed", b"true"))
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": content})

    async def wait_gone(self, seconds: float) -> None:
        """Until the caller has hung up; no longer than this."""
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass

    async def cut(self) -> None:
        """End the connection without an answer."""
        self._scope["extensions"][_CUT]["cut"]()
        await self.wait_gone(1.0)
