"""Assets that a ledger registers while it is written in."""

from __future__ import annotations

from typing import Any

import pytest

from catena.chains.appending import append_steps
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Need, Step
from catena.chains.machine import run, signal
from catena.chains.states import ChainState
from catena.db.installation import put_asset
from catena.journal import ChainResult, RunChain
from catena.ledger.accounts import AccountType
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger

WAIT = Step("go", "wait", {})


async def open_points(scribe: Scribe) -> tuple[str, str]:
    """Register PTS behind the scribe's back, and open who gives points and who gets them."""
    await scribe.open()  # its lane knows the ledger as it was
    async with scribe.pool.acquire() as connection:
        await put_asset(connection, scribe.number, "PTS", 0)
    giver = await scribe.open(currency="PTS", type=AccountType.EXPENSE, floor=None)
    return giver, await scribe.open(currency="PTS")


def give(giver: str, receiver: str, *, free: bool | str, needs: tuple[Need, ...] = ()) -> Step:
    """A step that gives points; `free`: by an entry of its own lines, or of those computed so."""
    told: dict[str, Any] = {"amount": 10, "currency": "PTS"}
    if not free:
        ends = {"source_account_id": giver, "destination_account_id": receiver}
        return Step("give", "transfer", {**told, **ends}, needs)
    lines = [
        {"account_id": giver, "side": "debit", **told},
        {"account_id": receiver, "side": "credit", **told},
    ]
    return Step("give", "entry", {"lines": lines if free is True else {"cel": free}}, needs)


@pytest.mark.parametrize("free", [False, True], ids=["transfer", "entry"])
async def test_a_chain_knows_an_asset_that_its_process_does_not(
    database: Database, *, free: bool
) -> None:
    """Whoever makes a chain, or goes on with it, reads what the ledger has registered since."""
    async with (
        open_ledger(database) as scribe,
        open_ledger(database, ledger=scribe.ledger) as other,
    ):
        await other.open()
        giver, receiver = await open_points(scribe)
        made = await scribe.chain(give(giver, receiver, free=free))
        assert made.state is ChainState.COMPLETED
        waits = await scribe.chain(WAIT, give(giver, receiver, free=free, needs=(Need("go"),)))
        gone = await other.run(waits.id, lambda c, b: signal(c, b, "go", None, "test"))
        assert gone.chain is not None
        assert gone.chain.state is ChainState.COMPLETED, gone.chain.failure


async def test_a_lane_goes_on_with_the_ledger_as_it_is(database: Database) -> None:
    """Steps that are appended are decided over the assets that whoever appends them knows."""
    async with open_ledger(database) as scribe:
        giver, receiver = await open_points(scribe)
        chain = await scribe.chain(WAIT)
        scribe.ledger = scribe.ledger._replace(assets={"PTS": 0})

        def append(chain: Chain, books: Books) -> object:
            return append_steps(chain, books, steps=[give(giver, receiver, free=False)], by="test")

        told = await scribe.submit(
            [RunChain(chain.id, append, accounts=[giver, receiver])], key=None
        )
        result = told.results[0]
        assert isinstance(result, ChainResult), result
        assert result.chain is not None
        assert result.chain.steps["give"].failure is None
        assert result.chain.steps["give"].entry is not None


async def test_lines_that_are_computed_may_name_any_asset(database: Database) -> None:
    """What a signal brings names an asset which the process that is told has never met."""
    async with (
        open_ledger(database) as scribe,
        open_ledger(database, ledger=scribe.ledger) as other,
    ):
        await other.open()
        giver, receiver = await open_points(scribe)
        lines = give(giver, receiver, free=True).inputs["lines"]
        told = {"lines": lines}
        step = give(giver, receiver, free="steps.go.payload.lines", needs=(Need("go"),))
        waits = await scribe.chain(WAIT, step)
        await other.run(waits.id, lambda c, b: signal(c, b, "go", told, "test"))
        gone = await other.run(waits.id, run)  # whose accounts nobody had read before
        assert gone.chain is not None
        assert gone.chain.state is ChainState.COMPLETED, gone.chain.failure
