"""Whose money it is that comes in: virtual IBANs and references of accounts; and what is nobody's.

Invariant: a name is one account's. What is in suspense is listed unless there is an entry in force
that has its id for a reference: the first time, or again after that was reversed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.ids import ACCOUNT, CHAIN, SUSPENSE, name_again

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "NamedAccount",
    "Suspended",
    "add_reference",
    "add_virtual_iban",
    "find_accounts",
    "find_currency",
    "find_statuses",
    "find_suspended",
    "list_references",
    "list_suspended",
    "list_virtual_ibans",
    "note_suspended",
    "remove_reference",
    "remove_virtual_iban",
    "reopen_suspended",
]


class NamedAccount(NamedTuple):
    """A virtual IBAN or a reference, and whose it is. `gateway`: of an IBAN. `key`, `payload`: of
    the request that made it, in hex.
    """

    name: str
    account: str
    created_at: dt.datetime
    key: str
    payload: str
    gateway: str = ""


class Suspended(NamedTuple):
    """Money that is nobody's so far. `amount` in minor units; negative: it was taken back.

    `undone`: how many assignments of it were reversed.
    """

    chain: str
    gateway: str
    reference: str
    amount: int
    currency: str
    payer_name: str | None
    payer_iban: str | None
    text: str
    at: dt.datetime
    noted_at: dt.datetime | None = None
    undone: int = 0

    @property
    def id(self) -> str:
        """Its own, as the API knows it: the digits of the chain that has put it there."""
        return SUSPENSE + self.chain[len(CHAIN) :]

    @property
    def assigned_by(self) -> str:
        """The reference of the entry that assigns it, first or after others were undone."""
        return name_again(self.id, self.undone + 1)


async def find_currency(connection: Connection, ledger: int, account: str) -> str | None:
    """The currency of an account that is a user's, if there is such an account."""
    currency: str | None = await connection.fetchval(
        "SELECT currency FROM accounts WHERE ledger_id = $1 AND account_id = $2 AND role IS NULL",
        ledger,
        account[len(ACCOUNT) :],
    )
    return currency


async def find_statuses(
    connection: Connection, ledger: int, accounts: Collection[str]
) -> dict[str, str]:
    """The status of each of these accounts that is there."""
    rows = await connection.fetch(
        "SELECT account_id, status FROM balances"
        " WHERE ledger_id = $1 AND account_id = ANY ($2::uuid[])",
        ledger,
        [account[len(ACCOUNT) :] for account in accounts],
    )
    return {ACCOUNT + row["account_id"].hex: row["status"] for row in rows}


async def find_accounts(
    connection: Connection,
    ledger: int,
    gateway: str,
    ibans: Collection[str],
    references: Collection[str],
) -> tuple[dict[str, str], dict[str, str]]:
    """Whose these are: accounts by IBAN, and by reference, as far as they are anybody's."""
    by_iban = by_reference = []
    if ibans:
        by_iban = await connection.fetch(
            "SELECT iban AS name, account_id FROM virtual_ibans"
            " WHERE ledger_id = $1 AND gateway = $2 AND iban = ANY ($3::text[])",
            ledger,
            gateway,
            list(ibans),
        )
    if references:
        by_reference = await connection.fetch(
            "SELECT reference AS name, account_id FROM deposit_references"
            " WHERE ledger_id = $1 AND reference = ANY ($2::text[])",
            ledger,
            list(references),
        )
    return _index(by_iban), _index(by_reference)


def _index(rows: list[asyncpg.Record]) -> dict[str, str]:
    return {row["name"]: ACCOUNT + row["account_id"].hex for row in rows}


# --- names --------------------------------------------------------------------------------------


async def add_virtual_iban(
    connection: Connection, ledger: int, wanted: NamedAccount
) -> NamedAccount | None:
    """Store it; gives what has the request's key by now. None: the IBAN is somebody's already."""
    await connection.execute(
        "INSERT INTO virtual_ibans (ledger_id, gateway, iban, account_id, created_at, key, payload)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        ledger,
        wanted.gateway,
        wanted.name,
        wanted.account[len(ACCOUNT) :],
        wanted.created_at,
        wanted.key,
        wanted.payload,
    )
    return await _find_made(connection, f"{_OF_IBANS} FROM virtual_ibans", ledger, wanted.key)


async def add_reference(
    connection: Connection, ledger: int, wanted: NamedAccount
) -> NamedAccount | None:
    """Store it; gives what has the request's key by now. None: it is somebody's already."""
    await connection.execute(
        "INSERT INTO deposit_references (ledger_id, reference, account_id, created_at, key,"
        " payload) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        ledger,
        wanted.name,
        wanted.account[len(ACCOUNT) :],
        wanted.created_at,
        wanted.key,
        wanted.payload,
    )
    columns = f"{_OF_REFERENCES} FROM deposit_references"
    return await _find_made(connection, columns, ledger, wanted.key)


async def _find_made(
    connection: Connection, columns: str, ledger: int, key: str
) -> NamedAccount | None:
    """What the request with this key has made; `columns` and their table."""
    row = await connection.fetchrow(
        f"SELECT {columns} WHERE ledger_id = $1 AND key = $2",  # names of ours
        ledger,
        key,
    )
    return None if row is None else _named(row)


_OF_IBANS: Final = "iban AS name, account_id, created_at, key, payload, gateway"
_OF_REFERENCES: Final = "reference AS name, account_id, created_at, key, payload, '' AS gateway"


async def list_virtual_ibans(
    connection: Connection, ledger: int, *, after: str, limit: int
) -> list[NamedAccount]:
    """In their own order, from behind `after` on."""
    rows = await connection.fetch(
        f"SELECT {_OF_IBANS} FROM virtual_ibans"  # noqa: S608  # columns
        " WHERE ledger_id = $1 AND iban > $2 ORDER BY iban LIMIT $3",
        ledger,
        after,
        limit,
    )
    return [_named(row) for row in rows]


async def list_references(
    connection: Connection, ledger: int, *, after: str, limit: int
) -> list[NamedAccount]:
    """In their own order, from behind `after` on."""
    rows = await connection.fetch(
        f"SELECT {_OF_REFERENCES} FROM deposit_references"  # noqa: S608  # columns
        " WHERE ledger_id = $1 AND reference > $2 ORDER BY reference LIMIT $3",
        ledger,
        after,
        limit,
    )
    return [_named(row) for row in rows]


async def remove_virtual_iban(
    connection: Connection, ledger: int, iban: str
) -> NamedAccount | None:
    """From now on it is nobody's; gives whose it was, None: nobody's."""
    row = await connection.fetchrow(
        "DELETE FROM virtual_ibans WHERE ledger_id = $1 AND iban = $2"  # noqa: S608  # columns
        f" RETURNING {_OF_IBANS}",
        ledger,
        iban,
    )
    return None if row is None else _named(row)


async def remove_reference(
    connection: Connection, ledger: int, reference: str
) -> NamedAccount | None:
    """From now on it is nobody's; gives whose it was, None: nobody's."""
    row = await connection.fetchrow(
        "DELETE FROM deposit_references WHERE ledger_id = $1 AND reference = $2"  # noqa: S608  # columns
        f" RETURNING {_OF_REFERENCES}",
        ledger,
        reference,
    )
    return None if row is None else _named(row)


def _named(row: asyncpg.Record) -> NamedAccount:
    return NamedAccount(
        row["name"],
        ACCOUNT + row["account_id"].hex,
        row["created_at"],
        row["key"].hex,
        row["payload"].hex,
        row["gateway"],
    )


# --- suspense -----------------------------------------------------------------------------------

_NOTE: Final = """
INSERT INTO suspense (ledger_id, chain_id, gateway, reference, amount, currency, payer_name,
                      payer_iban, text, at, noted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now()) ON CONFLICT DO NOTHING"""


async def note_suspended(connection: Connection, ledger: int, one: Suspended) -> None:
    """Have it listed, once."""
    await connection.execute(_NOTE, ledger, one.chain[len(CHAIN) :], *one[1:9])


_COLUMNS: Final = """s.chain_id, s.gateway, s.reference, s.amount, s.currency, s.payer_name,
       s.payer_iban, s.text, s.at, s.noted_at, s.undone"""


async def find_suspended(connection: Connection, ledger: int, id: str) -> Suspended | None:
    """One of them, whether it was assigned meanwhile or not."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM suspense s WHERE s.ledger_id = $1 AND s.chain_id = $2",  # noqa: S608  # columns
        ledger,
        id[len(SUSPENSE) :],
    )
    return None if row is None else _suspended(row)


# Whether the entry that is `Suspended.assigned_by` was reversed; NULL: there is none.
_IS_UNDONE: Final = f"""(
       SELECT EXISTS (SELECT FROM corrections c
                       WHERE c.ledger_id = $1 AND c.position = e.position
                         AND c.reversal IS NOT NULL OFFSET 0)
         FROM entries e
        WHERE e.ledger_id = $1 AND e.type = 'adjustment' AND e.chain_id IS NULL
          AND e.reference = '{SUSPENSE}' || replace(s.chain_id::text, '-', '')
              || CASE WHEN s.undone > 0 THEN '#' || s.undone + 1 ELSE '' END)"""  # noqa: S608  # a prefix

_LIST: Final = f"""
SELECT {_COLUMNS} FROM suspense s
 WHERE s.ledger_id = $1
   AND (s.noted_at, s.chain_id) > (coalesce($2::timestamptz, '-infinity'), $3::uuid)
   AND {_IS_UNDONE} IS NOT FALSE
 ORDER BY s.noted_at, s.chain_id LIMIT $4"""  # noqa: S608  # columns


async def list_suspended(
    connection: Connection,
    ledger: int,
    *,
    after: tuple[dt.datetime, str] | None,
    limit: int,
) -> list[Suspended]:
    """What is nobody's, the oldest first, from behind `after` on."""
    at, id = after or (None, SUSPENSE + "0" * 32)
    rows = await connection.fetch(_LIST, ledger, at, id[len(SUSPENSE) :], limit)
    return [_suspended(row) for row in rows]


_REOPEN: Final = f"""
UPDATE suspense s SET undone = s.undone + 1
 WHERE s.ledger_id = $1 AND s.chain_id = $2 AND {_IS_UNDONE}"""  # noqa: S608  # as above


async def reopen_suspended(connection: Connection, ledger: int, id: str) -> None:
    """Count the last assignment as undone if its entry was reversed: before there is a next one.

    Since a reversal of an assignment is never undone, what was counted stays true.
    """
    await connection.execute(_REOPEN, ledger, id[len(SUSPENSE) :])


def _suspended(row: asyncpg.Record) -> Suspended:
    values = list(row.values())
    return Suspended(CHAIN + values[0].hex, *values[1:])
