"""Chains whose steps call a partner over HTTP, run by a worker: every kind of answer."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import pytest

from catena.chains.definition import Need, Retry, Step
from catena.chains.operator import retry
from catena.chains.states import ChainState, StepState
from catena.clock import system_clock
from catena.db.installation import read_secret
from catena.db.verify import verify
from catena.outside import signing
from catena.outside.signing import SIGNING, derive_secret
from tests.engine.partners import Partner, run_partner
from tests.engine.running import World, run_world
from tests.postgres import Database

EAGER = Retry(3, first_seconds=0.01, cap_seconds=0.05)


def call(partner: Partner, name: str, *needs: str, **told: Any) -> Step:  # noqa: ANN401
    """A step that calls the partner at a path of its name, and undoes it at another."""
    return Step(
        name,
        "http",
        {"url": f"{partner.url}/{name}", "body": {"order": 7}},
        tuple(map(Need, needs)),
        **{"compensation": {"url": f"{partner.url}/undo_{name}"}, **told},
    )


def transfer(name: str, source: str, target: str, amount: object, *needs: str) -> Step:
    """A step that moves dollars."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return Step(name, "transfer", inputs, tuple(map(Need, needs)))


async def prove(world: World) -> None:
    """The books are proven."""
    async with world.app.pool.acquire() as connection:
        assert await verify(connection, world.scribe.ledger) == []


async def open_wallets(world: World, *funds: int) -> list[str]:
    """Wallets with so much in them."""
    accounts = [await world.scribe.open() for _ in funds]
    for account, amount in zip(accounts, funds, strict=True):
        if amount:
            await world.scribe.post(world.scribe.deposit(account, amount))
    return accounts


async def test_an_approval_goes_on_with_what_it_said(database: Database) -> None:
    """The call is signed and carries its key; what the partner answers is paid out in the same
    commit that records the answer.
    """
    async with (
        run_partner(charge=[{"status": "approved", "fee": 30}]) as partner,
        run_world(database) as world,
    ):
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            transfer("pay", a, b, 400),
            call(partner, "charge", "pay"),
            transfer("fee", b, a, {"cel": "steps.charge.body.fee"}, "charge"),
        )
        assert chain.state is ChainState.EXECUTING
        ended = await world.ended(chain.id)
        assert ended.state is ChainState.COMPLETED, ended.failure
        assert ended.steps["fee"].result["amount"] == 30
        (heard,) = partner.heard
        assert heard.headers["idempotency-key"] == f"{chain.id}.charge.forward.1"
        async with world.app.pool.acquire() as connection:
            secret = derive_secret(await read_secret(connection, SIGNING), world.scribe.ledger.id)
        now, tolerance = system_clock(), dt.timedelta(minutes=5)
        assert signing.verify(secret, heard.headers, heard.content, now, tolerance)
        assert not signing.verify(secret, heard.headers, heard.content + b" ", now, tolerance)
        assert heard.body == {"order": 7}
        await prove(world)


@pytest.mark.parametrize(
    ("words", "calls", "effects", "state"),
    [
        (["later", "later", "approve"], 3, 1, ChainState.COMPLETED),
        (["later"], 3, 0, ChainState.ROLLED_BACK),
        (["decline"], 1, 0, ChainState.ROLLED_BACK),
        (["deaf", "approve"], 2, 1, ChainState.COMPLETED),
        (["lost"], 2, 1, ChainState.COMPLETED),
        (["pend", "approve"], 2, 1, ChainState.COMPLETED),
        (["pend", "decline"], 2, 0, ChainState.ROLLED_BACK),
    ],
)
async def test_every_answer_has_its_end(
    database: Database, words: list[Any], calls: int, effects: int, state: ChainState
) -> None:
    """Whatever the partner says or does not say, it acts once at most, and the books agree."""
    async with run_partner(charge=words) as partner, run_world(database) as world:
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            transfer("pay", a, b, 400), call(partner, "charge", "pay", retry=EAGER)
        )
        ended = await world.ended(chain.id)
        assert ended.state is state
        assert len(partner.heard) == calls
        assert partner.effects("/charge") == effects
        await prove(world)


@pytest.mark.parametrize("words", [["approve"], ["lost"], ["later", "approve"]])
async def test_what_was_done_is_undone(database: Database, words: list[Any]) -> None:
    """A late failure has the partner undo its part, once, however the undo is answered."""
    async with run_partner(undo_charge=words) as partner, run_world(database) as world:
        chain = await fail_late(world, partner)
        ended = await world.ended(chain)
        assert ended.state is ChainState.ROLLED_BACK
        assert ended.failure is not None
        assert ended.failure.code == "insufficient_funds"
        assert ended.steps["charge"].state is StepState.COMPENSATED
        assert partner.effects("/undo_charge") == 1
        await prove(world)


@pytest.mark.parametrize(("word", "effects"), [("approve", 1), ("decline", 0)])
async def test_a_partner_that_cannot_give_up_is_asked_until_it_decides(
    database: Database, word: str, effects: int
) -> None:
    """A chain that fails while its partner is undecided waits for the decision, and undoes it."""
    async with run_partner(charge=["pend", "pend", word]) as partner, run_world(database) as world:
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            transfer("pay", a, b, 400), call(partner, "charge", "pay", timeout_seconds=0.2)
        )
        ended = await world.ended(chain.id)
        assert ended.state is ChainState.ROLLED_BACK
        assert ended.failure is not None
        assert ended.failure.code == "step_timed_out"
        assert partner.effects("/charge") == partner.effects("/undo_charge") == effects
        await prove(world)


async def test_a_refused_undo_waits_for_an_operator(database: Database) -> None:
    """The books are back at once; the partner's part is parked in sight until somebody retries."""
    async with (
        run_partner(undo_charge=["decline", "approve"]) as partner,
        run_world(database) as world,
    ):
        id = await fail_late(world, partner)
        parked = await world.until(id, lambda chain: any(chain.parked()))
        assert parked.state is ChainState.ROLLING_BACK
        assert parked.steps["pay"].state is StepState.COMPENSATED
        await prove(world)
        again = partial(retry, step="charge", why="the partner has mended it", by="ops")
        await world.scribe.run(id, again)
        ended = await world.ended(id)
        assert ended.state is ChainState.ROLLED_BACK
        assert partner.effects("/undo_charge") == 1
        await prove(world)


async def fail_late(world: World, partner: Partner) -> str:
    """A chain that fails behind its call; gives its id."""
    a, b = await open_wallets(world, 1000, 0)
    chain = await world.scribe.chain(
        transfer("pay", a, b, 400),
        call(partner, "charge", "pay"),
        transfer("more", a, b, 5000, "charge"),
    )
    return chain.id
