"""What gateways say, through the journal: once each, to the chain it is about, or beginning one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from catena.chains.answers import hear
from catena.chains.calls import begin, read_key
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Need, Step
from catena.chains.expressions import Kind
from catena.chains.states import ChainState
from catena.chains.step_types import Answer, Call, Catalogue, Input, Outcome, StepType
from catena.clock import system_clock
from catena.db.notices import Heard, Told, find_named, list_notices, load_notices
from catena.db.verify import verify
from catena.ids import CHAIN, derive_id, new_id, random_fraction
from catena.journal import ChainResult, Follow, Journal, NoticeTaken, TakeNotice
from catena.journal.cards import Cards
from catena.ledger.accounts import Account, AccountStatus
from catena.settings import Settings
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger


class Gateway:
    """A step type whose gateway is the test."""

    type = StepType(
        "charge", {"gateway": Input(Kind.STRING)}, {"reference": Kind.STRING}, undoes=True
    )

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """Whatever is asked for is well."""
        del inputs, compensation, ledger_id
        return ()

    async def call(self, call: Call) -> Answer:
        """The tests tell the answers themselves."""
        raise AssertionError(call)


CARDS = Cards(Catalogue([Gateway()]), random_fraction, 15, 10)
APPROVED = Answer(Outcome.APPROVED, {"reference": "ch_1"})


def told(id: str) -> Told:
    """Something that the gateway says."""
    return Told("sandbox", id, "charge", {"says": id})


def charged(wallet: str, amount: int) -> tuple[Step, Step]:
    """A charge, and the deposit that it pays."""
    deposit = {"account_id": wallet, "amount": amount, "currency": "USD"}
    return (
        Step("charge", "charge", {"gateway": "sandbox"}, compensation={"type": "none"}),
        Step("credit", "deposit", deposit, (Need("charge"),)),
    )


async def take(scribe: Scribe, notice: TakeNotice) -> NoticeTaken:
    """What becomes of it."""
    (result,) = (await scribe.submit([notice], key=None)).results
    assert isinstance(result, ChainResult)
    assert isinstance(result.value, NoticeTaken)
    return result.value


async def begin_charge(scribe: Scribe, wallet: str) -> Chain:
    """A chain whose charge is out."""
    chain = await scribe.chain(*charged(wallet, 100))
    result = await scribe.run(chain.id, partial(begin, step="charge"))
    assert result.chain is not None
    return result.chain


def about(chain: Chain, id: str, found: Answer = APPROVED) -> TakeNotice:
    """The gateway's word of the chain's charge."""
    key = read_key(f"{chain.id}.charge.forward.1")
    assert key is not None
    return TakeNotice(told(id), chain.id, partial(hear, key=key, found=found))


async def posted(scribe: Scribe, account: str) -> int:
    """The account's balance."""
    async with scribe.pool.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT credits - debits AS posted FROM balances WHERE account_id = $1", account[5:]
        )
    assert row is not None
    value: int = row["posted"]
    return value


async def prove(scribe: Scribe) -> None:
    """The books are right."""
    async with scribe.pool.acquire() as connection:
        assert await verify(connection, scribe.ledger) == []


async def test_a_notice_decides_a_call_that_is_out_and_once(database: Database) -> None:
    """Ten times the same, at once and later: the chain moves for one, and its name is known."""
    async with open_ledger(database, cards=CARDS) as scribe:
        wallet = await scribe.open()
        chain = await begin_charge(scribe, wallet)
        found = await asyncio.gather(*(take(scribe, about(chain, "evt_1")) for _ in range(10)))
        assert sorted(one.took for one in found) == [*[False] * 9, True]
        assert {one.chain for one in found} == {chain.id}
        assert await take(scribe, about(chain, "evt_2")) == NoticeTaken(chain.id, None)
        assert await posted(scribe, wallet) == 100
        async with scribe.pool.acquire() as connection:
            (named,) = await find_named(connection, scribe.number, "sandbox", ["ch_1", "ch_2"])
            assert (named.reference, named.chain, named.step) == ("ch_1", chain.id, "charge")
            assert await find_named(connection, scribe.number, "other", ["ch_1"]) == []
        await prove(scribe)


async def test_a_refusal_that_a_gateway_tells_rolls_back(database: Database) -> None:
    """With whatever the chain had posted meanwhile."""
    async with open_ledger(database, cards=CARDS) as scribe:
        wallet, other = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(wallet, 50))
        moved = {
            "source_account_id": wallet,
            "destination_account_id": other,
            "amount": 50,
            "currency": "USD",
        }
        chain = await scribe.chain(Step("pay", "transfer", moved), *charged(other, 100))
        await scribe.run(chain.id, partial(begin, step="charge"))
        declined = Answer(Outcome.DECLINED, code="card_declined")
        assert (await take(scribe, about(chain, "evt_1", declined))).took
        (after,) = (await scribe.submit([about(chain, "evt_2")], key=None)).results
        assert isinstance(after, ChainResult)
        assert [await posted(scribe, one) for one in (wallet, other)] == [50, 0]
        await prove(scribe)


async def test_what_nobody_knows_is_listed_and_taken_up_later(database: Database) -> None:
    """It is kept as it came; once somebody takes it up it is on no list any more."""
    async with open_ledger(database, cards=CARDS) as scribe:
        wallet = await scribe.open()
        assert await take(scribe, TakeNotice(told("evt_1"))) == NoticeTaken(None, None)
        assert await take(scribe, TakeNotice(told("evt_2"), new_id(CHAIN))) == (
            NoticeTaken(None, None)
        )
        assert [one.told.id for one in await listed(scribe)] == ["evt_1", "evt_2"]
        chain = await begin_charge(scribe, wallet)
        assert await take(scribe, about(chain, "evt_1")) == (
            NoticeTaken(chain.id, None, took=True, again=True)
        )
        assert [one.told for one in await listed(scribe)] == [told("evt_2")]
        again = await take(scribe, about(chain, "evt_1"))
        assert again == NoticeTaken(chain.id, None, again=True)
        async with scribe.pool.acquire() as connection:
            key = ("sandbox", "evt_1")
            stored = (await load_notices(connection, scribe.number, [key]))[key]
        assert (stored.told, stored.chain, stored.began) == (told("evt_1"), chain.id, None)


async def listed(scribe: Scribe) -> list[Heard]:
    """What nobody knows what to do with, in two pages."""
    async with scribe.pool.acquire() as connection:
        number = scribe.number
        first = await list_notices(connection, number, after=None, limit=1)
        place = (first[0].received_at, first[0].told.gateway, first[0].told.id)
        return first + await list_notices(connection, number, after=place, limit=5)


def follow(id: str, wallet: str, amount: int) -> Follow:
    """A chain that pays into the wallet what is missing to the amount."""

    def define(chain: Chain | None, accounts: Mapping[str, Account]) -> Definition | None:
        del chain
        missing = amount - accounts[wallet].posted
        inputs = {"account_id": wallet, "amount": missing, "currency": "USD"}
        return Definition([Step("pay", "deposit", inputs)]) if missing > 0 else None

    return Follow(id, "sandbox", [wallet], define)


async def test_a_notice_begins_a_chain_once(database: Database) -> None:
    """Whichever of two says it first; with the accounts as they are in that very commit."""
    async with open_ledger(database, cards=CARDS) as scribe:
        wallet, id = await scribe.open(), derive_id(CHAIN, "once")
        notices = [
            TakeNotice(told(f"evt_{number}"), follow=follow(id, wallet, 70)) for number in range(5)
        ]
        found = await asyncio.gather(
            scribe.post(scribe.deposit(wallet, 30)), *(take(scribe, notice) for notice in notices)
        )
        assert set(found[1:]) == {NoticeTaken(id, id)}
        assert await posted(scribe, wallet) == 70
        enough = TakeNotice(told("evt_9"), follow=follow(new_id(CHAIN), wallet, 70))
        assert await take(scribe, enough) == NoticeTaken(None, None)
        await prove(scribe)


async def test_a_chain_that_cannot_be_leaves_the_notice_to_a_person(database: Database) -> None:
    """Also where it is known what it is about."""
    async with open_ledger(database, cards=CARDS) as scribe:
        wallet, closed = await scribe.open(), await scribe.open()
        chain = await begin_charge(scribe, wallet)
        await scribe.change(closed, status=AccountStatus.CLOSED)
        bad = follow(new_id(CHAIN), closed, 5)
        for number, notice in enumerate(
            (TakeNotice(told("evt_0"), follow=bad), TakeNotice(told("evt_1"), chain.id, follow=bad))
        ):
            assert await take(scribe, notice) == NoticeTaken(None, None), number
        assert [one.told.id for one in await listed(scribe)] == ["evt_0", "evt_1"]
        mended = TakeNotice(told("evt_1"), chain.id, follow=follow(new_id(CHAIN), wallet, 5))
        found = await take(scribe, mended)
        assert (found.chain, found.began is not None) == (chain.id, True)
        assert (await scribe.run(chain.id, lambda one, _: one.state)).value is ChainState.EXECUTING
        assert await posted(scribe, wallet) == 5
        await prove(scribe)


async def test_a_chain_that_begins_in_vain_leaves_nothing_behind(database: Database) -> None:
    """What its first attempt did to an account that no notice named is void with that attempt."""
    async with open_ledger(database, cards=CARDS) as scribe:
        source, target = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(source, 100))
        await scribe.post(scribe.transfer(source, target, 1))
        journal = Journal(scribe.pool, Settings(), system_clock, CARDS)
        elsewhere = Scribe(scribe.pool, journal, scribe.ledger)
        await elsewhere.post(elsewhere.transfer(source, target, 2))
        await journal.close()
        # The wallet that is remembered here is old now, and the clearing account is not.
        asked = follow(new_id(CHAIN), target, 33)
        assert (await take(scribe, TakeNotice(told("evt_1"), follow=asked))).began == asked.id
        await scribe.post(scribe.deposit(source, 5))
        accounts = (source, target, scribe.clearing)
        assert sum([await posted(scribe, one) for one in accounts]) == 0
        await prove(scribe)
