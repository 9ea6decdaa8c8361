"""Streams one ledger as a journal: head, accounts, entries in the order of positions, balances.

Invariant: one snapshot, and memory that does not grow with the book. Reads what is stored and
recomputes nothing: that is for whoever reads the journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from catena.db.export.beancount import BeancountStyle
from catena.db.export.hledger import HledgerStyle
from catena.db.export.rows import AccountRow, BalanceRow, Dates, EntryRow, LineRow, Style
from catena.db.snapshot import cut_positions, reading_whole_book, stream
from catena.ids import ACCOUNT, ENTRY
from catena.money import ISO_CURRENCIES, Currency

if TYPE_CHECKING:
    import asyncpg

    from catena.db.installation import Ledger
    from catena.db.pool import Connection

__all__ = ["Dates", "Format", "Report", "export_ledger"]

Report = Callable[[str, int, int], None]
"""Told of the progress: what is being written, positions done, and positions in all."""


_REPORT_ENTRIES: Final = 1_000

_RANGE_POSITIONS: Final = 100_000
"""Positions that one query reads: so none sorts the whole book."""


class Format(StrEnum):
    """The programs that a ledger is written for."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"


_STYLES: Final[Mapping[Format, Style]] = {
    Format.HLEDGER: HledgerStyle(),
    Format.BEANCOUNT: BeancountStyle(),
}


def ignore_progress(part: str, done: int, total: int) -> None:
    """Report to nobody."""


async def export_ledger(
    connection: Connection,
    ledger: Ledger,
    target: Format,
    dates: Dates = Dates.RECORDED,
    report: Report = ignore_progress,
) -> AsyncIterator[str]:
    """The journal in parts, each whole lines of UTF-8 text without regard to a page's size.

    Reads one snapshot, so it may run while money moves.
    """
    style = _STYLES[target]
    async with reading_whole_book(connection):
        last: int = await connection.fetchval(_LAST, ledger.number) or 0
        codes = [row["currency"] for row in await connection.fetch(_CURRENCIES, ledger.number)]
        yield style.write_head(
            f"Ledger {ledger.name} ({ledger.id}) to position {last}",
            [_find_currency(ledger, code) for code in codes],
        )
        report("accounts", 0, last)
        async for account in _stream_accounts(connection, ledger, dates):
            yield style.write_account(account)
        written = 0
        async for entry in _stream_entries(connection, ledger):
            if written % _REPORT_ENTRIES == 0:
                report("entries", entry.position, last)
            written += 1
            yield style.write_entry(entry, dates)
        report("balances", last, last)
        if style.running_by_day and dates is Dates.RECORDED:
            async for balance in _stream_balances(connection, _BY_DAY, ledger):
                yield style.write_balance(balance)
        async for balance in _stream_balances(connection, _BALANCES, ledger):
            yield style.write_balance(balance)


async def _stream_accounts(
    connection: Connection, ledger: Ledger, dates: Dates
) -> AsyncIterator[AccountRow]:
    async for row in stream(connection, _ACCOUNTS, ledger.number):
        opened = row["created_at"]
        if dates is Dates.EFFECTIVE and row["first_effective_at"] is not None:
            opened = min(opened, row["first_effective_at"])
        yield AccountRow(
            ACCOUNT + row["account_id"].hex,
            row["type"],
            _find_currency(ledger, row["currency"]),
            opened.date(),
            row["role"],
            row["user_id"],
            row["name"],
        )


async def _stream_entries(connection: Connection, ledger: Ledger) -> AsyncIterator[EntryRow]:
    entry: EntryRow | None = None
    lines: list[LineRow] = []
    for low, high in await cut_positions(connection, ledger.number, _RANGE_POSITIONS):
        async for row in stream(connection, _ENTRIES, ledger.number, low, high):
            if entry is None or row["position"] != entry.position:
                if entry is not None:
                    yield entry
                lines = []
                entry = _make_entry(row, lines)
            if row["account_id"] is not None:
                lines.append(_make_line(row, ledger))
    if entry is not None:
        yield entry


def _make_entry(row: asyncpg.Record, lines: list[LineRow]) -> EntryRow:
    return EntryRow(
        ENTRY + row["entry_id"].hex,
        row["position"],
        row["type"],
        row["effective_at"],
        row["recorded_at"],
        row["description"],
        row["reference"],
        row["metadata"],
        row["details"],
        ENTRY + row["corrects"].hex if row["corrects"] else None,
        lines,
    )


def _make_line(row: asyncpg.Record, ledger: Ledger) -> LineRow:
    return LineRow(
        ACCOUNT + row["account_id"].hex,
        row["account_type"],
        row["amount"] if row["is_debit"] else -row["amount"],
        row["debits"] - row["credits"],
        _find_currency(ledger, row["currency"]),
    )


async def _stream_balances(
    connection: Connection, query: str, ledger: Ledger
) -> AsyncIterator[BalanceRow]:
    async for row in stream(connection, query, ledger.number):
        yield BalanceRow(
            ACCOUNT + row["account_id"].hex,
            row["type"],
            row["day"],
            row["debits"] - row["credits"],
            _find_currency(ledger, row["currency"]),
        )


def _find_currency(ledger: Ledger, code: str) -> Currency:
    """The currency; one that nobody knows is written in minor units and not taken for another."""
    return ISO_CURRENCIES.get(code) or Currency(code, ledger.assets.get(code, 0))


_LAST: Final = "SELECT position FROM positions WHERE ledger_id = $1"

_CURRENCIES: Final = """
SELECT DISTINCT currency FROM accounts WHERE ledger_id = $1 ORDER BY currency"""

# An account can have lines that count from before it was opened.
_ACCOUNTS: Final = """
SELECT a.account_id, a.type, a.currency, a.created_at, a.role, a.user_id, a.name,
       (SELECT min(l.effective_at) FROM lines l
         WHERE l.ledger_id = $1 AND l.account_id = a.account_id
           AND l.effective_at < l.recorded_at) AS first_effective_at
  FROM accounts a WHERE a.ledger_id = $1
 ORDER BY a.position"""

# The rows of an entry follow each other. An entry without lines, or a line of an account that is
# not there, is written as it is: the program that reads it shall stumble.
_ENTRIES: Final = """
SELECT e.position, e.entry_id, e.type, e.effective_at, e.recorded_at, e.description, e.reference,
       e.metadata::text AS metadata, e.details::text AS details,
       (SELECT c.entry_id FROM entries c WHERE c.ledger_id = $1 AND c.position = e.corrects)
           AS corrects,
       l.account_id, coalesce(a.type, 'unknown') AS account_type, l.is_debit, l.amount, l.currency,
       l.debits, l.credits
  FROM entries e
  LEFT JOIN lines l
         ON l.ledger_id = $1 AND l.position BETWEEN $2 AND $3 AND l.position = e.position
  LEFT JOIN accounts a ON a.ledger_id = $1 AND a.account_id = l.account_id
 WHERE e.ledger_id = $1 AND e.position BETWEEN $2 AND $3
 ORDER BY e.position, l.ordinal"""

# The total on the last line of each account and day.
_BY_DAY: Final = """
SELECT DISTINCT ON (l.account_id, day)
       l.account_id, l.recorded_at::date AS day, a.type, a.currency, l.debits, l.credits
  FROM lines l JOIN accounts a ON a.ledger_id = $1 AND a.account_id = l.account_id
 WHERE l.ledger_id = $1
 ORDER BY l.account_id, day, l.number DESC"""

_BALANCES: Final = """
SELECT b.account_id, p.recorded_at::date AS day, a.type, a.currency, b.debits, b.credits
  FROM balances b
  JOIN accounts a ON a.ledger_id = $1 AND a.account_id = b.account_id
  JOIN positions p ON p.ledger_id = $1
 WHERE b.ledger_id = $1
 ORDER BY b.account_id"""
