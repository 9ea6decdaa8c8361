"""Commits whose answer was lost: each effect happens once, and each answer is true."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import ADMIN, SERVICE
from catena.db.pool import give_back
from catena.errors import OutcomeUnknown
from catena.ids import ACCOUNT, derive_id
from catena.journal import (
    Answer,
    ChangeAccount,
    Operation,
    RefundEntry,
    Result,
    ReverseEntry,
)
from catena.ledger.entries import Draft, Entry, EntryType
from catena.ledger.refusals import Refusal
from catena.ledger.terms import TermsChange
from tests.journal.proxy import Fate, open_proxy
from tests.journal.writers import Told, Writer, open_writer, prove, tell
from tests.postgres import Database

KEY, OTHER_KEY = "1" * 32, "2" * 32
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = $1"""


async def submit_one_of_each(writer: Writer, a: str, b: str, entry: Entry) -> list[Told]:
    """One piece of every kind, waiting together."""
    corrects = entry.id
    return await writer.send_all(
        [
            [writer.opening("acct_" + "7" * 32)],
            [writer.transfer(a, b, 1)],
            [writer.transfer(a, b, 10**9)],
            [ChangeAccount(a, TermsChange(1, {"name": "Ada"}))],
            [writer.transfer(a, b, 2, reference="rent")],
            [RefundEntry(Draft(EntryType.REFUND, (), corrects=corrects), 3)],
            [writer.transfer(a, b, 1), writer.transfer(b, a, 2)],
            [ReverseEntry(Draft(EntryType.REVERSAL, (), corrects=corrects))],
            [writer.deposit(a, 5)],
        ]
    )


TOLD_OF_EACH = [
    "done",
    "posted",
    "insufficient_funds",
    "done",
    "posted",
    "posted",
    "posted",
    "already_refunded",
    "posted",
]


@pytest.mark.parametrize("fate", [Fate.NEVER_SENT, Fate.UNANSWERED, Fate.ABANDONED])
@pytest.mark.parametrize("locking", [False, True], ids=["remembering", "locking"])
async def test_every_kind_of_piece(database: Database, fate: Fate, *, locking: bool) -> None:
    """Whether or not the commit landed, each piece is answered as if nothing had happened."""
    async with (
        open_proxy(database.service_dsn) as proxy,
        open_writer(proxy.dsn) as writer,
    ):
        a, b = await writer.open_wallets(2, balance=100)
        entry = await writer.post(writer.transfer(a, b, 10))
        if locking:
            await have_it_lock(database, writer, a)
        before = await writer.posted(a), await writer.posted(b)
        proxy.fates.clear()
        proxy.decide_in_turn(fate, fate)
        told = await submit_one_of_each(writer, a, b, entry)
        assert [tell(one) for one in told] == TOLD_OF_EACH
        assert proxy.fates[0] is fate
        assert writer.counts.lost >= 1
        landed = [isinstance(one, Answer) and one.replayed for one in told]
        assert all(landed) if fate is Fate.UNANSWERED else fate is Fate.ABANDONED or not any(landed)
        after = await writer.posted(a), await writer.posted(b)
        assert after == (before[0] + 6, before[1] - 1)
        await prove(database, writer.ledger)


async def have_it_lock(database: Database, writer: Writer, account: str) -> None:
    """Let another process write too; the writer has noticed, and locks for a while."""
    async with open_writer(database.service_dsn, writer.ledger) as other:
        await other.post(other.deposit(account, 1))
    await writer.post(writer.deposit(account, 1))
    assert writer.counts.stale == 1


@pytest.mark.parametrize("fate", [Fate.NEVER_SENT, Fate.UNANSWERED])
async def test_a_database_that_stays_away(database: Database, fate: Fate) -> None:
    """What was on its way is in doubt, what came later was not done; the same keys tell the truth
    when the database is back.
    """
    async with (
        open_proxy(database.service_dsn) as proxy,
        open_writer(proxy.dsn, answer_seconds=0.3) as writer,
    ):
        a, b = await writer.open_wallets(2, balance=100)

        def go_away() -> Fate:
            proxy.is_open = False
            return fate

        proxy.decide = go_away
        on_its_way = await writer.send([writer.transfer(a, b, 1)], key=KEY)
        later = await writer.send([writer.transfer(a, b, 10)], key=OTHER_KEY)
        assert (tell(on_its_way), tell(later)) == ("outcome_unknown", "database_unavailable")
        proxy.decide_in_turn()
        proxy.is_open = True
        told = [
            await writer.send([writer.transfer(a, b, amount)], key=key)
            for key, amount in ((KEY, 1), (OTHER_KEY, 10))
        ]
        assert [tell(one) for one in told] == ["posted", "posted"]
        replayed = [isinstance(one, Answer) and one.replayed for one in told]
        assert replayed == [fate is Fate.UNANSWERED, False]
        assert await writer.posted(a) == 89
        await prove(database, writer.ledger)


async def test_what_waits_too_long_was_not_done(database: Database) -> None:
    """While one commit keeps the database busy, what waits behind it is given up, undone."""
    async with (
        open_proxy(database.service_dsn) as proxy,
        open_writer(proxy.dsn, answer_seconds=0.3, database_command_seconds=0.5) as writer,
    ):
        a, b = await writer.open_wallets(2, balance=100)
        proxy.decide_in_turn(Fate.HELD)
        held = writer.send([writer.transfer(a, b, 1)], key=KEY)
        await proxy.held.wait()
        behind = writer.send([writer.transfer(a, b, 10)], key=OTHER_KEY)
        assert (tell(await held), tell(await behind)) == ("outcome_unknown", "database_unavailable")
        proxy.released.set()
        told = await asyncio.gather(
            writer.send([writer.transfer(a, b, 1)], key=KEY),
            writer.send([writer.transfer(a, b, 10)], key=OTHER_KEY),
        )
        assert [tell(one) for one in told] == ["posted", "posted"]
        assert await writer.posted(a) == 89
        await prove(database, writer.ledger)


async def test_a_database_that_is_frozen(database: Database) -> None:
    """The network takes everything and gives nothing back: callers are told all the same, and when
    it flows again, the same keys tell the truth.
    """
    async with (
        open_proxy(database.service_dsn) as proxy,
        open_writer(
            proxy.dsn,
            answer_seconds=0.3,
            database_command_seconds=0.5,
            database_connect_seconds=0.5,
        ) as writer,
    ):
        a, b = await writer.open_wallets(2, balance=100)
        proxy.flowing.clear()
        on_its_way = writer.send([writer.transfer(a, b, 1)], key=KEY)
        later = writer.send([writer.transfer(a, b, 10)], key=OTHER_KEY)
        async with asyncio.timeout(20):
            told = [tell(await on_its_way), tell(await later)]
        assert set(told) == {"outcome_unknown"}
        proxy.flowing.set()
        for key, amount in ((KEY, 1), (OTHER_KEY, 10)):
            assert tell(await writer.send([writer.transfer(a, b, amount)], key=key)) == "posted"
        assert await writer.posted(a) == 89
        await prove(database, writer.ledger)


ROUNDS = 150 if os.environ.get("CATENA_LONG") == "1" else 12
BROKEN = [Fate.NEVER_SENT, Fate.UNANSWERED, Fate.ABANDONED]


@pytest.mark.parametrize("seed", range(3))
async def test_connections_that_break_at_random(
    database: Database, postgres_server: EmbeddedPostgres, seed: int
) -> None:
    """Commits are cut off at random on their way there and back, and backends are terminated
    around them. Each piece has one effect or none, as it was told, and its key says so again.
    """
    draw = random.Random(seed)
    admin = postgres_server.dsn(ADMIN, database.name)
    async with (
        open_proxy(database.service_dsn) as proxy,
        open_writer(proxy.dsn, commit_operations=6) as one,
        open_writer(proxy.dsn, one.ledger, commit_operations=6) as other,
    ):
        a, b = await one.open_wallets(2, balance=300)
        proxy.decide = lambda: draw.choice([Fate.ARRIVES] * 5 + BROKEN)
        sent: list[tuple[str, Sequence[Operation], Told]] = []
        truth: list[Answer] = []
        async with terminating(admin, draw):
            for turn in range(ROUNDS):
                batch = [
                    (f"{turn:016x}{number:016x}", draw_piece(one, a, b, draw, f"{turn}-{number}"))
                    for number in range(draw.randint(1, 9))
                ]
                told = await asyncio.gather(
                    *[draw.choice([one, other]).send(piece, key=key) for key, piece in batch]
                )
                sent += [(*pair, one) for pair, one in zip(batch, told, strict=True)]
        proxy.decide_in_turn()
        assert one.counts.lost + other.counts.lost > 0
        for key, piece, told_first in sent:
            again = await other.send(piece, key=key)
            assert isinstance(again, Answer)
            truth.append(again)
            if isinstance(told_first, Answer):
                assert again.replayed
                assert [_name(r) for r in again.results] == [_name(r) for r in told_first.results]
            else:
                assert isinstance(told_first, OutcomeUnknown)
        await check_effects(one, truth)
        await prove(database, one.ledger)


def draw_piece(
    writer: Writer, a: str, b: str, draw: random.Random, name: str
) -> Sequence[Operation]:
    """A transfer that may be refused, two that stand together, one by reference, or an opening."""
    source, target = draw.sample([a, b], 2)
    transfer = writer.transfer(source, target, draw.randint(1, 250), description=name)
    rent = writer.transfer(source, target, 1, reference=name, description=name)
    return draw.choice(
        [
            [transfer],
            [transfer, writer.transfer(target, source, draw.randint(1, 250), description=name)],
            [rent],
            [writer.opening(derive_id(ACCOUNT, name))],
        ]
    )


@asynccontextmanager
async def terminating(dsn: str, draw: random.Random) -> AsyncIterator[None]:
    """Meanwhile, terminate the service's backends at random moments."""
    done = asyncio.Event()

    async def terminate() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            while not done.is_set():
                await connection.fetchval("SELECT pg_sleep($1)", 0.1 + draw.random() / 2)
                await connection.fetchval(TERMINATE, SERVICE)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(terminate())
        yield
        done.set()


def _name(result: Result) -> object:
    return result if isinstance(result, Refusal) else getattr(result, "id", None)


async def check_effects(writer: Writer, answers: Sequence[Answer]) -> None:
    """Every entry that was told is there once, and no other."""
    told = [
        (result.description, result.position)
        for answer in answers
        for result in answer.results
        if isinstance(result, Entry)
    ]
    there = await writer.read(
        "SELECT description, position FROM entries WHERE ledger_id = $1 AND description IS NOT NULL"
    )
    assert sorted(there) == sorted(told)


async def test_a_connection_that_cannot_be_given_back(database: Database) -> None:
    """It is ended, and whoever had it goes on: the lane of a ledger must not die of it."""
    async with (
        open_writer(database.service_dsn) as one,
        open_writer(database.service_dsn) as other,
    ):
        connection = await one.pool.acquire()
        open_before = one.pool.get_size()
        with capture_logs() as logs:
            await give_back(other.pool, connection)
        assert [line["event"] for line in logs] == ["connection_not_given_back"]
        assert one.pool.get_size() == open_before - 1
        await give_back(one.pool, connection)


async def test_what_landed_is_told_before_what_is_slow(database: Database) -> None:
    """A commit is answered though what comes behind it has to read from a database that is away."""
    async with open_proxy(database.service_dsn) as proxy, open_writer(proxy.dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        await writer.send([writer.transfer(a, b, 1)])
        proxy.decide_in_turn(Fate.HELD)
        first = writer.send([writer.transfer(a, b, 1)])
        await proxy.held.wait()
        second = writer.send([writer.transfer(a, b, 1, reference="behind")])
        before = writer.counts.commits
        proxy.released.set()
        while writer.counts.commits == before:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)
        proxy.shut()
        async with asyncio.timeout(2):
            assert tell(await first) == "posted"
        assert not second.done()
        proxy.is_open = True
        assert tell(await second) == "posted"
        await prove(database, writer.ledger)
