"""An application with a worker over a test's database, and how to wait for what its chains do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from catena.app import App, open_app
from catena.chains.chain import Chain
from catena.db.installation import create_ledger
from catena.db.load_chains import load_chains
from catena.ids import LEDGER, new_id
from catena.settings import Settings
from tests.postgres import Database
from tests.scribe import Scribe

__all__ = ["World", "run_world"]

_PATIENCE_SECONDS = 20.0


@dataclass
class World:
    """A ledger, and an application that works in it."""

    app: App
    scribe: Scribe

    async def until(self, chain: str, holds: Callable[[Chain], bool]) -> Chain:
        """The chain, once this holds of it."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self.app.pool.acquire() as connection:
            while True:
                loaded = await load_chains(connection, self.scribe.number, [chain])
                if holds(loaded[chain].chain):
                    return loaded[chain].chain

    async def ended(self, chain: str) -> Chain:
        """The chain at its end."""
        return await self.until(chain, lambda it: it.is_ended)


@asynccontextmanager
async def run_world(
    database: Database, *, works: bool = True, **settings: object
) -> AsyncIterator[World]:
    """A fresh ledger, and an application over its database, with a worker unless told otherwise."""
    wanted = {"allow_private_addresses": True, "poll_seconds": 0.02, **settings}
    limits = Settings(**wanted)  # type: ignore[arg-type]
    async with open_app(limits, database.service_dsn, works=works) as app:
        id = new_id(LEDGER)
        async with app.pool.acquire() as connection:
            await create_ledger(connection, id, "main", {})
        ledgers = {ledger.id: ledger for ledger in await app.ledgers.refresh()}
        yield World(app, Scribe(app.pool, app.journal, ledgers[id]))
