"""An account's history: its lines in the order in which they were recorded.

Invariant: numbers are gapless and recorded_at never decreases with them, so dates become numbers,
and a page is a range of numbers. The first page fixes the last line: later ones change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catena.db.read.lines import find_lines_by_reference, join_entries
from catena.ledger.entries import EntryType
from catena.ledger.statements import HistoryPlace, LineQuery, Page

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = ["read_history"]

# The range in numbers: as the place says ($3, $4), or else from its dates ($5, $6).
_SPAN: Final = """
SELECT a.currency, b.sign, span.before, span.last,
       coalesce(b.sign * (o.debits - o.credits), 0) AS opening,
       coalesce(b.sign * (c.debits - c.credits), 0) AS closing
  FROM accounts a
  JOIN balances b ON b.ledger_id = $1 AND b.account_id = a.account_id
 CROSS JOIN LATERAL (
       SELECT coalesce($3, lines_before($1, $2, b.line_count, $5, 0), 0) AS before,
              coalesce($4, lines_before($1, $2, b.line_count, $6, 0), b.line_count) AS last
       OFFSET 0) span
  LEFT JOIN LATERAL (
       SELECT debits, credits FROM lines
        WHERE ledger_id = $1 AND account_id = $2 AND number = span.before OFFSET 0) o ON true
  LEFT JOIN LATERAL (
       SELECT debits, credits FROM lines
        WHERE ledger_id = $1 AND account_id = $2 AND number = span.last OFFSET 0) c ON true
 WHERE a.ledger_id = $1 AND a.account_id = $2"""

_LINES: Final = """
SELECT number, position, is_debit, amount, debits, credits
  FROM lines
 WHERE ledger_id = $1 AND account_id = $2 AND number BETWEEN $3 AND $4
 ORDER BY number ASC LIMIT $5"""

# Behind the inner limit lines are taken in order, and no more of them than it needs.
_MATCHING: Final = """
SELECT l.number, l.position, l.is_debit, l.amount, l.debits, l.credits
  FROM (SELECT number, position, is_debit, amount, debits, credits
          FROM lines
         WHERE ledger_id = $1 AND account_id = $2 AND number BETWEEN $3 AND $4
         ORDER BY number ASC LIMIT $4 - $3 + 1) l
 CROSS JOIN LATERAL (
       SELECT type, metadata FROM entries
        WHERE ledger_id = $1 AND position = l.position OFFSET 0) e
 WHERE e.type = ANY ($6::text[]) AND ($7::jsonb IS NULL OR coalesce(e.metadata, '{}') @> $7)
 ORDER BY l.number ASC LIMIT $5"""


async def read_history(
    connection: Connection,
    ledger: int,
    account: str,
    query: LineQuery,
    place: HistoryPlace | None = None,
    *,
    limit: int,
    look_at: int,
) -> Page[HistoryPlace] | None:
    """A page of the account's lines by recorded time, or None when there is no such account.

    `place`: the `next` of the page before, with the same query. A filtered page looks at `look_at`
    lines at most.
    """
    before, last = (place.before, place.last) if place else (None, None)
    span = await connection.fetchrow(
        _SPAN, ledger, account[5:], before, last, query.start, query.end
    )
    if span is None:
        return None
    if place is None:
        start = span["last"] if query.descending else span["before"] + 1
        place = HistoryPlace(span["before"], span["last"], start)
    rows, reached = await _find_lines(
        connection, ledger, account, query, place, limit=limit, look_at=look_at
    )
    following = reached - 1 if query.descending else reached + 1
    remains = place.before < following <= place.last
    sign = span["sign"]
    lines = [
        (
            row["number"],
            row["position"],
            row["is_debit"],
            row["amount"],
            sign * (row["debits"] - row["credits"]),
        )
        for row in rows
    ]
    return Page(
        span["currency"],
        await join_entries(connection, ledger, lines),
        span["opening"],
        span["closing"],
        place._replace(next=following) if remains else None,
    )


async def _find_lines(
    connection: Connection,
    ledger: int,
    account: str,
    query: LineQuery,
    place: HistoryPlace,
    *,
    limit: int,
    look_at: int,
) -> tuple[list[asyncpg.Record], int]:
    """The page's lines in order, and the number of the last line that was looked at."""
    backwards = query.descending
    first, last = (place.before + 1, place.next) if backwards else (place.next, place.last)
    if last < first:
        return [], last if backwards else first
    if query.reference is not None:
        found = await find_lines_by_reference(connection, ledger, account, query, last)
        rows = [row for row in found if row["number"] >= first]
        rows.sort(key=lambda row: row["number"], reverse=backwards)
    else:
        filtered = bool(query.types) or query.metadata is not None
        size = look_at if filtered else limit
        if backwards:
            first = max(first, last - size + 1)
        else:
            last = min(last, first + size - 1)
        statement = (_MATCHING if filtered else _LINES).replace(
            "ASC", "DESC" if backwards else "ASC"
        )
        filters = (list(query.types or EntryType), query.metadata) if filtered else ()
        rows = await connection.fetch(
            statement, ledger, account[5:], first, last, limit + 1, *filters
        )
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1]["number"]
    return rows, first if backwards else last
