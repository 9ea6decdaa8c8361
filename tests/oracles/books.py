"""Books as the oracles get them, and the programs that recompute them.

Invariant: the programs run as processes of their own; nothing of theirs is imported.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from catena.db.export import Dates, Format, export_ledger
from catena.db.installation import Ledger
from catena.db.pool import open_pool
from catena.db.verify import Finding, verify
from catena.settings import Settings

__all__ = [
    "ASSERTED",
    "STORED",
    "OracleBook",
    "export",
    "prove",
    "query",
    "read_asserted_balances",
    "read_hledger_balances",
    "run_bean_check",
    "run_hledger",
]

UTF8 = {"LC_ALL": "C.UTF-8"}
STORED = "SELECT account_id, debits - credits FROM balances WHERE ledger_id = $1"
"""Every account's balance, as we have it."""

ASSERTED = re.compile(r"(?m)^\S+ balance \w+:Acct-(\w+)  (-?[\d.]+) ~ 0 (\w+)$")


class OracleBook(NamedTuple):
    """A ledger, and the database that holds it."""

    dsn: str
    ledger: Ledger


async def export(book: OracleBook, target: Format, dates: Dates = Dates.RECORDED) -> str:
    """The ledger as a journal."""
    pool = await open_pool(Settings(), book.dsn)
    async with pool.acquire() as connection:
        parts = [part async for part in export_ledger(connection, book.ledger, target, dates)]
    await pool.close()
    return "".join(parts)


async def prove(book: OracleBook) -> list[Finding]:
    """What our own proof finds."""
    pool = await open_pool(Settings(), book.dsn)
    async with pool.acquire() as connection:
        findings = await verify(connection, book.ledger)
    await pool.close()
    return findings


async def query(book: OracleBook, sql: str, *values: object) -> dict[str, int]:
    """Whole numbers by account (hex), of a query that is given the ledger first."""
    pool = await open_pool(Settings(), book.dsn)
    async with pool.acquire() as connection:
        rows = await connection.fetch(sql, book.ledger.number, *values)
    await pool.close()
    return {row[0].hex: int(row[1]) for row in rows}


def run_hledger(journal: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What hledger says of the journal."""
    return subprocess.run(
        ["hledger", "-f", "-", *arguments],
        input=journal,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | UTF8,
        check=False,
    )


def read_hledger_balances(journal: str, *arguments: str) -> dict[str, tuple[Decimal, str]]:
    """Every account's total and commodity as hledger adds them up, by its id in hex."""
    done = run_hledger(journal, "balance", "--flat", "--no-total", "-O", "csv", *arguments)
    assert done.returncode == 0, done.stderr
    balances = {}
    for name, balance in list(csv.reader(done.stdout.splitlines()))[1:]:
        amount, _, commodity = balance.partition(" ")
        balances[name.rpartition("acct_")[2]] = Decimal(amount), commodity.strip('"')
    return balances


def read_asserted_balances(journal: str) -> list[tuple[str, str, str]]:
    """What beancount is told of each account: its id in hex, its balance, its currency."""
    return ASSERTED.findall(journal)


def run_bean_check(journal: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """What beancount says of the journal, which it wants in a file."""
    file = directory / "book.beancount"
    file.write_text(journal, "utf-8")
    return subprocess.run(
        ["bean-check", "--no-cache", str(file)],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | UTF8,
        check=False,
    )
