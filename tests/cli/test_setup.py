"""A PostgreSQL of one's own: prepared as docs/operating.md says, migrated, and refused plainly."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.migrate import list_migrations
from tests.commands import call, list_files, running
from tests.journal.proxy import open_proxy
from tests.postgres import Database, ask


@pytest.fixture
def empty(postgres_server: EmbeddedPostgres) -> Iterator[Database]:
    """A database that belongs to its owner, and is empty."""
    name = f"empty_{uuid4().hex}"
    ask(postgres_server.admin_dsn, f"CREATE DATABASE {name} OWNER {OWNER}")
    yield Database(name, postgres_server.dsn(OWNER, name), postgres_server.dsn(SERVICE, name))
    ask(postgres_server.admin_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def test_migrate_says_what_it_did(data_dir: Path, empty: Database) -> None:
    """`migrate` names each migration that it applies, once; after it the service can start."""
    settings = {"database_url": empty.service_dsn, "migration_url": empty.owner_dsn}
    first = await call("migrate", data_dir=data_dir, settings=settings)
    again = await call("migrate", data_dir=data_dir, settings=settings)
    applied = [f"Applied {migration.name}." for migration in list_migrations()]
    assert first.out.splitlines() == [*applied, "The schema is up to date."]
    assert again.out.splitlines() == ["The schema is up to date."]
    async with running("serve", data_dir=data_dir, settings=settings, log=True) as serve:
        await serve.read_until("serving")
        assert (await serve.end(signal.SIGTERM)).code == 0


async def test_up_prepares_an_empty_database(data_dir: Path, empty: Database) -> None:
    """`up` migrates a database that is set, and plays no story in it unless it is told to."""
    settings = {"database_url": empty.service_dsn, "migration_url": empty.owner_dsn}
    async with running("up", data_dir=data_dir, settings=settings) as up:
        await up.read_until("CATENA_DATABASE_URL")
        ended = await up.end(signal.SIGINT)
    assert (ended.code, ended.err, "Alice" in ended.out) == (0, "", False)
    assert list_files(data_dir) == ["api-key", "api-key.lock"]


@pytest.mark.parametrize("command", ["serve", "up", "migrate"])
@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("^postgresql", "mysql", "CATENA_DATABASE_URL is no URL of a PostgreSQL database."),
        ("/empty_", "/full_", "PostgreSQL has no database of this name."),
        (":[^:/]+@", ":wrong@", "PostgreSQL refuses the role or its password."),
    ],
    ids=["scheme", "name", "password"],
)
async def test_a_wrong_url_is_told_plainly(
    data_dir: Path, empty: Database, command: str, right: str, wrong: str, sentence: str
) -> None:
    """A URL that leads nowhere ends a command with one sentence, in which no password stands."""
    url = re.sub(right, wrong, empty.owner_dsn)
    ended = await call(command, data_dir=data_dir, settings={"database_url": url})
    assert (ended.code, ended.out, ended.err) == (2, "", f"catena: {sentence}\n")


async def test_nobody_at_home_is_told_plainly(data_dir: Path) -> None:
    """When nothing listens at the URL, the command says so."""
    settings = {"database_url": "postgresql://catena_service:hush@127.0.0.1:1/catena"}
    ended = await call("serve", data_dir=data_dir, settings=settings)
    assert (ended.code, ended.err) == (
        2,
        "catena: PostgreSQL cannot be reached: Connection refused.\n",
    )


@pytest.mark.parametrize("connections", range(3))
async def test_a_database_that_goes_away_during_the_start_is_told_plainly(
    data_dir: Path, database: Database, connections: int
) -> None:
    """However far the start has come."""
    async with open_proxy(database.service_dsn) as proxy:
        proxy.left = connections
        ended = await call("worker", data_dir=data_dir, settings={"database_url": proxy.dsn})
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert ended.err.startswith("catena: PostgreSQL ")


async def test_an_empty_database_is_told_plainly(data_dir: Path, empty: Database) -> None:
    """`serve` changes no schema: it sends whoever calls it to `migrate`."""
    settings = {"database_url": empty.service_dsn}
    ended = await call("serve", data_dir=data_dir, settings=settings)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "run `catena migrate` first" in ended.err


async def test_a_schema_of_another_version_is_told_plainly(
    data_dir: Path, database: Database
) -> None:
    """`serve` works with its own version's schema: not with an older one, nor with a newer one."""
    settings = {"database_url": database.service_dsn}
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        last = await connection.fetchval("SELECT max(number) FROM catena.schema_migrations")
        insert = (
            "INSERT INTO catena.schema_migrations (number, name, checksum) VALUES ($1, 'x', 'x')"
        )
        await connection.execute(insert, last + 1)
        newer = await call("serve", data_dir=data_dir, settings=settings)
        await connection.execute("DELETE FROM catena.schema_migrations WHERE number >= $1", last)
        older = await call("serve", data_dir=data_dir, settings=settings)
    finally:
        await connection.close()
    assert (newer.code, "newer version" in newer.err) == (2, True)
    assert (older.code, "run `catena migrate` first" in older.err) == (2, True)


async def test_a_service_role_cannot_migrate(data_dir: Path, empty: Database) -> None:
    """Without the owner's URL, `migrate` says whose it needs."""
    ended = await call("migrate", data_dir=data_dir, settings={"database_url": empty.service_dsn})
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "CATENA_MIGRATION_URL" in ended.err


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"port": "many"}, "CATENA_PORT is not a valid int."),
        ({"log_level": "loud"}, "CATENA_LOG_LEVEL is one of debug, info, warning, error."),
        ({"host": "192.0.2.1"}, "192.0.2.1 is no address of this machine;"),
        ({"data_dir": "/proc/catena"}, ""),
    ],
    ids=["port", "level", "host", "directory"],
)
async def test_a_wrong_setting_is_told_plainly(
    data_dir: Path, settings: dict[str, object], sentence: str
) -> None:
    """A setting that cannot be ends the command with one sentence, before anything starts."""
    ended = await call("up", data_dir=data_dir, settings=settings)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"catena: {sentence}")
    assert list_files(data_dir) == []
