"""Keeps the sandbox's state in a file, so that it survives a restart and a kill.

Invariant: what `commit` has written outlives the process, though not always the machine. Requests
that are answered in the same moment share a commit. Each thing is a row: kind, name, and JSON.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from catena.errors import SetupError

__all__ = ["Store"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kept (
    kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID"""
_WRITE: Final = "INSERT OR REPLACE INTO kept (kind, name, value) VALUES (?, ?, ?)"
_DELETE: Final = "DELETE FROM kept WHERE kind = ? AND name = ?"
_READ: Final = "SELECT value FROM kept WHERE kind = ? ORDER BY name"

_JSON: Final = msgspec.json.Encoder()

Kept = TypeVar("Kept")


class Store:
    """The file, or nothing: then all is forgotten at the end."""

    def __init__(self, folder: Path | None) -> None:
        """Raises SetupError."""
        self._changed: dict[tuple[str, str], Any] = {}
        self._file: sqlite3.Connection | None = None
        self._soon: asyncio.Future[None] | None = None
        if folder is None:
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / "sandbox.sqlite"
            path.touch(mode=0o600)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=0)
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SetupError(
                "The sandbox cannot keep its state in that folder; another one may run there."
            ) from error

    def keep(self, kind: str, name: str, value: object) -> None:
        """Write this with the next commit, as it is then; None: forget it."""
        if self._file is not None:
            self._changed[kind, name] = value

    async def commit_soon(self) -> None:
        """Write what has changed, together with whatever others change in this moment."""
        if self._file is None:
            return
        if self._soon is None:
            loop = asyncio.get_running_loop()
            self._soon = loop.create_future()
            loop.call_soon(self._commit_shared, self._soon)
        await asyncio.shield(self._soon)

    def _commit_shared(self, waiting: asyncio.Future[None]) -> None:
        self._soon = None
        try:
            self.commit()
        except sqlite3.Error as error:
            waiting.set_exception(error)
        else:
            waiting.set_result(None)

    def commit(self) -> None:
        """Write what has changed."""
        if self._file is None or not self._changed:
            return
        changed, self._changed = self._changed, {}
        written = [
            (kind, name, _JSON.encode(value))
            for (kind, name), value in changed.items()
            if value is not None
        ]
        gone = [place for place, value in changed.items() if value is None]
        self._file.execute("BEGIN")
        self._file.executemany(_WRITE, written)
        self._file.executemany(_DELETE, gone)
        self._file.execute("COMMIT")

    def read(self, kind: str, type: type[Kept]) -> Iterator[Kept]:
        """Everything of a kind, by name."""
        if self._file is not None:
            for (value,) in self._file.execute(_READ, (kind,)):
                yield msgspec.json.decode(value, type=type)

    def close(self) -> None:
        """Write what has changed, and let go of the file."""
        self.commit()
        if self._file is not None:
            self._file.close()
