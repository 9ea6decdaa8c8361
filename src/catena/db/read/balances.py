"""Balances: of many accounts now, and of one account at a moment of the past.

Invariant: a balance and what it is as of come from one statement, so from one snapshot.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from catena.ids import ACCOUNT
from catena.ledger.accounts import AccountStatus, Side
from catena.ledger.balances import Balance, PastBalance, Terms

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = ["Balance", "PastBalance", "read_balance_at", "read_balances"]

_SIDES: Final = {1: Side.DEBIT, -1: Side.CREDIT}
_STATUSES: Final = {str(status): status for status in AccountStatus}

# The columns of a Balance, in its order. The last row is the ledger's alone: repeated on every
# other one it would double what they cost.
_NOW: Final = """
SELECT b.account_id, a.currency, b.sign, b.debits, b.credits, b.reserved, b.floor, b.ceiling,
       b.status, b.line_count, b.version, NULL AS position, NULL AS recorded_at
  FROM balances b
 CROSS JOIN LATERAL (
       SELECT currency FROM accounts
        WHERE ledger_id = $1 AND account_id = b.account_id OFFSET 0) a
 WHERE b.ledger_id = $1 AND b.account_id = ANY ($2::uuid[])
 UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, position, recorded_at
  FROM positions WHERE ledger_id = $1"""


async def read_balances(
    connection: Connection, ledger: int, ids: Iterable[str]
) -> dict[str, Balance]:
    """The balances now of the accounts that exist among `ids`, all as of one position."""
    rows = await connection.fetch(_NOW, ledger, [id[5:] for id in ids])
    as_of = next((row for row in reversed(rows) if row[0] is None), None)
    if as_of is None:
        return {}
    position, recorded_at = as_of[11], as_of[12]
    balances = {}
    for row in rows:
        if row is as_of:
            continue
        id = ACCOUNT + row[0].hex
        balances[id] = Balance(
            id,
            row[1],
            _SIDES[row[2]],
            row[3],
            row[4],
            row[5],
            row[6],
            row[7],
            _STATUSES[row[8]],
            row[9],
            row[10],
            position,
            recorded_at,
        )
    return balances


# What was known at a moment is a number of lines; everything else follows from it. Without a moment
# of effect the function gives NULLs.
_AT: Final = """
SELECT a.currency, b.sign, known.lines, coalesce(l.position, 0) AS position,
       coalesce(t.debits, l.debits, 0) AS debits, coalesce(t.credits, l.credits, 0) AS credits,
       coalesce(v.reserved, 0) AS reserved, r.floor, r.ceiling, r.status
  FROM accounts a
  JOIN balances b ON b.ledger_id = $1 AND b.account_id = a.account_id
 CROSS JOIN LATERAL (
       SELECT coalesce(lines_before($1, $2, b.line_count, $3, 9223372036854775807), b.line_count)
       OFFSET 0) AS known (lines)
 CROSS JOIN LATERAL (
       SELECT k.floor, k.ceiling, k.status FROM account_revisions k
        WHERE k.ledger_id = $1 AND k.account_id = $2
          AND k.recorded_at <= coalesce($3::timestamptz, 'infinity')
        ORDER BY k.recorded_at DESC, k.revision DESC LIMIT 1
       ) r
  LEFT JOIN LATERAL (
       SELECT reserved FROM reserves
        WHERE ledger_id = $1 AND account_id = $2
          AND recorded_at <= coalesce($3::timestamptz, 'infinity')
        ORDER BY recorded_at DESC, position DESC LIMIT 1) v ON true
  LEFT JOIN LATERAL (
       SELECT position, debits, credits FROM lines
        WHERE ledger_id = $1 AND account_id = $2 AND number = known.lines OFFSET 0) l ON true
 CROSS JOIN LATERAL totals_before($1, $2, known.lines, $4, 9223372036854775807) t
 WHERE a.ledger_id = $1 AND a.account_id = $2"""


async def read_balance_at(
    connection: Connection,
    ledger: int,
    id: str,
    *,
    recorded_at: dt.datetime | None = None,
    effective_at: dt.datetime | None = None,
) -> PastBalance | None:
    """An account's balance at a moment, that moment included; None when it was not open yet.

    `recorded_at`: as it was known then (None, or a moment to come: as it is known now).
    `effective_at`: only what had taken effect then; it has no `terms`.
    """
    row = await connection.fetchrow(_AT, ledger, id[5:], recorded_at, effective_at)
    if row is None:
        return None
    terms = Terms(row["reserved"], row["floor"], row["ceiling"], _STATUSES[row["status"]])
    return PastBalance(
        id,
        row["currency"],
        _SIDES[row["sign"]],
        row["debits"],
        row["credits"],
        row["lines"],
        row["position"],
        terms if effective_at is None else None,
    )
