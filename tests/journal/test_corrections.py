"""Corrections through the journal: what undoes an entry is read back as it was written."""

from __future__ import annotations

from catena.journal import PostEntry, RefundEntry, ReverseEntry
from catena.ledger.entries import Draft, Entry, EntryType
from tests.journal.writers import Told, Writer, open_writer, prove, tell
from tests.postgres import Database


def reversal_of(entry: Entry) -> ReverseEntry:
    """The wish to reverse an entry."""
    return ReverseEntry(Draft(EntryType.REVERSAL, (), corrects=entry.id))


async def reverse(writer: Writer, entry: Entry) -> Told:
    """Try to reverse an entry."""
    return await writer.send([reversal_of(entry)])


async def refund(writer: Writer, entry: Entry, amount: int | None) -> Told:
    """Try to refund a part of an entry, or what is left of it."""
    draft = Draft(EntryType.REFUND, (), corrects=entry.id)
    return await writer.send([RefundEntry(draft, amount)])


async def test_reversals_stand_on_each_other_only_so_high(database: Database) -> None:
    """Past the depth that is set the next one is refused; what stands can still be undone."""
    async with open_writer(database.service_dsn, correction_depth=3) as writer:
        a, b = await writer.open_wallets(2, balance=10)
        sale = top = await writer.post(writer.transfer(a, b, 5))
        for height in range(1, 5):
            top = await writer.post(reversal_of(top))
            assert await writer.posted(a) == (10 if height % 2 else 5)
        assert tell(await reverse(writer, top)) == "correction_too_deep"
        assert tell(await reverse(writer, sale)) == "posted"
        await prove(database, writer.ledger)


async def test_every_process_reads_the_same_corrections(database: Database) -> None:
    """Each step is another process's, which remembers nothing: a sale is refunded in parts, a part
    of that is undone, refunded again, reversed, opened again and refunded whole.
    """
    async with open_writer(database.service_dsn) as first:
        a, b, c = await first.open_wallets(3, balance=100)
        lines = [*first.transfer(a, b, 70).draft.lines, *first.transfer(a, c, 30).draft.lines]
        sale = await first.post(PostEntry(Draft(EntryType.TRANSFER, lines)))
        made: list[Entry] = []

    async def step(amount: int | None = 0, *, undo: int | None = None) -> str:
        async with open_writer(database.service_dsn, first.ledger) as writer:
            if undo is None:
                told = await refund(writer, sale, amount)
            else:
                told = await reverse(writer, [sale, *made][undo])
            made.extend(r for r in getattr(told, "results", ()) if isinstance(r, Entry))
            return tell(told)

    assert await step(33) == "posted"  # 1
    assert await step(50) == "posted"  # 2
    assert await step(18) == "refund_exceeds_entry"
    assert await step(undo=0) == "already_refunded"
    assert await step(undo=1) == "posted"  # 3
    assert await step(None) == "posted"  # 4: the 50 that are left
    assert await step(undo=3) == "refund_exceeds_entry"
    assert await step(undo=4) == "posted"  # 5
    assert await step(undo=2) == "posted"  # 6
    assert await step(undo=0) == "posted"  # 7: nothing is refunded any more
    assert await step(1) == "already_reversed"
    assert await step(undo=5) == "already_reversed"
    assert await step(undo=7) == "posted"  # 8
    assert await step(undo=5) == "posted"  # 9: the 50 are refunded again
    assert await step(50) == "posted"  # 10
    assert await step(None) == "refund_exceeds_entry"
    async with open_writer(database.service_dsn, first.ledger) as writer:
        assert [await writer.posted(wallet) for wallet in (a, b, c)] == [100, 100, 100]
    await prove(database, first.ledger)
