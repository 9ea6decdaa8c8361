"""Messages from outside and the waits that they are for: they find each other, each once."""

from __future__ import annotations

import asyncio

import pytest

from catena.chains.chain import Chain
from catena.chains.definition import Need, Step
from catena.chains.machine import run
from catena.chains.refusals import ChainRefused, Command, refuse
from catena.chains.states import ChainState
from catena.db.inbox import Message, list_unmatched
from catena.db.load_chains import load_chains
from catena.db.verify import verify
from catena.db.work import claim_work
from catena.journal import ReceiveMessage, RunChain, Taken
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger


def wait(name: str, correlation: object, *needs: str) -> Step:
    """A wait for a message."""
    return Step(name, "wait", {"correlation": correlation}, tuple(map(Need, needs)))


async def receive(scribe: Scribe, message: Message) -> Taken:
    """Take a message in."""
    answer = await scribe.submit([ReceiveMessage(message)], key=None)
    result = answer.results[0]
    assert isinstance(result, Taken)
    assert result.message == message
    return result


async def read(scribe: Scribe, chain: str) -> Chain:
    """The chain as it stands."""
    async with scribe.pool.acquire() as connection:
        return (await load_chains(connection, scribe.number, [chain]))[chain].chain


async def tick(scribe: Scribe) -> None:
    """Do what chains' clocks say is due."""
    async with scribe.pool.acquire() as connection:
        taken = await claim_work(connection, scribe.number, 10, 15, [])
    for work in taken:
        await scribe.run(work.chain, run, (work.step, work.fence))


async def test_a_message_ends_the_wait_for_it(database: Database) -> None:
    """It is given to the chain in the commit that takes it in; again, it changes nothing."""
    async with open_ledger(database) as scribe:
        chain = await scribe.chain(wait("paid", "invoice 7"))
        message = Message("bank", "e1", "invoice 7", {"amount": 5})
        assert await receive(scribe, message) == Taken(message, chain.id)
        assert await receive(scribe, message) == Taken(message, chain.id, again=True)
        ended = await read(scribe, chain.id)
        assert ended.state is ChainState.COMPLETED
        assert ended.steps["paid"].result == {"payload": {"amount": 5}}


async def test_what_comes_early_is_kept(database: Database) -> None:
    """A message that nobody waits for is listed, and given to the first who does."""
    async with open_ledger(database) as scribe:
        message = Message("bank", "e1", "invoice 7", 1)
        assert await receive(scribe, message) == Taken(message, None)
        async with scribe.pool.acquire() as connection:
            (unmatched,) = await list_unmatched(connection, scribe.number, after=None, limit=10)
        assert unmatched.message == message
        chain = await scribe.chain(wait("paid", "invoice 7"))
        assert chain.state is ChainState.EXECUTING
        await tick(scribe)
        assert (await read(scribe, chain.id)).state is ChainState.COMPLETED
        async with scribe.pool.acquire() as connection:
            assert await list_unmatched(connection, scribe.number, after=None, limit=10) == []
            assert await verify(connection, scribe.ledger) == []


@pytest.mark.parametrize("race", range(3))
async def test_they_cannot_miss_each_other(database: Database, race: int) -> None:
    """However a message and its wait are raced by two processes, every chain is given its own."""
    async with (
        open_ledger(database) as scribe,
        open_ledger(database, ledger=scribe.ledger) as other,
    ):
        names = [f"{race}-{number}" for number in range(30)]
        chains = [scribe.chain(wait("paid", name)) for name in names]
        told = [receive(other, Message("bank", name, name, name)) for name in names]
        made, _ = await asyncio.gather(asyncio.gather(*chains), asyncio.gather(*told))
        await tick(scribe)
        await tick(scribe)
        await tick(scribe)
        await tick(scribe)
        for chain, name in zip(made, names, strict=True):
            ended = await read(scribe, chain.id)
            assert ended.state is ChainState.COMPLETED
            assert ended.steps["paid"].result == {"payload": name}


def pay(source: str, target: str, *needs: str) -> Step:
    """A step that moves 40 cents."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": 40,
        "currency": "USD",
    }
    return Step("pay", "transfer", inputs, tuple(map(Need, needs)))


async def test_a_refused_command_takes_no_message_with_it(database: Database) -> None:
    """What had come early is given by the chain's clock alone: a command that is refused at that
    very moment moves nothing.
    """

    def resume(chain: Chain, books: object) -> object:
        del books
        return refuse(chain, Command.RESUME)

    async with open_ledger(database) as scribe:
        a, b = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(a, 100))
        await receive(scribe, Message("bank", "e1", "invoice 7"))
        chain = await scribe.chain(wait("paid", "invoice 7"), pay(a, b, "paid"))
        answer = await scribe.submit([RunChain(chain.id, resume)], key=None)
        assert isinstance(answer.results[0], ChainRefused)
        await scribe.post(scribe.transfer(a, b, 1))
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []
        await tick(scribe)
        assert (await read(scribe, chain.id)).state is ChainState.COMPLETED
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []


@pytest.mark.parametrize("race", range(3))
async def test_the_same_message_at_two_processes_is_taken_in_once(
    database: Database, race: int
) -> None:
    """Whoever comes second is told what became of the first."""
    async with (
        open_ledger(database) as scribe,
        open_ledger(database, ledger=scribe.ledger) as other,
    ):
        messages = [Message("bank", f"{race}-{n}", f"{race}-{n}") for n in range(20)]
        both = [receive(one, message) for message in messages for one in (scribe, other)]
        taken = await asyncio.gather(*both)
        assert sum(one.again for one in taken) == len(messages)
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []


async def test_messages_beside_each_other_are_all_taken_in(database: Database) -> None:
    """The first ends the wait, the others are kept, though all of them are one commit."""
    async with open_ledger(database) as scribe:
        chain = await scribe.chain(wait("paid", "invoice 7"))
        told = [receive(scribe, Message("bank", f"e{n}", "invoice 7", n)) for n in range(5)]
        taken = await asyncio.wait_for(asyncio.gather(*told), 20)
        assert [each.chain for each in taken].count(chain.id) == 1
        async with scribe.pool.acquire() as connection:
            left = await list_unmatched(connection, scribe.number, after=None, limit=10)
        assert len(left) == 4
