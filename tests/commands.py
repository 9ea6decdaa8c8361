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

__all__ = ["Command", "Ended", "call", "is_database_gone", "list_files", "running"]

_PATIENCE_SECONDS = 90.0


class Ended(NamedTuple):
    """How a command ended, and all that it said."""

    code: int
    out: str
    err: str


class Command:
    """A `catena` process. What it says on stdout, or in its `log`, is followed line by line."""

    def __init__(self, process: asyncio.subprocess.Process, *, log: bool) -> None:
        out, err = process.stdout, process.stderr
        assert out is not None
        assert err is not None
        self._process = process
        self._log = log
        self._followed = err if log else out
        self._heard: list[str] = []
        self._aside: list[str] = []
        self._told = asyncio.Condition()
        self._other = asyncio.create_task(self._listen_aside(out if log else err))

    async def _listen_aside(self, stream: asyncio.StreamReader) -> str:
        async for raw in stream:
            async with self._told:
                self._aside.append(raw.decode())
                self._told.notify_all()
        return "".join(self._aside)

    async def wait_aside(self, words: str) -> None:
        """Wait for a line with these words in what is not followed."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self._told:
            await self._told.wait_for(lambda: any(words in line for line in self._aside))

    async def read_until(self, words: str) -> str:
        """Read what it says up to a line with these words; gives that line."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for raw in self._followed:
                self._heard.append(raw.decode())
                if words in self._heard[-1]:
                    return self._heard[-1]
        raise AssertionError(f"It never said {words!r}: {self._heard}, {await self._other!r}")

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
        async with asyncio.timeout(_PATIENCE_SECONDS):
            self._heard.append((await self._followed.read()).decode())
            other = await self._other
            code = await self._process.wait()
        heard = "".join(self._heard)
        return Ended(code, other, heard) if self._log else Ended(code, heard, other)

    async def remove(self) -> None:
        """End it, whatever its state."""
        if self._process.returncode is None:
            self._process.kill()
        await self.end()


@asynccontextmanager
async def running(
    *arguments: str,
    data_dir: Path,
    settings: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    log: bool = False,
) -> AsyncIterator[Command]:
    """Run `catena` with these arguments and settings until the block ends; follow its `log`.

    `environment`: variables beside the settings.
    """
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    given = {"data_dir": data_dir, "port": 0, **(settings or {})}
    plain = {name: text for name, text in os.environ.items() if not name.startswith("CATENA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "catena.cli", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=plain
        | {f"CATENA_{name.upper()}": str(value) for name, value in given.items()}
        | dict(environment or {}),
        cwd=data_dir.parent,
    )
    command = Command(process, log=log)
    try:
        yield command
    finally:
        await command.remove()


async def call(
    *arguments: str,
    data_dir: Path,
    settings: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run `catena` to its end."""
    async with running(
        *arguments, data_dir=data_dir, settings=settings, environment=environment
    ) as command:
        return await command.end()


def is_database_gone(data_dir: Path) -> bool:
    """Whether no process of the embedded PostgreSQL is left."""
    with opening_lock(DataDirectory(data_dir).server_lock) as lock:
        return try_lock(lock)


def list_files(directory: Path) -> list[str]:
    """The names of what lies in a directory; none when it was never made."""
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []
