"""Connections: one pool a process, in the role that can only read and call the journal.

Invariant: a connection taken from the pool holds no transaction and no session state of its own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

if TYPE_CHECKING:
    from catena.settings import Settings

__all__ = ["Connection", "Pool", "give_back", "is_full", "is_lost", "open_pool"]

_log = structlog.get_logger(__name__)

_LOOK_UPS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "random_page_cost": "0.1",
}
"""The service only looks things up by index. A plan made while a table was small would read all of
it, and stay so while it grows; and to plan a small look-up anew costs more than to run it."""

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

_NEVER: Final = 2**31
"""Statements until the pool replaces a connection, which would wait for the server to part."""

_LOST_STATES: Final = ("08", "57", "53", "25006", "25P03", "28", "3D", "55000", "58")
"""SQLSTATE prefixes that say the server is away, slow, full, read-only or closed to us, not that a
statement is bad."""

_LOST_ERRORS: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The driver's InternalClientError is what a statement gets on a session that the server has ended
when its last word has been read and its closing has not."""


async def open_pool(settings: Settings, dsn: str) -> Pool:
    """A pool of at most `database_connections`, in the role `catena_service`.

    Raises asyncpg's errors when the server cannot be reached.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=settings.database_connections,
        timeout=settings.database_connect_seconds,
        command_timeout=settings.database_command_seconds,
        max_inactive_connection_lifetime=0,
        max_queries=_NEVER,
        reset=_keep_as_is,
        server_settings={
            "role": "catena_service",
            "search_path": "catena",
            "application_name": "catena",
            "jit": "off",
            **_LOOK_UPS,
            "statement_timeout": f"{int(settings.database_command_seconds * 1000)}",
            "lock_timeout": f"{int(settings.database_lock_seconds * 1000)}",
            "idle_in_transaction_session_timeout": f"{int(settings.database_lock_seconds * 1000)}",
        },
    )


async def give_back(pool: Pool, connection: Connection) -> None:
    """Give a connection back; one that cannot be is ended. Never raises."""
    try:
        await pool.release(connection)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with it, it is no longer ours
        _log.warning("connection_not_given_back", error=type(error).__name__)
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()


async def _keep_as_is(connection: object) -> None:
    """Nothing to reset: no statement here changes a session, and the round trip would cost."""


def is_full(pool: Pool) -> bool:
    """Whether all its connections are taken, so that someone may wait for one."""
    return pool.get_idle_size() == 0 and pool.get_size() == pool.get_max_size()


def is_lost(error: BaseException) -> bool:
    """Whether the error means that the server is away or cannot write, so trying again may help."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "").startswith(_LOST_STATES)
    if isinstance(error, asyncpg.DataError):  # a value that no column takes, seen by the driver
        return False
    return isinstance(error, _LOST_ERRORS)
