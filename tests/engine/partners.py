"""A partner over HTTP on loopback that acts once for each key, and answers as it is told to.

Invariant: a key that was acted upon is answered as the first time; what it did is counted by key.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Heard", "Partner", "run_partner"]


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:  # noqa: ANN401  # any JSON
        """The body as JSON."""
        return json.loads(self.content)


@dataclass
class Partner:
    """What listens at `url`. `script` says how each path answers, one word a call.

    The last word stands for ever: approve, decline, later (429), pend, lost (it acts, and nobody is
    told), deaf (it does not act, and nobody is told), a JSON object to approve with, or a status
    and the bytes of a body. `acted` counts effects by key.
    """

    url: str = ""
    script: dict[str, list[Any]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    acted: Counter[str] = field(default_factory=Counter)
    _answers: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def answer(self, heard: Heard) -> tuple[int, Any] | None:
        """Act, unless it has for this key, and say so; None: nobody is told."""
        self.heard.append(heard)
        key = heard.headers["idempotency-key"]
        if key in self._answers:
            return self._answers[key]
        words = self.script.get(heard.path, ["approve"])
        word = words.pop(0) if len(words) > 1 else words[0]
        match word:
            case "deaf":
                return None
            case "later":
                return 429, {}
            case "pend":
                return 202, {}
            case "decline":
                self._answers[key] = 422, {"code": "no_funds"}
            case int(status), bytes(content):
                self._answers[key] = status, content
            case "approve" | "lost":
                self.acted[key] += 1
                self._answers[key] = 200, {"status": "approved"}
            case _:
                self.acted[key] += 1
                self._answers[key] = 200, word
        return None if word == "lost" else self._answers[key]

    def effects(self, path: str) -> int:
        """How often it acted upon what came to this path."""
        keys = {heard.headers["idempotency-key"] for heard in self.heard if heard.path == path}
        return sum(self.acted[key] for key in keys)


@asynccontextmanager
async def run_partner(**script: list[Any]) -> AsyncIterator[Partner]:
    """A partner on a free port; `script` by path, without its slash."""
    partner = Partner(script={f"/{path}": words for path, words in script.items()})

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while (heard := await _read(reader)) is not None:
                answer = partner.answer(heard)
                if answer is None:
                    break
                told = answer[1]
                body = told if isinstance(told, bytes) else json.dumps(told).encode()
                head = f"HTTP/1.1 {answer[0]} X\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # whoever called is gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        partner.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield partner


async def _read(reader: StreamReader) -> Heard | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in rest if line)
    headers = {name.lower(): value for name, value in headers.items()}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Heard(method, path, headers, body)
