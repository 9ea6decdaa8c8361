"""Reading a whole book: one snapshot, however long it takes.

Invariant: nothing is written. While it lasts, vacuum cannot clean up behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncpg.cursor import CursorFactory

    from catena.db.pool import Connection

__all__ = ["reading_whole_book", "stream"]

_QUERY_SECONDS: Final = 6 * 3600.0
"""Longest wait for a query's next rows; the pool's own limit is made for small ones."""

_STREAM_ROWS: Final = 500
"""Rows that one round trip brings."""

_SESSION: Final = """
SET LOCAL work_mem = '128MB';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL enable_seqscan = on;
SET LOCAL random_page_cost = 4;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
SET LOCAL enable_nestloop = off;
SET LOCAL timezone = 'UTC'"""


@asynccontextmanager
async def reading_whole_book(connection: Connection) -> AsyncIterator[None]:
    """A transaction that sees one moment and may take its time; times are shown in UTC."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(_SESSION)
        yield


def stream(connection: Connection, sql: str, *values: object) -> CursorFactory:
    """The rows of a query, a few at a time from a cursor of the server's."""
    return connection.cursor(sql, *values, prefetch=_STREAM_ROWS, timeout=_QUERY_SECONDS)
