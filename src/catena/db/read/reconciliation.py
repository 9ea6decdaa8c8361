"""Reconciliation as people ask about it: statements, runs and their reports, the work list."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from catena.db.reconciliation import ITEM_COLUMNS, RUN_COLUMNS
from catena.db.reconciliation_rows import ImportRow, ItemRow, RunRow

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = [
    "StoredRun",
    "list_imports",
    "list_items",
    "list_runs",
    "read_item_row",
    "read_run",
]


Place: TypeAlias = tuple[dt.datetime, str]
"""Where a list goes on: behind this moment and id (in hex)."""


class StoredRun(NamedTuple):
    """A run, and its report as JSON text."""

    row: RunRow
    report: str


_IMPORTS: Final = """
SELECT gateway, number, import_id, digest, covers_from, covers_until, lines, repeated,
       balances::text AS balances, who, received_at
  FROM statement_imports
 WHERE ledger_id = $1 AND ($2::text IS NULL OR gateway = $2)
   AND (received_at, import_id) < (coalesce($3::timestamptz, 'infinity'), $4::uuid)
 ORDER BY received_at DESC, import_id DESC LIMIT $5"""

_LAST_ID: Final = "f" * 32


async def list_imports(
    connection: Connection, ledger: int, gateway: str | None, after: Place | None, limit: int
) -> list[ImportRow]:
    """Statements, the newest first."""
    place = after or (None, _LAST_ID)
    rows = await connection.fetch(_IMPORTS, ledger, gateway, *place, limit)
    return [ImportRow.read(row) for row in rows]


_RUNS: Final = f"""
SELECT {RUN_COLUMNS}
  FROM reconciliations
 WHERE ledger_id = $1 AND ($2::text IS NULL OR gateway = $2)
   AND (made_at, run_id) < (coalesce($3::timestamptz, 'infinity'), $4::uuid)
 ORDER BY made_at DESC, run_id DESC LIMIT $5"""  # noqa: S608  # a constant


async def list_runs(
    connection: Connection, ledger: int, gateway: str | None, after: Place | None, limit: int
) -> list[RunRow]:
    """Runs, the newest first."""
    place = after or (None, _LAST_ID)
    rows = await connection.fetch(_RUNS, ledger, gateway, *place, limit)
    return [RunRow.read(row) for row in rows]


_RUN: Final = f"""
SELECT {RUN_COLUMNS}, report::text AS report
  FROM reconciliations WHERE ledger_id = $1 AND run_id = $2"""  # noqa: S608  # a constant


async def read_run(connection: Connection, ledger: int, id: str) -> StoredRun | None:
    """One run."""
    row = await connection.fetchrow(_RUN, ledger, id[-32:])
    if row is None:
        return None
    return StoredRun(RunRow.read(row), row["report"])


_ITEMS: Final = f"""
SELECT {ITEM_COLUMNS}
  FROM reconciliation_items
 WHERE ledger_id = $1 AND ($2::text IS NULL OR gateway = $2)
   AND (opened_at, item_id) > (coalesce($3::timestamptz, '-infinity'), $4::uuid)
 ORDER BY opened_at, item_id LIMIT $5"""  # noqa: S608  # a constant
_ITEMS_IN_STATE: Final = f"""
SELECT {ITEM_COLUMNS}
  FROM reconciliation_items
 WHERE ledger_id = $1 AND state = $6 AND ($2::text IS NULL OR gateway = $2)
   AND (opened_at, item_id) > (coalesce($3::timestamptz, '-infinity'), $4::uuid)
 ORDER BY opened_at, item_id LIMIT $5"""  # noqa: S608  # a constant


async def list_items(
    connection: Connection,
    ledger: int,
    gateway: str | None,
    state: str | None,
    after: Place | None,
    limit: int,
) -> list[ItemRow]:
    """Items of the work list, the oldest first."""
    values = (ledger, gateway, *(after or (None, "0" * 32)), limit)
    if state is None:
        rows = await connection.fetch(_ITEMS, *values)
    else:
        rows = await connection.fetch(_ITEMS_IN_STATE, *values, state)
    return [ItemRow.read(row) for row in rows]


async def read_item_row(connection: Connection, ledger: int, id: str) -> ItemRow | None:
    """One item."""
    row = await connection.fetchrow(
        f"SELECT {ITEM_COLUMNS} FROM reconciliation_items"  # noqa: S608  # a constant
        " WHERE ledger_id = $1 AND item_id = $2",
        ledger,
        id[-32:],
    )
    return None if row is None else ItemRow.read(row)
