"""`catena sandbox` as its users run it: a process of its own, spoken to over HTTP.

Invariant: its clock stands still until a test sets it on, and nothing of it outlives its block.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx2
import pytest

from tests.gateways.receiver import Receiver, run_receiver

__all__ = [
    "Play",
    "RunningSandbox",
    "card",
    "listening",
    "play",
    "run_sandbox",
    "sandbox",
    "speaking",
    "to_account",
]

_STOP_SECONDS: Final = 20
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class RunningSandbox:
    """A process of it, and what it takes to speak to it."""

    address: str
    api_key: str = field(repr=False)
    webhook_secrets: dict[str, str] = field(repr=False)
    process: subprocess.Popen[str] = field(repr=False)


@contextmanager
def run_sandbox(*options: str) -> Iterator[RunningSandbox]:
    """Run it on a free port, until the block ends; it may be dead by then."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "catena.cli", "sandbox", "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            if not line:
                pytest.fail("catena sandbox ended: " + process.stderr.read())
            yield RunningSandbox(**json.loads(line), process=process)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(_STOP_SECONDS) == 0, process.stderr.read()
        finally:
            process.kill()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    """This worker's sandbox, whose clock stands still."""
    with run_sandbox("--stopped") as running:
        yield running


class Play:
    """Speaks to a sandbox."""

    def __init__(self, running: RunningSandbox, http: httpx2.AsyncClient) -> None:
        self.running = running
        self.http = http

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        timeout: float = 20.0,  # noqa: ASYNC109  # the client's
    ) -> httpx2.Response:
        """Send a request, with an Idempotency-Key if one is given."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.http.request(method, path, json=body, headers=headers, timeout=timeout)

    async def read(self, path: str, **query: str) -> Any:  # noqa: ANN401  # any JSON
        """Read what must be there."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def do(self, path: str, /, **body: object) -> Any:  # noqa: ANN401  # any JSON
        """Ask for what must be done, under a fresh key."""
        answer = await self.send("POST", path, body, key=uuid4().hex)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def charge(self, magic: str = "tok_approved", amount: int = 10_00, **more: object) -> Any:  # noqa: ANN401  # any JSON
        """A charge that is taken."""
        return await self.do("/v1/charges", **{**card(magic), "amount": amount, **more})

    async def advance(self, seconds: float) -> None:
        """Set its clock on."""
        await self.do("/v1/clock/advance", seconds=seconds)

    async def count(self, key: str) -> dict[str, int]:
        """What was really done for a key."""
        counts: dict[str, dict[str, int]] = (await self.read("/v1/audit", key=key))["data"]
        return counts.get(key, {})


def card(magic: str = "tok_approved", **method: object) -> dict[str, Any]:
    """The body of a charge."""
    paid = {"type": "card", "token": magic, **method}
    return {"amount": 10_00, "currency": "EUR", "method": paid}


def to_account(account: str = "acct_paid", **destination: object) -> dict[str, Any]:
    """The body of a payout."""
    whom = {"type": "bank", "account": account, **destination}
    return {"amount": 10_00, "currency": "EUR", "destination": whom}


@asynccontextmanager
async def speaking(running: RunningSandbox) -> AsyncIterator[Play]:
    """Speak to a sandbox, as one who has its key."""
    headers = {"Authorization": f"Bearer {running.api_key}"}
    async with httpx2.AsyncClient(
        base_url=running.address, headers=headers, verify=_NO_TLS
    ) as http:
        yield Play(running, http)


@pytest.fixture
async def play(sandbox: RunningSandbox) -> AsyncIterator[Play]:
    """This worker's sandbox, spoken to."""
    async with speaking(sandbox) as play:
        yield play


@asynccontextmanager
async def listening(play: Play) -> AsyncIterator[tuple[Receiver, Mapping[str, str]]]:
    """Hear its events, until the block ends: who hears them, and the endpoint that was made."""
    async with run_receiver() as receiver:
        endpoint = await play.do("/v1/webhook_endpoints", url=receiver.url)
        try:
            yield receiver, endpoint
        finally:
            async with asyncio.timeout(_STOP_SECONDS):
                await play.send("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")
                # What is being sent has come then: nobody connects to who closes at that moment.
                await play.advance(0)
