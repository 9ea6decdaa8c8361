"""Group commit: what waits together is one commit, and each piece has its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest

from catena.chains.definition import Definition, Step
from catena.errors import CatenaError, IdempotencyKeyReused, Overloaded
from catena.ids import CHAIN, new_id
from catena.journal import (
    Answer,
    ChangeAccount,
    CreateChain,
    PostEntry,
    RefundEntry,
    Result,
    ReverseEntry,
)
from catena.ledger.accounts import AccountStatus
from catena.ledger.entries import Draft, Entry, EntryType
from catena.ledger.refusals import Refusal, RefusalCode
from catena.ledger.terms import TermsChange
from tests.journal.writers import (
    UNPOSTABLE,
    Told,
    make_unpostable,
    open_writer,
    prove,
    tell,
)
from tests.postgres import Database
from tests.scribe import connect_as_owner

Logs = Sequence[MutableMapping[str, Any]]
KEY, OTHER_KEY = "1" * 32, "2" * 32


def results_of(told: Told) -> list[Result]:
    """The results of an answer, which is no error."""
    assert isinstance(told, Answer), told
    return list(told.results)


def entries_of(told: Told) -> list[Entry]:
    """The results of an answer of which nothing was refused."""
    return [result for result in results_of(told) if isinstance(result, Entry)]


async def test_what_waits_together_is_one_commit(database: Database) -> None:
    """Sixteen pieces that wait are committed at once, in order, and each gets its own entry."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=1000)
        before = writer.counts.commits
        told = await writer.send_all([[writer.transfer(a, b, n)] for n in range(1, 17)])
        assert writer.counts.commits == before + 1
        entries = [entry for one in told for entry in entries_of(one)]
        assert [entry.lines[0].amount for entry in entries] == list(range(1, 17))
        positions = [entry.position for entry in entries]
        assert positions == list(range(positions[0], positions[0] + 16))
        assert len({entry.recorded_at for entry in entries}) == 1
        await prove(database, writer.ledger)


async def test_what_is_many_is_committed_by_halves(database: Database) -> None:
    """Of what waits half is committed at once, in order, so that answering has its turn too."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=1000)
        before = writer.counts.commits
        told = await writer.send_all([[writer.transfer(a, b, n)] for n in range(1, 41)])
        entries = [entry for one in told for entry in entries_of(one)]
        assert [entry.lines[0].amount for entry in entries] == list(range(1, 41))
        positions = [entry.position for entry in entries]
        assert positions == list(range(positions[0], positions[0] + 40))
        assert writer.counts.commits == before + 2
        await prove(database, writer.ledger)


async def test_a_commit_takes_no_more_than_it_may(database: Database) -> None:
    """At most so many operations make a commit; one piece is never split, however large."""
    async with open_writer(database.service_dsn, commit_operations=10) as writer:
        a, b = await writer.open_wallets(2, balance=1000)
        before = writer.counts.commits
        await writer.send_all([[writer.transfer(a, b, 1)] for _ in range(25)])
        assert writer.counts.commits == before + 3
        await writer.send_all([[writer.transfer(a, b, 1)] * 25, [writer.transfer(a, b, 1)]])
        assert writer.counts.commits == before + 5


async def test_a_refused_piece_harms_no_neighbour(database: Database) -> None:
    """Between two transfers one is refused: they are posted, in the same commit, and it is not."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        before = writer.counts.commits
        told = await writer.send_all(
            [[writer.transfer(a, b, amount)] for amount in (4, 7, 6)],
        )
        assert [tell(one) for one in told] == ["posted", "insufficient_funds", "posted"]
        assert (await writer.posted(a), await writer.posted(b)) == (0, 20)
        assert writer.counts.commits == before + 1
        await prove(database, writer.ledger)


async def test_an_atomic_piece_happens_whole_or_not_at_all(database: Database) -> None:
    """Of three transfers the last is refused: none is posted, and the answer says which it was."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        piece = [writer.transfer(a, b, amount) for amount in (4, 5, 6)]
        refusal = Refusal(RefusalCode.INSUFFICIENT_FUNDS, a)
        assert await writer.send(piece) == Answer([refusal], refused=2)
        told = await writer.send(piece, atomic=False)
        assert [isinstance(result, Entry) for result in results_of(told)] == [True, True, False]
        assert await writer.posted(a) == 1
        await prove(database, writer.ledger)


async def test_a_refused_piece_takes_back_only_its_own(database: Database) -> None:
    """An atomic piece repeats a neighbour's reference, then is refused: the neighbour's entry
    stays, with all that it did.
    """
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        rent = writer.transfer(a, b, 4, reference="rent")
        told = await writer.send_all([[rent], [rent, writer.transfer(a, b, 7)], [rent]])
        assert [tell(one) for one in told] == ["posted", "insufficient_funds", "posted"]
        assert results_of(told[0]) == results_of(told[2])
        assert (await writer.posted(a), await writer.posted(b)) == (6, 14)
        assert tell(await writer.send([writer.transfer(a, b, 6)])) == "posted"
        await prove(database, writer.ledger)


async def test_a_refused_piece_undoes_no_correction(database: Database) -> None:
    """A refund and a reversal stand in pieces that are refused: the sales can still be undone."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        sale, other = [await writer.post(writer.transfer(a, b, 10)) for _ in range(2)]
        refund = RefundEntry(Draft(EntryType.REFUND, (), corrects=sale.id), None)
        reversal = ReverseEntry(Draft(EntryType.REVERSAL, (), corrects=other.id))
        too_much = writer.transfer(a, b, 1000)
        told = await writer.send_all([[refund, reversal, too_much], [refund], [reversal]])
        assert [tell(one) for one in told] == ["insufficient_funds", "posted", "posted"]
        assert (await writer.posted(a), await writer.posted(b)) == (100, 100)
        await prove(database, writer.ledger)


async def test_a_key_is_used_once_within_a_commit(database: Database) -> None:
    """Repeated in one batch, a key posts once and is replayed; another payload is an error."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        first, again, other, apart = await asyncio.gather(
            writer.send([writer.transfer(a, b, 5)], key=KEY),
            writer.send([writer.transfer(a, b, 5)], key=KEY),
            writer.send([writer.transfer(a, b, 6)], key=KEY, payload="1" * 32),
            writer.send([writer.transfer(a, b, 5)], key=OTHER_KEY),
        )
        assert isinstance(first, Answer)
        assert again == first._replace(replayed=True, results=results_of(again))
        assert [entry.id for entry in entries_of(again)] == [e.id for e in entries_of(first)]
        assert isinstance(other, IdempotencyKeyReused)
        assert tell(apart) == "posted"
        assert await writer.posted(a) == 90
        await prove(database, writer.ledger)


async def test_a_replay_changes_nothing_for_its_neighbours(database: Database) -> None:
    """A key that was used comes again among new pieces: they are decided as if it had not."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        await writer.send([writer.transfer(a, b, 6)], key=KEY)
        told = await asyncio.gather(
            writer.send([writer.transfer(b, a, 16)]),
            writer.send([writer.transfer(a, b, 6)], key=KEY),
            writer.send([writer.transfer(a, b, 20)]),
            writer.send([writer.transfer(a, b, 1)]),
        )
        assert [tell(one) for one in told] == ["posted"] * 3 + ["insufficient_funds"]
        assert (await writer.posted(a), await writer.posted(b)) == (0, 20)
        await prove(database, writer.ledger)


async def test_a_refusal_is_replayed_too(database: Database) -> None:
    """What was refused stays refused under its key, though there are funds by now."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2)
        first = await writer.send([writer.transfer(a, b, 5)], key=KEY)
        await writer.post(writer.deposit(a, 100))
        again = await writer.send([writer.transfer(a, b, 5)], key=KEY)
        assert tell(first) == tell(again) == "insufficient_funds"
        assert isinstance(again, Answer)
        assert again.replayed
        assert again.refused == 0


async def test_a_repeated_reference_says_that_its_entry_was_reversed(database: Database) -> None:
    """It answers with the entry and its reversal, and a replay of that answer says the same."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        rent = writer.transfer(a, b, 5, reference="rent")
        entry = await writer.post(rent)
        told = entries_of(await writer.send([rent], key=KEY))
        reversal = await writer.reverse(entry)
        again = entries_of(await writer.send([rent], key=OTHER_KEY))
        replays = [entries_of(await writer.send([rent], key=key)) for key in (KEY, OTHER_KEY)]
        assert [one.reversed_by for one in (*told, *again)] == [None, reversal.id]
        assert replays == [told, again]


async def test_an_account_is_opened_once(database: Database) -> None:
    """Two pieces open one id, and a third later: one account, the others are told."""
    async with open_writer(database.service_dsn) as writer:
        [existing] = await writer.open_wallets(1)
        id = existing[:-1] + ("0" if existing[-1] != "0" else "1")
        opening = writer.opening(id)
        told = await writer.send_all([[opening], [opening]])
        told.append(await writer.send([opening]))
        assert [tell(one) for one in told] == ["done", "account_exists", "account_exists"]
        await prove(database, writer.ledger)


async def test_a_lowered_floor_holds_for_what_follows(database: Database) -> None:
    """In one commit a credit line is given, used and cut back to what was used."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2)
        told = await writer.send_all(
            [
                [ChangeAccount(a, TermsChange(None, {"floor": -100}))],
                [writer.transfer(a, b, 60)],
                [ChangeAccount(a, TermsChange(None, {"floor": -60}))],
                [writer.transfer(a, b, 1)],
            ]
        )
        assert [tell(one) for one in told] == ["done", "posted", "done", "insufficient_funds"]
        assert writer.counts.commits == 2
        await prove(database, writer.ledger)


async def test_an_account_is_emptied_and_closed(database: Database) -> None:
    """In one commit an account is emptied, closed, and then takes nothing more."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        closing = [ChangeAccount(a, TermsChange(None, {"status": AccountStatus.CLOSED}))]
        told = await writer.send_all(
            [closing, [writer.transfer(a, b, 10)], closing, [writer.transfer(b, a, 1)], closing]
        )
        assert [tell(one) for one in told] == [
            "account_not_empty",
            "posted",
            "done",
            "account_closed",
            "account_closed",
        ]
        await prove(database, writer.ledger)


async def test_a_system_account_is_there_from_its_first_line(database: Database) -> None:
    """A refused deposit opens no clearing account, and nothing in its commit finds one."""
    async with open_writer(database.service_dsn) as writer:
        [a] = await writer.open_wallets(1)
        free = Draft(EntryType.ADJUSTMENT, writer.deposit(a, 5).draft.lines, free=True)
        nobody = "acct_" + "0" * 32
        told = await writer.send_all(
            [
                [writer.deposit(nobody, 5)],
                [PostEntry(free)],
                [writer.deposit(a, 5), writer.deposit(nobody, 5)],
                [PostEntry(free)],
                [writer.deposit(a, 5)],
                [PostEntry(free)],
            ]
        )
        assert [tell(one) for one in told] == [*["unknown_account"] * 4, "posted", "posted"]
        await prove(database, writer.ledger)


# --- one that poisons the commit ------------------------------------------------------------------


@pytest.mark.parametrize(
    "description",
    [UNPOSTABLE, "a nul \0 byte", "half a pair \ud800"],
    ids=["database", "server", "driver"],
)
@pytest.mark.parametrize("place", [0, 17, 39])
async def test_only_the_culprit_fails(
    database: Database, logs: Logs, description: str, place: int
) -> None:
    """Of forty pieces the database cannot take one: it alone is an internal error, and logged."""
    await make_unpostable(database)
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=1000)
        pieces = [[writer.transfer(a, b, 1)] for _ in range(40)]
        pieces[place] = [writer.transfer(a, b, 500, description=description)]
        told = await writer.send_all(pieces)
        expected = ["posted"] * 40
        expected[place] = "internal_error"
        assert [tell(one) for one in told] == expected
        assert await writer.posted(b) == 1039
        assert [entry["event"] for entry in logs] == ["piece_failed"]
        assert tell(await writer.send([writer.transfer(a, b, 961)])) == "posted"
        await prove(database, writer.ledger)


async def test_an_account_that_is_gone_harms_no_neighbour(database: Database) -> None:
    """An account was deleted behind the journal's back: only who names it is refused."""
    async with open_writer(database.service_dsn) as writer:
        a, b, gone = await writer.open_wallets(3, balance=100)
        async with connect_as_owner(database) as owner:
            await owner.execute("DELETE FROM balances WHERE account_id = $1", gone[5:])
        told = await writer.send_all(
            [
                [writer.transfer(a, b, 1)],
                [writer.transfer(a, gone, 1)],
                [writer.transfer(b, a, 1)],
            ]
        )
        assert [tell(one) for one in told] == ["posted", "unknown_account", "posted"]


async def test_what_cannot_be_read_harms_nobody(database: Database) -> None:
    """What an operation needs is found as it is sent, so the lane never meets what is wrong with
    it: an account's kind that is none, where the edge would have refused it.
    """
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        inputs = {"account_id": a, "amount": 1, "currency": "USD", "through": "nowhere"}
        chain = CreateChain(new_id(CHAIN), Definition([Step("in", "deposit", inputs)]))
        with pytest.raises(ValueError, match="nowhere"):
            await writer.send([chain])
        assert tell(await writer.send([writer.transfer(a, b, 1)])) == "posted"


async def test_one_who_cannot_be_told_harms_no_neighbour(database: Database) -> None:
    """Telling one caller fails; the others hear, and the lane goes on."""

    def hang_up(_: Told) -> None:
        raise ConnectionError("gone")

    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        unanswered = writer.send([writer.transfer(a, b, 1)], key=KEY, done=hang_up)
        assert tell(await writer.send([writer.transfer(a, b, 1)])) == "posted"
        again = await writer.send([writer.transfer(a, b, 1)], key=KEY)
        assert isinstance(again, Answer)
        assert again.replayed
        assert await writer.posted(a) == 98
        assert not unanswered.done()


async def test_an_answer_that_cannot_be_read_harms_no_neighbour(database: Database) -> None:
    """A stored answer was spoilt: who asks for it gets an internal error, and the lane goes on."""
    async with open_writer(database.service_dsn) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        await writer.send([writer.transfer(a, b, 1)], key=KEY)
        async with connect_as_owner(database) as owner:
            await owner.execute("UPDATE idempotency SET first = 999 WHERE key = $1", KEY)
        again, other = await asyncio.gather(
            writer.send([writer.transfer(a, b, 1)], key=KEY),
            writer.send([writer.transfer(a, b, 1)]),
        )
        assert [tell(again), tell(other)] == ["internal_error", "posted"]
        assert type(again) is CatenaError


# --- pressure -------------------------------------------------------------------------------------


async def test_a_full_queue_takes_no_more(database: Database) -> None:
    """What does not fit is Overloaded and leaves no trace; what waits is done."""
    async with open_writer(database.service_dsn, queue_operations=10) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        waiting = [writer.send([writer.transfer(a, b, 1)] * 4) for _ in range(2)]
        with pytest.raises(Overloaded):
            await writer.send([writer.transfer(a, b, 50)] * 3, key=KEY)
        waiting.append(writer.send([writer.transfer(a, b, 1)] * 2))
        with pytest.raises(Overloaded):
            await writer.send([writer.transfer(a, b, 50)])
        assert [tell(one) for one in await asyncio.gather(*waiting)] == ["posted"] * 3
        assert writer.lane.waiting == 0
        assert await writer.posted(a) == 90
        assert tell(await writer.send([writer.transfer(a, b, 50)], key=KEY)) == "posted"


async def test_closing_finishes_what_waits(database: Database) -> None:
    """Everything that was submitted before is answered; afterwards nothing is taken."""
    async with open_writer(database.service_dsn, commit_operations=7) as writer:
        a, b = await writer.open_wallets(2, balance=100)
        waiting = [writer.send([writer.transfer(a, b, 1)], key=f"{n % 40:032x}") for n in range(50)]
        await writer.journal.close()
        assert all(one.done() for one in waiting)
        assert [tell(one.result()) for one in waiting] == ["posted"] * 50
        with pytest.raises(Overloaded):
            await writer.send([writer.transfer(a, b, 1)])
        assert await writer.posted(a) == 60


async def test_a_lane_forgets_accounts(database: Database) -> None:
    """It remembers no more accounts than it may, and what it forgot it reads again."""
    async with open_writer(database.service_dsn, cached_accounts=3) as writer:
        wallets = await writer.open_wallets(10, balance=100)
        for number in range(30):
            a, b = wallets[number % 10], wallets[number * 7 % 10 - 1]
            await writer.send([writer.transfer(a, b, 1)])
            assert len(writer.lane._committer.accounts) <= 3
        totals = [await writer.posted(wallet) for wallet in wallets]
        assert sum(totals) == 1000
        await prove(database, writer.ledger)
