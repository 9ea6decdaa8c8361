"""The database as a command finds it: settings read, schema checked, the first ledger and key made.

Invariant: an embedded database is migrated by whoever starts it; one that was set is migrated by
`up` and `migrate` alone, because only its schema's owner can.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.auth.keys import hash_secret, is_key, new_secret
from catena.auth.scopes import ALL_SCOPES
from catena.db.embedded.directory import holding
from catena.db.embedded.guard import guarding
from catena.db.installation import create_key, create_ledger, find_key, list_ledgers
from catena.db.migrate import migrate
from catena.db.pool import open_pool
from catena.db.reach import check_schema, check_server, telling_plainly
from catena.errors import SetupError
from catena.ids import KEY, LEDGER, new_id
from catena.settings import Settings, read_settings

if TYPE_CHECKING:
    from catena.app import Urls
    from catena.db.pool import Pool
    from catena.gateways.config import GatewayConfig

__all__ = [
    "FirstKey",
    "ensure_first_key",
    "find_key_file",
    "guarding_database",
    "load_gateways",
    "load_settings",
    "migrate_plainly",
    "open_checked_pool",
    "prepare",
    "read_first_key",
    "read_key",
    "read_key_file",
    "write_secret",
]

_FIRST_LEDGER: Final = "main"
_FIRST_KEY: Final = "first"
_KEY_FILE: Final = "api-key"


def load_settings(**given: object) -> Settings:
    """The settings of the environment; what the command line gave (not None) wins."""
    return read_settings(os.environ, **{k: v for k, v in given.items() if v is not None})


def load_gateways(settings: Settings) -> list[GatewayConfig]:
    """The gateways that are set, with the secrets that the environment holds. Raises SetupError."""
    from catena.gateways.config import read_gateways  # it takes its time

    if not settings.gateways_file:
        return []
    return read_gateways(Path(settings.gateways_file), os.environ)


async def migrate_plainly(settings: Settings, urls: Urls) -> list[str]:
    """Bring the schema up to date; gives the names of what was applied. Raises SetupError."""
    with telling_plainly():
        if settings.database_url:
            await check_server(urls.owner, settings.database_connect_seconds)
        return await migrate(urls.owner)


async def prepare(settings: Settings, urls: Urls) -> None:
    """See that the schema is as it must be: migrate an embedded one. Raises SetupError."""
    if not settings.database_url:
        await migrate_plainly(settings, urls)
        return
    with telling_plainly():
        await check_server(urls.service, settings.database_connect_seconds)
        pool = await open_checked_pool(settings, urls)
        await pool.close()


@asynccontextmanager
async def guarding_database(settings: Settings) -> AsyncIterator[None]:
    """Within, an embedded database is started again when it dies; one that was set is not ours."""
    if settings.database_url:
        yield
        return
    async with guarding(settings.data_dir):
        yield


async def open_checked_pool(settings: Settings, urls: Urls) -> Pool:
    """A pool over a schema that is this version's. Raises SetupError."""
    with telling_plainly():
        pool = await open_pool(settings, urls.service)
        try:
            async with pool.acquire() as connection:
                await check_schema(connection)
        except BaseException:
            await pool.close()
            raise
        return pool


class FirstKey(NamedTuple):
    """The key that the first start made. `fresh`: this start is that one, and made the ledger."""

    secret: str
    file: Path
    fresh: bool


def find_key_file(settings: Settings) -> Path:
    """Where the first key is kept, readable by its owner alone."""
    return settings.data_dir / _KEY_FILE


def read_first_key(settings: Settings) -> str | None:
    """The secret that the first start kept, if there is one."""
    try:
        secret = find_key_file(settings).read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise SetupError(f"{find_key_file(settings)} cannot be read: {error.strerror}.") from error
    return secret if is_key(secret) else None


def read_key(settings: Settings, file: Path | None) -> str:
    """The secret in this file; without one, that of the first start. Raises SetupError."""
    secret = read_first_key(settings) if file is None else read_key_file(file)
    if not secret:
        raise SetupError("There is no API key here; name the file that holds one with --key-file.")
    return secret


def read_key_file(file: Path) -> str:
    """The secret that somebody keeps in a file. Raises SetupError."""
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"The key cannot be read from {file}.") from error


async def ensure_first_key(settings: Settings, pool: Pool) -> FirstKey:
    """See that there are a ledger and a key; made here when this is the first start.

    A kept key that is no longer in force is replaced by a new one.
    """
    file = find_key_file(settings)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with holding(file.with_suffix(".lock")):
        async with pool.acquire() as connection:
            fresh = not await list_ledgers(connection)
            if fresh:
                await create_ledger(connection, new_id(LEDGER), _FIRST_LEDGER, {})
            secret = read_first_key(settings)
            if secret is None or await find_key(connection, hash_secret(secret)) is None:
                secret = new_secret()
                # Kept before it is in force: a crash in between leaves nothing open.
                write_secret(file, secret)
                await create_key(
                    connection, new_id(KEY), _FIRST_KEY, hash_secret(secret), ALL_SCOPES, None
                )
    return FirstKey(secret, file, fresh)


def write_secret(file: Path, secret: str) -> None:
    """Keep a text for its owner alone: whole, or as it was before."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secret + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
