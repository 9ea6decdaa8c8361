"""Chains that start chains: in their own ledger and in another, approved, declined and undone."""

from __future__ import annotations

from typing import Any

import pytest

from catena.chains.definition import Need, Step, describe_step
from catena.chains.states import ChainState
from catena.db.installation import create_ledger
from catena.db.load_chains import load_chains
from catena.ids import LEDGER, new_id
from tests.engine.running import World, run_world
from tests.engine.test_http_step import open_wallets, prove, transfer
from tests.postgres import Database
from tests.scribe import Scribe


async def open_other(world: World) -> Scribe:
    """Another ledger, beside the world's."""
    id = new_id(LEDGER)
    async with world.app.pool.acquire() as connection:
        await create_ledger(connection, id, "other", {})
    ledgers = {ledger.id: ledger for ledger in await world.app.ledgers.refresh()}
    return Scribe(world.app.pool, world.app.journal, ledgers[id])


def start(ledger: str, step: Step, compensation: Any, *needs: str) -> Step:  # noqa: ANN401
    """A step that starts a chain of one step."""
    inputs = {"ledger_id": ledger, "chain": {"type": "far", "steps": [describe_step(step)]}}
    needed = tuple(map(Need, needs))
    return Step("far", "chain.start", inputs, needed, compensation=compensation)


@pytest.mark.parametrize(("amount", "state"), [(60, "completed"), (600, "rolled_back")])
async def test_money_moves_in_two_ledgers_or_in_none(
    database: Database, amount: int, state: str
) -> None:
    """The far chain's end decides this one's, whose money is under lien until then."""
    async with run_world(database) as world:
        far = await open_other(world)
        a, b = await open_wallets(world, 100, 0)
        c, d = await far.open(), await far.open()
        await far.post(far.deposit(c, 100))
        chain = await world.scribe.chain(
            transfer("near", a, b, 60),
            start(far.ledger.id, transfer("pay", c, d, amount), {"type": "cancel"}, "near"),
        )
        ended = await world.ended(chain.id)
        assert ended.state == state
        async with far.pool.acquire() as connection:
            ids = await connection.fetch("SELECT chain_id FROM chains WHERE type = 'far'")
            (id,) = ["cte_" + row["chain_id"].hex for row in ids]
            loaded = await load_chains(connection, far.number, [id])
        assert loaded[id].chain.state == state
        await prove(world)
        await prove(World(world.app, far))


async def test_a_late_failure_starts_the_chain_that_undoes(database: Database) -> None:
    """What the far chain did is undone by another, which its step declares."""
    async with run_world(database) as world:
        far = await open_other(world)
        a, b = await open_wallets(world, 100, 0)
        c, d = await far.open(), await far.open()
        await far.post(far.deposit(c, 100))
        back = {"chain": {"type": "back", "steps": [describe_step(transfer("back", d, c, 60))]}}
        chain = await world.scribe.chain(
            start(far.ledger.id, transfer("pay", c, d, 60), back),
            transfer("near", a, b, 600, "far"),
        )
        ended = await world.ended(chain.id)
        assert ended.state is ChainState.ROLLED_BACK
        async with far.pool.acquire() as connection:
            rows = await connection.fetch(
                "SELECT type, state FROM chains WHERE ledger_id = $1 ORDER BY position", far.number
            )
        told = [(row["type"], row["state"]) for row in rows]
        assert told == [("far", "completed"), ("back", "completed")]
        await prove(World(world.app, far))
