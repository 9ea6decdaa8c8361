"""What a commit costs that writes chains, messages and notices: as `test_chain_cost`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from catena.chains import machine
from catena.chains.answers import answer
from catena.chains.calls import begin
from catena.chains.definition import Claim, Definition, Step
from catena.chains.step_types import Direction
from catena.db.inbox import Message
from catena.db.notices import Told
from catena.db.pool import Connection
from catena.ids import CHAIN, new_id
from catena.journal import CreateChain, Operation, ReceiveMessage, RunChain, TakeNotice
from tests.chain_story import APPROVED, CARDS, await_message, call, reserve, wait
from tests.db.test_chain_cost import AGES_AGO, make_many
from tests.db.test_cost import Read, commit, count_blocks
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger

Act = Callable[[Scribe, str, str], list[Operation]]
"""The commits, one after the other, of what is done to a new chain; told an account, and its id."""


def made(id: str, *steps: Step, **told: Any) -> CreateChain:  # noqa: ANN401  # of a definition
    """The chain is made."""
    return CreateChain(id, Definition(steps, **told), "test")


def claim(scribe: Scribe, account: str, id: str) -> list[Operation]:
    """A chain takes a reference."""
    del scribe, account
    taken = Claim("deposit", id, "1" * 32)
    return [made(id, wait("go"), reference=id, claim=taken)]


def signal(scribe: Scribe, account: str, id: str) -> list[Operation]:
    """A chain that holds money is told to go on, and ends."""
    del scribe
    go = partial(machine.signal, name="go", payload=None, by="test")
    return [made(id, reserve("hold", account, 1), wait("go", "hold")), RunChain(id, go)]


def ask(scribe: Scribe, account: str, id: str) -> list[Operation]:
    """Its call is begun, and answered."""
    del scribe, account
    told = partial(answer, step="ask", direction=Direction.FORWARD, attempt=1, found=APPROVED)
    return [made(id, call("ask")), RunChain(id, partial(begin, step="ask")), RunChain(id, told)]


def hear(scribe: Scribe, account: str, id: str) -> list[Operation]:
    """A message comes that it waits for."""
    del scribe, account
    return [made(id, await_message("paid", id)), ReceiveMessage(Message("bank", id, id, 1))]


def notice(scribe: Scribe, account: str, id: str) -> list[Operation]:
    """What a gateway says is kept, and told to its chain behind."""
    del scribe, account
    told = Told("card", id, "charge", {})
    return [made(id, wait("go")), TakeNotice(told), TakeNotice(told, id, lambda *_: True)]


ACTS: list[Act] = [claim, signal, ask, hear, notice]


def doing(act: Act) -> Read:
    """Does it to a chain of its own, commit by commit."""

    async def run(connection: Connection, scribe: Scribe, account: str, _: object) -> None:
        for operation in act(scribe, account, new_id(CHAIN)):
            await commit(connection, scribe, operation, CARDS)

    return run


async def test_many_chains_cost_a_commit_what_few_do(database: Database) -> None:
    """By plans that were made when there was nothing: each row is looked up by its whole key, and
    no commit reads what its ledger has.
    """
    async with open_ledger(database, cards=CARDS) as scribe, scribe.pool.acquire() as connection:
        account, other = [await scribe.open() for _ in range(2)]
        await scribe.post(scribe.deposit(account, 100_000))
        found: list[dict[str, int]] = []
        for size in (0, 60, 3000):
            await make_many(scribe, account, other, size)
            said = [TakeNotice(Told("card", uuid4().hex, "charge", {})) for _ in range(size)]
            for start in range(0, size, 500):
                await scribe.submit(said[start : start + 500], atomic=False, key=None)
            found.append(
                {
                    act.__name__: await count_blocks(
                        connection, scribe, account, AGES_AGO, doing(act)
                    )
                    for act in ACTS
                }
            )
    _, few, many = found
    assert {
        name: (few[name], blocks) for name, blocks in many.items() if blocks > 2 * few[name] + 20
    } == {}
