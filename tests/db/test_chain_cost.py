"""What reads of chains, liens and messages cost: as `test_cost`, in a ledger full of chains."""

from __future__ import annotations

import datetime as dt
from typing import Any

from catena.chains.definition import Definition, Step
from catena.chains.states import ChainState
from catena.clock import system_clock
from catena.db.inbox import Message, find_waiting, list_unmatched, load_inbox, load_messages
from catena.db.load_chains import find_running
from catena.db.read.chains import ChainFilter, list_chains, read_chain, read_numbers, read_records
from catena.db.read.liens import list_account_liens, list_chain_liens, read_lien, read_standings
from catena.db.work import claim_work, find_due_ledgers
from catena.ids import CHAIN, new_id
from catena.journal import CreateChain, ReceiveMessage
from tests.chain_story import (
    CARDS,
    DECLINED,
    await_message,
    call,
    reserve,
    tell,
    transfer,
    wait,
)
from tests.db.test_cost import Read, count_blocks
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger

AGES_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def list_some_chains(wanted: ChainFilter) -> Read:
    """Lists the first chains of those that match, out of 40."""
    return lambda connection, scribe, *_: list_chains(
        connection, scribe.number, wanted, limit=20, look_at=40
    )


def look_up(rare: str, chain: str, lien: str, moment: dt.datetime) -> dict[str, Read]:
    """Every read of chains, liens and messages. `rare`: an account of few chains; `chain` has the
    lien, and waits for a message.
    """
    filters = {
        "nothing": ChainFilter(),
        "a state that many have": ChainFilter(states=[ChainState.EXECUTING]),
        "a state that few have": ChainFilter(states=[ChainState.HELD]),
        "an end": ChainFilter(states=[ChainState.COMPLETED]),
        "several states": ChainFilter(states=[ChainState.HELD, ChainState.ROLLED_BACK]),
        "type": ChainFilter(type="none"),
        "reference": ChainFilter(reference="r1"),
        "account": ChainFilter(accounts=[rare]),
        "an account and a state": ChainFilter(accounts=[rare], states=[ChainState.HELD]),
        "parked": ChainFilter(parked=True),
        "not parked": ChainFilter(parked=False),
        "start": ChainFilter(start=moment),
        "end": ChainFilter(end=moment),
        "both ends, long ago": ChainFilter(start=AGES_AGO, end=AGES_AGO + dt.timedelta(days=1)),
    }
    return {
        **{f"chains by {about}": list_some_chains(wanted) for about, wanted in filters.items()},
        "chains of the account": lambda connection, scribe, account, _: list_chains(
            connection, scribe.number, ChainFilter(accounts=[account]), limit=20, look_at=40
        ),
        "a chain, or a hold": lambda connection, scribe, *_: read_chain(
            connection, scribe.number, chain
        ),
        "its number": lambda connection, scribe, *_: read_numbers(
            connection, scribe.number, [chain]
        ),
        "its history": lambda connection, scribe, *_: read_records(
            connection, scribe.number, chain, 0, 20
        ),
        "its liens": lambda connection, scribe, *_: list_chain_liens(
            connection, scribe.number, chain, after=None, limit=20
        ),
        "its virtual balances": lambda connection, scribe, *_: read_standings(
            connection, scribe.number, chain, None
        ),
        "its messages": lambda connection, scribe, *_: load_messages(
            connection, scribe.number, [chain]
        ),
        "who waits for a message": lambda connection, scribe, *_: find_waiting(
            connection, scribe.number, ["invoice 7", "order 1"]
        ),
        "whether a message is there": lambda connection, scribe, *_: load_inbox(
            connection, scribe.number, [("bank", "e60.1"), ("bank", "none")]
        ),
        "a lien": lambda connection, scribe, *_: read_lien(connection, scribe.number, lien),
        "liens of the account": lambda connection, scribe, account, _: list_account_liens(
            connection, scribe.number, account, after=None, limit=20
        ),
        "liens of an account with few": lambda connection, scribe, *_: list_account_liens(
            connection, scribe.number, rare, after=None, limit=20
        ),
        "messages that nobody waits for": lambda connection, scribe, *_: list_unmatched(
            connection, scribe.number, after=None, limit=20
        ),
        "whether an account can be closed": lambda connection, scribe, account, _: find_running(
            connection, scribe.number, [rare, account], 1
        ),
        "what is due": lambda connection, *_: find_due_ledgers(connection),
        "taking it": lambda connection, scribe, *_: claim_work(
            connection, scribe.number, 0, 15, ["call"]
        ),
    }


async def make_many(scribe: Scribe, account: str, other: str, size: int) -> None:
    """So many chains that run, with a lien on the account each; as many that are completed, and
    messages that nobody waits for.
    """
    running = (reserve("hold", account, 1), call("ask"), wait("go"))
    paying = (transfer("pay", account, other, 1),)
    made: list[Any] = [
        CreateChain(new_id(CHAIN), Definition(steps), "test")
        for _ in range(size)
        for steps in (running, paying)
    ]
    made += [ReceiveMessage(Message("bank", f"e{size}.{n}", f"order {n}", 1)) for n in range(size)]
    for start in range(0, len(made), 500):
        await scribe.submit(made[start : start + 500], atomic=False, key=None)


async def make_rare(scribe: Scribe, account: str, rare: str) -> str:
    """One chain of each uncommon kind; gives the id of the one that waits for a message."""
    parked = await scribe.chain(call("charge", pivot=True), call("then", "charge"))
    await tell(scribe, parked.id, "charge")
    await tell(scribe, parked.id, "then", DECLINED)
    steps: tuple[Step, ...] = (reserve("hold", rare, 1), await_message("paid", "invoice 7"))
    named = await scribe.chain(*steps, transfer("pay", rare, account, 1, "paid"), reference="r1")
    return named.id


async def test_many_chains_cost_what_few_do(database: Database) -> None:
    """What is looked up or listed among some thousand chains, liens and messages touches about as
    many blocks as among a few dozen, by plans that were made when there were none.
    """
    async with open_ledger(database, cards=CARDS) as scribe, scribe.pool.acquire() as connection:
        account, other, rare = [await scribe.open() for _ in range(3)]
        await scribe.post(scribe.deposit(account, 100_000), scribe.deposit(rare, 100))
        chain = await make_rare(scribe, account, rare)
        (lien,) = await list_chain_liens(connection, scribe.number, chain, after=None, limit=2)
        reads = look_up(rare, chain, lien.id, system_clock())
        found: list[dict[str, int]] = []
        for size in (0, 60, 3000):
            await make_many(scribe, account, other, size)
            found.append(
                {
                    name: await count_blocks(connection, scribe, account, AGES_AGO, read)
                    for name, read in reads.items()
                }
            )
    _, few, many = found
    assert {
        name: (few[name], blocks) for name, blocks in many.items() if blocks > 2 * few[name] + 20
    } == {}
