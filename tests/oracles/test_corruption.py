"""Spoiled books: the programs refuse what they can see, and our proof names the row."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import ADMIN
from catena.db.export import Format
from catena.db.verify import Finding
from tests.books import CURRENCIES, write_book
from tests.corruptions import (
    CORRUPTIONS,
    Corruption,
    Spoiled,
    copy_database,
    drop_database,
    spoil,
)
from tests.oracles.books import OracleBook, export, prove, run_bean_check, run_hledger
from tests.postgres import Database

HLEDGER = pytest.param("hledger", marks=pytest.mark.oracle("hledger"))
BEAN_CHECK = pytest.param("bean-check", marks=pytest.mark.oracle("bean-check"))


async def is_refused(book: OracleBook, program: str, directory: Path) -> bool:
    """Whether the program refuses the export of this book."""
    if program == "hledger":
        journal = await export(book, Format.HLEDGER)
        return run_hledger(journal, "check", "--strict").returncode != 0
    journal = await export(book, Format.BEANCOUNT)
    return run_bean_check(journal, directory).returncode != 0


@pytest.mark.parametrize("program", [HLEDGER, BEAN_CHECK])
async def test_the_story_is_accepted(spoiled: Spoiled, program: str, tmp_path: Path) -> None:
    """Before anything is spoiled the programs find nothing wrong."""
    book = OracleBook(spoiled.database.service_dsn, spoiled.story.ledger)
    assert not await is_refused(book, program, tmp_path)


@pytest.mark.parametrize(
    ("corruption", "program"),
    [
        pytest.param(
            corruption, name, marks=pytest.mark.oracle(name), id=f"{name}: {corruption.name}"
        )
        for corruption in CORRUPTIONS
        for name in corruption.seen_by
    ],
)
async def test_spoiled_rows_are_refused(
    spoiled: Spoiled, corruption: Corruption, program: str, tmp_path: Path
) -> None:
    """What shows in amounts, accounts or totals is refused by the programs."""
    await asyncio.to_thread(spoil, spoiled, corruption)
    book = OracleBook(spoiled.database.service_dsn, spoiled.story.ledger)
    assert await is_refused(book, program, tmp_path)


class RandomSpoiling(NamedTuple):
    """A way to spoil a row that `victim` chooses. The SQL answers with what must be named.

    That is the check, the account's uuid or NULL, the line's number or NULL, and the position.
    """

    name: str
    victim: str
    sql: str


LINE = """
WITH victim AS (SELECT * FROM lines WHERE ledger_id = $1
                 ORDER BY md5(ctid::text || $2) LIMIT 1)"""
BALANCE = """
WITH victim AS (SELECT * FROM balances WHERE ledger_id = $1 AND floor = 0
                 ORDER BY md5(account_id::text || $2) LIMIT 1)"""
ENTRY = """
WITH victim AS (SELECT e.*, p.position + 1 AS next FROM entries e JOIN positions p USING (ledger_id)
                 WHERE ledger_id = $1 ORDER BY md5(e.position::text || $2) LIMIT 1)"""
RANDOM_SPOILINGS = (
    RandomSpoiling(
        "an amount is changed",
        LINE,
        """
        UPDATE lines l SET amount = l.amount + 1 FROM victim v
         WHERE (l.account_id, l.number, l.ledger_id) = (v.account_id, v.number, v.ledger_id)
        RETURNING 'running_totals', l.account_id, l.number, l.position""",
    ),
    RandomSpoiling(
        "a line is deleted",
        LINE,
        """
        DELETE FROM lines l USING victim v
         WHERE (l.account_id, l.number, l.ledger_id) = (v.account_id, v.number, v.ledger_id)
        RETURNING 'entry_balance', NULL::uuid, NULL::bigint, l.position""",
    ),
    RandomSpoiling(
        "a balance is changed",
        BALANCE,
        """
        UPDATE balances b SET credits = b.credits + 1 FROM victim v
         WHERE (b.account_id, b.ledger_id) = (v.account_id, v.ledger_id)
        RETURNING 'balance_sums', b.account_id, NULL::bigint, NULL::bigint""",
    ),
    RandomSpoiling(
        "a line is moved to another account",
        LINE,
        """
        , other AS (
            SELECT b.account_id, b.line_count
              FROM balances b JOIN accounts a USING (ledger_id, account_id), victim v
             WHERE b.ledger_id = $1 AND a.currency = v.currency AND a.account_id <> v.account_id
             ORDER BY md5(b.account_id::text || $2) LIMIT 1)
        UPDATE lines l SET account_id = o.account_id, number = o.line_count + 1
          FROM victim v, other o
         WHERE (l.account_id, l.number, l.ledger_id) = (v.account_id, v.number, v.ledger_id)
        RETURNING 'running_totals', l.account_id, l.number, l.position""",
    ),
    RandomSpoiling(
        "an entry is doubled",
        ENTRY,
        """
        , doubled AS (
            INSERT INTO lines
            SELECT l.ledger_id, l.account_id,
                   b.line_count + row_number() OVER (PARTITION BY l.account_id ORDER BY l.ordinal),
                   v.next, l.amount, l.debits, l.credits, l.effective_at, l.recorded_at, l.ordinal,
                   l.is_debit, l.currency
              FROM victim v JOIN lines l USING (ledger_id, position)
              JOIN balances b ON b.ledger_id = l.ledger_id AND b.account_id = l.account_id)
        INSERT INTO entries (ledger_id, position, entry_id, type, effective_at, recorded_at)
        SELECT ledger_id, next, entry_id, 'adjustment', effective_at, recorded_at FROM victim
        RETURNING 'entry_ids', NULL::uuid, NULL::bigint, position""",
    ),
)


class RandomBook(NamedTuple):
    """A random book in a database of its own, for a test to spoil."""

    book: OracleBook
    admin_dsn: str


@pytest.fixture(scope="module")
def written_book(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[tuple[Database, OracleBook]]:
    """A random book of 2,000 entries, for copying."""
    database = copy_database(postgres_server, migrated_template)
    ledger = asyncio.run(write_book(database.service_dsn, 8, 2000))
    yield database, OracleBook(database.service_dsn, ledger)
    drop_database(postgres_server, database)


@pytest.fixture
def random_book(
    postgres_server: EmbeddedPostgres, written_book: tuple[Database, OracleBook]
) -> Iterator[RandomBook]:
    """A copy of the random book."""
    template, book = written_book
    copy = copy_database(postgres_server, template.name)
    admin_dsn = postgres_server.dsn(ADMIN, copy.name)
    yield RandomBook(book._replace(dsn=copy.service_dsn), admin_dsn)
    drop_database(postgres_server, copy)


async def spoil_at_random(
    book: RandomBook, spoiling: RandomSpoiling, seed: int
) -> tuple[object, ...]:
    """Spoil a row that the seed chooses, past triggers and rights; gives what must be named."""
    connection = await asyncpg.connect(book.admin_dsn, server_settings={"search_path": "catena"})
    await connection.execute("SET session_replication_role = replica")
    row = await connection.fetchrow(
        spoiling.victim + spoiling.sql, book.book.ledger.number, str(seed)
    )
    await connection.close()
    assert row is not None
    check, account, number, position = row
    return check, account and account.hex, number, position


def identify(finding: Finding) -> tuple[object, ...]:
    """A finding as `spoil_at_random` names it."""
    account = finding.id[5:] if finding.id and finding.id.startswith("acct_") else None
    return finding.check, account, finding.number, finding.position


@pytest.mark.oracle("hledger")
async def test_every_assertion_counts(written_book: tuple[Database, OracleBook]) -> None:
    """One minor unit more in one assertion, in any currency, and hledger refuses the book."""
    journal = await export(written_book[1], Format.HLEDGER)
    pick = random.Random(7)
    for currency in CURRENCIES:
        symbol = currency.code if currency.code.isalpha() else f'"{currency.code}"'
        assertions = list(re.finditer(rf" = (-?[\d.]+) {re.escape(symbol)}\n", journal))
        chosen = pick.choice(assertions)
        wrong = Decimal(chosen[1]) + Decimal(1).scaleb(-currency.exponent)
        spoiled = f"{journal[: chosen.start(1)]}{wrong:f}{journal[chosen.end(1) :]}"
        refused = run_hledger(spoiled, "check")
        assert refused.returncode == 1
        assert "balance assertion" in refused.stderr


@pytest.mark.parametrize("program", [HLEDGER, BEAN_CHECK])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spoiling", RANDOM_SPOILINGS, ids=lambda s: s.name)
async def test_a_random_row_is_spoiled(
    random_book: RandomBook, spoiling: RandomSpoiling, seed: int, program: str, tmp_path: Path
) -> None:
    """Wherever it happens, the program refuses the book and our proof names the row."""
    named = await spoil_at_random(random_book, spoiling, seed)
    assert named in [identify(finding) for finding in await prove(random_book.book)]
    assert await is_refused(random_book.book, program, tmp_path)
