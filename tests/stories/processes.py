"""Processes as an operator has them: started, killed, frozen, stopped, and what they logged.

Invariant: only processes that were started here are signalled, and none outlives its block.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["ApiProcess", "CatenaProcess", "WorkerProcess", "running", "serving"]

_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class CatenaProcess:
    """A command of ours over a database that is set; can be started again.

    `ready`: the message with which it says that it does what it is for.
    """

    def __init__(self, dsn: str, settings: Mapping[str, object], ready: str, *command: str) -> None:
        variables = {f"CATENA_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = os.environ | {"CATENA_DATABASE_URL": dsn} | variables
        self._command = command
        self._message = ready
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Mapping[str, Any]] | None = None
        self.log: list[Mapping[str, Any]] = []

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._ready = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "catena.cli", *self._command),
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        self._reader = asyncio.create_task(self._read_log(self._process, self._ready))
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.shield(self._ready)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended; gives its exit code."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(_END_SECONDS):
            code = await self._process.wait()
            await self._reader
        return code

    async def kill(self) -> None:
        """SIGKILL it."""
        self.send(signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL

    async def remove(self) -> None:
        """End it, whatever its state."""
        if self._running:
            self.send(signal.SIGKILL)
        if self._process is not None:
            await self.ended()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def complaints(self) -> list[Mapping[str, Any]]:
        """What it logged as an error."""
        return [line for line in self.log if line["level"] in {"error", "critical"}]

    @property
    def _running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _read_log(
        self, process: asyncio.subprocess.Process, ready: asyncio.Future[Mapping[str, Any]]
    ) -> None:
        assert process.stderr is not None
        async for raw in process.stderr:
            if not raw.endswith(b"\n"):  # cut off by a SIGKILL
                break
            try:
                line = json.loads(raw)
            except ValueError:  # a traceback that nobody caught
                line = {"level": "critical", "message": raw.decode(errors="replace")}
            self.log.append(line)
            if line["message"] == self._message:
                ready.set_result(line)
        if not ready.done():
            ready.set_exception(AssertionError(f"It did not start: {self.log}"))


class ApiProcess(CatenaProcess):
    """`catena serve` on a free port, with these options."""

    def __init__(self, dsn: str, settings: Mapping[str, object], *options: str) -> None:
        super().__init__(dsn, settings, "serving", "serve", "--port", "0", *options)

    def find(self) -> tuple[str, int]:
        """Host and port. Raises ConnectionError while it does not serve."""
        if self._ready is None or not self._ready.done() or not self._running:
            raise ConnectionError("This process does not serve now.")
        url = urlsplit(self._ready.result()["address"])
        return str(url.hostname), int(url.port or 0)


class WorkerProcess(CatenaProcess):
    """`catena worker`."""

    def __init__(self, dsn: str, settings: Mapping[str, object]) -> None:
        super().__init__(dsn, settings, "working", "worker")


@asynccontextmanager
async def running(*processes: CatenaProcess) -> AsyncIterator[None]:
    """Start them; they run, or what was started in their place, until the block ends.

    Raises AssertionError at the end if one of them logged an error; it is in the test's log.
    """
    try:
        await asyncio.gather(*(process.start() for process in processes))
        yield
    finally:
        await asyncio.gather(*(process.remove() for process in processes))
        complaints = [line for process in processes for line in process.complaints]
        for line in complaints:
            _log.error("%s", "\n".join(f"{name}: {value}" for name, value in line.items()))
    assert complaints == []


@asynccontextmanager
async def serving(dsn: str, count: int = 2, **settings: object) -> AsyncIterator[list[ApiProcess]]:
    """So many API processes on one migrated database, with these settings, until the block ends."""
    processes = [ApiProcess(dsn, settings) for _ in range(count)]
    async with running(*processes):
        yield processes
