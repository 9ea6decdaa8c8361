"""Work of chains: which ledgers have some due, and who takes it.

Invariant: taking it writes nothing but the lease and its fence; what comes of it is a commit of the
journal's, which checks the fence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.ids import CHAIN, LEDGER

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "CHANNEL",
    "Backlog",
    "Overdue",
    "Work",
    "claim_work",
    "find_due_ledgers",
    "find_left",
    "find_overdue",
    "list_backlogs",
    "listening",
    "tell_workers",
]

CHANNEL: Final = "catena_work"
"""Where processes tell each other that there is work: a hint, never the truth."""


class Work(NamedTuple):
    """A call of a step, or ('') what a chain's clock decides, taken under a fence."""

    chain: str
    step: str
    fence: int


_DUE: Final = """
SELECT l.ledger_id FROM ledgers l
 WHERE EXISTS (SELECT FROM work w
                WHERE w.ledger_id = l.ledger_id AND w.due_at <= clock_timestamp() OFFSET 0)"""


async def find_due_ledgers(connection: Connection) -> list[int]:
    """The ledgers in which something is due now."""
    return [row["ledger_id"] for row in await connection.fetch(_DUE)]


async def claim_work(
    connection: Connection, ledger: int, count: int, lease_seconds: float, adapters: Sequence[str]
) -> list[Work]:
    """Take so many pieces of due work at most, of those that these adapters can do; those that have
    waited longest first.
    """
    rows = await connection.fetch(
        "SELECT chain_id, step, fence FROM work_claim($1, $2, $3, $4)",
        ledger,
        count,
        dt.timedelta(seconds=lease_seconds),
        ["", *adapters],
    )
    return [Work(CHAIN + row["chain_id"].hex, row["step"], row["fence"]) for row in rows]


async def find_left(connection: Connection, ledger: int, adapters: Sequence[str]) -> list[str]:
    """The adapters, other than these, that due work of the ledger waits for."""
    rows = await connection.fetch(
        "SELECT DISTINCT adapter FROM work WHERE ledger_id = $1 AND due_at <= clock_timestamp()"
        " AND adapter <> ALL ($2::text[]) ORDER BY adapter",
        ledger,
        ["", *adapters],
    )
    return [row["adapter"] for row in rows]


class Overdue(NamedTuple):
    """A step's work that nobody takes. `adapter`: what a worker must have to do it."""

    adapter: str
    since: dt.datetime


class Backlog(NamedTuple):
    """What nobody takes of a ledger's work, by what it needs ('': any worker), and since when the
    oldest is due.
    """

    ledger: str
    adapter: str
    pieces: int
    since: dt.datetime


# Work that is due at once bears no time: it is due since its chain last moved.
_OF_CHAIN: Final = """
SELECT w.step, w.adapter, greatest(w.due_at, c.updated_at) AS since
  FROM work w JOIN chains c ON c.ledger_id = w.ledger_id AND c.chain_id = w.chain_id
 WHERE w.ledger_id = $1 AND w.chain_id = $2
   AND greatest(w.due_at, c.updated_at) <= clock_timestamp() - $3::interval"""


async def find_overdue(
    connection: Connection, ledger: int, chain: str, seconds: float
) -> dict[str, Overdue]:
    """What has been due for so long of a chain, by step ('' for what its clock decides)."""
    rows = await connection.fetch(_OF_CHAIN, ledger, chain[4:], dt.timedelta(seconds=seconds))
    return {row["step"]: Overdue(row["adapter"], row["since"]) for row in rows}


_BACKLOGS: Final = """
SELECT l.id, d.adapter, count(*) AS pieces, min(d.since) AS since
  FROM ledgers l
 CROSS JOIN LATERAL (
       SELECT w.adapter, greatest(w.due_at, c.updated_at) AS since
         FROM work w JOIN chains c ON c.ledger_id = l.ledger_id AND c.chain_id = w.chain_id
        WHERE w.ledger_id = l.ledger_id AND w.due_at <= clock_timestamp() - $1::interval
          AND c.updated_at <= clock_timestamp() - $1::interval) d
 GROUP BY l.ledger_id, l.id, d.adapter
 ORDER BY l.ledger_id, d.adapter"""


async def list_backlogs(connection: Connection, seconds: float) -> list[Backlog]:
    """What has been due for so long, in all ledgers."""
    rows = await connection.fetch(_BACKLOGS, dt.timedelta(seconds=seconds))
    return [
        Backlog(LEDGER + row["id"].hex, row["adapter"], row["pieces"], row["since"]) for row in rows
    ]


async def tell_workers(connection: Connection) -> None:
    """Have the workers of other processes look for work."""
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


@asynccontextmanager
async def listening(connection: Connection, wake: Callable[[], None]) -> AsyncIterator[None]:
    """Call `wake` whenever another process has told of work."""

    def hear(*_: object) -> None:
        wake()

    await connection.add_listener(CHANNEL, hear)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.remove_listener(CHANNEL, hear)
