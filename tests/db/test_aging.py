"""Idempotency keys are kept for their days, and forgotten after."""

from __future__ import annotations

import datetime as dt

import asyncpg
import pytest

from catena.db.aging import forget_keys
from catena.db.pool import open_pool
from catena.settings import Settings
from tests.postgres import Database

_INSERT = """
INSERT INTO catena.idempotency (ledger_id, key, payload, created_at)
VALUES ($1, gen_random_uuid(), gen_random_uuid(), clock_timestamp() - $2::interval)"""


@pytest.mark.parametrize("days_old", [0, 29, 31, 400])
async def test_only_keys_past_their_age_are_forgotten(database: Database, days_old: int) -> None:
    """A key goes when it is older than the age, in its own ledger alone."""
    owner = await asyncpg.connect(database.owner_dsn)
    pool = await open_pool(Settings(), database.service_dsn)
    try:
        for ledger in (1, 2):
            await owner.execute(_INSERT, ledger, dt.timedelta(days=days_old))
        async with pool.acquire() as connection:
            forgotten = await forget_keys(connection, 1, dt.timedelta(days=30))
        left = await owner.fetch("SELECT ledger_id FROM catena.idempotency ORDER BY 1")
    finally:
        await owner.close()
        await pool.close()
    old = days_old > 30
    assert forgotten == (1 if old else 0)
    assert [row[0] for row in left] == ([2] if old else [1, 2])
