"""Chains as people look for them: listed newest first, one as its history has it, its events.

Invariant: a page looks at a bounded number of chains, so a filtered one may be short, or even
empty, while more remain. Ids carry the time at which they were made, so a time is a range of ids.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.chains.chain import Chain
from catena.chains.history import Record
from catena.chains.states import CHAIN_ENDS, ChainState
from catena.db.load_chains import load_chains, read_record
from catena.ids import CHAIN, LEDGER

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection

__all__ = [
    "ChainFilter",
    "ChainPage",
    "ChainRow",
    "count_parked",
    "list_chains",
    "read_chain",
    "read_numbers",
    "read_records",
]


class ChainRow(NamedTuple):
    """A chain's index card. `steps` and `done` are counts; `number` that of its last event."""

    id: str
    number: int
    state: ChainState
    type: str
    reference: str | None
    parked: bool
    steps: int
    done: int
    created_at: dt.datetime
    updated_at: dt.datetime


class ChainFilter(NamedTuple):
    """What listed chains have in common; None: whatever. `states`: one of them, or none for all.

    `accounts`: they name one of these. `overdue`: how long something of theirs has been due at
    least, and nobody has taken it. Made in [`start`, `end`).
    """

    states: Sequence[ChainState] = ()
    type: str | None = None
    reference: str | None = None
    accounts: Sequence[str] | None = None
    parked: bool | None = None
    overdue: dt.timedelta | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None


class ChainPage(NamedTuple):
    """Some chains. `next`: the id after which the list goes on; None: this is its end."""

    items: list[ChainRow]
    next: str | None


_COLUMNS: Final = """c.chain_id, c.events, c.state, c.type, c.reference, c.parked, c.steps, c.done,
       c.created_at, c.updated_at"""

# Which chains a list goes through: a table and a condition, for the index that it walks.
_ALL: Final = ("chains", "$5::text IS NULL")
_BY_REFERENCE: Final = ("chains", "reference = $5")
_BY_ACCOUNT: Final = ("chain_accounts", "account_id = $5::uuid")
_BY_ACCOUNTS: Final = (
    """(SELECT DISTINCT ledger_id, chain_id FROM chain_accounts
         WHERE ledger_id = $1 AND account_id = ANY (string_to_array($5, ' ')::uuid[])) one""",
    "true",
)
_OF_GATEWAYS: Final = ("chains", "type = $5 AND starts_with(type, 'gateway.')")
_PARKED: Final = ("chains", "parked AND $5::text IS NULL")
_OVERDUE: Final = (
    "(SELECT ledger_id, chain_id, min(due_at) AS at FROM work GROUP BY 1, 2) due",
    "at <= clock_timestamp() - $5::text::interval",
)
_ALIVE: Final = ("chains", "state NOT IN ('completed', 'rolled_back') AND state = $5")

# Looks at $4 chains between $3 and $2, and gives the first $6 of those that match.
_LIST: Final = """
SELECT {columns}
  FROM (SELECT chain_id FROM {table}
         WHERE ledger_id = $1 AND chain_id < $2 AND chain_id > $3 AND {condition}
         ORDER BY chain_id DESC LIMIT $4) w
 CROSS JOIN LATERAL (
       SELECT * FROM chains WHERE ledger_id = $1 AND chain_id = w.chain_id OFFSET 0) c
 WHERE ($7::text[] IS NULL OR c.state = ANY ($7)) AND ($8::text IS NULL OR c.type = $8)
   AND ($9::text IS NULL OR c.reference = $9) AND ($10::boolean IS NULL OR c.parked = $10)
   AND ($11::timestamptz IS NULL OR c.created_at >= $11)
   AND ($12::timestamptz IS NULL OR c.created_at < $12)
   AND ($13::interval IS NULL OR c.updated_at <= clock_timestamp() - $13 AND EXISTS (
       SELECT FROM work d WHERE d.ledger_id = $1 AND d.chain_id = c.chain_id
          AND d.due_at <= clock_timestamp() - $13))
 ORDER BY c.chain_id DESC LIMIT $6"""

# The last chain that the list above looked at, unless it came to the end.
_LOOKED_AT: Final = """
SELECT chain_id FROM {table}
 WHERE ledger_id = $1 AND chain_id < $2 AND chain_id > $3 AND {condition}
 ORDER BY chain_id DESC OFFSET $4 - 1 LIMIT 1"""

_FIRST, _LAST = "0" * 32, "f" * 32
_SLACK: Final = dt.timedelta(hours=1)
"""How far the clocks of the process that made an id and of the database may differ, with the time
that a request may have waited."""


async def list_chains(
    connection: Connection,
    ledger: int,
    wanted: ChainFilter,
    *,
    after: str | None = None,
    limit: int,
    look_at: int,
) -> ChainPage:
    """A page of the chains that match, made before the one with the id `after`, newest first.

    It looks at `look_at` chains at most; `limit` is less.
    """
    (table, condition), key = _choose_way(wanted)
    last = _LAST if wanted.end is None else _id_at(wanted.end, _SLACK)
    first = _FIRST if wanted.start is None else _id_at(wanted.start, -_SLACK)
    start = last if after is None else min(last, after[4:])
    walk = (ledger, start, first, look_at, key)
    statement = _LIST.format(columns=_COLUMNS, table=table, condition=condition)
    rows = await connection.fetch(
        statement,
        *walk,
        limit + 1,
        list(wanted.states) or None,
        wanted.type,
        wanted.reference,
        wanted.parked,
        wanted.start,
        wanted.end,
        wanted.overdue,
    )
    items = [_chain_from_row(row) for row in rows[:limit]]
    if len(rows) > limit:
        return ChainPage(items, items[-1].id)
    found = await connection.fetchval(_LOOKED_AT.format(table=table, condition=condition), *walk)
    return ChainPage(items, None if found is None else CHAIN + found.hex)


def _choose_way(wanted: ChainFilter) -> tuple[tuple[str, str], str | None]:
    """The way that passes the fewest chains, and its key."""
    if wanted.reference is not None:
        return _BY_REFERENCE, wanted.reference
    if wanted.accounts is not None:
        way = _BY_ACCOUNT if len(wanted.accounts) == 1 else _BY_ACCOUNTS
        return way, " ".join(account[5:] for account in wanted.accounts)
    if wanted.parked:
        return _PARKED, None
    if wanted.overdue is not None:
        return _OVERDUE, f"{wanted.overdue.total_seconds()} seconds"
    if len(wanted.states) == 1 and wanted.states[0] not in CHAIN_ENDS:
        return _ALIVE, wanted.states[0]
    of_gateways = wanted.type is not None and wanted.type.startswith("gateway.")
    return (_OF_GATEWAYS, wanted.type) if of_gateways else (_ALL, None)


def _id_at(moment: dt.datetime, later: dt.timedelta) -> str:
    """The least id of a thing made so much after this moment (UUIDv7: its first 48 bits are
    milliseconds).
    """
    milliseconds = int((moment - _EPOCH + later) / dt.timedelta(milliseconds=1))
    return f"{max(0, min(milliseconds, 2**48 - 1)):012x}{'0' * 20}"


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _chain_from_row(row: asyncpg.Record) -> ChainRow:
    return ChainRow(
        CHAIN + row["chain_id"].hex,
        row["events"],
        ChainState(row["state"]),
        row["type"],
        row["reference"],
        row["parked"],
        row["steps"],
        row["done"],
        row["created_at"],
        row["updated_at"],
    )


async def read_chain(connection: Connection, ledger: int, id: str) -> Chain | None:
    """The chain as its history has it, or None."""
    loaded = await load_chains(connection, ledger, [id])
    return loaded[id].chain if id in loaded else None


_NUMBERS: Final = """
SELECT chain_id, events, state IN ('completed', 'rolled_back') AS ended
  FROM chains WHERE ledger_id = $1 AND chain_id = ANY ($2::uuid[])"""


async def read_numbers(
    connection: Connection, ledger: int, ids: Iterable[str]
) -> dict[str, tuple[int, bool]]:
    """The numbers of the last events of these chains by id, and whether they have ended."""
    rows = await connection.fetch(_NUMBERS, ledger, [id[4:] for id in ids])
    return {CHAIN + row["chain_id"].hex: (row["events"], row["ended"]) for row in rows}


_COUNT_PARKED: Final = """
SELECT l.id, p.count
  FROM ledgers l
 CROSS JOIN LATERAL (
       SELECT count(*) AS count FROM chains WHERE ledger_id = l.ledger_id AND parked) p
 ORDER BY l.ledger_id"""


async def count_parked(connection: Connection) -> list[tuple[str, int]]:
    """How many chains of each ledger, by its id, have a step that waits for an operator."""
    rows = await connection.fetch(_COUNT_PARKED)
    return [(LEDGER + row["id"].hex, row["count"]) for row in rows]


_RECORDS: Final = """
SELECT position, event_id, recorded_at, data::text AS data
  FROM events
 WHERE ledger_id = $1 AND subject = $2 AND starts_with(type, 'chain.') AND position >= $3
 ORDER BY position LIMIT $4"""


async def read_records(
    connection: Connection, ledger: int, id: str, start: int, limit: int
) -> list[tuple[int, Record]]:
    """So many commits of a chain, at most, from a position of the ledger on, with theirs."""
    rows = await connection.fetch(_RECORDS, ledger, id[4:], start, limit)
    return [
        (row["position"], read_record(row["event_id"].hex, row["recorded_at"], row["data"]))
        for row in rows
    ]
