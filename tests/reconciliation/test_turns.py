"""The daily turn of a gateway that lists what it has done: taken by one, asked, reconciled."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from catena.clock import system_clock
from catena.db.reconciliation import load_their_lines
from catena.errors import Unavailable
from catena.gateways.contract import Gateway, StatementLine, Subject
from catena.gateways.registry import Connection
from tests.flows.gateways import find_out
from tests.postgres import Database, ask
from tests.reconciliation.desk import ASKER, GATEWAY, Desk, days_ago, open_desk

STRIPE = (
    "balance_transaction_id,created_utc,currency,gross,fee,reporting_category,source_id,"
    "payment_intent_id"
)
DUE = "UPDATE catena.reconciliation_schedule SET due_at = now() - interval '1 minute'"


class Listing:
    """A gateway that lists these lines, and whom it was asked for."""

    def __init__(self, *lines: StatementLine) -> None:
        self.lines = list(lines)
        self.asked: list[tuple[dt.datetime, dt.datetime]] = []
        self.is_away = False

    async def read(self, first: dt.datetime, end: dt.datetime) -> Sequence[StatementLine]:
        """What was booked between."""
        self.asked.append((first, end))
        if self.is_away:
            raise Unavailable("It cannot be read now.")
        return [line for line in self.lines if first <= line.at < end]

    def connection(self, desk: Desk) -> Connection:
        """As a ledger has it."""
        gateway = Gateway(
            name=GATEWAY, kind="listing", acts={}, look_ups={}, read_statement=self.read
        )
        return Connection("gw_1", desk.scribe.ledger.id, gateway)


def charge(id: str, at: dt.datetime, amount: int) -> StatementLine:
    """A line of it."""
    return StatementLine(id, Subject.CHARGE, amount, 0, "USD", f"ref-{id}", at)


async def test_a_turn_is_taken_once_a_day(database: Database) -> None:
    """Not before its hour, by one of several, and then not again until the next day."""
    async with open_desk(database) as desk:
        listing = Listing()
        connection = listing.connection(desk)
        assert await desk.reconciler.take_turn(connection) is None
        await asyncio.to_thread(ask, database.owner_dsn, DUE, "SELECT 1")
        turns = await asyncio.gather(*(desk.reconciler.take_turn(connection) for _ in range(4)))
        assert sum(made is not None for made in turns) == 1
        assert await desk.reconciler.take_turn(connection) is None
        (asked,) = listing.asked
        assert asked[0] == desk.scribe.ledger.created_at


async def test_a_turn_lasts_as_long_as_its_run(database: Database) -> None:
    """A gateway that takes longer to answer than the lease lasts is asked once."""
    async with open_desk(database, reconciliation_lease_seconds=1.5) as desk:
        listing = Listing()
        connection = listing.connection(desk)
        await desk.reconciler.take_turn(connection)
        await asyncio.to_thread(ask, database.owner_dsn, DUE, "SELECT 1")

        async def read(first: dt.datetime, end: dt.datetime) -> Sequence[StatementLine]:
            begun = await asyncio.to_thread(due, database)
            await asyncio.to_thread(find_out, partial(due, database), lambda now: now > begun + 1.5)
            assert await desk.reconciler.take_turn(connection) is None
            return await listing.read(first, end)

        slow = replace(connection.gateway, read_statement=read)
        made = await desk.reconciler.take_turn(connection._replace(gateway=slow))
        assert made is not None
        assert len(listing.asked) == 1
        assert await desk.reconciler.take_turn(connection) is None


def due(database: Database) -> float:
    """When the next turn is due, or the lease ends, in seconds of 1970."""
    asked = "SELECT extract(epoch FROM due_at)::float8 FROM catena.reconciliation_schedule"
    return float(str(ask(database.owner_dsn, asked)))


async def test_the_next_turn_looks_back_one_window(database: Database) -> None:
    """What was booked late is taken in, and what was there is passed over."""
    async with open_desk(database) as desk:
        await desk.take(begins=days_ago(30), ends=days_ago(8))
        listing = Listing(charge("x1", days_ago(9), 500))
        connection = listing.connection(desk)
        for lines in ([], [charge("x2", days_ago(7), 700)]):
            listing.lines += lines
            await desk.reconciler.take_turn(connection)
            await asyncio.to_thread(ask, database.owner_dsn, DUE, "SELECT 1")
            made = await desk.reconciler.take_turn(connection)
            assert made is not None
        assert listing.asked[0][0] == days_ago(8 + desk.reconciler.settings.reconciliation_days)
        kinds = [seen.row.kind for seen in await desk.items()]
        assert kinds == ["missing_here"]
        counts = desk.reconciler.counts[desk.scribe.ledger.id, GATEWAY]
        assert (counts.runs, counts.lines, counts.opened, counts.open) == (2, 1, 1, 1)


async def test_what_a_gateway_tells_late_is_taken_in(database: Database) -> None:
    """A statement that comes weeks after its day; nothing from before the ledger's first one."""
    async with open_desk(database) as desk:
        ledger = desk.scribe.ledger._replace(created_at=days_ago(40))
        day = ledger.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
        await desk.take(begins=days_ago(30), ends=days_ago(8))
        late = [charge("x1", days_ago(25), 500), charge("x2", day, 600)]
        early = charge("x3", day - dt.timedelta(seconds=1), 700)

        async def read(_: dt.datetime, __: dt.datetime) -> Sequence[StatementLine]:
            return [*late, early]

        gateway = replace(Listing().connection(desk).gateway, read_statement=read)
        told = await desk.reconciler.ask_gateway(ledger, gateway, system_clock(), ASKER)
        assert told is not None
        assert (told.row.covers_from, told.row.lines) == (day, 2)
        run = await desk.run()
        assert (run.counts["theirs"], run.counts["unjudged"]) == (2, 0)


@pytest.mark.parametrize("is_listed", [True, False])
async def test_a_partial_capture_comes_to_what_was_captured(
    database: Database,
    is_listed: bool,  # noqa: FBT001  # a parameter
) -> None:
    """Stripe tells it as the whole charge and what it let go of, in its list as in its report."""
    async with open_desk(database) as desk:
        at = system_clock()
        await desk.move(700, "pi_1", at)
        if is_listed:
            told = StatementLine("t1", Subject.CHARGE, 1000, 0, "USD", "pi_1", at)
            rest = StatementLine("t2", Subject.CAPTURE, -300, 0, "USD", "re_1", at, "", "pi_1")
            gateway = Listing(told, rest).connection(desk).gateway
            await desk.reconciler.ask_gateway(desk.scribe.ledger, gateway, system_clock(), ASKER)
        else:
            raw = f"""{STRIPE}
t1,{at.isoformat()},usd,10.00,0,charge,ch_1,pi_1
t2,{at.isoformat()},usd,-3.00,0,partial_capture_reversal,re_1,pi_1"""
            ledger = desk.scribe.ledger
            await desk.reconciler.read_file(ledger, GATEWAY, "stripe", raw.encode(), ASKER)
        run = await desk.run()
        assert (run.counts["matched"], run.counts["open"], run.counts["in_transit"]) == (1, 0, 0)
        async with desk.scribe.pool.acquire() as connection:
            lines = await load_their_lines(connection, desk.scribe.number, GATEWAY, behind=0)
        (rest_line,) = (line for line in lines if line.amount < 0)
        assert rest_line[1:7] == ("capture", -300, 0, "USD", "re_1", at)
        assert rest_line.about == "pi_1"


async def test_a_statement_that_reaches_into_tomorrow_hides_nothing(database: Database) -> None:
    """What came in cannot know what was booked after: the gateway is asked from one window before
    it came, and for no time that ends before it begins.
    """
    async with open_desk(database, reconciliation_days=0.25) as desk:
        told = await desk.take(begins=days_ago(1), ends=days_ago(-0.9))
        listing = Listing()
        until = system_clock()
        await desk.reconciler.ask_gateway(
            desk.scribe.ledger, listing.connection(desk).gateway, until, ASKER
        )
        assert listing.asked == [(told.row.received_at - dt.timedelta(days=0.25), until)]


async def test_a_gateway_that_is_away_is_asked_again(database: Database) -> None:
    """When the lease has ended; until then nobody asks it."""
    async with open_desk(database, reconciliation_lease_seconds=0.0) as desk:
        listing = Listing()
        listing.is_away = True
        connection = listing.connection(desk)
        await desk.reconciler.take_turn(connection)
        await asyncio.to_thread(ask, database.owner_dsn, DUE, "SELECT 1")
        for _ in range(2):
            try:
                await desk.reconciler.take_turn(connection)
            except Unavailable:
                continue
            raise AssertionError("it was away")
        listing.is_away = False
        assert await desk.reconciler.take_turn(connection) is not None
        assert len(listing.asked) == 3


async def test_a_turn_is_at_the_hour_that_is_set(database: Database) -> None:
    """Today's, if that is to come, else tomorrow's."""
    async with open_desk(database, reconciliation_hour=5) as desk:
        day = dt.datetime(2026, 2, 28, tzinfo=dt.UTC)
        for hours, turn in ((0, 5), (4.9, 5), (5, 29), (23, 29)):
            after = desk.reconciler.turn_after(day + dt.timedelta(hours=hours))
            assert after == day + dt.timedelta(hours=turn)
