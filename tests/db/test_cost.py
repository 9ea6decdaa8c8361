"""What reads cost: blocks of the books touched, for long accounts and for short ones.

Counted by PostgreSQL itself in the reading transaction, for the very calls that the API makes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from catena.chains.step_types import Catalogue
from catena.clock import system_clock
from catena.db.load import (
    load_accounts,
    load_corrected,
    load_entries,
    load_profiles,
    load_references,
)
from catena.db.pool import Connection
from catena.db.read.accounts import AccountFilter, list_accounts, read_account
from catena.db.read.balances import read_balance_at, read_balances
from catena.db.read.entries import EntryFilter, list_entries
from catena.db.read.history import read_history
from catena.db.read.statements import read_statement
from catena.ids import ENTRY, random_fraction
from catena.journal import OpenAccount, Operation, Piece
from catena.journal.attempt import Attempt
from catena.journal.cards import Cards
from catena.ledger.accounts import AccountStatus, SystemRole
from catena.ledger.entries import EntryType
from catena.ledger.statements import LineQuery
from tests.postgres import Database
from tests.scribe import Scribe, connect_as_owner, make_profile, open_ledger

SHORT, LONG = 100, 100_000

COUNT = """
SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid)) AS blocks,
       sum(pg_stat_get_xact_numscans(c.oid)) FILTER (WHERE c.relkind = 'r') AS scans
  FROM pg_class c WHERE c.relnamespace = 'catena'::regnamespace AND c.relkind IN ('r', 'i')"""

# So many deposits of 1, one a minute from now on; two of three are recorded late.
FILL = """
WITH made AS MATERIALIZED (
    SELECT i, position + i AS position, recorded_at + interval '1 minute' * i AS recorded_at,
           recorded_at + interval '1 minute' * i - interval '40 seconds' * (i % 3) AS effective_at
      FROM positions, generate_series(1, $4::bigint) AS i WHERE ledger_id = $1
), entered AS (
    INSERT INTO entries (ledger_id, position, entry_id, type, effective_at, recorded_at)
    SELECT $1, position, gen_random_uuid(), 'deposit', effective_at, recorded_at FROM made
), balanced AS (
    UPDATE balances
       SET line_count = line_count + $4, version = version + 1,
           debits = debits + CASE WHEN account_id = $2 THEN $4 ELSE 0 END,
           credits = credits + CASE WHEN account_id = $3 THEN $4 ELSE 0 END
     WHERE ledger_id = $1 AND account_id IN ($2, $3)
), numbered AS (
    UPDATE positions
       SET position = position + $4, recorded_at = recorded_at + interval '1 minute' * $4
     WHERE ledger_id = $1
)
INSERT INTO lines (ledger_id, account_id, number, position, amount, debits, credits, effective_at,
                   recorded_at, ordinal, is_debit, currency)
SELECT $1, b.account_id, b.line_count + i, position, 1,
       b.debits + CASE WHEN b.account_id = $2 THEN i ELSE 0 END,
       b.credits + CASE WHEN b.account_id = $3 THEN i ELSE 0 END,
       effective_at, recorded_at, 1, b.account_id = $2, 'USD'
  FROM made, balances b WHERE b.ledger_id = $1 AND b.account_id IN ($2::uuid, $3::uuid)"""

Read = Callable[[Connection, Scribe, str, dt.datetime], Awaitable[object]]


async def fill(database: Database, scribe: Scribe, account: str, lines: int) -> dt.datetime:
    """Fill an account as weeks of use would; gives the moment when it had half of its lines."""
    async with connect_as_owner(database) as owner:
        begin: dt.datetime = await owner.fetchval("SELECT recorded_at FROM positions")
        await owner.execute(FILL, scribe.number, scribe.clearing[5:], account[5:], lines)
    return begin + dt.timedelta(minutes=lines // 2, seconds=30)


async def count_blocks(
    connection: Connection, scribe: Scribe, account: str, moment: dt.datetime, read: Read
) -> int:
    """Blocks that one read touches. No table may be read as a whole."""
    await read(connection, scribe, account, moment)  # the first one tidies up after writers
    async with connection.transaction(isolation="repeatable_read"):  # as some reads ask for
        before = await connection.fetchrow(COUNT)
        await read(connection, scribe, account, moment)
        after = await connection.fetchrow(COUNT)
    assert before is not None
    assert after is not None
    assert after["scans"] == before["scans"]
    return int(after["blocks"] - before["blocks"])


def turn_two_pages(read: Any, *, descending: bool, **filters: Any) -> Read:  # noqa: ANN401
    """Reads two pages on from the moment, of 20 lines or out of 40; gives how many there were."""

    async def pages(
        connection: Connection, scribe: Scribe, account: str, moment: dt.datetime
    ) -> int:
        query = LineQuery(descending=descending, **filters)
        query = query._replace(end=moment) if descending else query._replace(start=moment)
        items, place = 0, None
        for _ in range(2):
            page = await read(
                connection, scribe.number, account, query, place, limit=20, look_at=40
            )
            items, place = items + len(page.items), page.next
        return items

    return pages


def list_some_accounts(wanted: AccountFilter) -> Read:
    """Lists the first accounts of those that match, out of 40."""
    return lambda connection, scribe, *_: list_accounts(
        connection, scribe.number, wanted, limit=20, look_at=40
    )


def list_some_entries(wanted: EntryFilter) -> Read:
    """Lists the last entries of those that match, out of 40."""
    return lambda connection, scribe, *_: list_entries(
        connection, scribe.number, wanted, descending=True, limit=20, look_at=40
    )


async def commit(
    connection: Connection, scribe: Scribe, operation: Operation, cards: Cards
) -> None:
    """Load under lock, decide and write, as a lane of the journal does."""
    piece = Piece([operation], key=uuid4().hex, payload=uuid4().hex, done=lambda _: None)
    attempt = Attempt(scribe.ledger, {}, cards, lock=True)
    piece.needs.add(piece.operations, scribe.ledger.id)
    attempt.add(piece)
    await attempt.run(connection, system_clock(), 16, lambda _: None)


async def commit_deposit(connection: Connection, scribe: Scribe, account: str, *_: object) -> None:
    """A deposit to the account."""
    cards = Cards(Catalogue(), random_fraction, 15, 10)
    await commit(connection, scribe, scribe.deposit(account, 1), cards)


def balance_at(*dates: str) -> Read:
    """Reads the balance at the moment, by these dates."""
    return lambda connection, scribe, account, moment: read_balance_at(
        connection, scribe.number, account, **dict.fromkeys(dates, moment)
    )


READS: dict[str, Read] = {
    "balance now": lambda connection, scribe, account, _: read_balances(
        connection, scribe.number, [account]
    ),
    "balance recorded": balance_at("recorded_at"),
    "balance effective": balance_at("effective_at"),
    "balance recorded and effective": balance_at("recorded_at", "effective_at"),
    **{
        f"{name}, {'down' if descending else 'up'}, {about}": turn_two_pages(
            read, descending=descending, **filters
        )
        for name, read in (("history", read_history), ("statement", read_statement))
        for descending in (False, True)
        for about, filters in (
            ("all", {}),
            ("one type", {"types": [EntryType.FEE]}),
            ("one reference", {"reference": "none"}),
        )
    },
}


@pytest.mark.parametrize("analyzed", [False, True], ids=["never analyzed", "analyzed when small"])
async def test_long_accounts_cost_what_short_ones_do(database: Database, *, analyzed: bool) -> None:
    """A balance, now or then, and two pages of a history or statement touch about as many blocks
    in an account of 100,000 lines as in one of 100, by plans that were made in a small book.
    """
    async with open_ledger(database) as scribe, scribe.pool.acquire() as connection:
        short, long = await scribe.open(), await scribe.open()
        begin = (await scribe.post(*(scribe.deposit(short, 1) for _ in range(40)))).recorded_at
        if analyzed:
            async with connect_as_owner(database) as owner:
                await owner.execute("ANALYZE")
        for read in READS.values():
            await read(connection, scribe, short, begin)
        moments = {short: await fill(database, scribe, short, SHORT)}
        moments[long] = await fill(database, scribe, long, LONG)
        blocks = {
            name: [
                await count_blocks(connection, scribe, account, moments[account], read)
                for account in (short, long)
            ]
            for name, read in READS.items()
        }
        items = {
            await read(connection, scribe, account, moments[account])
            for name, read in READS.items()
            for account in (short, long)
            if name.endswith("all")
        }
    assert items == {40}
    assert {name: both for name, both in blocks.items() if both[1] > 2 * both[0]} == {}


LOOK_UPS: dict[str, Read] = {
    "balance": lambda connection, scribe, account, _: read_balances(
        connection, scribe.number, [account]
    ),
    "account": lambda connection, scribe, account, _: read_account(
        connection, scribe.number, account
    ),
    "accounts for a decision": lambda connection, scribe, account, _: load_accounts(
        connection, scribe.number, [account], lock=False
    ),
    "accounts under lock": lambda connection, scribe, account, _: load_accounts(
        connection, scribe.number, [account], lock=True
    ),
    "profiles": lambda connection, scribe, account, _: load_profiles(
        connection, scribe.number, [account]
    ),
    "entries": lambda connection, scribe, *_: load_entries(connection, scribe.number, [3, 4]),
    "corrected": lambda connection, scribe, *_: load_corrected(
        connection, scribe.number, [f"{ENTRY}{3:032x}"], 16
    ),
    "references": lambda connection, scribe, *_: load_references(
        connection, scribe.number, [(EntryType.DEPOSIT, "r1")]
    ),
    "a commit": commit_deposit,
    **{
        f"accounts by {about}": list_some_accounts(wanted)
        for about, wanted in (
            ("nothing", AccountFilter()),
            ("user", AccountFilter(user_id="u1")),
            ("role", AccountFilter(role=SystemRole.CLEARING)),
            ("status", AccountFilter(status=AccountStatus.FROZEN)),
            ("rare metadata", AccountFilter(metadata='{"rare": 1}')),
            ("common metadata", AccountFilter(metadata='{"common": 1}')),
        )
    },
    **{
        f"entries by {about}": list_some_entries(wanted)
        for about, wanted in (
            ("nothing", EntryFilter()),
            ("type", EntryFilter(types=[EntryType.FEE])),
            ("reference", EntryFilter(reference="r1")),
        )
    },
}


async def test_large_ledgers_cost_what_small_ones_do(database: Database) -> None:
    """What is looked up or listed in a ledger of some thousand accounts and entries touches about
    as many blocks as in one of a few dozen, by plans that were made in an empty one.
    """
    async with open_ledger(database) as scribe, scribe.pool.acquire() as connection:
        account = await scribe.open(user_id="u1", metadata='{"rare": 1, "common": 1}')
        entry = await scribe.post(scribe.deposit(account, 1, reference="r1"))
        found: list[dict[str, int]] = []
        for size in (0, 60, 6000):
            await scribe.submit(
                [
                    OpenAccount(make_profile(user_id=f"v{n}", metadata='{"common": 1}'))
                    for n in range(size)
                ],
                atomic=False,
            )
            await scribe.submit([scribe.deposit(account, 1) for _ in range(size)], atomic=False)
            found.append(
                {
                    name: await count_blocks(connection, scribe, account, entry.recorded_at, read)
                    for name, read in LOOK_UPS.items()
                }
            )
    _, small, large = found
    assert {
        name: (small[name], blocks)
        for name, blocks in large.items()
        if blocks > 2 * small[name] + 20
    } == {}
