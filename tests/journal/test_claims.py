"""References that chains have in the place of entries: each is one chain's or one entry's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from catena.chains import machine
from catena.chains.definition import Claim, Definition, Step
from catena.ids import CHAIN, new_id
from catena.journal import Answer, ChainResult, CreateChain, Operation
from catena.ledger.entries import Entry
from catena.ledger.refusals import Refusal
from tests.journal.test_two_writers import open_two, race
from tests.journal.writers import Told, Writer, open_writer, prove
from tests.postgres import Database

CONTENT, OTHER = "1" * 32, "2" * 32


def asking(writer: Writer, wallet: str, reference: str, content: str = CONTENT) -> CreateChain:
    """A chain in the place of a deposit, which waits."""
    inputs = {"account_id": wallet, "amount": 1, "currency": "USD"}
    lien = Step("hold", "lien.reserve", inputs)
    claim = Claim("deposit", reference, content)
    steps = (lien, Step("go", "wait", {"signal": "go"}))
    definition = Definition(steps, reference=reference, claim=claim)
    return CreateChain(new_id(CHAIN), definition, "test", writer.deposit(wallet, 1))


def say(told: Told) -> str:
    """The chain or entry that it was answered with, or why not."""
    assert isinstance(told, Answer)
    result = told.results[0]
    if isinstance(result, ChainResult):
        assert result.chain is not None
        return result.chain.id
    if isinstance(result, Entry):
        return result.id
    assert isinstance(result, Refusal)
    return result.code.code


def check(answers: Sequence[str]) -> None:
    """They have one chain, or one entry; whoever wanted something else was refused."""
    (id,) = set(answers) - {"reference_conflict"}
    assert answers.count(id) >= len(answers) // 2


async def test_one_claim_in_one_commit(database: Database) -> None:
    """The same is answered with the first, under its own key, now and again; others are refused."""
    async with open_writer(database.service_dsn) as writer:
        (wallet,) = await writer.open_wallets(1, balance=100)
        pieces: list[list[Operation]] = [
            [asking(writer, wallet, "r")],
            [asking(writer, wallet, "r")],
            [asking(writer, wallet, "r", OTHER)],
            [writer.deposit(wallet, 5, reference="r")],
            [writer.deposit(wallet, 5, reference="s")],
            [asking(writer, wallet, "s")],
            [asking(writer, wallet, "t")],
        ]
        before = writer.counts.commits
        keys = [f"{number:032x}" for number in range(len(pieces))]
        sent = [writer.send(p, key=k) for p, k in zip(pieces, keys, strict=True)]
        first = [await one for one in sent]
        assert writer.counts.commits == before + 1
        told = [say(one) for one in first]
        conflict = "reference_conflict"
        assert (told[0], told[2], told[3], told[5]) == (told[1], conflict, conflict, conflict)
        assert len({told[0], told[4], told[6], conflict}) == 4
        again = [say(await writer.send(p, key=k)) for p, k in zip(pieces, keys, strict=True)]
        assert again == told
        later = [say(await writer.send(piece)) for piece in pieces]
        assert later == told
        await prove(database, writer.ledger)


async def test_a_claim_is_answered_as_it_stands(database: Database) -> None:
    """A chain that was there has moved on since; a key remembers how it had found it."""
    async with open_writer(database.service_dsn) as writer:
        (wallet,) = await writer.open_wallets(1, balance=100)
        made = asking(writer, wallet, "r")
        await writer.submit([made])

        async def number(key: str) -> int:
            answer = await writer.send([asking(writer, wallet, "r")], key=key)
            assert isinstance(answer, Answer)
            (result,) = answer.results
            assert isinstance(result, ChainResult)
            assert result.chain is not None
            return result.chain.number

        early = await number("a" * 32)
        await writer.run(
            made.chain, lambda chain, books: machine.signal(chain, books, "go", {}, "")
        )
        assert await number("b" * 32) > early
        assert await number("a" * 32) == early


async def test_one_reference_is_one_chain_or_entry(database: Database) -> None:
    """Two writers are asked for both at the same time, under the same references."""
    async with open_two(database) as (one, other):
        (wallet,) = await one.open_wallets(1, balance=1000)
        by_hand = [[one.deposit(wallet, 1, reference=f"r{number}")] for number in range(20)]
        chains = [[asking(one, wallet, f"r{number}")] for number in range(20)]
        pieces = [piece for pair in zip(by_hand, chains, strict=True) for piece in pair]
        told = [[say(one) for one in both] for both in await race([one, other], pieces[::-1])]
        for first, second in zip(told[::2], told[1::2], strict=True):
            check([*first, *second])


async def test_one_claim_is_one_chain(database: Database) -> None:
    """Two writers, and nothing else that both have touched: the claim itself decides."""
    async with open_two(database) as (one, other):
        mine, theirs = await one.open_wallets(2, balance=100)
        for number in range(30):
            first, second = await asyncio.gather(
                one.send([asking(one, mine, f"r{number}")]),
                other.send([asking(other, theirs, f"r{number}")]),
            )
            assert say(first) == say(second)
        rows = await one.read("SELECT count(*) FROM chains WHERE ledger_id = $1")
        assert rows == [(30,)]
