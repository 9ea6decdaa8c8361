"""An account's lines by the reference of their entries, and lines together with their entries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from catena.db.load import load_entries
from catena.ledger.accounts import Side
from catena.ledger.entries import EntryType
from catena.ledger.statements import LineQuery, StatementLine

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = ["find_lines_by_reference", "find_matching", "join_entries"]

# At most one entry of each type bears a reference: so these are few, wherever they stand.
_BY_REFERENCE: Final = """
SELECT l.number, l.position, l.effective_at, l.recorded_at, l.is_debit, l.amount, l.debits,
       l.credits
  FROM unnest($3::text[]) AS wanted (type)
 CROSS JOIN LATERAL (
       SELECT position, metadata FROM entries
        WHERE ledger_id = $1 AND type = wanted.type AND reference = $4 OFFSET 0) e
 CROSS JOIN LATERAL (
       SELECT * FROM lines WHERE ledger_id = $1 AND position = e.position OFFSET 0) l
 WHERE ($5::jsonb IS NULL OR coalesce(e.metadata, '{}') @> $5)
   AND l.account_id = $2 AND l.number <= $6"""

_MATCHING: Final = """
SELECT position FROM entries
 WHERE ledger_id = $1 AND position = ANY ($2::bigint[]) AND type = ANY ($3::text[])
   AND ($4::jsonb IS NULL OR coalesce(metadata, '{}') @> $4)"""


async def find_lines_by_reference(
    connection: Connection, ledger: int, account: str, query: LineQuery, known: int
) -> list[asyncpg.Record]:
    """Those of the account's first `known` lines whose entry matches the query, in no order."""
    types = list(set(query.types or EntryType))
    return await connection.fetch(
        _BY_REFERENCE, ledger, account[5:], types, query.reference, query.metadata, known
    )


async def find_matching(
    connection: Connection, ledger: int, positions: Iterable[int], query: LineQuery
) -> set[int]:
    """Those of the positions at which an entry stands that has the type and metadata asked for."""
    types = list(query.types or EntryType)
    rows = await connection.fetch(_MATCHING, ledger, list(positions), types, query.metadata)
    return {row["position"] for row in rows}


async def join_entries(
    connection: Connection, ledger: int, lines: Iterable[tuple[int, int, bool, int, int]]
) -> list[StatementLine]:
    """Lines with their entries: given number, position, is_debit, amount and balance of each."""
    lines = list(lines)
    entries = await load_entries(connection, ledger, list({line[1] for line in lines}))
    return [
        StatementLine(
            number, Side.DEBIT if is_debit else Side.CREDIT, amount, balance, entries[position]
        )
        for number, position, is_debit, amount, balance in lines
    ]
