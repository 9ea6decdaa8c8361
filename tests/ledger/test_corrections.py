"""Corrections: stories of reversals and refunds, and every short sequence of them."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import pytest

from catena.ids import SUSPENSE
from catena.journal import RefundEntry, ReverseEntry
from catena.ledger.accounts import Side
from catena.ledger.corrections import (
    PENDING,
    Correction,
    draft_correction,
    record_correction,
    sum_refunded,
)
from catena.ledger.entries import Draft, Entry, EntryType, Line
from catena.ledger.refusals import Refusal
from tests.properties.naive_facts import NaiveAccount, NaiveEntry, No
from tests.properties.naive_ledger import NaiveLedger

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
STEPS = 8 if os.environ.get("CATENA_LONG") == "1" else 6
"""How long the sequences are of which every one is tried."""


@dataclass
class Desk:
    """Posts entries and what undoes them, with nothing but the rules of corrections."""

    entries: dict[str, Entry] = field(default_factory=dict)
    corrections: dict[str, Correction] = field(default_factory=dict)

    def post(self, type: EntryType, lines: Sequence[Line], **more: str | None) -> Entry:
        """Post an entry; its id is its number."""
        id = str(len(self.entries) + 1)
        entry = Entry(id, int(id), type, lines, NOW, NOW, **more)
        self.entries[id], self.corrections[id] = entry, Correction(id)
        return entry

    def reverse(self, entry: Entry) -> Entry | str:
        """Post a reversal, or give the refusal's code."""
        return self.correct(Draft(EntryType.REVERSAL, (), corrects=entry.id), entry)

    def refund(self, entry: Entry, amount: int | None = None) -> Entry | str:
        """Post a refund of the amount or of what is left, or give the refusal's code."""
        return self.correct(Draft(EntryType.REFUND, (), corrects=entry.id), entry, amount)

    def correct(self, draft: Draft, entry: Entry, amount: int | None = None) -> Entry | str:
        """Post a correction, or give the refusal's code."""
        books = (self.entries, self.corrections)
        found = draft_correction(draft, entry, *books, amount)
        if isinstance(found, Refusal):
            return found.code.code
        record_correction(found, entry, *books)
        made = self.post(found.type, found.lines, corrects=entry.id, details=found.details)
        for correction in self.corrections.values():
            if correction.reversal == PENDING:
                correction.reversal = made.id
        return made

    def is_open(self, entry: Entry) -> bool:
        """Whether no reversal of it is in force."""
        return self.corrections[entry.id].reversal is None

    def refunded(self, entry: Entry) -> int:
        """How much of it was given back, in force."""
        return sum_refunded(entry, self.corrections[entry.id].shares)

    def copy(self) -> Desk:
        """Another desk that has done the same."""
        corrections = {id: copy(correction) for id, correction in self.corrections.items()}
        return Desk(dict(self.entries), corrections)


def posted(entry: Entry | str) -> Entry:
    """The entry, which must not have been refused."""
    assert isinstance(entry, Entry), entry
    return entry


def debit(account: str, amount: int, currency: str = "USD") -> Line:
    """A debit line."""
    return Line(account, Side.DEBIT, amount, currency)


def credit(account: str, amount: int, currency: str = "USD") -> Line:
    """A credit line."""
    return Line(account, Side.CREDIT, amount, currency)


def sell(desk: Desk) -> Entry:
    """A hundred from a buyer, shared by a shop, a courier and the platform."""
    lines = [debit("buyer", 100), credit("shop", 70), credit("courier", 20), credit("fees", 10)]
    return desk.post(EntryType.TRANSFER, lines)


# --- reversals ------------------------------------------------------------------------------------


def test_a_reversal_has_the_lines_on_the_other_side() -> None:
    """Every line comes back, amount for amount."""
    desk = Desk()
    reversal = posted(desk.reverse(sell(desk)))
    assert list(reversal.lines) == [
        credit("buyer", 100),
        debit("shop", 70),
        debit("courier", 20),
        debit("fees", 10),
    ]


def test_an_entry_is_reversed_once() -> None:
    """While a reversal is in force there is no other."""
    desk = Desk()
    sale = sell(desk)
    posted(desk.reverse(sale))
    assert desk.reverse(sale) == "already_reversed"


def test_undoing_a_reversal_opens_the_entry_again() -> None:
    """Then it can be reversed anew, and the undone reversal cannot come back beside that one."""
    desk = Desk()
    sale = sell(desk)
    first = posted(desk.reverse(sale))
    undone = posted(desk.reverse(first))
    assert desk.is_open(sale)
    posted(desk.reverse(sale))
    assert desk.reverse(undone) == "already_reversed"


def test_reversals_of_reversals_switch_the_entry_off_and_on() -> None:
    """With each reversal on top, everything below changes between in force and not."""
    desk = Desk()
    sale = sell(desk)
    top = sale
    for height in range(1, 8):
        top = posted(desk.reverse(top))
        assert desk.is_open(sale) is (height % 2 == 0)


def test_an_undone_reversal_does_not_return_over_refunds() -> None:
    """The entry was opened again and refunded: its old reversal stays undone."""
    desk = Desk()
    sale = sell(desk)
    undone = posted(desk.reverse(posted(desk.reverse(sale))))
    posted(desk.refund(sale, 1))
    assert desk.reverse(undone) == "already_refunded"


def test_corrections_stand_on_each_other_only_so_high() -> None:
    """What lies deeper than was loaded cannot be followed, so nothing more stands on it."""
    desk = Desk()
    reversal = posted(desk.reverse(posted(desk.reverse(sell(desk)))))
    del desk.entries["1"]
    assert desk.reverse(reversal) == "correction_too_deep"


# --- refunds --------------------------------------------------------------------------------------


def test_a_refund_gives_back_a_share_of_every_line() -> None:
    """A tenth of the sale is a tenth of each part of it."""
    desk = Desk()
    refund = posted(desk.refund(sell(desk), 10))
    assert list(refund.lines) == [
        credit("buyer", 10),
        debit("shop", 7),
        debit("courier", 2),
        debit("fees", 1),
    ]


def test_a_refund_of_little_leaves_lines_out() -> None:
    """A line whose share is nothing is no line."""
    desk = Desk()
    refund = posted(desk.refund(sell(desk), 1))
    assert list(refund.lines) == [credit("buyer", 1), debit("shop", 1)]


@pytest.mark.parametrize(
    "parts", [[1] * 100, [33, 33, 33, 1], [1, 99], [50, 50], [97, 1, 1, 1], [13] * 7 + [9]]
)
def test_refunds_in_parts_add_up_to_every_line(parts: list[int]) -> None:
    """However a sale is refunded, in the end each line has been given back, no more and no less."""
    desk = Desk()
    sale = sell(desk)
    refunds = [posted(desk.refund(sale, part)) for part in parts]
    assert [sum(line.amount for line in refund.lines) for refund in refunds] == [
        2 * part for part in parts
    ]
    for line in sale.lines:
        back = [b.amount for refund in refunds for b in refund.lines if b.account == line.account]
        assert sum(back) == line.amount
    assert desk.refund(sale, 1) == "refund_exceeds_entry"
    assert desk.refund(sale) == "refund_exceeds_entry"


def test_refunds_are_undone_out_of_order_and_made_again() -> None:
    """The first of three parts is undone; what it gave back can be refunded again, exactly."""
    desk = Desk()
    sale = sell(desk)
    first, _, _ = (posted(desk.refund(sale, part)) for part in (33, 33, 34))
    posted(desk.reverse(first))
    assert desk.refunded(sale) == 67
    assert desk.refund(sale, 34) == "refund_exceeds_entry"
    again = posted(desk.refund(sale))
    assert sorted(again.lines) == sorted(first.lines)


def test_an_undone_refund_returns_only_while_there_is_room() -> None:
    """Its money was refunded otherwise meanwhile, or the sale was reversed: it cannot come back."""
    desk = Desk()
    sale = sell(desk)
    undone = posted(desk.reverse(posted(desk.refund(sale, 60))))
    other = posted(desk.refund(sale, 50))
    assert desk.reverse(undone) == "refund_exceeds_entry"
    posted(desk.reverse(other))
    reversal = posted(desk.reverse(sale))
    assert desk.reverse(undone) == "already_reversed"
    posted(desk.reverse(reversal))
    posted(desk.reverse(undone))
    assert desk.refunded(sale) == 60


def test_a_refund_that_overfills_one_line_does_not_return() -> None:
    """There is room for its sum, but not in the line that it would fill."""
    desk = Desk()
    lines = [debit("buyer", 4), credit("shop", 2), credit("courier", 2)]
    sale = desk.post(EntryType.TRANSFER, lines)
    of_the_shop = posted(desk.refund(sale, 1))
    assert list(of_the_shop.lines) == [credit("buyer", 1), debit("shop", 1)]
    undone = posted(desk.reverse(of_the_shop))
    posted(desk.refund(sale, 3))
    assert desk.corrections[sale.id].shares == (3, 2, 1)
    assert desk.reverse(undone) == "refund_exceeds_entry"


def test_refunds_and_a_reversal_exclude_each_other() -> None:
    """A refunded sale is not reversed, a reversed one is not refunded; undoing either allows it."""
    desk = Desk()
    sale = sell(desk)
    refund = posted(desk.refund(sale, 40))
    assert desk.reverse(sale) == "already_refunded"
    posted(desk.reverse(refund))
    reversal = posted(desk.reverse(sale))
    assert desk.refund(sale, 40) == "already_reversed"
    posted(desk.reverse(reversal))
    posted(desk.refund(sale, 100))


@pytest.mark.parametrize("amount", [0, -1, 101])
def test_a_refund_is_of_something_and_no_more_than_the_entry(amount: int) -> None:
    """Nothing, less than nothing or more than the entry is not refunded."""
    desk = Desk()
    assert desk.refund(sell(desk), amount) == "refund_exceeds_entry"


@pytest.mark.parametrize(
    ("type", "code"),
    [
        (EntryType.REVERSAL, "not_refundable"),
        (EntryType.REFUND, "not_refundable"),
        (EntryType.EXCHANGE, "not_refundable"),
        (EntryType.DEPOSIT, None),
        (EntryType.WITHDRAWAL, None),
        (EntryType.TRANSFER, None),
        (EntryType.FEE, None),
        (EntryType.ADJUSTMENT, None),
    ],
)
def test_which_types_are_refunded(type: EntryType, code: str | None) -> None:
    """Corrections are reversed instead, and so are exchanges, whose rate has moved."""
    desk = Desk()
    refund = desk.refund(desk.post(type, [debit("a", 5), credit("b", 5)]), 2)
    assert (refund if isinstance(refund, str) else None) == code


def test_an_entry_in_two_currencies_is_not_refunded() -> None:
    """Nobody can say what a part of it is."""
    desk = Desk()
    lines = [debit("a", 5), credit("b", 5), debit("c", 4, "EUR"), credit("d", 4, "EUR")]
    assert desk.refund(desk.post(EntryType.ADJUSTMENT, lines), 1) == "not_refundable"


def test_the_earlier_reason_wins() -> None:
    """A reversed exchange asked for too much of is already reversed; an open one not refundable."""
    desk = Desk()
    swap = desk.post(EntryType.EXCHANGE, [debit("a", 5), credit("b", 5)])
    assert desk.refund(swap, 99) == "not_refundable"
    posted(desk.reverse(swap))
    assert desk.refund(swap, 99) == "already_reversed"


def test_shares_are_told_in_the_details() -> None:
    """The details of a refund say how much of each line it gave back, so that it can be undone."""
    desk = Desk()
    refund = posted(desk.refund(sell(desk), 10))
    assert json.loads(refund.details or "") == {"refund": {"shares": [10, 7, 2, 1]}}


# --- every sequence -------------------------------------------------------------------------------


def test_every_sequence_of_corrections() -> None:
    """Every short sequence of reversals and refunds of a sale goes as the naive ledger says.

    At each step everything is tried: to reverse any entry that is there, and to refund the sale in
    part or whole. What is refused is refused for the same reason; what is posted goes on.
    """
    desk = Desk()
    lines = [debit("buyer", 3), credit("shop", 2), credit("fees", 1)]
    sale = desk.post(EntryType.TRANSFER, lines)
    naive = NaiveLedger(lambda role, currency: role + currency)
    for id in ("buyer", "shop", "fees"):
        naive.accounts[id] = NaiveAccount(
            id, "asset", "USD", None, None, None, "active", 1, None, {}
        )
    draft = Draft(sale.type, lines)
    naive.position = 1
    naive.entries.append(NaiveEntry(1, "transfer", [_plain(line) for line in lines], draft))
    tried = _try_everything(desk, naive, STEPS)
    assert tried > 4_000


def _plain(line: Line) -> tuple[str, str, int, str]:
    return line.account, str(line.side), line.amount, line.currency


def _try_everything(desk: Desk, naive: NaiveLedger, steps: int) -> int:
    """Try each next step on copies; those that were posted go on. Gives the number of tries."""
    refund = Draft(EntryType.REFUND, (), corrects="1")
    steps_to_try: list[ReverseEntry | RefundEntry] = [
        RefundEntry(refund, 1),
        RefundEntry(refund, 2),
        RefundEntry(refund, None),
    ]
    steps_to_try += [
        ReverseEntry(Draft(EntryType.REVERSAL, (), corrects=id)) for id in desk.entries
    ]
    tried = 0
    for operation in steps_to_try:
        tried += 1
        after, naive_after = desk.copy(), replace(naive, entries=list(naive.entries))
        entry = after.entries[operation.draft.corrects or ""]
        if isinstance(operation, RefundEntry):
            done = after.refund(entry, operation.amount)
        else:
            done = after.reverse(entry)
        [[answer]] = naive_after.commit([([operation], False)], NOW, int)  # type: ignore[misc]
        if isinstance(answer, No):
            assert done == answer.code
            continue
        fact = naive_after.entries[-1]
        assert [_plain(line) for line in posted(done).lines] == fact.lines
        for fact in naive_after.entries:
            correction = after.corrections[str(fact.position)]
            in_force = [] if correction.reversal is None else [int(correction.reversal)]
            assert in_force == naive_after.reversals(fact.position)
            shares = list(correction.shares) or [0] * len(fact.lines)
            assert shares == naive_after.given_back(fact.position)
        if steps > 1:
            tried += _try_everything(after, naive_after, steps - 1)
    return tried


def test_a_chain_corrects_no_correction() -> None:
    """What that had undone would be open to others, and closed again by the chain's rollback."""
    desk = Desk()
    paid = desk.post(EntryType.TRANSFER, [debit("a", 5), credit("b", 5)])
    undone = posted(desk.reverse(paid))
    within = Draft(EntryType.REVERSAL, (), corrects=undone.id, chain="cte_1", step="back")
    assert desk.correct(within, undone) == "correction_in_chain"
    assert desk.correct(within._replace(chain=None), undone) != "correction_in_chain"


def test_an_assignment_is_undone_whole_alone_and_for_good() -> None:
    """What it had given is assigned anew: a part, a chain's rollback or the undoing of the reversal
    would have it given twice. What is called so otherwise is like any other entry.
    """
    desk = Desk()
    lines = [debit("suspense", 5), credit("a", 5)]
    own = f"{SUSPENSE}{'0' * 32}"
    for reference in (own, f"{own}#2"):
        given = desk.post(EntryType.ADJUSTMENT, lines, reference=reference)
        assert desk.refund(given, 2) == "not_refundable"
        within = Draft(EntryType.REVERSAL, (), corrects=given.id, chain="cte_1", step="back")
        assert desk.correct(within, given) == "assignment_undone"
        undone = posted(desk.reverse(given))
        assert desk.reverse(undone) == "assignment_undone"
        assert not desk.is_open(given)
    for more in ({"reference": f"{SUSPENSE}2026-03"}, {"reference": own, "chain": "cte_1"}):
        other = desk.post(EntryType.ADJUSTMENT, lines, **more)
        posted(desk.refund(other, 2))
        another = desk.post(EntryType.ADJUSTMENT, lines, **more)
        posted(desk.reverse(posted(desk.reverse(another))))
