"""Work that nobody has told a worker of; and hints whose connection is lost."""

from __future__ import annotations

import asyncio

from catena.app import open_app
from catena.chains.definition import Step
from catena.chains.states import ChainState
from catena.db.pool import open_pool
from catena.db.tasks import stop_task
from catena.engine.hints import keep_listening
from catena.settings import Settings
from tests.engine.partners import run_partner
from tests.engine.running import run_world
from tests.journal.proxy import open_proxy
from tests.postgres import Database


async def test_work_is_found_without_a_hint(database: Database) -> None:
    """A worker that hears nothing looks by itself."""
    settings = Settings(allow_private_addresses=True, poll_seconds=0.02)
    async with (
        run_partner() as partner,
        run_world(database, works=False) as world,
        open_app(settings, database.service_dsn),
    ):
        chain = await world.scribe.chain(
            Step("call", "http", {"url": f"{partner.url}/call"}, pivot=True)
        )
        assert (await world.ended(chain.id)).state is ChainState.COMPLETED


async def test_who_hears_hints_can_be_stopped_when_the_database_is_lost(database: Database) -> None:
    """What it gives back on its way out is dead, and says so: it ends all the same."""
    async with open_proxy(database.service_dsn) as proxy:
        pool = await open_pool(Settings(), proxy.dsn)
        heard = asyncio.Event()
        task = asyncio.create_task(keep_listening(pool, heard.set))
        async with asyncio.timeout(20):
            await heard.wait()
            proxy.shut()
            while pool.get_size():  # noqa: ASYNC110  # the pool tells nobody
                await asyncio.sleep(0)
            await stop_task(task)
        assert task.cancelled()
        await pool.close()
