"""A partner in a process of its own, which no fault of ours harms: it acts once for each key.

Invariant: a key is decided once, as the first word of its path says, and then answered the same for
ever; one that was turned away undecided (429) may come again. What was done is counted by key.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from catena.clock import monotonic
from tests.stories.wire import Wire

__all__ = ["Effects", "Partner", "run_partner"]

SLOW_SECONDS: Final = 1.5
"""Longer than a lease in these stories: whoever asked is given up before it is told."""

_REPO: Final = Path(__file__).resolve().parents[2]
_END_SECONDS: Final = 10.0

_Answer = tuple[int, Mapping[str, Any]]

_APPROVED: Final = 200, {"status": "approved"}
_PENDING: Final = 202, {"status": "pending"}
_DECLINED: Final = 422, {"code": "no_funds"}
_LATER: Final = 429, {"code": "busy"}
_NEVER_SEEN: Final = 404, {"code": "unknown_key"}


@dataclass
class _Desk:
    """What it has decided and done, and the moments at which each key came."""

    decided: dict[str, asyncio.Task[_Answer]] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    came: dict[str, list[float]] = field(default_factory=dict)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, method: str, path: str, key: str | None) -> _Answer | None:
        """What a request is answered; None: nobody is told."""
        if path == "/effects":
            return 200, {"effects": self.effects, "came": self.came}
        if path == "/open":
            self.opened.set()
            return 200, {}
        assert key is not None, f"{path} without a key"
        if method == "GET":
            return self._look_up(key)
        word = path.split("/")[1]
        came = self.came.setdefault(key, [])
        came.append(monotonic())
        if word == "deaf" and len(came) == 1:
            return None
        if word == "later" and len(came) == 1 and key.endswith(".1"):
            return _LATER
        if key not in self.decided:
            self.decided[key] = asyncio.create_task(self._decide(word, key))
        answer = await asyncio.shield(self.decided[key])
        return None if word == "lost" and len(came) == 1 else answer

    def _look_up(self, key: str) -> _Answer:
        deed = self.decided.get(key)
        if deed is None:
            return _NEVER_SEEN
        return deed.result() if deed.done() else _PENDING

    async def _decide(self, word: str, key: str) -> _Answer:
        if word == "decline":
            return _DECLINED
        if word == "held":
            await self.opened.wait()
        if word == "slow":
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), SLOW_SECONDS)
        self.effects[key] += 1
        return _APPROVED


# --- the process ------------------------------------------------------------------------------


async def _serve() -> None:
    """Answer on a free port of the loopback until standard input ends."""
    desk = _Desk()
    served: set[asyncio.Task[None]] = set()

    def accept(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(_converse(desk, reader, writer))
        served.add(task)
        task.add_done_callback(served.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)  # noqa: T201  # whoever started it reads this
    life = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(life), sys.stdin
    )
    await life.read()


async def _converse(desk: _Desk, reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):  # whoever called is gone
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value for name, value in (ln.split(": ", 1) for ln in lines)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            method, path, _ = first.split(" ")
            answer = await desk.answer(method, path, headers.get("idempotency-key"))
            if answer is None:
                break
            status, content = answer
            body = json.dumps(content).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
    writer.close()


# --- for those who start it -------------------------------------------------------------------


class Effects(NamedTuple):
    """What it did, and the moments (`monotonic`) of all requests, by key."""

    effects: Mapping[str, int]
    came: Mapping[str, list[float]]

    def of(self, chain: str, step: str, direction: str) -> int:
        """Effects of a chain's step in this direction, under whatever key."""
        mark = f"{chain}.{step}.{direction}."
        return sum(n for key, n in self.effects.items() if key.startswith(mark))


@dataclass
class Partner:
    """A running partner. The first word of a path at its `url` says how it acts.

    approve, decline, later (a step's first request is one too many), lost (it acts, and who asks
    first is not told), deaf (nothing comes of the first request), slow, held (until it is opened).
    """

    url: str
    _wire: Wire

    async def read_effects(self) -> Effects:
        """What it has done so far."""
        told = (await self._wire.get("/effects")).content
        return Effects(told["effects"], told["came"])

    async def open(self) -> None:
        """Let it act upon what it holds, and on what comes."""
        assert (await self._wire.get("/open")).status == 200

    async def close(self) -> None:
        """Hang up."""
        await self._wire.close()


@asynccontextmanager
async def run_partner() -> AsyncIterator[Partner]:
    """A partner in a process of its own, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stories.chain_partner"),
        cwd=_REPO,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        place = urlsplit(url)
        partner = Partner(url, Wire(lambda: (str(place.hostname), int(place.port or 0)), ""))
        try:
            yield partner
        finally:
            await partner.close()
    finally:
        process.stdin.close()
        async with asyncio.timeout(_END_SECONDS):
            assert await process.wait() == 0


if __name__ == "__main__":
    asyncio.run(_serve())
