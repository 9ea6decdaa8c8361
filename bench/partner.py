"""An outside party that says yes at once: the partner of every bench that calls over HTTP.

Invariant: it answers any POST with 200, counts each, and tells apart their idempotency keys. Only
at HELD a key's first call is never answered, and the next one is. When calls came is told of those
at TIMED and HELD. It says where it listens in its first line, what it counted in its last, and
ends by itself. It stores nothing, so it is no partner for tests of trouble.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import httptools
import uvloop

from bench.tally import bounded

__all__ = ["HELD", "TIMED", "Arrivals", "Counts", "Partner", "run_partner"]

TIMED: Final = "/v1/timed"
"""Calls to this path are timed: GET /arrivals tells them."""

HELD: Final = "/v1/held"
"""As above; and a key's first call is held for as long as its connection lives."""

Arrivals = dict[str, list[float]]
"""Moments at which calls came, by their keys, on the monotonic clock of this machine."""

_ROOT: Final = Path(__file__).resolve().parent.parent
_STOP_SECONDS: Final = 10
_LIFE_SECONDS_MAX: Final = 7_200
_KEY: Final = b"idempotency-key"
_NOTED: Final = (TIMED.encode(), HELD.encode())


def _answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_APPROVED: Final = _answer(b"200 OK", b'{"status":"approved"}')
_UNKNOWN: Final = _answer(b"404 Not Found", b'{"status":"unknown"}')


@dataclass(slots=True)
class Counts:
    """What the partner was asked. A POST without a key counts among the requests alone."""

    requests: int = 0
    keys: set[bytes] = field(default_factory=set)
    lost: int = 0
    """Calls that were held until their connection ended."""
    arrivals: Arrivals = field(default_factory=dict)

    def render(self) -> bytes:
        """As JSON, but for the arrivals."""
        counts = {"requests": self.requests, "keys": len(self.keys), "lost": self.lost}
        return json.dumps(counts).encode()

    def note(self, key: bytes) -> bool:
        """Note the moment of a call; whether it is the first one with its key."""
        moments = self.arrivals.setdefault(key.decode("latin-1"), [])
        moments.append(time.monotonic())
        return len(moments) == 1


class _Connection(asyncio.Protocol):
    """One kept connection. The answers to all that came in one piece leave in one."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.parser = httptools.HttpRequestParser(self)
        self.answers: list[bytes] = []
        self.path = b""
        self.key = b""
        self.held = 0
        self.keep = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keep = False
        if self.answers:
            self.transport.write(b"".join(self.answers))
            self.answers.clear()
        if not self.keep:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.counts.lost += self.held

    # --- what the parser calls

    def on_url(self, url: bytes) -> None:
        self.path, self.key = url, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _KEY:
            self.key = value

    def on_message_complete(self) -> None:
        if self.parser.get_method() == b"POST":
            self.counts.requests += 1
            if self.key:
                self.counts.keys.add(self.key)
            if self.path in _NOTED and self.counts.note(self.key) and self.path == _NOTED[1]:
                self.held += 1
            else:
                self.answers.append(_APPROVED)
        elif self.path == b"/counts":
            self.answers.append(_answer(b"200 OK", self.counts.render()))
        elif self.path == b"/arrivals":
            told = json.dumps(self.counts.arrivals).encode()
            self.answers.append(_answer(b"200 OK", told))
        else:
            self.answers.append(_UNKNOWN)
        self.keep = self.keep and self.parser.should_keep_alive()


async def _serve(life_seconds: float) -> None:
    """Answer on a free port of the loopback until a signal says stop, or life is over."""
    loop = asyncio.get_running_loop()
    counts = Counts()
    server = await loop.create_server(lambda: _Connection(counts), "127.0.0.1", 0, backlog=1024)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host, port = server.sockets[0].getsockname()
    _say(json.dumps({"url": f"http://{host}:{port}"}))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), life_seconds)
    server.close()
    _say(counts.render().decode())


def _say(line: str) -> None:
    print(line, flush=True)


@dataclass(slots=True)
class Partner:
    """A running partner; what it counted is known when it has ended."""

    url: str
    pid: int
    requests: int = 0
    keys: int = 0


@contextmanager
def run_partner(life_seconds: int = 3_600) -> Iterator[Partner]:
    """A partner of its own process and port, until the end of the block."""
    command = [sys.executable, "-m", "bench.partner", "--life", str(life_seconds)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  # a pipe
        try:
            partner = Partner(json.loads(process.stdout.readline())["url"], process.pid)
            yield partner
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=_STOP_SECONDS)
        counted = json.loads(said)
        partner.requests, partner.keys = counted["requests"], counted["keys"]


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.partner", description=__doc__)
    parser.add_argument("--life", type=bounded(int, _LIFE_SECONDS_MAX), default=3_600)
    uvloop.run(_serve(parser.parse_args().life))


if __name__ == "__main__":
    _main()
