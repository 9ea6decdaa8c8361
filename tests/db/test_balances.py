"""Balances now and at a moment of the past, against slow recomputation."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from catena.db.read.balances import read_balance_at, read_balances
from catena.db.read.ledgers import read_ledger_state
from catena.ids import ACCOUNT, new_id
from catena.ledger.accounts import AccountStatus, AccountType, Side
from catena.ledger.balances import Balance, PastBalance, Terms
from tests.naive import read_naively
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger, write_at_random

ONE = dt.timedelta(microseconds=1)


@pytest.fixture
async def scribe(database: Database) -> AsyncIterator[Scribe]:
    """Who writes in a ledger of the test's own."""
    async with open_ledger(database) as scribe:
        yield scribe


async def test_balances_are_of_one_moment_and_say_which(scribe: Scribe) -> None:
    """Many balances come at once, each with what bounds it, all as of the ledger's last position;
    an account that does not exist is left out.
    """
    wallet = await scribe.open(floor=-50, ceiling=1000)
    expense = await scribe.open(type=AccountType.EXPENSE, floor=None)
    await scribe.post(scribe.deposit(wallet, 100))
    entry = await scribe.post(scribe.transfer(expense, wallet, 30))
    state = await scribe.change(wallet, status=AccountStatus.FROZEN)
    async with scribe.pool.acquire() as connection:
        found = await read_balances(
            connection, scribe.number, [wallet, expense, scribe.clearing, new_id(ACCOUNT)]
        )
        ledger = await read_ledger_state(connection, scribe.number)
        assert await read_balances(connection, scribe.number, []) == {}
        assert await read_balances(connection, scribe.number + 1, [wallet]) == {}
    assert ledger == (entry.position + 1, state.updated_at)
    active = AccountStatus.ACTIVE
    assert found == {
        wallet: Balance(
            wallet, "USD", Side.CREDIT, 0, 130, 0, -50, 1000, AccountStatus.FROZEN, 2, 4, *ledger
        ),
        expense: Balance(expense, "USD", Side.DEBIT, 30, 0, 0, None, None, active, 1, 2, *ledger),
        scribe.clearing: Balance(
            scribe.clearing, "USD", Side.DEBIT, 100, 0, 0, None, None, active, 1, 2, *ledger
        ),
    }
    assert (found[wallet].posted, found[wallet].available) == (130, 180)
    assert (found[expense].posted, found[expense].available) == (30, None)


@pytest.mark.parametrize("seed", range(3))
async def test_a_past_balance_agrees_with_slow_recomputation(
    database: Database, scribe: Scribe, seed: int
) -> None:
    """At any moment, by recorded time, by effective time, and by effective time as known at a
    recorded time, totals are those of the lines that had been recorded and had taken effect.
    """
    account = await scribe.open()
    await write_at_random(scribe, account, seed)
    naive = await read_naively(database, scribe.number, account)
    opened = naive.lines[0].recorded_at
    moments = naive.moments()
    async with scribe.pool.acquire() as connection:
        for index, moment in enumerate(moments):
            known_at = max(opened, moments[-index])
            for recorded_at, effective_at in (
                (max(opened, moment), None),
                (None, moment),
                (known_at, moment),
            ):
                found = await read_balance_at(
                    connection,
                    scribe.number,
                    account,
                    recorded_at=recorded_at,
                    effective_at=effective_at,
                )
                assert found is not None
                known = naive.known_at(recorded_at)
                assert (found.debits, found.credits) == known.totals(effective_at)
                assert found.line_count == len(known.lines)
                assert found.posted == found.credits - found.debits
                assert (found.terms is None) == (effective_at is not None)


async def test_terms_are_those_of_the_moment(scribe: Scribe) -> None:
    """By recorded time the floor, the ceiling and the status are what they were then, and before
    the account was opened there is nothing.
    """
    account = await scribe.open(floor=-10, ceiling=500)
    entry = await scribe.post(scribe.deposit(account, 200))
    frozen = await scribe.change(account, status=AccountStatus.FROZEN, floor=-20)
    raised = await scribe.change(account, status=AccountStatus.ACTIVE, ceiling=None)
    opened = frozen.created_at
    active = AccountStatus.ACTIVE
    story = [
        (opened - ONE, None, None),
        (opened, Terms(0, -10, 500, active), 10),
        (entry.recorded_at - ONE, Terms(0, -10, 500, active), 10),
        (entry.recorded_at, Terms(0, -10, 500, active), 210),
        (frozen.updated_at - ONE, Terms(0, -10, 500, active), 210),
        (frozen.updated_at, Terms(0, -20, 500, AccountStatus.FROZEN), 220),
        (raised.updated_at, Terms(0, -20, None, active), 220),
        (raised.updated_at + dt.timedelta(days=9), Terms(0, -20, None, active), 220),
        (None, Terms(0, -20, None, active), 220),
    ]
    async with scribe.pool.acquire() as connection:
        for moment, terms, available in story:
            found = await read_balance_at(connection, scribe.number, account, recorded_at=moment)
            told = found and (found.terms, found.available)
            assert told == (terms and (terms, available))


async def test_a_backdated_line_counts_from_its_date(scribe: Scribe) -> None:
    """A deposit that is learned of today and dated a week back belongs to the week by effective
    time, and by recorded time only to today; the position is of the last entry that was known.
    """
    account = await scribe.open()
    first = await scribe.post(scribe.deposit(account, 100))
    week_ago = first.recorded_at - dt.timedelta(days=7)
    late = await scribe.post(scribe.deposit(account, 5, effective_at=week_ago))
    async with scribe.pool.acquire() as connection:

        async def read(
            recorded_at: dt.datetime | None, effective_at: dt.datetime | None
        ) -> tuple[int, int] | None:
            found = await read_balance_at(
                connection,
                scribe.number,
                account,
                recorded_at=recorded_at,
                effective_at=effective_at,
            )
            return found and (found.posted, found.position)

        assert await read(None, week_ago - ONE) == (0, late.position)
        assert await read(None, week_ago) == (5, late.position)
        assert await read(None, first.recorded_at) == (105, late.position)
        assert await read(first.recorded_at, week_ago) == (0, first.position)
        assert await read(first.recorded_at, None) == (100, first.position)
        assert await read(late.recorded_at, None) == (105, late.position)
        assert await read(week_ago, None) is None
        assert await read(week_ago, week_ago) is None


async def test_ledgers_do_not_see_each_other(database: Database, scribe: Scribe) -> None:
    """An account of another ledger has no balance here, now or ever; an empty one has zero."""
    account = await scribe.open()
    async with open_ledger(database) as other, scribe.pool.acquire() as connection:
        assert await read_balance_at(connection, other.number, account) is None
        assert await read_balances(connection, other.number, [account]) == {}
        assert await read_balance_at(connection, scribe.number, account) == PastBalance(
            account, "USD", Side.CREDIT, 0, 0, 0, 0, Terms(0, 0, None, AccountStatus.ACTIVE)
        )
