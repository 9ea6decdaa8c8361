"""`catena verify` on chains and liens: right ones have no findings; every spoiled row is named."""

from __future__ import annotations

import asyncio

import pytest

from catena.db.installation import Ledger
from catena.db.pool import open_pool
from catena.db.verify import Finding, find_disagreements
from catena.settings import Settings
from tests.chain_corruptions import CHAIN_CORRUPTIONS, SpoiledChains, name_chain_row
from tests.chain_story import CARDS, write_at_random
from tests.corruptions import Corruption, spoil
from tests.postgres import Database
from tests.scribe import open_ledger


async def prove(dsn: str, ledger: Ledger, range_rows: int) -> list[Finding]:
    """What a proof finds when a query looks at so many rows."""
    pool = await open_pool(Settings(), dsn)
    try:
        async with pool.acquire() as connection:
            findings = find_disagreements(connection, ledger, range_rows=range_rows)
            return [finding async for finding in findings]
    finally:
        await pool.close()


async def test_right_chains_have_no_findings(spoiled_chains: SpoiledChains) -> None:
    """Chains at every kind of end and wall are proven, in one piece and in ranges."""
    book = spoiled_chains.book
    assert await prove(book.database.service_dsn, book.story.ledger, 10**6) == []
    assert await prove(book.database.service_dsn, book.story.ledger, 5) == []


@pytest.mark.parametrize("seed", range(3))
async def test_random_chains_have_no_findings(database: Database, seed: int) -> None:
    """Random chains that partners and people told random things are proven."""
    async with open_ledger(database, cards=CARDS) as scribe:
        await write_at_random(scribe, seed, 100)
        assert await prove(database.service_dsn, scribe.ledger, 200) == []


@pytest.mark.parametrize("corruption", CHAIN_CORRUPTIONS, ids=lambda c: c.name)
async def test_spoiled_chains_are_named(
    spoiled_chains: SpoiledChains, corruption: Corruption
) -> None:
    """A proof names the rows that were spoiled and no others, however it is cut in ranges."""
    book, names = spoiled_chains
    await asyncio.to_thread(spoil, book, corruption)
    dsn, ledger = book.database.service_dsn, book.story.ledger
    found = [name_chain_row(names, finding) for finding in await prove(dsn, ledger, 10**6)]
    assert sorted(found) == sorted(corruption.findings)
    in_ranges = [name_chain_row(names, finding) for finding in await prove(dsn, ledger, 12)]
    assert sorted(in_ranges) == sorted(found)
