"""A real PostgreSQL for tests: one server for all workers, a fresh migrated database per test.

Invariant: tests share a server and never a database. The server of a killed run is found by the
next run, used, and removed at its end.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from catena.db.embedded import EmbeddedPostgres, start_embedded
from catena.db.embedded.cluster import OWNER, SERVICE
from catena.db.embedded.directory import DataDirectory, holding
from catena.db.embedded.postmaster import signal_server, wait_until_gone
from catena.db.migrate import migrate

__all__ = [
    "QUICK_AND_FORGETFUL",
    "Database",
    "ask",
    "data_dir",
    "database",
    "find_quickest_disk",
    "migrated_template",
    "postgres_server",
]

# Nothing here has to survive a power cut, and each test is quicker without the disk.
QUICK_AND_FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_connections": "200",
}
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - the directory made in it is checked to be ours
MEMORY_DISK_BYTES_MIN = 2 * 1024**3
# The server of root may be another account's, which must get to its files.
PASSABLE = 0o711


@dataclass(frozen=True, slots=True)
class Database:
    """One test's own database: the owner may change its schema, the service may use it."""

    name: str
    owner_dsn: str = field(repr=False)
    service_dsn: str = field(repr=False)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[EmbeddedPostgres]:
    """The server that all workers share: the first starts it, the last one removes it."""
    directory = _make_shared_directory(pytestconfig.rootpath)
    with holding(directory / "lock"):
        server = start_embedded(directory / "postgres", settings=QUICK_AND_FORGETFUL)
    yield server
    with holding(directory / "lock"):
        if server.stop():
            shutil.rmtree(server.data_dir)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres, testrun_uid: str) -> str:
    """The name of a database that this run has migrated once, for copying."""
    template = f"template_{testrun_uid}"
    with holding(postgres_server.data_dir.parent / "lock"):
        asyncio.run(_make_template(postgres_server, template))
    return template


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A database with the current schema and no rows, dropped after the test."""
    name = f"test_{uuid4().hex}"
    admin = postgres_server.admin_dsn
    # Without fsync, copying files is quicker than PostgreSQL's default of copying through its log.
    copy = f"CREATE DATABASE {name} TEMPLATE {migrated_template} OWNER {OWNER} STRATEGY file_copy"
    asyncio.run(_execute(admin, copy))
    yield Database(name, postgres_server.dsn(OWNER, name), postgres_server.dsn(SERVICE, name))
    asyncio.run(_execute(admin, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A place for a server of the test's own; whatever runs there at the end is stopped."""
    # pytest's own tmp_path is too long for a Unix socket.
    root = Path(tempfile.mkdtemp(prefix="catena-", dir=find_quickest_disk()))
    root.chmod(PASSABLE)
    place = DataDirectory(root / "data")
    yield place.root
    if place.root.is_dir():
        signal_server(place, signal.SIGINT)
        wait_until_gone(place)
    shutil.rmtree(root)


def ask(dsn: str, *statements: str) -> object:
    """Run the statements; the first value of the last one's answer."""

    async def run() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def _make_shared_directory(checkout: Path) -> Path:
    """A place that all runs of this user in this checkout find again, short enough for a socket."""
    mark = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]
    directory = find_quickest_disk() / f"catena-tests-{os.geteuid()}-{mark}"
    directory.mkdir(exist_ok=True)
    # In a directory open to all, somebody else may have taken the name before us.
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        pytest.exit(f"{directory} belongs to another user; set TMPDIR to a directory of your own.")
    directory.chmod(PASSABLE)
    return directory


def find_quickest_disk() -> Path:
    """Memory where there is enough: copying a database's 400 files there is ten times as fast."""
    if MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free >= MEMORY_DISK_BYTES_MIN:
        return MEMORY_DISK
    return Path(tempfile.gettempdir())


async def _make_template(server: EmbeddedPostgres, template: str) -> None:
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template):
            return
        # Under another name until it is migrated: a failure leaves no half template behind.
        draft = f"draft_{uuid4().hex}"
        await connection.execute(f"CREATE DATABASE {draft} OWNER {OWNER}")
        await migrate(server.dsn(OWNER, draft))
        await connection.execute(f"ALTER DATABASE {draft} RENAME TO {template}")
    finally:
        await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
