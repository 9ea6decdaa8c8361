"""Runs over a real database: what is taken up, what is stored, and who is first."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from catena.db.reconciliation import load_their_lines, reading_at_once
from catena.db.reconciliation_rows import Asker
from catena.errors import Conflict, IdempotencyKeyReused, InvalidInput
from catena.ledger.entries import Entry
from catena.ledger.refusals import Refusal
from catena.reconciliation.adjustments import Settling
from catena.reconciliation.settling import decide_item
from catena.reconciliation.work import State
from tests.postgres import Database
from tests.reconciliation.desk import GATEWAY, days_ago, open_desk, row


async def test_what_agrees_is_matched_once(database: Database) -> None:
    """Both sides to the cent, fees apart; the next run goes on behind it."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(row("t1", days_ago(20), "charge", "10.00", "ch_1", "0.30"))
        run = await desk.run()
        assert (run.number, run.counts["matched"], run.counts["open"]) == (1, 1, 0)
        figures = run.figures["USD"]
        assert (figures["books_closing"], figures["statement_closing"]) == (1000, 970)
        assert (figures["fees_to_book"], figures["unexplained"]) == (30, 0)
        assert isinstance(await desk.book_fees(run), Entry)
        again = await desk.run()
        assert (again.number, again.counts["ours"], again.counts["theirs"]) == (2, 1, 0)
        assert again.figures["USD"]["fees_to_book"] == 0
        assert again.figures["USD"]["difference"] == 0
        assert await desk.prove() == []


async def test_a_backdated_line_is_not_missed(database: Database) -> None:
    """It is read by its number, however far before the last run's end it is dated."""
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "charge", "10.00", "ch_1"), ends=days_ago(10))
        first = await desk.run()
        assert first.counts["open"] == 1
        await desk.move(1000, "ch_1", days_ago(20))
        second = await desk.run()
        assert (second.counts["cleared"], second.counts["open"]) == (1, 0)
        assert [seen.row.state for seen in await desk.items(None)] == ["cleared"]


async def test_what_is_on_its_way_is_carried(database: Database) -> None:
    """In transit within the window; missing when it has passed; found when it comes after all."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(begins=days_ago(30), ends=days_ago(18))
        first = await desk.run()
        assert (first.counts["in_transit"], first.counts["open"]) == (1, 0)
        await desk.take(begins=days_ago(18), ends=days_ago(14))
        second = await desk.run()
        assert (second.counts["in_transit"], second.counts["open"]) == (0, 1)
        await desk.take(row("t1", days_ago(12), "charge", "10.00", "ch_1"))
        third = await desk.run()
        assert third.counts["open"] == 1
        (seen,) = await desk.items()
        assert (seen.row.kind, len(seen.item.finding.theirs)) == ("differing_date", 1)
        assert await desk.prove() == []


async def test_the_same_statement_is_the_first_one(database: Database) -> None:
    """Sent again, also at the same moment, it is taken in once; changed lines refuse another."""
    async with open_desk(database) as desk:
        told = row("t1", days_ago(20), "charge", "10.00", "ch_1")
        both = await asyncio.gather(desk.take(told), desk.take(told))
        assert sorted(one.again for one in both) == [False, True]
        assert both[0].row.id == both[1].row.id
        more = await desk.take(told, row("t2", days_ago(19), "charge", "1.00", "ch_2"))
        assert (more.row.number, more.row.lines, more.row.repeated) == (2, 1, 1)
        with pytest.raises(Conflict):
            await desk.take(row("t1", days_ago(20), "charge", "10.01", "ch_1"))


async def test_an_item_is_settled_by_an_entry(database: Database) -> None:
    """The entry and the change are one; the next run finds the difference gone, and clears it."""
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "credit", "50.00", "who"), ends=days_ago(2))
        await desk.run()
        (seen,) = await desk.items()
        entry = await desk.settle(seen, Settling.PARK)
        assert isinstance(entry, Entry)
        assert (entry.reference, entry.description) == (seen.row.id, "because")
        (seen,) = await desk.items("resolved")
        assert seen.item.changes[-1].entry == entry.id
        assert await desk.prove() == []
        run = await desk.run()
        assert (run.counts["cleared"], run.counts["open"]) == (1, 0)
        assert run.figures["USD"]["difference"] == run.figures["USD"]["unexplained"] == 0
        assert [change.state for change in (await desk.items(None))[0].item.changes] == [
            State.OPEN,
            State.RESOLVED,
            State.CLEARED,
        ]


async def test_settled_twice_is_settled_once(database: Database) -> None:
    """The same again is the same entry; otherwise, or on what has changed since, it is refused."""
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "credit", "50.00", "who"), ends=days_ago(2))
        await desk.run()
        (seen,) = await desk.items()
        both = await asyncio.gather(*(desk.settle(seen, Settling.PARK) for _ in range(2)))
        first, second = both
        assert isinstance(first, Entry)
        assert isinstance(second, Entry)
        assert first.id == second.id
        other = await desk.settle(seen, Settling.PARK, "for another reason")
        assert isinstance(other, Refusal)
        refused = await desk.ask(decide_item(seen.row.id, State.ACCEPTED, "key_1", "late"))
        assert isinstance(refused, Refusal)
        assert refused.code.code == "item_not_open"


async def test_reopened_it_is_settled_again(database: Database) -> None:
    """The wrong entry is reversed; the second one has a reference of its own, and is found."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(row("t1", days_ago(20), "charge", "9.00", "ch_1"), ends=days_ago(2))
        await desk.run()
        (seen,) = await desk.items()
        wrong = await desk.settle(seen, Settling.WRITE_OFF)
        assert isinstance(wrong, Entry)
        await desk.scribe.reverse(wrong)
        await desk.ask(decide_item(seen.row.id, State.REOPENED, "key_1", "a fee"))
        (seen,) = await desk.items("reopened")
        right = await desk.settle(seen, Settling.GATEWAY_FEE)
        assert isinstance(right, Entry)
        assert right.reference == f"{seen.row.id}#2"
        run = await desk.run()
        assert run.counts["cleared"] == 1
        assert run.figures["USD"]["unexplained"] == 0
        assert await desk.prove() == []


async def test_an_entry_that_is_taken_back_settles_nothing(database: Database) -> None:
    """The run that sees its reversal reopens the item; so does one that comes after it was cleared
    find what then differs again.
    """
    async with open_desk(database, reconciliation_days=0.5) as desk:
        await desk.take(row("t1", days_ago(20), "credit", "50.00", "who"), ends=days_ago(2))
        await desk.run()
        (seen,) = await desk.items()
        wrong = await desk.settle(seen, Settling.PARK)
        assert isinstance(wrong, Entry)
        await desk.scribe.reverse(wrong)
        assert (await desk.run()).counts["reopened"] == 1
        (seen,) = await desk.items("reopened")
        right = await desk.settle(seen, Settling.PARK)
        assert isinstance(right, Entry)
        assert (await desk.run()).counts["cleared"] == 1
        await desk.scribe.reverse(right)
        last = await desk.run(days_ago(-0.9))
        assert (last.counts["open"], last.figures["USD"]["unexplained"]) == (1, 0)
        assert await desk.prove() == []


async def test_what_is_accepted_stays_explained(database: Database) -> None:
    """No run looks at it again, and every report lists it."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(begins=days_ago(30), ends=days_ago(2))
        await desk.run()
        (seen,) = await desk.items()
        await desk.ask(decide_item(seen.row.id, State.ACCEPTED, "key_1", "agreed"))
        for _ in range(2):
            run = await desk.run()
            figures = run.figures["USD"]
            assert (run.counts["open"], figures["accepted"], figures["unexplained"]) == (
                0,
                -1000,
                0,
            )
        with pytest.raises(InvalidInput):
            decide_item(seen.row.id, State.REOPENED, "key_1", " . ")


async def test_many_lines_are_found_in_one_pass(database: Database) -> None:
    """Also before the database has statistics: a file of a month that comes again reads each once,
    and so does a run over a long list.
    """
    async with open_desk(database) as desk:
        rows = [row(f"t{n}", days_ago(20), "credit", "1.00", f"who{n}") for n in range(500)]
        await desk.take(*rows)
        async with reading_at_once(desk.scribe.pool) as connection:
            ids = [f"t{n}" for n in range(500)]
            found = await load_their_lines(connection, desk.scribe.number, GATEWAY, ids=ids)
            read = await connection.fetchval(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
                " WHERE relname = 'statement_lines'"
            )
        assert (len(found), read) == (500, 500)


async def test_two_runs_at_once_are_one_after_the_other(database: Database) -> None:
    """The one that comes second is made again, of what the first has left."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(row("t1", days_ago(20), "charge", "10.00", "ch_1"))
        runs = await asyncio.gather(desk.run(), desk.run())
        assert sorted(run.number for run in runs) == [1, 2]
        assert sorted(run.counts["matched"] for run in runs) == [0, 1]
        assert await desk.prove() == []


async def test_one_request_makes_one_run(database: Database) -> None:
    """Sent again, also at the same moment, it is answered with the run that it made."""
    request = Asker("key_1", "0" * 32, "1" * 32)
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "charge", "10.00", "ch_1"))
        runs = await asyncio.gather(*(desk.run(asker=request) for _ in range(3)))
        assert runs[0] == runs[1] == runs[2] == await desk.run(asker=request)
        assert sorted(made.replayed for made in desk.made) == [False, True, True, True]
        assert (await desk.run()).number == 2
        counts = desk.reconciler.counts[desk.scribe.ledger.id, GATEWAY]
        assert counts.runs == 2
        with pytest.raises(IdempotencyKeyReused):
            await desk.run(asker=request._replace(payload="2" * 32))


async def test_one_request_takes_a_statement_in_once(database: Database) -> None:
    """One that found it there is a request like any other: its key is no longer free."""
    first, second = (Asker("key_1", digit * 32, "1" * 32) for digit in "ab")
    told = row("t1", days_ago(20), "charge", "10.00", "ch_1")
    async with open_desk(database) as desk:
        both = await asyncio.gather(*(desk.take(told, asker=first) for _ in range(2)))
        assert both[0].row == both[1].row
        assert sorted((one.again, one.replayed) for one in both) == [(False, False), (False, True)]
        both = await asyncio.gather(*(desk.take(told, asker=second) for _ in range(2)))
        assert sorted((one.again, one.replayed) for one in both) == [(True, False), (True, True)]
        counts = desk.reconciler.counts[desk.scribe.ledger.id, GATEWAY]
        assert (counts.statements, counts.lines) == (1, 1)
        with pytest.raises(IdempotencyKeyReused):
            await desk.take(asker=second._replace(payload="2" * 32))


async def test_a_gap_between_statements_is_not_judged(database: Database) -> None:
    """Both sides are complete up to where it begins, until it is filled."""
    async with open_desk(database) as desk:
        await desk.take(begins=days_ago(40), ends=days_ago(30))
        await desk.take(begins=days_ago(28), ends=days_ago(2))
        first = await desk.run()
        assert first.until == (await desk.run()).until
        await desk.take(begins=days_ago(31), ends=days_ago(28))
        second = await desk.run()
        assert (second.begins, second.until > first.until) == (first.until, True)


@pytest.mark.parametrize("at", ["0001-01-01", "2000-01-01", "2999-01-01", "9999-12-31T23:59:59"])
async def test_a_statement_is_of_a_time_that_there_is(database: Database, at: str) -> None:
    """One that reached years ahead would be the last that is ever judged."""
    async with open_desk(database) as desk:
        with pytest.raises(InvalidInput):
            await desk.take(f"t1,{at},charge,10.00,USD,0,ch_1,")
        moment = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC)
        with pytest.raises(InvalidInput):
            await desk.take(begins=min(moment, days_ago(1)), ends=max(moment, days_ago(0)))
        await desk.take(begins=days_ago(3), ends=days_ago(-0.9))
        await desk.run()


async def test_without_a_statement_there_is_no_run(database: Database) -> None:
    """And what is complete goes neither back nor into the future."""
    async with open_desk(database) as desk:
        with pytest.raises(Conflict):
            await desk.run()
        await desk.take(begins=days_ago(40), ends=days_ago(30))
        await desk.run()
        for until in (days_ago(31), days_ago(-3)):
            with pytest.raises(InvalidInput):
                await desk.run(until)


async def test_fees_are_booked_once(database: Database) -> None:
    """By the last run that has them."""
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "fee", "-5.00"))
        first = await desk.run()
        await desk.take(row("t2", days_ago(19), "fee", "-3.00"))
        second = await desk.run()
        assert second.figures["USD"]["fees_to_book"] == 800
        with pytest.raises(Conflict):
            await desk.book_fees(first)
        entry = await desk.book_fees(second)
        assert isinstance(entry, Entry)
        assert sorted(line.amount for line in entry.lines) == [800, 800]
        again = await desk.book_fees(second)
        assert isinstance(again, Entry)
        assert again.id == entry.id
        third = await desk.run()
        assert (third.figures["USD"]["fees_to_book"], third.counts["open"]) == (0, 0)
        with pytest.raises(Conflict):
            await desk.book_fees(third)


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("is_first", [True, False])
async def test_fees_are_booked_once_however_late(
    database: Database,
    runs: int,
    is_first: bool,  # noqa: FBT001  # a parameter
) -> None:
    """A booking that is still on its way when the next runs are made, and one for the last of them:
    whichever comes first is the one, and what it leaves is for the run after it.
    """
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "fee", "-5.00"))
        late = await desk.draw_fees(await desk.run())
        await desk.take(row("t2", days_ago(19), "fee", "-3.00"))
        last = [await desk.run() for _ in range(runs)][-1]
        drawn = [late, await desk.draw_fees(last)]
        booked, refused = [await desk.ask(one) for one in (drawn if is_first else drawn[::-1])]
        assert isinstance(booked, Entry)
        assert isinstance(refused, Refusal)
        assert refused.code.code == "reference_conflict"
        if is_first:
            with pytest.raises(Conflict):
                await desk.book_fees(last)
        after = await desk.run()
        left = 300 if is_first else 0
        assert after.figures["USD"]["fees_to_book"] == left
        if left:
            assert isinstance(await desk.book_fees(after), Entry)
            assert (await desk.run()).figures["USD"]["fees_to_book"] == 0
        assert isinstance(await desk.ask(late), Entry if is_first else Refusal)
        assert await desk.prove() == []


async def test_the_first_run_looks_back_one_window(database: Database) -> None:
    """What we booked before the first statement begins is half of what it has; the rest is not
    judged, and both sides begin with the same.
    """
    async with open_desk(database) as desk:
        await desk.move(5000, "old", days_ago(60))
        await desk.move(300, "alone", days_ago(32))
        await desk.move(1000, "ch_1", days_ago(31))
        told = row("t1", days_ago(29), "charge", "10.00", "ch_1")
        await desk.take(told, begins=days_ago(30), ends=days_ago(2))
        run = await desk.run()
        assert (run.counts["matched"], run.counts["open"], run.counts["unjudged"]) == (1, 0, 1)
        figures = run.figures["USD"]
        assert (figures["books_closing"], figures["unexplained"]) == (6300, 0)
        assert (await desk.run()).figures["USD"]["unexplained"] == 0


async def test_the_other_half_comes_with_a_later_statement(database: Database) -> None:
    """What was on its way when reconciliation began is known when it arrives, however short the
    first statement was; what then never comes is nobody's business.
    """
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(30.5))
        await desk.move(300, "before", days_ago(30.5))
        await desk.take(begins=days_ago(30), ends=days_ago(29))
        first = await desk.run()
        assert (first.counts["unjudged"], first.figures["USD"]["unexplained"]) == (0, 0)
        told = row("t1", days_ago(28.5), "charge", "10.00", "ch_1")
        await desk.take(told, begins=days_ago(29), ends=days_ago(28))
        second = await desk.run()
        assert (second.counts["matched"], second.counts["in_transit"]) == (1, 0)
        assert (second.figures["USD"]["lead_in"], second.figures["USD"]["difference"]) == (-1000, 0)
        await desk.take(begins=days_ago(28), ends=days_ago(2))
        third = await desk.run()
        assert (third.counts["unjudged"], third.counts["open"]) == (1, 0)
        assert third.figures["USD"]["difference"] == third.figures["USD"]["unexplained"] == 0
        assert await desk.prove() == []


async def test_what_is_booked_back_before_the_beginning_is_judged(database: Database) -> None:
    """Our balance has changed since both sides began: it is on the list, never only unexplained."""
    async with open_desk(database) as desk:
        await desk.take(begins=days_ago(30), ends=days_ago(29))
        await desk.run()
        await desk.move(1000, "ch_1", days_ago(31))
        second = await desk.run()
        assert (second.counts["in_transit"], second.figures["USD"]["unexplained"]) == (1, 0)
        await desk.take(begins=days_ago(29), ends=days_ago(2))
        third = await desk.run()
        assert (third.counts["open"], third.figures["USD"]["unexplained"]) == (1, 0)
        (seen,) = await desk.items()
        assert seen.row.differences == {"USD": -1000}
        assert await desk.prove() == []


async def test_an_older_statement_tells_how_both_sides_began(database: Database) -> None:
    """Its lines are no news; what our books have of it only now was there when they began."""
    async with open_desk(database) as desk:
        await desk.take(begins=days_ago(30), ends=days_ago(2))
        await desk.run()
        old = row("t1", days_ago(31), "charge", "10.00", "ch_1")
        older = row("t2", days_ago(32), "charge", "7.00", "ch_2")
        await desk.take(old, older, begins=days_ago(40), ends=days_ago(30))
        await desk.move(1000, "ch_1", days_ago(31))
        run = await desk.run()
        assert (run.counts["matched"], run.counts["unjudged"], run.counts["open"]) == (1, 1, 0)
        figures = run.figures["USD"]
        assert (figures["lead_in"], figures["statement_closing"]) == (1000, 1000)
        assert figures["difference"] == figures["unexplained"] == 0
        assert await desk.prove() == []


@pytest.mark.parametrize("booked", [True, False])
async def test_what_was_charged_and_given_back(database: Database, booked: bool) -> None:  # noqa: FBT001  # a parameter
    """A refund of our own undoing goes by its charge: whether our books have both, or neither."""
    async with open_desk(database) as desk:
        if booked:
            entry = await desk.move(1000, "ch_1", days_ago(0.2))
            await desk.scribe.reverse(entry)
        await desk.take(
            row("t1", days_ago(0.2), "charge", "10.00", "ch_1"),
            row("t2", days_ago(0.1), "refund", "-10.00", "re_1", about="ch_1"),
            ends=days_ago(0),
        )
        run = await desk.run(days_ago(-0.5))
        assert run.counts["open"] == 0
        assert run.figures["USD"]["difference"] == run.figures["USD"]["unexplained"] == 0


async def test_what_was_given_back_and_came_back(database: Database) -> None:
    """A refund of our own undoing that fails at last: we have the money again, by its name."""
    async with open_desk(database) as desk:
        await desk.move(1000, "re_1", days_ago(19.5))
        await desk.take(
            row("t1", days_ago(20), "charge", "10.00", "ch_1"),
            row("t2", days_ago(20), "refund", "-10.00", "re_1", about="ch_1"),
            row("t3", days_ago(19.5), "refund", "10.00", "re_1", about="ch_1"),
            ends=days_ago(2),
        )
        run = await desk.run()
        assert (run.counts["matched"], run.counts["open"]) == (2, 0)
        assert run.figures["USD"]["difference"] == 0


async def test_a_refund_that_is_ours_goes_by_its_own_name(database: Database) -> None:
    """As our books name it, whenever they do: also when it is booked after the statement came."""
    async with open_desk(database) as desk:
        await desk.move(1000, "ch_1", days_ago(20))
        await desk.take(
            row("t1", days_ago(20), "charge", "10.00", "ch_1"),
            row("t2", days_ago(19), "refund", "-4.00", "re_1", about="ch_1"),
            ends=days_ago(2),
        )
        assert (await desk.run()).counts["open"] == 1
        await desk.move(-400, "re_1", days_ago(19))
        run = await desk.run()
        assert (run.counts["cleared"], run.counts["open"]) == (1, 0)


async def test_a_fee_that_is_taken_back_is_to_be_booked_again(database: Database) -> None:
    """The reversal of a fee is about the fee, and no discrepancy."""
    async with open_desk(database) as desk:
        await desk.take(row("t1", days_ago(20), "fee", "-5.00"), ends=days_ago(2))
        entry = await desk.book_fees(await desk.run())
        assert isinstance(entry, Entry)
        await desk.scribe.reverse(entry)
        run = await desk.run()
        assert (run.figures["USD"]["fees_to_book"], run.counts["open"]) == (500, 0)


async def test_an_item_settled_while_a_run_is_made(database: Database) -> None:
    """Either is first; the entry is never taken for one that does not make up the difference."""
    async with open_desk(database) as desk:
        rows = [row(f"t{n}", days_ago(20), "credit", f"{n}.00", f"who{n}") for n in range(1, 9)]
        await desk.take(*rows, ends=days_ago(2))
        await desk.run()
        for seen in await desk.items():
            entry, _ = await asyncio.gather(desk.settle(seen, Settling.PARK), desk.run())
            assert isinstance(entry, Entry)
        last = await desk.run()
        assert (last.counts["open"], last.figures["USD"]["difference"]) == (0, 0)
        histories = [[one.state for one in seen.item.changes] for seen in await desk.items(None)]
        assert histories == [[State.OPEN, State.RESOLVED, State.CLEARED]] * 8
        assert await desk.prove() == []
