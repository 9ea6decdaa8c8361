"""Chains through the journal, on a real PostgreSQL: what a commit leaves, and what it refuses."""

from __future__ import annotations

from functools import partial

import pytest

from catena.chains import machine
from catena.chains.answers import answer
from catena.chains.calls import begin
from catena.chains.definition import Definition, Need, Step
from catena.chains.expressions import Kind
from catena.chains.history import Failure
from catena.chains.states import ChainState
from catena.chains.step_types import Answer, Call, Catalogue, Direction, Input, Outcome, StepType
from catena.db.verify import verify
from catena.db.work import claim_work
from catena.ids import CHAIN, new_id, random_fraction
from catena.journal import (
    AccountState,
    ChainResult,
    ChangeAccount,
    CreateChain,
    Operation,
    ReverseEntry,
    RunChain,
)
from catena.journal.cards import Cards
from catena.ledger.accounts import AccountStatus
from catena.ledger.entries import Draft, Entry, EntryType
from catena.ledger.refusals import Refusal, RefusalCode
from catena.ledger.terms import TermsChange
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger


class Partner:
    """A step type whose partner is the test."""

    type = StepType("call", {"x": Input(Kind.ANY, required=False)}, {"ok": Kind.BOOL}, undoes=True)

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """Whatever is asked for is well."""
        del inputs, compensation, ledger_id
        return ()

    async def call(self, call: Call) -> Answer:
        """The tests tell the answers themselves."""
        raise AssertionError(call)


CARDS = Cards(Catalogue([Partner()]), random_fraction, 15, 10)


def transfer(name: str, source: str, target: str, amount: int, *needs: str) -> Step:
    """A step that moves dollars."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return Step(name, "transfer", inputs, tuple(map(Need, needs)))


def reserve(name: str, account: str, amount: int, *needs: str) -> Step:
    """A step that reserves."""
    return Step(
        name, "lien.reserve", {"account_id": account, "amount": amount}, tuple(map(Need, needs))
    )


async def balances(scribe: Scribe, *accounts: str) -> list[tuple[int, int]]:
    """What is posted and reserved on each wallet."""
    async with scribe.pool.acquire() as connection:
        rows = {
            "acct_" + row["account_id"].hex: (row["credits"] - row["debits"], row["reserved"])
            for row in await connection.fetch(
                "SELECT * FROM balances WHERE ledger_id = $1", scribe.number
            )
        }
    return [rows[id] for id in accounts]


async def test_a_ledger_only_chain_is_one_commit(database: Database) -> None:
    """It is completed when it is answered; one that is refused leaves nothing but itself."""
    async with open_ledger(database) as scribe:
        a, b = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(a, 1000))
        chain = await scribe.chain(
            reserve("hold", a, 300),
            transfer("pay", a, b, 300, "hold"),
            transfer("back", b, a, 50, "pay"),
        )
        assert chain.state is ChainState.COMPLETED
        assert await balances(scribe, a, b) == [(750, 0), (250, 0)]
        refused = await scribe.chain(transfer("one", a, b, 100), transfer("two", b, a, 5000, "one"))
        assert refused.state is ChainState.ROLLED_BACK
        assert refused.failure is not None
        assert refused.failure.code == "insufficient_funds"
        assert await balances(scribe, a, b) == [(750, 0), (250, 0)]
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []


@pytest.mark.parametrize("approved", [True, False])
async def test_an_outside_step_and_back(database: Database, *, approved: bool) -> None:
    """Its answer runs on in the commit that records it, or back; an old fence writes nothing."""
    async with open_ledger(database, cards=CARDS) as scribe:
        a, b = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(a, 1000))
        chain = await scribe.chain(
            reserve("hold", a, 300),
            transfer("pay", a, b, 300, "hold"),
            Step("call", "call", {}, (Need("pay"),), compensation={"u": 1}),
            transfer("more", b, a, 100, "call"),
        )
        assert chain.state is ChainState.EXECUTING
        assert await balances(scribe, a, b) == [(700, 0), (300, 300)]
        async with scribe.pool.acquire() as connection:
            (work,) = await claim_work(connection, scribe.number, 10, 15, ["call"])
            assert await claim_work(connection, scribe.number, 10, 15, ["call"]) == []
        result = await scribe.run(chain.id, partial(begin, step="call"), (work.step, work.fence))
        call = result.value
        assert isinstance(call, Call)
        told = Answer(Outcome.APPROVED, {"ok": True}) if approved else Answer(Outcome.DECLINED)
        act = partial(answer, step="call", direction=Direction.FORWARD, attempt=1, found=told)
        stale = await scribe.run(chain.id, act, (work.step, work.fence - 1))
        assert stale.chain is None
        result = await scribe.run(chain.id, act, (work.step, work.fence))
        assert result.chain is not None
        if approved:
            assert result.chain.state is ChainState.COMPLETED
            assert await balances(scribe, a, b) == [(800, 0), (200, 0)]
        else:
            assert result.chain.state is ChainState.ROLLED_BACK
            assert await balances(scribe, a, b) == [(1000, 0), (0, 0)]
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []


async def test_what_was_posted_since_is_in_no_undo_s_way(database: Database) -> None:
    """A total may be as large as it can be: what a chain posted before is undone all the same."""
    half = 2**61
    async with open_ledger(database, cards=CARDS) as scribe:
        a, b = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(a, half))
        chain = await scribe.chain(transfer("pay", a, b, half), Step("wait", "wait", {}))
        await scribe.post(scribe.deposit(a, half - 1))
        (refused,) = (await scribe.submit([scribe.deposit(a, 1)])).results
        assert isinstance(refused, Refusal)
        assert refused.code is RefusalCode.BALANCE_OUT_OF_RANGE
        act = partial(machine.cancel, failure=Failure("cancelled"), by=None)
        result = await scribe.run(chain.id, act)
        assert result.chain is not None
        assert result.chain.state is ChainState.ROLLED_BACK
        assert await balances(scribe, a, b) == [(2**62 - 1, 0), (0, 0)]
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []


async def test_what_one_commit_ends_and_begins_is_so_for_its_closings(database: Database) -> None:
    """An account closes beside the end of the last chain that names it, not beside a beginning."""
    async with open_ledger(database, cards=CARDS) as scribe:
        a, b = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(a, 10))
        steps = (Step("wait", "wait", {}), transfer("pay", a, b, 10, "wait"))
        chain, other = await scribe.chain(*steps), await scribe.chain(*steps)
        closing = ChangeAccount(b, TermsChange(None, {"status": AccountStatus.CLOSED}))
        cancel = partial(machine.cancel, failure=Failure("cancelled"), by=None)

        async def try_to_close(*operations: Operation) -> object:
            answer = await scribe.submit([*operations, closing], atomic=False)
            return answer.results[-1]

        refused = Refusal(RefusalCode.ACCOUNT_IN_USE, b)
        assert await try_to_close() == refused
        assert await try_to_close(RunChain(chain.id, cancel)) == refused
        closed = await try_to_close(RunChain(other.id, cancel))
        assert isinstance(closed, AccountState)
        assert closed.profile.status is AccountStatus.CLOSED

        b = await scribe.open()
        closing = ChangeAccount(b, TermsChange(None, {"status": AccountStatus.CLOSED}))
        made = CreateChain(new_id(CHAIN), Definition([transfer("pay", a, b, 10)]), "test")
        assert await try_to_close(made) == Refusal(RefusalCode.ACCOUNT_NOT_EMPTY, b)
        b = await scribe.open()
        closing = ChangeAccount(b, TermsChange(None, {"status": AccountStatus.CLOSED}))
        begun = Definition([Step("wait", "wait", {}), transfer("pay", a, b, 10, "wait")])
        made = CreateChain(new_id(CHAIN), begun, "test")
        assert await try_to_close(made) == Refusal(RefusalCode.ACCOUNT_IN_USE, b)


async def test_a_reversal_of_a_run_that_was_refused_is_none(database: Database) -> None:
    """The entry is reversed by somebody else in the very same commit."""
    async with open_ledger(database, cards=CARDS) as scribe:
        a, b = await scribe.open(), await scribe.open()
        await scribe.post(scribe.deposit(a, 10))
        kept = await scribe.post(scribe.transfer(a, b, 4))
        other = await scribe.post(scribe.transfer(a, b, 3))
        steps = (Step("back", "reversal", {"entry_id": kept.id}), transfer("pay", b, a, 999))
        made = CreateChain(new_id(CHAIN), Definition(steps), "test")
        reverse = ReverseEntry(Draft(EntryType.REVERSAL, [], corrects=other.id))
        again = ReverseEntry(Draft(EntryType.REVERSAL, [], corrects=kept.id))
        answer = await scribe.submit([made, reverse, again], atomic=False)
        refused, *reversals = answer.results
        assert isinstance(refused, ChainResult)
        assert refused.chain is not None
        assert refused.chain.state is ChainState.ROLLED_BACK
        assert [one.corrects for one in reversals if isinstance(one, Entry)] == [other.id, kept.id]
        assert await balances(scribe, a, b) == [(10, 0), (0, 0)]
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []
