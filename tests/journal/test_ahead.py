"""While a commit is at the database the next is decided over what it will leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from catena.chains.definition import Definition, Need, Step
from catena.ids import CHAIN, new_id
from catena.journal import CreateChain
from tests.journal.writers import (
    UNPOSTABLE,
    Writer,
    make_unpostable,
    open_writer,
    prove,
    tell,
)
from tests.postgres import Database
from tests.scribe import connect_as_owner


@asynccontextmanager
async def held(database: Database, account: str) -> AsyncIterator[None]:
    """Commits that touch the account wait at the database."""
    async with connect_as_owner(database) as owner, owner.transaction():
        await owner.execute("SELECT FROM balances WHERE account_id = $1 FOR UPDATE", account[5:])
        yield


async def until(seen: Callable[[], object]) -> None:
    """Let the lane run until it is so."""
    async with asyncio.timeout(10):
        while not seen():  # noqa: ASYNC110  # the lane has no event for what only a test looks at
            await asyncio.sleep(0)


def ahead(writer: Writer) -> int:
    """How many pieces are decided ahead."""
    return len(writer.lane._ahead.pieces) if writer.lane._ahead is not None else 0


async def test_the_next_commit_is_decided_ahead(database: Database) -> None:
    """Pieces that come while a commit is under way spend what it will leave, and no more."""
    async with open_writer(database.service_dsn) as writer:
        a, b, c = await writer.open_wallets(3, balance=10)
        before = writer.counts.commits
        async with held(database, a):
            first = writer.send([writer.transfer(a, b, 10)])
            await until(lambda: writer.lane._under_way)
            pieces = [(b, c, 20), (b, c, 1), (a, c, 1), (c, a, 30)]
            following = [writer.send([writer.transfer(*piece)]) for piece in pieces]
            await until(lambda: ahead(writer) == len(pieces))
            assert not any(one.done() for one in [first, *following])
        told = [tell(await one) for one in [first, *following]]
        assert told == ["posted", "posted", "insufficient_funds", "insufficient_funds", "posted"]
        assert [await writer.posted(wallet) for wallet in (a, b, c)] == [30, 0, 0]
        assert (writer.counts.commits, writer.counts.stale) == (before + 2, 0)
        await prove(database, writer.ledger)


async def test_accounts_are_read_ahead(database: Database) -> None:
    """What nobody remembers is read beside the commit; what is not there, by its own."""
    async with open_writer(database.service_dsn) as writer:
        a, b, c, d = await writer.open_wallets(4, balance=10)
        known = writer.lane._committer.accounts
        known.clear()
        async with held(database, a):
            first = writer.send([writer.transfer(a, b, 10)])
            await until(lambda: writer.lane._under_way)
            assert c not in known
            following = [writer.send([writer.transfer(*one)]) for one in ((b, c, 20), (c, d, 30))]
            await until(lambda: ahead(writer) == len(following))
            missing = "acct_" + "0" * 32
            nobody = writer.send([writer.transfer(d, missing, 1)])
            last = writer.send([writer.transfer(d, a, 40)])
            await until(lambda: missing in writer.lane._sought and not writer.lane._reading)
            assert ahead(writer) == len(following)
        told = [tell(await one) for one in (first, *following, nobody, last)]
        assert told == ["posted", "posted", "posted", "unknown_account", "posted"]
        assert [await writer.posted(wallet) for wallet in (a, b, c, d)] == [40, 0, 0, 0]
        assert writer.counts.stale == 0
        await prove(database, writer.ledger)


async def test_what_must_be_read_is_not_decided_ahead(database: Database) -> None:
    """A piece with a reference waits for the commit under way, and those behind it wait with it."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        async with held(database, a):
            order = writer.transfer(a, b, 1, reference="order")
            first = writer.send([order])
            await until(lambda: writer.lane._under_way)
            same = writer.send([order])
            behind = writer.send([writer.transfer(a, b, 2)])
            for _ in range(10):
                await asyncio.sleep(0)
            assert ahead(writer) == 0
        assert [tell(await one) for one in (first, same, behind)] == ["posted"] * 3
        assert await writer.posted(b) == 13
        assert writer.counts.stale == 0
        await prove(database, writer.ledger)


async def test_a_key_under_way_is_not_decided_ahead(database: Database) -> None:
    """The same key again, while its first use is under way, has one effect and one answer."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        key = "1" * 32
        async with held(database, a):
            first = writer.send([writer.transfer(a, b, 1)], key=key)
            await until(lambda: writer.lane._under_way)
            again = [writer.send([writer.transfer(a, b, 1)], key=key) for _ in range(3)]
            await asyncio.sleep(0)
            assert ahead(writer) == 0
        assert [tell(await one) for one in (first, *again)] == ["posted"] * 4
        assert await writer.posted(b) == 11
        await prove(database, writer.ledger)


async def test_a_key_under_way_for_too_long_is_told(database: Database) -> None:
    """The same key again waits for its first use, but not for ever."""
    async with open_writer(
        database.service_dsn, answer_seconds=0.2, database_lock_seconds=0.4
    ) as writer:
        a, b, c = await writer.open_wallets(3, balance=10)
        key = "1" * 32
        async with held(database, a):
            first = writer.send([writer.transfer(a, b, 1)], key=key)
            await until(lambda: writer.lane._under_way)
            again = writer.send([writer.transfer(a, b, 1)], key=key)
            other = writer.send([writer.transfer(b, c, 1)])
            told = [tell(await one) for one in (first, again, other)]
        assert told == ["overloaded", "idempotency_key_in_use", "overloaded"]
        assert tell(await writer.send([writer.transfer(a, b, 1)], key=key)) == "posted"
        assert await writer.posted(b) == 11
        await prove(database, writer.ledger)


async def test_what_was_decided_ahead_of_a_failure_is_decided_again(database: Database) -> None:
    """The commit under way fails: nothing of it is left in what was decided over it."""
    await make_unpostable(database)
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        async with held(database, a):
            failing = writer.send([writer.transfer(a, b, 7, description=UNPOSTABLE)])
            await until(lambda: writer.lane._under_way)
            following = writer.send([writer.transfer(a, b, 8)])
            other = writer.send([writer.transfer(b, a, 12)])
            await until(lambda: ahead(writer))
        told = [tell(await one) for one in (failing, following, other)]
        assert told == ["internal_error", "posted", "posted"]
        assert [await writer.posted(wallet) for wallet in (a, b)] == [14, 6]
        await prove(database, writer.ledger)


async def test_halves_of_a_commit_come_before_what_was_decided_ahead(database: Database) -> None:
    """A commit is taken apart: its pieces keep their place before those that came later."""
    await make_unpostable(database)
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        async with held(database, a):
            pieces = [writer.send([writer.transfer(a, b, 50, description=UNPOSTABLE)])]
            pieces += [writer.send([writer.transfer(a, b, amount)]) for amount in (1, 2, 4)]
            await until(lambda: writer.lane._under_way)
            pieces += [writer.send([writer.transfer(a, b, amount)]) for amount in (8, 16)]
            await until(lambda: ahead(writer) == 2)
        assert [tell(await one) for one in pieces] == ["internal_error"] + ["posted"] * 5
        lines = "SELECT amount FROM lines WHERE ledger_id = $1 AND account_id = $2 ORDER BY number"
        assert [amount for [amount] in await writer.read(lines, a[5:])] == [100, 1, 2, 4, 8, 16]
        await prove(database, writer.ledger)


async def test_accounts_decided_over_are_not_forgotten(database: Database) -> None:
    """However few accounts are remembered, a commit stays one view of those it touches."""
    async with open_writer(database.service_dsn, cached_accounts=1) as writer:
        wallets = await writer.open_wallets(6, balance=10)
        rounds = [
            writer.send([writer.transfer(wallets[n % 6], wallets[(n + 1 + n // 6) % 6], 1)])
            for n in range(60)
            if (1 + n // 6) % 6
        ]
        assert {tell(await one) for one in rounds} == {"posted"}
        assert sum([await writer.posted(wallet) for wallet in wallets]) == 60
        await prove(database, writer.ledger)


async def test_a_lien_lasts_as_long_as_it_says(database: Database) -> None:
    """However far apart the pieces of a commit were decided: its end counts from the commit."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        inputs = {"account_id": b, "amount": 5, "expires_seconds": 60}
        steps = (Step("hold", "lien.reserve", inputs), Step("go", "wait", {}, (Need("hold"),)))
        async with held(database, a):
            first = writer.send([writer.transfer(a, b, 1)])
            await until(lambda: writer.lane._under_way)
            made = writer.send([CreateChain(new_id(CHAIN), Definition(steps), "test")])
            await until(lambda: ahead(writer) == 1)
            last = writer.send([writer.transfer(b, a, 1, reference="order")])
        assert [tell(await one) for one in (first, made, last)] == ["posted", "done", "posted"]
        [[seconds]] = await writer.read(
            "SELECT extract(epoch FROM l.expires_at - e.recorded_at)::float FROM liens l"
            " JOIN events e ON e.ledger_id = l.ledger_id AND e.subject = l.chain_id"
            " WHERE l.ledger_id = $1"
        )
        assert seconds == 60
        await prove(database, writer.ledger)
