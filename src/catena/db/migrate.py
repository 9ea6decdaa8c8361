"""Brings a database's schema up to date: plain SQL files, numbered, checksummed, one runner.

Invariant: a migration that ran is never edited and never runs twice; each runs whole or not at all.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final, NamedTuple

import asyncpg

from catena.errors import MigrationFailed

__all__ = ["Migration", "list_migrations", "migrate"]

_LOCK: Final = 0x0CA7E9A  # the advisory lock that keeps a second runner waiting

_BOOTSTRAP: Final = """
CREATE SCHEMA IF NOT EXISTS catena;
CREATE TABLE IF NOT EXISTS catena.schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""


class Migration(NamedTuple):
    """One file of `migrations/`."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def list_migrations() -> list[Migration]:
    """Every migration that this version of Catena knows, in order. Raises MigrationFailed."""
    folder = resources.files("catena.db") / "migrations"
    found = [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationFailed("The migrations are not numbered 1, 2, 3 and so on.")
    return found


async def migrate(dsn: str, *, up_to: int | None = None) -> list[str]:
    """Apply what is missing, as the schema's owner; gives the names of what was applied.

    `up_to` stops after that number (for tests of upgrades). Raises MigrationFailed when an applied
    migration was edited, or is newer than this version of Catena.
    """
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "catena"})
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_BOOTSTRAP)
        await connection.execute("SET lock_timeout = '30s'")
        applied = {
            row["number"]: row["checksum"]
            for row in await connection.fetch("SELECT number, checksum FROM schema_migrations")
        }
        wanted = list_migrations()
        _check_applied(applied, wanted)
        missing = [m for m in wanted if m.number not in applied and m.number <= (up_to or 10**6)]
        for migration in missing:
            await _apply(connection, migration)
        if up_to is None:
            await _install_guards(connection)
        return [migration.name for migration in missing]
    finally:
        await connection.close()


def _check_applied(applied: dict[int, str], wanted: list[Migration]) -> None:
    known = {migration.number: migration for migration in wanted}
    for number, checksum in applied.items():
        if number not in known:
            raise MigrationFailed(
                f"The database has migration {number}, which this version of Catena does not know: "
                "it was set up by a newer version."
            )
        if known[number].checksum != checksum:
            raise MigrationFailed(f"Migration {known[number].name} was edited after it ran here.")


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"Migration {migration.name} failed: {error}") from error


async def _install_guards(connection: asyncpg.Connection) -> None:
    """The guards that need triggers, where the server allows them (Citus does not)."""
    if await connection.fetchval("SELECT 1 FROM pg_extension WHERE extname = 'citus'"):
        return
    guards = (resources.files("catena.db") / "guards.sql").read_text("utf-8")
    async with connection.transaction():
        await connection.execute(guards)
