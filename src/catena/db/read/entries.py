"""Entries: one by its id or reference, or listed in the order of their positions.

Invariant: a page looks at a bounded number of entries, so a filtered one may be short, or even
empty, while more remain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.db.load import ReferenceRow, load_entries, load_references
from catena.ids import POSITION_MAX, position_of
from catena.ledger.entries import Entry, EntryType

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "EntryFilter",
    "EntryPage",
    "EntryRow",
    "find_entry_by_reference",
    "list_entries",
    "read_entry",
]


class EntryRow(NamedTuple):
    """An entry, and how much of it was refunded by now (minor units)."""

    entry: Entry
    refunded: int


class EntryFilter(NamedTuple):
    """What listed entries have in common. `types`: one of them, or none for all."""

    types: Sequence[EntryType] = ()
    reference: str | None = None


class EntryPage(NamedTuple):
    """Some entries. `next`: the position at which the list goes on; None: this is its end."""

    items: list[EntryRow]
    next: int | None


_REFUNDED: Final = """
SELECT position, refunded FROM corrections
 WHERE ledger_id = $1 AND position = ANY ($2::bigint[])"""


async def read_entry(connection: Connection, ledger: int, id: str) -> EntryRow | None:
    """The entry with exactly this id, or None."""
    rows = await _load_rows(connection, ledger, [position_of(id)])
    return rows[0] if rows and rows[0].entry.id == id else None


async def find_entry_by_reference(
    connection: Connection, ledger: int, type: EntryType, reference: str
) -> EntryRow | None:
    """The one entry of this type that bears the reference, or None; a chain's bears none."""
    found = (await load_references(connection, ledger, [(type, reference)])).values()
    places = [row.position for row in found if isinstance(row, ReferenceRow)]
    rows = await _load_rows(connection, ledger, places)
    return rows[0] if rows else None


# Which entries a list goes through: $3 of them at most, from position $2 on. Those of chains share
# a reference with others; of the rest each has its own within its type.
_ALL: Final = """
SELECT position, type FROM entries
 WHERE ledger_id = $1 AND position >= $2 AND $4::text IS NULL
 ORDER BY position ASC LIMIT $3"""
_BY_REFERENCE: Final = """
SELECT position, type FROM (
       (SELECT position, type FROM entries
         WHERE ledger_id = $1 AND position >= $2 AND reference = $4 AND chain_id IS NOT NULL
         ORDER BY position ASC LIMIT $3)
        UNION ALL
       SELECT e.position, e.type FROM unnest($5::text[]) AS u (type)
        CROSS JOIN LATERAL (
              SELECT position, type FROM entries
               WHERE ledger_id = $1 AND type = u.type AND reference = $4 AND chain_id IS NULL
                 AND position >= $2 OFFSET 0) e) r
 ORDER BY position ASC LIMIT $3"""

# The first $6 of those with one of the types.
_LIST: Final = """
SELECT position FROM ({walk}) e
 WHERE type = ANY ($5::text[])
 ORDER BY position ASC LIMIT $6"""

# The last entry that the list above looked at, unless it came to the end.
_LOOKED_AT: Final = """
SELECT position FROM ({walk}) e
 WHERE $5::text[] IS NOT NULL
 ORDER BY position ASC OFFSET $3 - 1 LIMIT 1"""


async def list_entries(
    connection: Connection,
    ledger: int,
    wanted: EntryFilter,
    *,
    start: int | None = None,
    descending: bool = False,
    limit: int,
    look_at: int,
) -> EntryPage:
    """A page of the entries that match, from the position `start` on, that one included.

    It looks at `look_at` entries at most; `limit` is less.
    """
    if start is None:
        start = POSITION_MAX if descending else 0
    types = list(wanted.types or EntryType)
    walk = (ledger, start, look_at, wanted.reference, types)
    way = _ALL if wanted.reference is None else _BY_REFERENCE
    statement = _turn(_LIST.format(walk=way), descending)
    rows = await connection.fetch(statement, *walk, limit + 1)
    positions = [row["position"] for row in rows]
    last = None
    if len(positions) <= limit:
        statement = _turn(_LOOKED_AT.format(walk=way), descending)
        last = await connection.fetchval(statement, *walk)
    if len(positions) > limit:
        last = positions[limit - 1]
    items = await _load_rows(connection, ledger, positions[:limit])
    return EntryPage(items, None if last is None else last + (-1 if descending else 1))


def _turn(statement: str, descending: bool) -> str:  # noqa: FBT001  # private, and plain here
    """The statement, or the same the other way round."""
    return statement.replace(">=", "<=").replace("ASC", "DESC") if descending else statement


async def _load_rows(
    connection: Connection, ledger: int, positions: Sequence[int]
) -> list[EntryRow]:
    """The entries at these positions, in this order; a position without one is left out."""
    entries = await load_entries(connection, ledger, positions)
    rows = await connection.fetch(_REFUNDED, ledger, list(entries)) if entries else []
    refunded = {row["position"]: row["refunded"] for row in rows}
    return [EntryRow(entries[p], refunded.get(p, 0)) for p in positions if p in entries]
