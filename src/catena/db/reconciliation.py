"""What reconciliation stores, and what a run reads: in one snapshot, and set-wise.

Invariant: nothing here is changed but the cards of items, and those only as long as they are as
they were read. Ours are lines of the clearing accounts, which the journal alone writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from catena.db.reconciliation_rows import (
    Asker,
    ChangeRow,
    ClearingRow,
    FindingRow,
    ImportRow,
    ItemCard,
    ItemRow,
    OurLine,
    RunRow,
    TheirLine,
)
from catena.errors import IdempotencyKeyReused
from catena.ids import ACCOUNT, CHAIN, ENTRY, ITEM, position_of

if TYPE_CHECKING:
    import asyncpg

    from catena.db.pool import Connection, Pool

__all__ = [
    "ITEM_COLUMNS",
    "RUN_COLUMNS",
    "count_before",
    "find_import",
    "find_last_import",
    "find_last_run",
    "list_cleared",
    "load_alive",
    "load_cards",
    "load_changes",
    "load_clearing",
    "load_imports",
    "load_item_findings",
    "load_our_lines",
    "load_position",
    "load_their_lines",
    "load_waiting",
    "reading_at_once",
    "was_done",
]


@asynccontextmanager
async def reading_at_once(pool: Pool) -> AsyncIterator[Connection]:
    """A connection on which everything is read as it was at one moment."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def was_done(connection: Connection, ledger: int, asker: Asker) -> bool:
    """Whether this very request was. Raises IdempotencyKeyReused when its key is another's."""
    if asker.key is None:
        return False
    payload = await connection.fetchval(
        "SELECT payload FROM reconciliation_keys WHERE ledger_id = $1 AND key = $2",
        ledger,
        asker.key,
    )
    if payload is None:
        return False
    if payload.hex != asker.payload:
        raise IdempotencyKeyReused
    return True


_CLEARING: Final = """
SELECT a.account_id, a.currency, b.debits - b.credits AS posted, b.line_count
  FROM accounts a
 CROSS JOIN LATERAL (
       SELECT * FROM balances WHERE ledger_id = $1 AND account_id = a.account_id OFFSET 0) b
 WHERE a.ledger_id = $1 AND a.role = $2"""


async def load_clearing(connection: Connection, ledger: int, role: str) -> dict[str, ClearingRow]:
    """The accounts with this role, by currency."""
    rows = await connection.fetch(_CLEARING, ledger, role)
    found = [ClearingRow(ACCOUNT + row["account_id"].hex, *row[1:]) for row in rows]
    return {row.currency: row for row in found}


_CLEARED: Final = """
SELECT substr(role, 10) AS gateway FROM accounts
 WHERE ledger_id = $1 AND role > 'clearing.' AND role LIKE 'clearing.%'
 UNION SELECT gateway FROM statement_imports WHERE ledger_id = $1"""


async def list_cleared(connection: Connection, ledger: int) -> list[str]:
    """The gateways that have a clearing account here, or a statement."""
    return [row["gateway"] for row in await connection.fetch(_CLEARED, ledger)]


async def count_before(
    connection: Connection, ledger: int, account: ClearingRow, moment: dt.datetime
) -> int:
    """How many of its lines were recorded before a moment."""
    count: int = await connection.fetchval(
        "SELECT lines_before($1, $2, $3, $4, 0)",
        ledger,
        account.account[-32:],
        account.lines,
        moment,
    )
    return count


async def load_position(connection: Connection, ledger: int) -> int:
    """The ledger's position."""
    position: int = await connection.fetchval(
        "SELECT position FROM positions WHERE ledger_id = $1", ledger
    )
    return position


_IMPORTS: Final = """
SELECT gateway, number, import_id, digest, covers_from, covers_until, lines, repeated,
       balances::text AS balances, who, received_at
  FROM statement_imports WHERE ledger_id = $1 AND gateway = $2"""


async def load_imports(
    connection: Connection, ledger: int, gateway: str, behind: dt.datetime | None
) -> list[ImportRow]:
    """The statements that cover anything behind a moment, or all."""
    rows = await connection.fetch(
        _IMPORTS + " AND covers_until > coalesce($3::timestamptz, '-infinity')"
        " ORDER BY covers_until",
        ledger,
        gateway,
        behind,
    )
    return [ImportRow.read(row) for row in rows]


async def find_import(
    connection: Connection, ledger: int, gateway: str, digest: bytes
) -> ImportRow | None:
    """The statement that this was before."""
    row = await connection.fetchrow(_IMPORTS + " AND digest = $3", ledger, gateway, digest)
    return None if row is None else ImportRow.read(row)


async def find_last_import(connection: Connection, ledger: int, gateway: str) -> ImportRow | None:
    """The statement that came in last."""
    row = await connection.fetchrow(_IMPORTS + " ORDER BY number DESC LIMIT 1", ledger, gateway)
    return None if row is None else ImportRow.read(row)


RUN_COLUMNS: Final = """gateway, number, run_id, position, lines_read::text AS lines_read,
       imports_read, origin, begins, until, time_window, cut_characters, counts::text AS counts,
       figures::text AS figures, fees_run, who, made_at"""


async def find_last_run(connection: Connection, ledger: int, gateway: str) -> RunRow | None:
    """The run that was made last."""
    row = await connection.fetchrow(
        f"SELECT {RUN_COLUMNS} FROM reconciliations"  # noqa: S608  # a constant
        " WHERE ledger_id = $1 AND gateway = $2 ORDER BY number DESC LIMIT 1",
        ledger,
        gateway,
    )
    return None if row is None else RunRow.read(row)


_OURS: Final = """
SELECT e.entry_id, l.ordinal, l.number, l.amount, l.is_debit, l.currency, e.effective_at, e.type,
       e.reference, e.metadata ->> 'batch' AS batch, e.chain_id, e.step, c.entry_id AS corrects
  FROM {these} l
 CROSS JOIN LATERAL (
       SELECT * FROM entries WHERE ledger_id = $1 AND position = l.position OFFSET 0) e
  LEFT JOIN LATERAL (
       SELECT entry_id FROM entries
        WHERE ledger_id = $1 AND position = e.corrects OFFSET 0) c ON true"""

_BEHIND: Final = _OURS.format(
    these="""unnest($2::uuid[], $3::bigint[]) AS u (account_id, number)
 CROSS JOIN LATERAL (
       SELECT * FROM lines
        WHERE ledger_id = $1 AND account_id = u.account_id AND number > u.number
        ORDER BY number OFFSET 0)"""
)
_NAMED: Final = _OURS.format(
    these="""unnest($2::bigint[], $3::integer[]) AS u (position, ordinal)
 CROSS JOIN LATERAL (
       SELECT * FROM lines
        WHERE ledger_id = $1 AND position = u.position AND ordinal = u.ordinal OFFSET 0)"""
)


async def load_our_lines(
    connection: Connection,
    ledger: int,
    *,
    behind: Mapping[str, int] | None = None,
    ids: Iterable[str] = (),
) -> list[OurLine]:
    """The lines of accounts (by id) behind these numbers; or those with these ids."""
    if behind is not None:
        accounts = [account[-32:] for account in behind]
        rows = await connection.fetch(_BEHIND, ledger, accounts, list(behind.values()))
    else:
        split = [id.partition("/") for id in ids]
        if not split:
            return []
        positions = [position_of(entry) for entry, _, _ in split]
        ordinals = [int(ordinal) for _, _, ordinal in split]
        rows = await connection.fetch(_NAMED, ledger, positions, ordinals)
    return [
        OurLine(
            ENTRY + row["entry_id"].hex,
            row["ordinal"],
            row["number"],
            row["amount"] if row["is_debit"] else -row["amount"],
            row["currency"],
            row["effective_at"],
            row["type"],
            row["reference"],
            row["batch"],
            CHAIN + row["chain_id"].hex if row["chain_id"] else None,
            row["step"],
            ENTRY + row["corrects"].hex if row["corrects"] else None,
        )
        for row in rows
    ]


_THEIRS: Final = """
SELECT id, subject, amount, fee, currency, reference, at, text, about FROM statement_lines
 WHERE ledger_id = $1 AND gateway = $2 AND """
_THEIRS_OF: Final = _THEIRS + "import > $3"
# One scan whichever index it takes: without statistics, line by line it would be the wrong one.
_THEIRS_NAMED: Final = _THEIRS + "id = ANY ($3::text[])"


async def load_their_lines(
    connection: Connection,
    ledger: int,
    gateway: str,
    *,
    behind: int | None = None,
    ids: Iterable[str] = (),
) -> list[TheirLine]:
    """The lines of the imports behind this number; or those with these ids."""
    if behind is not None:
        rows = await connection.fetch(_THEIRS_OF, ledger, gateway, behind)
    else:
        rows = await connection.fetch(_THEIRS_NAMED, ledger, gateway, list(ids))
    return [TheirLine(*row) for row in rows]


_WAITING: Final = """
SELECT kind, how, ours, theirs, waits_until, item_id, is_earlier FROM reconciliation_findings
 WHERE ledger_id = $1 AND gateway = $2 AND number = $3 AND kind <> 'matched'"""
_OF_ITEMS: Final = """
SELECT f.kind, f.how, f.ours, f.theirs, f.waits_until, f.item_id, f.is_earlier
  FROM unnest($2::uuid[], $3::integer[]) AS u (item_id, run)
 CROSS JOIN LATERAL (
       SELECT * FROM reconciliation_findings
        WHERE ledger_id = $1 AND item_id = u.item_id AND number = u.run OFFSET 0) f"""


async def load_waiting(
    connection: Connection, ledger: int, gateway: str, number: int
) -> list[FindingRow]:
    """What a run found and did not match."""
    return _read_findings(await connection.fetch(_WAITING, ledger, gateway, number))


async def load_item_findings(
    connection: Connection, ledger: int, items: Iterable[ItemRow]
) -> list[FindingRow]:
    """The findings that the items are now."""
    wanted = [(item.id[-32:], item.run) for item in items]
    ids, runs = [id for id, _ in wanted], [run for _, run in wanted]
    return _read_findings(await connection.fetch(_OF_ITEMS, ledger, ids, runs))


def _read_findings(rows: Iterable[asyncpg.Record]) -> list[FindingRow]:
    return [
        FindingRow._make((*row[:5], ITEM + row["item_id"].hex if row["item_id"] else None, row[6]))
        for row in rows
    ]


ITEM_COLUMNS: Final = """item_id, gateway, state, kind, how, differences::text AS differences, run,
       changes, version, opened_at, changed_at"""


async def load_alive(connection: Connection, ledger: int, gateway: str) -> list[ItemRow]:
    """The items of a gateway that are not cleared."""
    rows = await connection.fetch(
        f"SELECT {ITEM_COLUMNS} FROM reconciliation_items"  # noqa: S608  # a constant
        " WHERE ledger_id = $1 AND gateway = $2 AND state <> 'cleared'",
        ledger,
        gateway,
    )
    return [ItemRow.read(row) for row in rows]


async def load_cards(
    connection: Connection, ledger: int, ids: Iterable[str]
) -> dict[str, ItemCard]:
    """Where those of the items stand that are there."""
    rows = await connection.fetch(
        "SELECT item_id, state, version FROM reconciliation_items"
        " WHERE ledger_id = $1 AND item_id = ANY ($2::uuid[])",
        ledger,
        [id[-32:] for id in ids],
    )
    return {ITEM + row["item_id"].hex: ItemCard(row["state"], row["version"]) for row in rows}


async def load_changes(
    connection: Connection, ledger: int, items: Iterable[str]
) -> dict[str, list[ChangeRow]]:
    """All that has become of these items, by item, the first change first."""
    rows = await connection.fetch(
        "SELECT item_id, number, state, at, who, reason, entry_id FROM reconciliation_changes"
        " WHERE ledger_id = $1 AND item_id = ANY ($2::uuid[]) ORDER BY item_id, number",
        ledger,
        [id[-32:] for id in items],
    )
    found: dict[str, list[ChangeRow]] = {}
    for row in rows:
        id, entry = ITEM + row["item_id"].hex, row["entry_id"]
        change = ChangeRow._make((id, *row[1:6], ENTRY + entry.hex if entry else None))
        found.setdefault(id, []).append(change)
    return found
