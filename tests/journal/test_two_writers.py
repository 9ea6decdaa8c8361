"""Two processes write one ledger: each decides over what it remembers, and neither is wronged."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import asyncpg
import pytest

from catena.clock import system_clock
from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import ADMIN
from catena.journal import Answer, ChangeAccount, Operation, RefundEntry, ReverseEntry
from catena.ledger.accounts import AccountStatus
from catena.ledger.entries import Draft, Entry, EntryType
from catena.ledger.terms import TermsChange
from tests.journal.proxy import Fate, open_proxy
from tests.journal.writers import Told, Writer, open_writer, prove, tell
from tests.postgres import Database
from tests.scribe import connect_as_owner

KEY = "1" * 32


@asynccontextmanager
async def open_two(
    database: Database, *, commit_operations: int = 512
) -> AsyncIterator[tuple[Writer, Writer]]:
    """Two writers of one new ledger; at the end its books prove themselves."""
    dsn, most = database.service_dsn, commit_operations
    async with open_writer(dsn, commit_operations=most) as one:
        async with open_writer(dsn, one.ledger, commit_operations=most) as other:
            yield one, other
        await prove(database, one.ledger)


async def race(
    writers: Sequence[Writer], pieces: Sequence[Sequence[Operation]]
) -> list[list[Told]]:
    """Each writer is sent every piece, all of them at the same time; answers by piece."""
    sent = [[writer.send(piece) for writer in writers] for piece in pieces]
    return [[await answered for answered in answers] for answers in sent]


async def stream(writer: Writer, pieces: Sequence[Sequence[Operation]]) -> list[str]:
    """Commit one piece after the other; gives what was told."""
    return [tell(await writer.send(piece)) for piece in pieces]


async def test_what_another_changed_is_decided_again(database: Database) -> None:
    """Each remembers an account that the other has just changed, and decides over what is there."""
    async with open_two(database) as (one, other):
        a, b = await one.open_wallets(2, balance=10)
        await other.post(other.transfer(a, b, 1))
        assert tell(await one.send([one.transfer(a, b, 10)])) == "insufficient_funds"
        await one.post(one.transfer(b, a, 1))
        assert tell(await other.send([other.transfer(a, b, 10)])) == "posted"
        assert (one.counts.stale, other.counts.stale) == (1, 1)
        assert (await one.posted(a), await one.posted(b)) == (0, 20)


async def test_a_refusal_is_decided_again_too(database: Database) -> None:
    """One remembers an empty wallet; the other has filled it. Nobody is refused for old news."""
    async with open_two(database) as (one, other):
        a, b = await one.open_wallets(2)
        assert tell(await one.send([one.transfer(a, b, 5)])) == "insufficient_funds"
        await other.post(other.deposit(a, 100))
        assert tell(await one.send([one.transfer(a, b, 5)])) == "posted"


async def test_terms_that_another_changed_bind(database: Database) -> None:
    """The other froze the wallet, or gave it a credit line: it counts at once."""
    async with open_two(database) as (one, other):
        a, b = await one.open_wallets(2, balance=10)
        await one.post(one.transfer(a, b, 1))
        await other.change(a, status=AccountStatus.FROZEN)
        assert tell(await one.send([one.transfer(a, b, 1)])) == "account_frozen"
        await other.change(a, status=AccountStatus.ACTIVE, floor=-100)
        assert tell(await one.send([one.transfer(a, b, 100)])) == "posted"


async def test_a_correction_is_refused_for_what_is_so_now(database: Database) -> None:
    """One has refused a reversal for a refund, and is about to commit that; meanwhile the other
    undoes the refund. So the reversal is posted.
    """
    async with (
        open_proxy(database.service_dsn) as proxy,
        open_writer(proxy.dsn) as one,
        open_writer(database.service_dsn, one.ledger) as other,
    ):
        a, b = await one.open_wallets(2, balance=10)
        sale = await one.post(one.transfer(a, b, 5))
        refund = await one.refund(sale, 1)
        proxy.decide_in_turn(Fate.DELAYED)
        reversal = one.send([ReverseEntry(Draft(EntryType.REVERSAL, (), corrects=sale.id))])
        await proxy.held.wait()
        await other.reverse(refund)
        proxy.released.set()
        assert tell(await reversal) == "posted"
        await prove(database, one.ledger)


async def test_a_hot_account_starves_nobody(database: Database) -> None:
    """Both write to the same account without a pause: each piece of either is posted."""
    async with open_two(database) as (one, other):
        fees, *wallets = await one.open_wallets(9, balance=100)
        await other.post(other.transfer(fees, wallets[0], 1))  # it has a connection by now
        pieces = [[one.transfer(wallet, fees, 1)] for wallet in wallets] * 10
        told = await asyncio.gather(
            *[
                stream(writer, pieces[part::4])
                for writer, parts in ((one, (0, 1)), (other, (2, 3)))
                for part in parts
            ]
        )
        assert {word for words in told for word in words} == {"posted"}
        assert await one.posted(fees) == 99 + len(pieces)
        assert one.counts.stale + other.counts.stale > 0


async def test_a_hot_entry_starves_nobody(database: Database) -> None:
    """Both refund one sale by single units without a pause: each unit is refunded once, and when
    nothing is left, both are told.
    """
    async with open_two(database) as (one, other):
        buyer, shop = await one.open_wallets(2, balance=100)
        sale = await one.post(one.transfer(buyer, shop, 40))
        refund = [RefundEntry(Draft(EntryType.REFUND, (), corrects=sale.id), 1)]
        told = await asyncio.gather(stream(one, [refund] * 25), stream(other, [refund] * 25))
        words = [word for words in told for word in words]
        assert (words.count("posted"), words.count("refund_exceeds_entry")) == (40, 10)
        assert (await one.posted(buyer), await one.posted(shop)) == (100, 100)


async def test_no_floor_is_broken_by_two(database: Database) -> None:
    """Both spend the same hundred: together they spend a hundred."""
    async with open_two(database) as (one, other):
        a, b = await one.open_wallets(2, balance=100)
        await other.post(other.transfer(b, a, 1))  # both remember the wallet by now
        told = await race([one, other], [[one.transfer(a, b, 7)] for _ in range(12)])
        words = [tell(one) for pair in told for one in pair]
        assert (words.count("posted"), words.count("insufficient_funds")) == (14, 10)
        assert await one.posted(a) == 3


async def test_one_reference_is_one_entry(database: Database) -> None:
    """Both post the same references at the same time: each is one entry, and both are told it."""
    async with open_two(database) as (one, other):
        a, b = await one.open_wallets(2, balance=100)
        pieces = [[one.transfer(a, b, 1, reference=f"rent {month}")] for month in range(30)]
        for first, second in await race([one, other], pieces):
            assert isinstance(first, Answer)
            assert isinstance(second, Answer)
            assert tell(first) == "posted"
            assert _ids(first) == _ids(second)
        assert await one.posted(a) == 70


def _ids(answer: Answer) -> list[str]:
    return [result.id for result in answer.results if isinstance(result, Entry)]


async def test_one_key_is_one_effect(database: Database) -> None:
    """A key that reaches both at the same time has one effect, and both answer alike."""
    async with open_two(database) as (one, other):
        a, b = await one.open_wallets(2, balance=100)
        for number in range(30):
            key = f"{number:032x}"
            operation = [one.transfer(a, b, 1)]
            first, second = await asyncio.gather(
                one.send(operation, key=key), other.send(operation, key=key)
            )
            assert isinstance(first, Answer)
            assert isinstance(second, Answer)
            assert _ids(first) == _ids(second)
            assert (first.replayed, second.replayed) in {(True, False), (False, True)}
        assert await one.posted(a) == 70


async def test_one_account_is_opened_by_one(database: Database) -> None:
    """Both open the same account, and both use the platform's for the first time: once each."""
    async with open_two(database) as (one, other):
        [a] = await one.open_wallets(1)
        new = "acct_" + "7" * 32
        told = await race([one, other], [[one.opening(new)], [one.deposit(a, 5)]])
        assert sorted(tell(answer) for answer in told[0]) == ["account_exists", "done"]
        assert [tell(answer) for answer in told[1]] == ["posted", "posted"]
        assert await one.posted(a) == 10


async def test_one_revision_is_changed_by_one(database: Database) -> None:
    """Both change the revision that they read: the second is told that it is stale."""
    async with open_two(database) as (one, other):
        [a] = await one.open_wallets(1)
        for revision in range(1, 11):
            change = [ChangeAccount(a, TermsChange(revision, {"name": "Ada"}))]
            [told] = await race([one, other], [change])
            assert sorted(tell(answer) for answer in told) == ["done", "stale_revision"]


async def test_a_clock_that_is_ahead_dates_nothing_in_the_future(database: Database) -> None:
    """To a process an hour ahead a date seems past that is not: the database's clock decides."""

    def ahead() -> dt.datetime:
        return system_clock() + dt.timedelta(hours=1)

    async with open_writer(database.service_dsn, clock=ahead) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        soon = system_clock() + dt.timedelta(minutes=30)
        told = await writer.send_all(
            [
                [writer.transfer(a, b, 1)],
                [writer.transfer(a, b, 1, effective_at=soon)],
                [writer.transfer(a, b, 1, effective_at=system_clock())],
            ]
        )
        assert [tell(one) for one in told] == ["posted", "effective_date_out_of_range", "posted"]
        await prove(database, writer.ledger)


# --- positions ------------------------------------------------------------------------------------

_EVERYTHING = """
SELECT position, recorded_at FROM entries WHERE ledger_id = $1 AND position > $2
 UNION ALL
SELECT position, recorded_at FROM events WHERE ledger_id = $1 AND position > $2
 ORDER BY position"""


_WAITING = """
SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock')"""


async def test_a_commit_that_waits_is_not_passed_by(
    database: Database, postgres_server: EmbeddedPostgres
) -> None:
    """One commit waits for a row while another passes it. A reader that has seen the other still
    comes upon the first: its position is later, since it takes one when it has all its locks.
    """
    async with open_two(database) as (one, other), connect_as_owner(database) as owner:
        a, b, c, d = await one.open_wallets(4, balance=10)
        async with owner.transaction():
            await owner.execute("SELECT FROM balances WHERE account_id = $1 FOR UPDATE", a[5:])
            waiting = one.send([one.transfer(a, b, 1)])
            watcher = await asyncpg.connect(postgres_server.dsn(ADMIN, database.name))
            while not await watcher.fetchval(_WAITING):
                assert not waiting.done()
            await watcher.close()
            passing = await other.post(other.transfer(c, d, 1))
            cursor = max(row[0] for row in await other.read(_EVERYTHING, 0))
            assert cursor == passing.position
        assert tell(await waiting) == "posted"
        assert [row[0] for row in await other.read(_EVERYTHING, cursor)] == [cursor + 1]


async def test_position_order_is_commit_order(database: Database) -> None:
    """A reader that never looks back sees every entry and event, while two processes write."""
    async with open_two(database, commit_operations=5) as (one, other):
        wallets = await one.open_wallets(8, balance=1000)
        done = asyncio.Event()
        seen: list[tuple[int, dt.datetime]] = []

        async def read_on() -> None:
            last_look = False
            while not last_look:
                last_look = done.is_set()
                cursor = seen[-1][0] if seen else 0
                seen.extend([(row[0], row[1]) for row in await one.read(_EVERYTHING, cursor)])

        async def write_on(writer: Writer, shift: int) -> None:
            for number in range(40):
                a, b = wallets[number % 8], wallets[(number + shift) % 8]
                await asyncio.gather(
                    writer.send([writer.transfer(a, b, 1)] * 3),
                    writer.send([writer.transfer(a, b, 10**6)]),
                    writer.send([ChangeAccount(a, TermsChange(None, {"name": f"{number}"}))]),
                )

        async def write_all() -> None:
            await asyncio.gather(write_on(one, 3), write_on(other, 5))
            done.set()

        await asyncio.gather(read_on(), write_all())
        positions = [position for position, _ in seen]
        assert positions == list(range(1, len(positions) + 1))
        assert len(positions) > 2 * 40 * 4
        assert all(earlier <= later for (_, earlier), (_, later) in pairwise(seen))
        [[last]] = await one.read("SELECT position FROM positions WHERE ledger_id = $1")
        assert last == positions[-1]


@pytest.mark.parametrize("wrong", ["debits", "credits", "line_count"])
async def test_what_is_remembered_wrongly_is_never_written(database: Database, wrong: str) -> None:
    """A total that lines do not add up to is refused by the database, and read anew."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        remembered = writer.lane._committer.accounts[a]
        setattr(remembered, wrong, getattr(remembered, wrong) + 3)
        assert tell(await writer.send([writer.transfer(b, a, 4)])) == "posted"
        assert writer.counts.stale == 1
        assert (await writer.posted(a), await writer.posted(b)) == (14, 6)
        await prove(database, writer.ledger)
