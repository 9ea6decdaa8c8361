"""What the journal reads of chains: their histories, and the work that is noted for them.

Invariant: with `lock`, chains are locked in the order of their ids, before any account.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from catena.chains.chain import Chain
from catena.chains.history import Event, Record
from catena.chains.states import ChainState
from catena.db.write import telling_stale
from catena.ids import CHAIN, EVENT

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "LoadedChain",
    "WorkRow",
    "find_running",
    "load_chain_states",
    "load_chains",
    "load_chains_at",
    "read_record",
]


class WorkRow(NamedTuple):
    """Work that is noted for a chain: under which fence, and until when it rests (RFC 3339, or
    infinity). `leased`: somebody has it until then.
    """

    fence: int
    due_at: str
    leased: bool


class LoadedChain(NamedTuple):
    """A chain, and its work by step ('': its clock)."""

    chain: Chain
    work: Mapping[str, WorkRow]


_CHAINS: Final = """
SELECT c.chain_id, h.ids, h.ats, h.datas, w.steps, w.fences, w.dues, w.leases
  FROM (SELECT DISTINCT id AS chain_id FROM unnest($2::uuid[]) AS id) c
 CROSS JOIN LATERAL (
       SELECT array_agg(e.event_id ORDER BY e.position) AS ids,
              array_agg(e.recorded_at ORDER BY e.position) AS ats,
              array_agg(e.data::text ORDER BY e.position) AS datas
         FROM events e
        WHERE e.ledger_id = $1 AND e.subject = c.chain_id AND starts_with(e.type, 'chain.')
          AND e.position <= $3) h
 CROSS JOIN LATERAL (
       SELECT array_agg(w.step) AS steps, array_agg(w.fence) AS fences,
              array_agg(w.due_at::text) AS dues, array_agg(w.leased) AS leases
         FROM work w WHERE w.ledger_id = $1 AND w.chain_id = c.chain_id) w
 WHERE h.ids IS NOT NULL"""

_LAST: Final = 2**62


async def load_chains(
    connection: Connection, ledger: int, ids: Iterable[str], *, lock: bool = False
) -> dict[str, LoadedChain]:
    """The chains that exist among `ids`, folded. With `lock`, raises Stale."""
    wanted = [id[4:] for id in ids]
    if lock:
        with telling_stale():
            await connection.execute("SELECT journal_lock_chains($1, $2::uuid[])", ledger, wanted)
    return await _load(connection, ledger, wanted, _LAST)


async def load_chains_at(
    connection: Connection, ledger: int, ids: Iterable[str], position: int
) -> dict[str, Chain]:
    """The chains as they stood at a position of their ledger."""
    loaded = await _load(connection, ledger, [id[4:] for id in ids], position)
    return {id: found.chain for id, found in loaded.items()}


async def _load(
    connection: Connection, ledger: int, wanted: list[str], position: int
) -> dict[str, LoadedChain]:
    loaded = {}
    for row in await connection.fetch(_CHAINS, ledger, wanted, position):
        id = CHAIN + row["chain_id"].hex
        records = [
            read_record(event_id.hex, at, data)
            for event_id, at, data in zip(row["ids"], row["ats"], row["datas"], strict=True)
        ]
        work = zip(row["fences"] or (), row["dues"] or (), row["leases"] or (), strict=True)
        rows = dict(zip(row["steps"] or (), (WorkRow(*each) for each in work), strict=True))
        loaded[id] = LoadedChain(Chain(id, records), rows)
    return loaded


def read_record(event_id: str, at: dt.datetime, data: str) -> Record:
    """A commit of a chain, from the event that stores it; `data` is its JSON."""
    row: dict[str, Any] = msgspec.json.decode(data)
    return Record(at, EVENT + event_id, row["first"], [Event(*event) for event in row["events"]])


async def load_chain_states(
    connection: Connection, ledger: int, ids: Iterable[str]
) -> dict[str, ChainState]:
    """The states of the chains that exist among `ids`."""
    rows = await connection.fetch(
        "SELECT chain_id, state FROM chains WHERE ledger_id = $1 AND chain_id = ANY ($2::uuid[])",
        ledger,
        [id[4:] for id in ids],
    )
    return {CHAIN + row["chain_id"].hex: ChainState(row["state"]) for row in rows}


_RUNNING: Final = """
SELECT a.account_id, a.chain_id
  FROM (SELECT DISTINCT id FROM unnest($2::uuid[]) AS id) wanted
 CROSS JOIN LATERAL (
       SELECT x.account_id, x.chain_id FROM chain_accounts x
         JOIN chains c ON c.ledger_id = $1 AND c.chain_id = x.chain_id
        WHERE x.ledger_id = $1 AND x.account_id = wanted.id
          AND c.state NOT IN ('completed', 'rolled_back')
        LIMIT $3) a"""


async def find_running(
    connection: Connection, ledger: int, accounts: Iterable[str], limit: int
) -> set[tuple[str, str]]:
    """Which of the accounts running chains name: up to `limit` pairs of account and chain each."""
    rows = await connection.fetch(_RUNNING, ledger, [id[5:] for id in accounts], limit)
    return {("acct_" + row["account_id"].hex, CHAIN + row["chain_id"].hex) for row in rows}
