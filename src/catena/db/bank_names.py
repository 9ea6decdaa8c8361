"""Whose money it is that comes in: virtual IBANs and references of accounts.

Invariant: a name is one account's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.ids import ACCOUNT

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "NamedAccount",
    "add_reference",
    "add_virtual_iban",
    "find_accounts",
    "find_currency",
    "find_statuses",
    "list_references",
    "list_virtual_ibans",
    "remove_reference",
    "remove_virtual_iban",
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
