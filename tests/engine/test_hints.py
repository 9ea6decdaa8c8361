"""Work that nobody has told a worker of."""

from __future__ import annotations

from catena.app import open_app
from catena.chains.definition import Step
from catena.chains.states import ChainState
from catena.settings import Settings
from tests.engine.partners import run_partner
from tests.engine.running import run_world
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
