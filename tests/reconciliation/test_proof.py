"""`catena verify` over reconciliation: each spoiled row is named, and no other."""

from __future__ import annotations

import asyncpg
import pytest

from catena.reconciliation.adjustments import Settling
from tests.corruptions import Corruption
from tests.postgres import Database
from tests.reconciliation.desk import days_ago, open_desk, row
from tests.reconciliation.spoiling import RECONCILIATION_CORRUPTIONS
from tests.scribe import connect_as_owner

APPEND_ONLY = (
    "statement_imports",
    "statement_lines",
    "reconciliations",
    "reconciliation_findings",
    "reconciliation_changes",
)


@pytest.mark.parametrize("corruption", RECONCILIATION_CORRUPTIONS, ids=lambda one: one.name)
async def test_spoiled_rows_are_named(database: Database, corruption: Corruption) -> None:
    """Of two statements, two runs, and items of which one was settled and one is open."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(row("t1", days_ago(20), "charge", "10.00", "ch_1"), ends=days_ago(15))
        await desk.take(row("t2", days_ago(12), "credit", "7.00"), ends=days_ago(5))
        await desk.run()
        (seen,) = await desk.items()
        await desk.settle(seen, Settling.PARK)
        await desk.move(300, "ch_3", days_ago(20))
        await desk.run()
        assert await desk.prove() == []
        async with connect_as_owner(database) as owner:
            for name in APPEND_ONLY:
                await owner.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
            await owner.execute(corruption.sql)
        found = {f"{one.check} {one.kind}" for one in await desk.prove()}
        assert found == corruption.findings


@pytest.mark.parametrize("name", APPEND_ONLY)
async def test_what_was_said_is_never_changed(database: Database, name: str) -> None:
    """Not even by the schema's owner."""
    async with connect_as_owner(database) as owner:
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await owner.execute(f"DELETE FROM {name}")  # noqa: S608  # a constant
