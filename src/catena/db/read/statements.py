"""An account's statement: its lines in the order of their effective dates, as known at a moment.

Invariant: what is known is a number of lines, which the first page fixes. Timely lines are walked
by number and backdated ones by their index, no more of either than a page needs.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.db.read.lines import find_lines_by_reference, find_matching, join_entries
from catena.ledger.statements import (
    LineQuery,
    Look,
    Page,
    Posting,
    StatementPlace,
    merge_looks,
    moment_from_stamp,
    stamp_of,
    take_lines,
)

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = ["read_statement"]

_LOOK_FILTERED: Final = 500
"""Lines of a kind that one look fetches where filters may leave few of them."""

_ACCOUNT: Final = """
SELECT a.currency, b.sign
  FROM accounts a JOIN balances b ON b.ledger_id = $1 AND b.account_id = a.account_id
 WHERE a.ledger_id = $1 AND a.account_id = $2"""

_SPAN: Final = """
SELECT a.currency, b.sign, known.lines AS known,
       b.sign * (o.debits - o.credits) AS opening, b.sign * (c.debits - c.credits) AS closing
  FROM accounts a
  JOIN balances b ON b.ledger_id = $1 AND b.account_id = a.account_id
 CROSS JOIN LATERAL (
       SELECT coalesce(lines_before($1, $2, b.line_count, $3, 9223372036854775807), b.line_count)
       OFFSET 0) AS known (lines)
 CROSS JOIN LATERAL totals_before(
       $1, $2, known.lines, coalesce($4::timestamptz, '-infinity'), 0) o
 CROSS JOIN LATERAL totals_before(
       $1, $2, known.lines, coalesce($5::timestamptz, 'infinity'), 0) c
 WHERE a.ledger_id = $1 AND a.account_id = $2
   AND a.created_at <= coalesce($3::timestamptz, 'infinity')"""

# From the cut ($4, $5) upwards, of both kinds of lines the next $7: the backdated ones, whose dates
# only their index knows, and the timely ones among the next numbers, with the last of those numbers
# (`edge`) whatever it is, to say how far this look went.
_LOOK_UP: Final = """
SELECT late.number, late.position, late.effective_at, late.recorded_at, late.is_debit, late.amount,
       false AS edge
  FROM (SELECT of_class.*
          FROM generate_series(0, cardinality(lag_limits())) AS class
         CROSS JOIN LATERAL (
               SELECT * FROM lines
                WHERE ledger_id = $1 AND account_id = $2 AND effective_at < recorded_at
                  AND lag_class(recorded_at - effective_at) = class
                  AND (effective_at, number) >= (coalesce($4::timestamptz, '-infinity'), $5)
                  AND effective_at < coalesce($6::timestamptz, 'infinity')
                ORDER BY effective_at, number LIMIT $7) of_class
         ORDER BY of_class.effective_at, of_class.number LIMIT $7) late
 UNION ALL
SELECT l.number, l.position, l.effective_at, l.recorded_at, l.is_debit, l.amount, l.number = n + $7
  FROM lines_before($1, $2, $3, coalesce($4::timestamptz, '-infinity'), $5) AS n
 CROSS JOIN LATERAL (
       SELECT * FROM lines
        WHERE ledger_id = $1 AND account_id = $2 AND number > n AND number <= n + $7
       OFFSET 0) l
 WHERE l.number <= $3 AND l.recorded_at < coalesce($6, 'infinity')
   AND (l.effective_at = l.recorded_at OR l.number = n + $7)"""

# The same from the cut downwards.
_LOOK_DOWN: Final = """
SELECT late.number, late.position, late.effective_at, late.recorded_at, late.is_debit, late.amount,
       false AS edge
  FROM (SELECT of_class.*
          FROM generate_series(0, cardinality(lag_limits())) AS class
         CROSS JOIN LATERAL (
               SELECT * FROM lines
                WHERE ledger_id = $1 AND account_id = $2 AND effective_at < recorded_at
                  AND lag_class(recorded_at - effective_at) = class
                  AND (effective_at, number) < (coalesce($4::timestamptz, 'infinity'), $5)
                  AND effective_at >= coalesce($6::timestamptz, '-infinity')
                ORDER BY effective_at DESC, number DESC LIMIT $7) of_class
         ORDER BY of_class.effective_at DESC, of_class.number DESC LIMIT $7) late
 UNION ALL
SELECT l.number, l.position, l.effective_at, l.recorded_at, l.is_debit, l.amount,
       l.number = n - $7 + 1
  FROM lines_before($1, $2, $3, coalesce($4::timestamptz, 'infinity'), $5) AS n
 CROSS JOIN LATERAL (
       SELECT * FROM lines
        WHERE ledger_id = $1 AND account_id = $2 AND number > n - $7 AND number <= n
       OFFSET 0) l
 WHERE l.recorded_at >= coalesce($6, '-infinity')
   AND (l.effective_at = l.recorded_at OR l.number = n - $7 + 1)"""

_BALANCES: Final = """
SELECT t.debits - t.credits AS debit
  FROM unnest($4::timestamptz[], $5::bigint[]) WITH ORDINALITY AS cut (moment, number, place)
 CROSS JOIN LATERAL totals_before($1, $2, $3, cut.moment, cut.number + 1) t
 ORDER BY cut.place"""


async def read_statement(
    connection: Connection,
    ledger: int,
    account: str,
    query: LineQuery,
    place: StatementPlace | None = None,
    *,
    known_at: dt.datetime | None = None,
    limit: int,
    look_at: int,
) -> Page[StatementPlace] | None:
    """A page of the account's lines by effective date, or None when there was no such account.

    `known_at`: as the books stood then (None: now); `place`, the `next` of the page before with
    the same query, has it fixed. A page looks at `look_at` lines of each kind at most, so it may
    be short also where a great many were recorded late.
    """
    key = (ledger, account[5:])
    if place is not None:
        span = await connection.fetchrow(_ACCOUNT, *key)
    else:
        span = await connection.fetchrow(_SPAN, *key, known_at, query.start, query.end)
        if span is not None:
            place = _start(query, span["known"], span["opening"], span["closing"])
    if span is None or place is None:
        return None
    source = _Source(connection, ledger, account, query, span["sign"])
    if query.reference is not None:
        taken, following = await _find_by_reference(source, place, limit)
    else:
        taken, following = await _walk(source, place, limit, look_at)
    lines = [
        (line.number, line.position, line.signed * source.sign > 0, abs(line.signed), balance)
        for line, balance in taken
    ]
    items = await join_entries(connection, ledger, lines)
    return Page(span["currency"], items, place.opening, place.closing, following)


def _start(query: LineQuery, known: int, opening: int, closing: int) -> StatementPlace:
    moment = query.end if query.descending else query.start
    stamp = None if moment is None else stamp_of(moment)
    balance = closing if query.descending else opening
    return StatementPlace(known, stamp, 0, balance, opening, closing)


class _Source(NamedTuple):
    """Whose lines are read. `sign`: +1 for an account that grows by debits."""

    connection: Connection
    ledger: int
    account: str
    query: LineQuery
    sign: int


_Taken = tuple[list[tuple[Posting, int]], StatementPlace | None]
"""Lines with what is posted after each, and the place behind them."""


async def _walk(source: _Source, place: StatementPlace, limit: int, look_at: int) -> _Taken:
    query = source.query
    filtered = bool(query.types) or query.metadata is not None
    size = min(look_at, _LOOK_FILTERED) if filtered else limit + 1
    taken: list[tuple[Posting, int]] = []
    following: StatementPlace | None = place
    looked_at = 0
    while following is not None and len(taken) < limit and looked_at < look_at:
        look = await _look(source, following, size)
        wanted = await _find_wanted(source, look) if filtered else None
        more, following = take_lines(
            look,
            following,
            descending=query.descending,
            wanted=wanted,
            room=limit - len(taken),
        )
        taken += more
        looked_at += size
    return taken, following


async def _look(source: _Source, place: StatementPlace, size: int) -> Look:
    """The next lines on from the place, `size` of each kind at most."""
    query = source.query
    rows = await source.connection.fetch(
        _LOOK_DOWN if query.descending else _LOOK_UP,
        source.ledger,
        source.account[5:],
        place.known,
        None if place.stamp is None else moment_from_stamp(place.stamp),
        place.number,
        query.start if query.descending else query.end,
        size,
    )
    late: list[Posting] = []
    timely: list[Posting] = []
    edge = None
    for row in rows:
        is_timely = row["effective_at"] == row["recorded_at"]
        if row["edge"]:
            edge = (row["recorded_at"], row["number"])
        if is_timely or not row["edge"]:
            (timely if is_timely else late).append(_posting_from_row(row, source.sign))
    # Lines that were not known yet count for how far the look went, and for nothing else.
    last = (min(late) if query.descending else max(late))[:2] if len(late) == size else None
    known = [line for line in late if line.number <= place.known]
    return merge_looks([Look(known, last), Look(timely, edge)], descending=query.descending)


async def _find_wanted(source: _Source, look: Look) -> set[int]:
    positions = {line.position for line in look.lines}
    return await find_matching(source.connection, source.ledger, positions, source.query)


async def _find_by_reference(source: _Source, place: StatementPlace, limit: int) -> _Taken:
    """As `_walk`, without walking: what is posted after each line is computed for it alone."""
    connection, ledger, account, query, sign = source
    rows = await find_lines_by_reference(connection, ledger, account, query, place.known)
    lines = [
        line
        for line in (_posting_from_row(row, sign) for row in rows)
        if _stands_ahead(line, query, place)
    ]
    ahead = merge_looks([Look(lines, None)], descending=query.descending)
    taken, following = take_lines(
        ahead, place, descending=query.descending, wanted=None, room=limit
    )
    cuts = [line[:2] for line, _ in taken]
    debits = await connection.fetch(
        _BALANCES,
        ledger,
        account[5:],
        place.known,
        [moment for moment, _ in cuts],
        [number for _, number in cuts],
    )
    return [
        (line, sign * row["debit"]) for (line, _), row in zip(taken, debits, strict=True)
    ], following


def _stands_ahead(line: Posting, query: LineQuery, place: StatementPlace) -> bool:
    """Whether the line is one that a walk from the place would come to."""
    cut = None if place.stamp is None else (moment_from_stamp(place.stamp), place.number)
    if query.descending:
        in_range = query.start is None or line.effective_at >= query.start
        return in_range and (cut is None or line[:2] < cut)
    in_range = query.end is None or line.effective_at < query.end
    return in_range and (cut is None or line[:2] >= cut)


def _posting_from_row(row: asyncpg.Record, sign: int) -> Posting:
    amount = row["amount"] if row["is_debit"] else -row["amount"]
    return Posting(row["effective_at"], row["number"], row["position"], sign * amount)
