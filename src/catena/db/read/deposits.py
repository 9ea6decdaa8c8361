"""What the pages of deposits and withdrawals add to those of chains: wallets, and what followed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.chains.chain import Chain
from catena.db.load_chains import load_chains
from catena.ids import ACCOUNT, CHAIN, position_of

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = ["Corrected", "find_wallets", "read_chains", "read_corrected", "read_followers"]


class Corrected(NamedTuple):
    """How much of an entry is refunded (minor units), and whether a reversal of it is in force."""

    refunded: int
    is_reversed: bool


async def read_chains(connection: Connection, ledger: int, ids: Sequence[str]) -> list[Chain]:
    """The chains as their histories have them, in this order."""
    loaded = await load_chains(connection, ledger, ids)
    return [loaded[id].chain for id in ids if id in loaded]


async def find_wallets(connection: Connection, ledger: int, user: str) -> list[str]:
    """The ids of the accounts of a user."""
    rows = await connection.fetch(
        "SELECT account_id FROM accounts WHERE ledger_id = $1 AND user_id = $2", ledger, user
    )
    return [ACCOUNT + row["account_id"].hex for row in rows]


async def read_corrected(
    connection: Connection, ledger: int, entries: Iterable[str]
) -> dict[str, Corrected]:
    """What corrects those of the entries that anything does."""
    by_position = {position_of(id): id for id in entries}
    rows = await connection.fetch(
        "SELECT position, refunded, reversal IS NOT NULL AS reversed FROM corrections"
        " WHERE ledger_id = $1 AND position = ANY ($2::bigint[])",
        ledger,
        list(by_position),
    )
    return {by_position[row["position"]]: Corrected(*row[1:]) for row in rows}


_FOLLOWERS: Final = """
SELECT u.reference, c.chain_id
  FROM unnest($2::text[]) AS u (reference)
 CROSS JOIN LATERAL (
       SELECT u.reference AS about
       UNION ALL
       (SELECT 'cte_' || replace(chain_id::text, '-', '') FROM chains
        WHERE ledger_id = $1 AND reference = u.reference AND type = $4 OFFSET 0)) a
 CROSS JOIN LATERAL (
       SELECT chain_id FROM chains
        WHERE ledger_id = $1 AND reference = a.about AND type = ANY ($3::text[]) OFFSET 0) c"""


async def read_followers(
    connection: Connection, ledger: int, chains: Sequence[str], types: Sequence[str], between: str
) -> dict[str, list[Chain]]:
    """The chains of these types whose reference is one of these chains, or a chain of the type
    `between` whose own is one: by that one.
    """
    rows = await connection.fetch(_FOLLOWERS, ledger, chains, types, between)
    ids = [CHAIN + row["chain_id"].hex for row in rows]
    found: dict[str, list[Chain]] = {}
    for row, chain in zip(rows, await read_chains(connection, ledger, ids), strict=True):
        found.setdefault(row["reference"], []).append(chain)
    return found
