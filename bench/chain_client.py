"""Creates chains that call the partner, and signals them: the load where answers say too little.

Invariant: at most `--open` calls are on their way that the partner has not counted yet, so that
nothing piles up before the worker. It calls this machine alone, and ends by itself.
The key comes by BENCH_KEY, the ledger by BENCH_LEDGER, the chain's body on standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from bench.tally import Tally, add_bounds, bounded, check_loopback

__all__: list[str] = []

_LOOK_SECONDS: Final = 0.002
_PATIENCE_SECONDS: Final = 60.0
"""How long calls may stay out after the last one was asked for."""
_OPEN_MAX: Final = 100_000
_DONE: Final = frozenset({200, 201, 202})


class _Road:
    """One kept connection, with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._head = "Host: bench\r\nContent-Type: application/json\r\n"
        for name, variable in (("Authorization", "BENCH_KEY"), ("Catena-Ledger", "BENCH_LEDGER")):
            bearer = "Bearer " if name == "Authorization" else ""
            self._head += f"{name}: {bearer}{os.environ[variable]}\r\n"
        self._run = uuid.uuid4().hex
        self._sent = 0

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer. Each POST has a key of its own."""
        self._sent += 1
        key = f"Idempotency-Key: {self._run}-{self._sent}\r\n" if method == "POST" else ""
        length = f"Content-Length: {len(body)}\r\n\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{key}{length}"
        self._writer.write(head.encode() + body)
        told = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, _, after = told.partition(b"content-length:")
        size = int(after.partition(b"\r\n")[0])
        return int(told[9:12]), await self._reader.readexactly(size)

    async def post(self, path: str, body: bytes) -> dict[str, Any]:
        """The answer's JSON. Raises RuntimeError when it is no success."""
        status, told = await self.send("POST", path, body)
        if status not in _DONE:
            raise RuntimeError(f"{path}: {status} {told[:500]!r}")
        answer: dict[str, Any] = json.loads(told)
        return answer


@asynccontextmanager
async def _connect(url: str) -> AsyncIterator[_Road]:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield _Road(reader, writer)
    finally:
        writer.close()


class _Window:
    """How many calls are asked for, and how many of them the partner has counted."""

    def __init__(self, partner: _Road, most: int) -> None:
        self._partner = partner
        self._most = most
        self._moved = asyncio.Event()
        self._before = 0
        self.asked = 0
        self.seen = 0
        self.closed = False

    async def begin(self) -> None:
        """Learn how many the partner had before."""
        await self.look()
        self._before, self.seen = self.seen, 0

    async def look(self) -> int:
        """Ask the partner."""
        _, told = await self._partner.send("GET", "/counts")
        self.seen = int(json.loads(told)["keys"]) - self._before
        return self.seen

    async def enter(self) -> None:
        """Wait until another call may be asked for."""
        while self.asked - self.seen >= self._most:
            await self._moved.wait()
        self.asked += 1

    async def watch(self) -> None:
        """Look until it is closed."""
        while not self.closed:
            moved, self._moved = self._moved, asyncio.Event()
            await self.look()
            moved.set()
            await asyncio.sleep(_LOOK_SECONDS)

    async def drain(self) -> None:
        """Wait until all of them have come. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self.seen < self.asked:
                await self._moved.wait()


async def _run(options: argparse.Namespace, body: bytes, tally: Tally) -> dict[str, Any]:
    """Create, and signal if asked to; what came to the partner meanwhile, and how soon."""
    signalled: dict[str, float] = {}

    async def travel(road: _Road, window: _Window) -> None:
        while (began := tally.begin()) is not None:
            await window.enter()
            id = (await road.post("/v1/chains", body))["id"]
            if options.signal:
                signalled[id] = time.monotonic()
                await road.post(f"/v1/chains/{id}/signals/{options.signal}", b"{}")
            tally.end(began)

    async with contextlib.AsyncExitStack() as stack:
        partner = await stack.enter_async_context(_connect(options.partner))
        roads = [
            await stack.enter_async_context(_connect(options.url))
            for _ in range(options.concurrency)
        ]
        window = _Window(partner, options.open)
        await window.begin()
        watch = asyncio.create_task(window.watch())
        tally.start()
        began = time.monotonic()
        await asyncio.gather(*(travel(road, window) for road in roads))
        seen, seconds = window.seen, time.monotonic() - began
        await window.drain()
        window.closed = True
        await watch
        waits: list[float] = []
        if options.signal:
            _, told = await partner.send("GET", "/arrivals")
            waits = sorted(
                moments[0] - signalled[key.partition(".")[0]]
                for key, moments in json.loads(told).items()
                if key.partition(".")[0] in signalled
            )
            if len(waits) != len(signalled):
                raise RuntimeError(f"{len(signalled)} signals were sent, and {len(waits)} heard.")
    return {
        "operations": seen,
        "seconds": round(seconds, 3),
        "p50_ms": _quantile_ms(waits, 0.5),
        "p99_ms": _quantile_ms(waits, 0.99),
        "asked": window.asked,
        "seen": window.seen,
    }


def _quantile_ms(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3, 3)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chain_client", description=__doc__)
    parser.add_argument("--url", type=check_loopback, required=True, help="of the service")
    parser.add_argument("--partner", type=check_loopback, required=True, help="its URL")
    parser.add_argument("--signal", help="what each chain is told once it is created")
    parser.add_argument("--open", type=bounded(int, _OPEN_MAX, 1), default=64)
    add_bounds(parser)
    options = parser.parse_args()
    tally = Tally(options.seconds, 0, options.most)
    print(json.dumps(uvloop.run(_run(options, sys.stdin.buffer.read(), tally))))


if __name__ == "__main__":
    _main()
