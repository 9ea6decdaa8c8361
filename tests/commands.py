"""`catena` as a person runs it: a real process, read line by line, stopped by a signal.

Invariant: nothing that was started here outlives its block.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from catena.db.embedded.directory import DataDirectory, opening_lock, try_lock

__all__ = ["Command", "Ended", "call", "is_database_gone", "running"]

_PATIENCE_SECONDS = 90.0


class Ended(NamedTuple):
    """How a command ended, and all that it said."""

    code: int
    out: str
    err: str


class Command:
    """A `catena` process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._out: list[str] = []
        assert process.stderr is not None
        self._err = asyncio.create_task(process.stderr.read())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def read_until(self, words: str) -> str:
        """Read what it says up to a line with these words; gives that line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for raw in self._process.stdout:
                self._out.append(raw.decode())
                if words in self._out[-1]:
                    return self._out[-1]
        raise AssertionError(f"It never said {words!r}: {self._out}, {(await self._err).decode()}")

    async def read_value(self, name: str) -> str:
        """Read on to the line that begins with this name; gives the rest of that line."""
        return (await self.read_until(f"  {name} ")).strip().removeprefix(name).strip()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def end(self, number: signal.Signals | None = None) -> Ended:
        """Send it the signal, if one is given, and wait for its end."""
        if number is not None:
            self.send(number)
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            self._out.append((await self._process.stdout.read()).decode())
            err = (await self._err).decode()
            code = await self._process.wait()
        return Ended(code, "".join(self._out), err)

    async def remove(self) -> None:
        """End it, whatever its state."""
        if self._process.returncode is None:
            self._process.kill()
        await self.end()


@asynccontextmanager
async def running(
    *arguments: str, data_dir: Path, settings: Mapping[str, object] | None = None
) -> AsyncIterator[Command]:
    """Run `catena` with these arguments and settings until the block ends."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    given = {"data_dir": data_dir, "port": 0, **(settings or {})}
    plain = {name: text for name, text in os.environ.items() if not name.startswith("CATENA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "catena.cli", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=plain | {f"CATENA_{name.upper()}": str(value) for name, value in given.items()},
        cwd=data_dir.parent,
    )
    command = Command(process)
    try:
        yield command
    finally:
        await command.remove()


async def call(
    *arguments: str, data_dir: Path, settings: Mapping[str, object] | None = None
) -> Ended:
    """Run `catena` to its end."""
    async with running(*arguments, data_dir=data_dir, settings=settings) as command:
        return await command.end()


def is_database_gone(data_dir: Path) -> bool:
    """Whether no process of the embedded PostgreSQL is left."""
    with opening_lock(DataDirectory(data_dir).server_lock) as lock:
        return try_lock(lock)
