"""`catena verify`: a right book has no findings; every spoiled row is named, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from catena.db.installation import Ledger
from catena.db.pool import Connection, open_pool
from catena.db.verify import CHECKS, Finding, find_disagreements, verify
from catena.ids import POSITION_MAX
from catena.settings import Settings
from tests.books import RandomBook, write_book
from tests.chain_corruptions import CHAIN_CORRUPTIONS
from tests.corruptions import CORRUPTIONS, Corruption, Spoiled, name_row, spoil
from tests.postgres import Database
from tests.reconciliation.spoiling import RECONCILIATION_CORRUPTIONS


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[Connection]:
    """A connection as the service has them."""
    pool = await open_pool(Settings(), dsn)
    async with pool.acquire() as connection:
        yield connection
    await pool.close()


async def prove(dsn: str, ledger: Ledger, range_rows: int) -> list[Finding]:
    """What a proof finds when a query looks at so many rows."""
    async with connect(dsn) as connection:
        findings = find_disagreements(connection, ledger, range_rows=range_rows)
        return [finding async for finding in findings]


async def test_a_right_book_has_no_findings(database: Database) -> None:
    """A random book that the journal wrote is proven, in one piece and in ranges."""
    ledger = await write_book(database.service_dsn, seed=1, entries=1500)
    assert await prove(database.service_dsn, ledger, 10**6) == []
    assert await prove(database.service_dsn, ledger, 100) == []


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
async def test_spoiled_rows_are_named(spoiled: Spoiled, corruption: Corruption) -> None:
    """A proof names the rows that were spoiled and no others, however it is cut in ranges."""
    await asyncio.to_thread(spoil, spoiled, corruption)
    dsn, story = spoiled.database.service_dsn, spoiled.story
    found = [name_row(story, finding) for finding in await prove(dsn, story.ledger, 10**6)]
    assert sorted(found) == sorted(corruption.findings)
    in_ranges = [name_row(story, finding) for finding in await prove(dsn, story.ledger, 8)]
    assert sorted(in_ranges) == sorted(found)


def test_every_check_catches_something() -> None:
    """The table of corruptions tries every check that there is."""
    claims = {claim for check in CHECKS for claim in check.name.split(", ")}
    corruptions = (*CORRUPTIONS, *CHAIN_CORRUPTIONS, *RECONCILIATION_CORRUPTIONS)
    assert {row.split()[0] for corruption in corruptions for row in corruption.findings} == claims
    assert all(check.claim.endswith(".") or check.claim.endswith(")") for check in CHECKS)


def test_checks_read_positions_as_ids_do() -> None:
    """The mask in the SQL is the one with which ids are read."""
    masks = {check.name: f"& {POSITION_MAX}" in check.sql for check in CHECKS}
    assert [name for name, has_mask in masks.items() if has_mask] == ["entry_ids", "event_ids"]


async def test_a_long_gap_is_one_finding(spoiled: Spoiled) -> None:
    """A counter that runs far ahead is named with the whole gap, not position by position."""
    ahead = Corruption("", "UPDATE positions SET position = 10000000000000", set())
    await asyncio.to_thread(spoil, spoiled, ahead)
    findings = await prove(spoiled.database.service_dsn, spoiled.story.ledger, 10**14)
    assert [(finding.check, finding.position, finding.found) for finding in findings] == [
        ("positions", 19, "nothing up to 10000000000000")
    ]


async def test_other_ledgers_do_not_matter(spoiled: Spoiled) -> None:
    """What is wrong in one ledger is no finding in another."""
    other = await write_book(spoiled.database.service_dsn, seed=2, entries=200)
    await asyncio.to_thread(spoil, spoiled, CORRUPTIONS[0])
    assert await prove(spoiled.database.service_dsn, other, 10**6) == []
    assert await prove(spoiled.database.service_dsn, spoiled.story.ledger, 10**6) != []


async def test_money_may_move_meanwhile(database: Database) -> None:
    """A proof sees one moment: it stays clean while the journal commits."""
    dsn = database.service_dsn
    pool = await open_pool(Settings(), dsn)
    book = RandomBook(pool, Settings(), seed=3)
    await book.open()
    async with connect(dsn) as connection:
        before = len(book.posted)
        proofs = 0
        while proofs < 2:
            writing = asyncio.create_task(book.write(1000))
            while not writing.done():
                assert await verify(connection, book.ledger) == []
                proofs += 1
            await writing
        assert len(book.posted) > before
    await book.journal.close()
    await pool.close()


async def test_progress_is_told(spoiled: Spoiled) -> None:
    """Progress starts at nothing, grows by one step, and ends with all of them."""
    steps: list[tuple[int, int]] = []

    def note(_check: str, done: int, total: int) -> None:
        steps.append((done, total))

    async with connect(spoiled.database.service_dsn) as connection:
        assert await verify(connection, spoiled.story.ledger, note) == []
    assert steps == [(done, len(CHECKS)) for done in range(len(CHECKS) + 1)]
