"""Liens as people ask for them: one by its id, those of a chain, what holds an account's money.

Invariant: an account's open liens come with the balance that they explain, from one snapshot.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.chains.chain import Chain
from catena.chains.needs import named_accounts
from catena.chains.states import ChainState
from catena.db.read.balances import read_balances
from catena.db.read.chains import read_chain
from catena.ids import ACCOUNT, CHAIN, LIEN
from catena.ledger.balances import Balance
from catena.liens.liens import LienKind, LienState

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "LienPage",
    "LienRow",
    "list_account_liens",
    "list_chain_liens",
    "read_lien",
    "read_standings",
]


class LienRow(NamedTuple):
    """A lien, with the chain that has it. Amounts in minor units."""

    id: str
    chain: str
    chain_type: str
    chain_state: ChainState
    step: str
    account: str
    kind: LienKind
    state: LienState
    amount: int
    remaining: int
    drawn: int
    released: int
    taken_back: int
    expires_at: dt.datetime | None
    created_at: dt.datetime


class LienPage(NamedTuple):
    """Some liens of an account, and its balance. `next`: the id after which the list goes on."""

    items: list[LienRow]
    balance: Balance
    next: str | None


_ANY: Final = """
SELECT l.lien_id, l.chain_id, c.type AS chain_type, c.state AS chain_state, l.step, l.account_id,
       l.kind, l.state, l.amount, l.remaining, l.drawn, l.released, l.taken_back, l.expires_at,
       l.created_at
  FROM {liens} l
 CROSS JOIN LATERAL (
       SELECT type, state FROM chains WHERE ledger_id = $1 AND chain_id = l.chain_id OFFSET 0) c
 WHERE l.ledger_id = $1 AND """
_LIENS: Final = _ANY.format(liens="liens")
# Those of a chain are few: they are found, and then put in order.
_FEW: Final = _ANY.format(
    liens="(SELECT * FROM liens WHERE ledger_id = $1 AND chain_id = $2 OFFSET 0)"
)
_ONE: Final = _LIENS + "l.lien_id = $2"
_OF_CHAIN: Final = (
    _FEW  # noqa: S608  # two constants
    + """($3::uuid IS NULL OR (l.created_at, l.lien_id) > (
       SELECT created_at, lien_id FROM liens WHERE ledger_id = $1 AND lien_id = $3))
 ORDER BY l.created_at, l.lien_id LIMIT $4"""
)
_OF_ACCOUNT: Final = (
    _LIENS
    + """l.account_id = $2 AND l.lien_id > $3 AND l.state IN ('active', 'utilized')
 ORDER BY l.lien_id LIMIT $4"""
)


_FIRST: Final = "0" * 32


async def read_lien(connection: Connection, ledger: int, id: str) -> LienRow | None:
    """The lien, or None."""
    row = await connection.fetchrow(_ONE, ledger, id[5:])
    return None if row is None else _lien_from_row(row)


async def list_chain_liens(
    connection: Connection, ledger: int, chain: str, *, after: str | None, limit: int
) -> list[LienRow]:
    """So many liens of a chain, in the order in which they were made, after the id `after`."""
    start = None if after is None else after[5:]
    rows = await connection.fetch(_OF_CHAIN, ledger, chain[4:], start, limit)
    return [_lien_from_row(row) for row in rows]


async def list_account_liens(
    connection: Connection, ledger: int, account: str, *, after: str | None, limit: int
) -> LienPage | None:
    """A page of the account's open liens, in the order of their ids; None: there is no account."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        balances = await read_balances(connection, ledger, [account])
        start = _FIRST if after is None else after[5:]
        rows = await connection.fetch(_OF_ACCOUNT, ledger, account[5:], start, limit + 1)
    if account not in balances:
        return None
    items = [_lien_from_row(row) for row in rows[:limit]]
    return LienPage(items, balances[account], items[-1].id if len(rows) > limit else None)


async def read_standings(
    connection: Connection, ledger: int, chain: str, accounts: Iterable[str] | None
) -> tuple[Chain, dict[str, Balance]] | None:
    """The chain and the balances of these accounts (None: of all that it names or has funds on),
    from one snapshot; None: there is no such chain.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await read_chain(connection, ledger, chain)
        if found is None:
            return None
        if accounts is None:
            named = named_accounts(run.definition for run in found.steps.values())
            accounts = {*named, *(lien.account for lien in found.pool.liens.values())}
        return found, await read_balances(connection, ledger, accounts)


def _lien_from_row(row: asyncpg.Record) -> LienRow:
    return LienRow(
        LIEN + row["lien_id"].hex,
        CHAIN + row["chain_id"].hex,
        row["chain_type"],
        ChainState(row["chain_state"]),
        row["step"],
        ACCOUNT + row["account_id"].hex,
        LienKind(row["kind"]),
        LienState(row["state"]),
        row["amount"],
        row["remaining"],
        row["drawn"],
        row["released"],
        row["taken_back"],
        row["expires_at"],
        row["created_at"],
    )
