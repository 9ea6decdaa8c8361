"""Whether a database can be used: reached, allowed, new enough and migrated; if not, why.

Invariant: no address and no password is repeated in what is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from catena.db.migrate import list_migrations
from catena.db.pool import is_lost
from catena.errors import SetupError

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = ["check_schema", "check_server", "telling_plainly"]

_VERSION_MIN: Final = 15

_UNMIGRATED: Final = "The database has no schema of Catena yet; run `catena migrate` first."
_WHY: Final[Mapping[str, str]] = {
    "28000": "PostgreSQL does not let this role in.",
    "28P01": "PostgreSQL refuses the role or its password.",
    "3D000": "PostgreSQL has no database of this name.",
    "22023": _UNMIGRATED,  # the role catena_service is not there
    "3F000": _UNMIGRATED,
    "42P01": _UNMIGRATED,
    "42501": (
        "The role may not do this: CATENA_MIGRATION_URL must name the owner of the database, and"
        " the role in CATENA_DATABASE_URL must be catena_service or a member of it."
    ),
}
"""By SQLSTATE."""


@contextmanager
def telling_plainly() -> Iterator[None]:
    """Turn what PostgreSQL has against us into a SetupError with the reason in plain words; also
    that it goes away, or is just starting or stopping.
    """
    try:
        yield
    except Exception as error:
        why = _WHY.get(error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else None
        if why is None and is_lost(error):
            why = "PostgreSQL went away, or is just starting or stopping; try again."
        if why is None:
            raise
        raise SetupError(why) from error


async def check_server(url: str, seconds: float) -> None:
    """Raise SetupError unless a PostgreSQL that is new enough answers at `url` in time."""
    try:
        connection = await asyncpg.connect(url, timeout=seconds)
    except TimeoutError as error:
        raise SetupError("PostgreSQL does not answer in time.") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise SetupError(f"PostgreSQL cannot be reached: {why}.") from error
    except ValueError as error:
        raise SetupError("CATENA_DATABASE_URL is no URL of a PostgreSQL database.") from error
    except asyncpg.PostgresError as error:
        why = _WHY.get(error.sqlstate or "", f"PostgreSQL says: {error.args[0]}")
        raise SetupError(why) from error
    try:
        version = connection.get_server_version().major
    finally:
        await connection.close()
    if version < _VERSION_MIN:
        raise SetupError(f"PostgreSQL {version} is too old: {_VERSION_MIN} or newer serves.")


async def check_schema(connection: Connection) -> None:
    """Raise SetupError unless the schema is the one that this version of Catena works with."""
    rows = await connection.fetch("SELECT number, checksum FROM schema_migrations")
    applied = {row["number"]: row["checksum"] for row in rows}
    wanted = {migration.number: migration.checksum for migration in list_migrations()}
    if applied.keys() - wanted.keys():
        raise SetupError("The database was set up by a newer version of Catena; install that one.")
    if wanted != applied:
        raise SetupError("The database's schema is not up to date; run `catena migrate` first.")
