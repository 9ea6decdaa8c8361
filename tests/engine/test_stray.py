"""Approvals that come when the chain counts the call as refused: never dropped, made good once."""

from __future__ import annotations

from functools import partial

import pytest

from catena.chains.answers import answer
from catena.chains.calls import begin
from catena.chains.chain import Chain
from catena.chains.definition import Need, Step
from catena.chains.states import ChainState
from catena.chains.step_types import Answer, Call, Direction, Outcome
from catena.db.work import Work, claim_work
from catena.engine.stray import define_stray, stray_id
from catena.journal import RunChain
from tests.engine.partners import run_partner
from tests.engine.running import World, run_world
from tests.engine.test_http_step import open_wallets, prove, transfer
from tests.postgres import Database

DECLINED = Answer(Outcome.DECLINED, code="no")
APPROVED = Answer(Outcome.APPROVED, {"status": 200})


async def take(world: World, chain: Chain) -> tuple[Work, Call]:
    """Take the chain's call as a worker does, and make it not."""
    async with world.app.pool.acquire() as connection:
        (work,) = await claim_work(connection, world.scribe.number, 10, 15, ["http"])
    act = partial(begin, step=work.step)
    call = (await world.scribe.run(chain.id, act, (work.step, work.fence))).value
    assert isinstance(call, Call)
    return work, call


async def tell(world: World, work: Work, call: Call, found: Answer, late: int = 0) -> None:
    """Tell an answer, `late` fences ago."""
    act = partial(
        answer, step=call.step, direction=Direction.FORWARD, attempt=call.attempt, found=found
    )
    define = partial(define_stray, call=call, found=found, catalogue=world.app.catalogue)
    stray = (stray_id(call), define)
    fence = (work.step, work.fence - late)
    await world.scribe.submit([RunChain(call.chain, act, fence, stray=stray)], key=None)


@pytest.mark.parametrize("pivot", [False, True])
async def test_a_late_approval_is_made_good(database: Database, *, pivot: bool) -> None:
    """The partner undoes it, once, however often the approval comes; a pivot's is a person's."""
    async with run_partner() as partner, run_world(database, works=False) as world:
        a, b = await open_wallets(world, 100, 0)
        undo = None if pivot else {"url": f"{partner.url}/undo"}
        inputs = {"url": f"{partner.url}/pay"}
        chain = await world.scribe.chain(
            transfer("near", a, b, 60),
            Step("pay", "http", inputs, (Need("near"),), compensation=undo, pivot=pivot),
        )
        work, call = await take(world, chain)
        await tell(world, work, call, DECLINED)
        assert (await world.ended(chain.id)).state is ChainState.ROLLED_BACK
        for _ in range(3):
            await tell(world, work, call, APPROVED, late=1)
        good = await world.until(stray_id(call), lambda chain: bool(chain.steps))
        assert good.definition.type == "late_approval"
        assert good.definition.reference == chain.id
        if pivot:
            assert good.state is ChainState.EXECUTING
            assert not partner.heard
        else:
            async with run_world(database) as other:
                ended = await World(other.app, world.scribe).ended(good.id)
            assert ended.state is ChainState.COMPLETED
            assert partner.effects("/undo") == 1
        await prove(world)


async def test_an_approval_of_what_is_still_open_is_no_stray(database: Database) -> None:
    """Whoever holds the work asks under the same key, and is told the same."""
    async with run_partner() as partner, run_world(database, works=False) as world:
        inputs = {"url": f"{partner.url}/pay"}
        undo = {"url": f"{partner.url}/undo"}
        chain = await world.scribe.chain(Step("pay", "http", inputs, compensation=undo))
        work, call = await take(world, chain)
        await tell(world, work, call, APPROVED, late=1)
        async with world.app.pool.acquire() as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM chains WHERE ledger_id = $1", world.scribe.number
            )
        assert count == 1
        await tell(world, work, call, APPROVED)
        assert (await world.ended(chain.id)).state is ChainState.COMPLETED
        assert not partner.heard


async def test_a_late_approval_of_what_is_done_changes_nothing(database: Database) -> None:
    """The same approval, told again by whoever was taken for dead."""
    async with run_partner() as partner, run_world(database, works=False) as world:
        inputs = {"url": f"{partner.url}/pay"}
        undo = {"url": f"{partner.url}/undo"}
        chain = await world.scribe.chain(Step("pay", "http", inputs, compensation=undo))
        work, call = await take(world, chain)
        await tell(world, work, call, APPROVED)
        assert (await world.ended(chain.id)).state is ChainState.COMPLETED
        await tell(world, work, call, APPROVED, late=1)
        async with world.app.pool.acquire() as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM chains WHERE ledger_id = $1", world.scribe.number
            )
        assert count == 1


@pytest.mark.parametrize(
    "body", [{"id": "p7"}, {"id": "p7", "note": {"cel": "no ("}}, {"id": {"cel": "1"}}]
)
async def test_a_late_approval_is_undone_in_what_it_gave(
    database: Database, body: dict[str, object]
) -> None:
    """The words of the undo see the answer that came late; where it is no such, a person decides.

    Whatever a partner says is never taken for an expression.
    """
    async with run_partner() as partner, run_world(database, works=False) as world:
        inputs = {"url": f"{partner.url}/pay"}
        undo = {"url": {"cel": f"'{partner.url}/pay/' + steps.pay.body.id"}, "method": "DELETE"}
        chain = await world.scribe.chain(Step("pay", "http", inputs, compensation=undo))
        work, call = await take(world, chain)
        await tell(world, work, call, DECLINED)
        found = Answer(Outcome.APPROVED, {"status": 200, "body": body})
        await tell(world, work, call, found, late=1)
        async with run_world(database) as other:
            seen = World(other.app, world.scribe)
            if body["id"] == "p7":
                good = await seen.ended(stray_id(call))
                assert good.state is ChainState.COMPLETED
                assert [(it.method, it.path) for it in partner.heard] == [("DELETE", "/pay/p7")]
                assert partner.heard[0].body["result"] == {"status": 200, "body": body}
            else:
                good = await seen.until(stray_id(call), lambda chain: bool(chain.steps))
                assert list(good.steps) == ["decided"]
