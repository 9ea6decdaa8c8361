"""Accounts as people see them: one by its id, or listed in the order of their ids.

Invariant: a page looks at a bounded number of accounts, so a filtered one may be short, or even
empty, while more remain.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.db.rows import profile_from_row
from catena.ids import ACCOUNT
from catena.ledger.accounts import AccountStatus, AccountType, SystemRole
from catena.ledger.terms import Profile

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = ["AccountFilter", "AccountPage", "AccountRow", "list_accounts", "read_account"]


class AccountRow(NamedTuple):
    """An account as it stands. Its profile has its revision and when it was opened."""

    profile: Profile
    updated_at: dt.datetime


class AccountFilter(NamedTuple):
    """What listed accounts have in common; None: whatever. `metadata`: JSON text of an object."""

    user_id: str | None = None
    role: SystemRole | None = None
    currency: str | None = None
    type: AccountType | None = None
    status: AccountStatus | None = None
    metadata: str | None = None


class AccountPage(NamedTuple):
    """Some accounts. `next`: the id after which the list goes on; None: this is its end."""

    items: list[AccountRow]
    next: str | None


_ONE: Final = """
SELECT a.account_id, a.type, a.currency, a.role, a.user_id, a.name, a.metadata::text AS metadata,
       b.status, b.floor, b.ceiling, a.revision, a.created_at, a.updated_at
  FROM accounts a
 CROSS JOIN LATERAL (
       SELECT status, floor, ceiling FROM balances
        WHERE ledger_id = $1 AND account_id = a.account_id OFFSET 0) b
 WHERE a.ledger_id = $1 AND a.account_id = $2"""


async def read_account(connection: Connection, ledger: int, id: str) -> AccountRow | None:
    """The account as it stands, or None."""
    row = await connection.fetchrow(_ONE, ledger, id[5:])
    return None if row is None else _account_from_row(row)


# Which accounts a list goes through, as a condition on the index that it walks.
_ALL: Final = "$4::text IS NULL"
_OF_USER: Final = "user_id = $4"
_OF_ROLE: Final = (
    "account_id = ANY (ARRAY(SELECT account_id FROM accounts WHERE ledger_id = $1 AND role = $4))"
)

# Looks at $3 accounts after $2, and gives the first $5 of those that match.
_LIST: Final = """
SELECT a.account_id, a.type, a.currency, a.role, a.user_id, a.name, a.metadata::text AS metadata,
       b.status, b.floor, b.ceiling, a.revision, a.created_at, a.updated_at
  FROM (SELECT * FROM accounts
         WHERE ledger_id = $1 AND account_id > $2 AND $4::text IS NULL
         ORDER BY account_id LIMIT $3) a
 CROSS JOIN LATERAL (
       SELECT status, floor, ceiling FROM balances
        WHERE ledger_id = $1 AND account_id = a.account_id OFFSET 0) b
 WHERE ($6::text IS NULL OR a.role = $6) AND ($7::text IS NULL OR a.currency = $7)
   AND ($8::text IS NULL OR a.type = $8) AND ($9::text IS NULL OR b.status = $9)
   AND ($10::jsonb IS NULL OR a.metadata @> $10)
 ORDER BY a.account_id LIMIT $5"""

# The last account that the list above looked at, unless it came to the end.
_LOOKED_AT: Final = """
SELECT account_id FROM accounts
 WHERE ledger_id = $1 AND account_id > $2 AND $4::text IS NULL
 ORDER BY account_id OFFSET $3 - 1 LIMIT 1"""

# Those with rare metadata. That index knows no ledgers, and the fence leaves no other way.
_FOUND: Final = """
WITH found AS MATERIALIZED (SELECT * FROM accounts WHERE metadata @> $8)
SELECT a.account_id, a.type, a.currency, a.role, a.user_id, a.name, a.metadata::text AS metadata,
       b.status, b.floor, b.ceiling, a.revision, a.created_at, a.updated_at
  FROM found a
 CROSS JOIN LATERAL (
       SELECT status, floor, ceiling FROM balances
        WHERE ledger_id = $1 AND account_id = a.account_id OFFSET 0) b
 WHERE a.ledger_id = $1 AND a.account_id > $2
   AND ($4::text IS NULL OR a.role = $4) AND ($5::text IS NULL OR a.currency = $5)
   AND ($6::text IS NULL OR a.type = $6) AND ($7::text IS NULL OR b.status = $7)
 ORDER BY a.account_id LIMIT $3"""

_START: Final = "0" * 32


async def list_accounts(
    connection: Connection,
    ledger: int,
    wanted: AccountFilter,
    *,
    after: str | None = None,
    limit: int,
    look_at: int,
) -> AccountPage:
    """A page of the accounts that match, after the id `after`.

    It looks at `look_at` accounts at most; `limit` is less. Where few of those have the wanted
    metadata, the rest is found by the index on metadata.
    """
    start = _START if after is None else after[5:]
    user_id, *filters = wanted
    way: str = _ALL
    whose: str | None = None
    if wanted.role is not None:
        way, whose = _OF_ROLE, wanted.role
    if user_id is not None:
        way, whose = _OF_USER, user_id
    walk = (ledger, start, look_at, whose)
    rows = await connection.fetch(_LIST.replace(_ALL, way), *walk, limit + 1, *filters)
    if len(rows) <= limit:
        last = await connection.fetchval(_LOOKED_AT.replace(_ALL, way), *walk)
        if last is None:
            return AccountPage([_account_from_row(row) for row in rows], None)
        if whose is not None or wanted.metadata is None:
            return AccountPage([_account_from_row(row) for row in rows], ACCOUNT + last.hex)
        rows = await connection.fetch(_FOUND, ledger, start, limit + 1, *filters)
    items = [_account_from_row(row) for row in rows[:limit]]
    return AccountPage(items, items[-1].profile.id if len(rows) > limit else None)


def _account_from_row(row: asyncpg.Record) -> AccountRow:
    return AccountRow(profile_from_row(row), row["updated_at"])
