"""Reading a whole book: one snapshot, however long it takes, range by range.

Invariant: nothing is written. While it lasts, vacuum cannot clean up behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncpg.cursor import CursorFactory

    from catena.db.pool import Connection

__all__ = ["cut_positions", "join_ends", "reading_whole_book", "stream"]

_QUERY_SECONDS: Final = 6 * 3600.0
"""Longest wait for a query's next rows; the pool's own limit is made for small ones."""

_STREAM_ROWS: Final = 500
"""Rows that one round trip brings."""

_RANGES_MAX: Final = 1_000
"""Ranges at most, whatever the counters of a broken book say."""

_POSITION_MIN, _POSITION_MAX = -(2**63), 2**63 - 1

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


def stream(
    connection: Connection, sql: str, *values: object, rows: int = _STREAM_ROWS
) -> CursorFactory:
    """The rows of a query, so many at a time from a cursor of the server's."""
    return connection.cursor(sql, *values, prefetch=rows, timeout=_QUERY_SECONDS)


async def cut_positions(
    connection: Connection, ledger: int, rows: int
) -> Sequence[tuple[int, int]]:
    """Every position there can be, in ranges (both ends) with about so many that are taken."""
    last: int = await connection.fetchval(
        """
        SELECT greatest(0, (SELECT position FROM positions WHERE ledger_id = $1),
                           (SELECT max(position) FROM entries WHERE ledger_id = $1),
                           (SELECT max(position) FROM events WHERE ledger_id = $1),
                           (SELECT max(position) FROM lines WHERE ledger_id = $1))""",
        ledger,
    )
    step = max(rows, last // _RANGES_MAX)
    return join_ends(_POSITION_MIN, range(step + 1, last + 1, step), _POSITION_MAX)


def join_ends(least: int, starts: Iterable[int], most: int) -> Sequence[tuple[int, int]]:
    """Ranges (both ends) that cover `least` to `most`, cut before each of `starts`."""
    ends = [least, *starts, most + 1]
    return [(low, following - 1) for low, following in pairwise(ends)]
