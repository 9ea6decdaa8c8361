"""Writes what reconciliation keeps: statements, runs with what they found, and the daily turn.

Invariant: a statement or a run is stored whole or not at all, and of two that were made from the
same past the second one is Stale.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from catena.db.reconciliation_rows import Asker, FindingRow, ImportRow, RunRow, TheirLine
from catena.db.write import Stale

if TYPE_CHECKING:
    from catena.db.pool import Connection, Pool

__all__ = ["claim_gateway", "finish_gateway", "save_import", "save_key", "save_run"]


@asynccontextmanager
async def _first_wins(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that raises Stale when somebody else was first."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            yield connection
    except asyncpg.UniqueViolationError as error:
        raise Stale from error
    except asyncpg.PostgresError as error:
        if error.sqlstate == "CT001":
            raise Stale from error
        raise


async def save_key(pool: Pool, ledger: int, asker: Asker) -> None:
    """Store that a request is done, if it is one. Raises Stale when its key is taken."""
    async with _first_wins(pool) as connection:
        await _keep_key(connection, ledger, asker)


async def _keep_key(connection: Connection, ledger: int, asker: Asker) -> None:
    if asker.key is not None:
        await connection.execute(
            "INSERT INTO reconciliation_keys (ledger_id, key, payload) VALUES ($1, $2, $3)",
            ledger,
            asker.key,
            asker.payload,
        )


async def save_import(
    pool: Pool, ledger: int, asker: Asker, told: ImportRow, lines: Sequence[TheirLine]
) -> None:
    """Store a statement with its new lines. Raises Stale when its number, its key or a line is
    taken.
    """
    async with _first_wins(pool) as connection:
        await _keep_key(connection, ledger, asker)
        await connection.execute(
            "INSERT INTO statement_imports (ledger_id, gateway, number, import_id, digest,"
            " covers_from, covers_until, lines, repeated, balances, who, received_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            ledger,
            told.gateway,
            told.number,
            told.id[-32:],
            *told[3:8],
            json.dumps(dict(told.balances)),
            *told[9:],
        )
        await connection.copy_records_to_table(
            "statement_lines",
            schema_name="catena",
            columns=["ledger_id", "gateway", "import", *TheirLine._fields],
            records=((ledger, told.gateway, told.number, *line) for line in lines),
        )


async def save_run(
    pool: Pool,
    ledger: int,
    asker: Asker,
    run: RunRow,
    report: str,
    findings: Iterable[FindingRow],
    items: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]],
) -> None:
    """Store a run, what it found, and the work list as it leaves it: all at once, or Stale."""
    async with _first_wins(pool) as connection:
        await _keep_key(connection, ledger, asker)
        await connection.execute(
            "INSERT INTO reconciliations (ledger_id, gateway, number, run_id, position, lines_read,"
            " imports_read, origin, begins, until, time_window, cut_characters, counts, figures,"
            " fees_run, report, who, made_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
            " $18)",
            ledger,
            run.gateway,
            run.number,
            run.id[-32:],
            run.position,
            json.dumps(dict(run.lines_read)),
            *run[5:11],
            json.dumps(dict(run.counts)),
            json.dumps(run.figures),
            run.fees_run[-32:],
            report,
            *run[14:],
        )
        await connection.copy_records_to_table(
            "reconciliation_findings",
            schema_name="catena",
            columns=[
                *("ledger_id", "gateway", "number", "finding"),
                *("kind", "how", "ours", "theirs", "waits_until", "item_id", "is_earlier"),
            ],
            records=(
                (
                    *(ledger, run.gateway, run.number, number),
                    *(*row[:5], row.item and row.item[-32:], row.is_earlier),
                )
                for number, row in enumerate(findings, 1)
            ),
        )
        await connection.execute(
            "SELECT reconciliation_update($1, $2, $3, $4, $5, $6)",
            ledger,
            run.gateway,
            run.number,
            run.made_at,
            json.dumps(items),
            json.dumps(changes),
        )


async def claim_gateway(
    pool: Pool, ledger: int, gateway: str, first: dt.datetime, lease_seconds: float
) -> int | None:
    """Take a gateway's daily run when it is due; gives the fence, or None."""
    lease = dt.timedelta(seconds=lease_seconds)
    taken: int | None = await pool.fetchval(
        "SELECT reconciliation_claim($1, $2, $3, $4)", ledger, gateway, first, lease
    )
    return taken


async def finish_gateway(
    pool: Pool, ledger: int, gateway: str, fence: int, following: dt.datetime
) -> None:
    """The daily run is done; the next is due then. One that goes on is nobody else's until then."""
    await pool.execute(
        "SELECT reconciliation_done($1, $2, $3, $4)", ledger, gateway, fence, following
    )
