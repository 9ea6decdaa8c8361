"""Made-up business: deals that leave lines on both sides, and the faults that were put into them.

What a deal should be found to be follows from the fault that was chosen, never from its lines.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from enum import StrEnum
from random import Random
from typing import NamedTuple

from catena.gateways.contract import StatementLine, Subject
from catena.ledger.entries import EntryType
from catena.reconciliation.findings import Kind
from catena.reconciliation.lines import BookLine
from tests.reconciliation.lines import WINDOW, day

__all__ = ["Deal", "Fault", "Lines", "Shape", "draw_deals", "number", "write_lines"]

HOUR = dt.timedelta(hours=1)
NAMELESS_FROM = 600_000


class Shape(StrEnum):
    """How an honest deal looks."""

    CHARGE = "charge"
    REFUND = "refund"
    CAPTURES = "captures"
    """Three of ours, one of theirs."""
    RELEASE = "release"
    """One of ours, a charge and a reversal there."""
    REVERSED = "reversed"
    """Two of ours that cancel out; nothing there."""
    BATCH = "batch"
    """Three payouts in a file, one line there."""
    CUT = "cut"
    """A payout whose reference the bank cuts, in small letters."""
    NAMELESS = "nameless"
    """A credit without a reference, of an amount of its own."""


class Fault(StrEnum):
    """What was done to it."""

    NONE = "none"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    REPEATED = "repeated"
    AMOUNT = "amount"
    CURRENCY = "currency"
    LATE = "late"


VERDICTS = {
    Fault.MISSING_HERE: Kind.MISSING_HERE,
    Fault.MISSING_THERE: Kind.MISSING_THERE,
    Fault.REPEATED: Kind.MISSING_HERE,
    Fault.AMOUNT: Kind.DIFFERING_AMOUNT,
    Fault.CURRENCY: Kind.DIFFERING_CURRENCY,
    Fault.LATE: Kind.DIFFERING_DATE,
}
ANY_FAULT = {Shape.CHARGE, Shape.REFUND}


class Deal(NamedTuple):
    """`amount` more than 10; `hour` of the month; `lag` in hours, less than the window; `delta` is
    what an amount is wrong by, `fee` what the gateway takes.
    """

    name: str
    shape: Shape
    fault: Fault
    amount: int
    currency: str
    hour: int
    lag: int
    delta: int
    fee: int

    @property
    def verdict(self) -> Kind | None:
        """What its fault has to be found to be."""
        if self.shape is Shape.BATCH and self.fault is Fault.AMOUNT:
            return Kind.DIFFERING_AMOUNT
        return VERDICTS.get(self.fault) if self.shape in ANY_FAULT else None


class Lines(NamedTuple):
    """What a deal leaves behind."""

    ours: list[BookLine]
    theirs: list[StatementLine]


def number(deals: Iterable[Deal]) -> list[Deal]:
    """The same deals, each with a name of its own."""
    return [deal._replace(name=f"{place:06}") for place, deal in enumerate(deals)]


def write_lines(deal: Deal) -> Lines:
    """Its lines on both sides."""
    at = day(1) + deal.hour * HOUR
    lag = deal.lag * HOUR
    reference = f"ref-{deal.name}-Of-Such-A-Deal"
    big = NAMELESS_FROM + 100 * int(deal.name)

    def here(part: str, amount: int, after: dt.timedelta, batch: str | None = None) -> BookLine:
        kind = EntryType.DEPOSIT if amount > 0 else EntryType.WITHDRAWAL
        id = f"ent-{deal.name}/{part}"
        name = f"{reference}-{part}" if batch else reference
        chain = f"cte-{deal.name}"
        return BookLine(id, kind, amount, deal.currency, name, at + after, batch, chain, "clear")

    def there(part: str, amount: int, after: dt.timedelta) -> StatementLine:
        subject = Subject.CHARGE if amount > 0 else Subject.REFUND
        id = f"txn-{deal.name}-{part}"
        name = reference.upper() if int(deal.name) % 3 else reference
        return StatementLine(id, subject, amount, deal.fee, deal.currency, name, at + after)

    none = dt.timedelta()
    part = deal.amount // 3
    match deal.shape:
        case Shape.CHARGE | Shape.REFUND:
            amount = deal.amount if deal.shape is Shape.CHARGE else -deal.amount
            lines = _put_fault(deal, Lines([here("a", amount, none)], [there("x", amount, lag)]))
        case Shape.CAPTURES:
            parts = [here("a", part, none), here("b", part, lag / 2)]
            parts.append(here("c", deal.amount - 2 * part, lag))
            lines = Lines(parts, [there("x", deal.amount, lag / 3)])
        case Shape.RELEASE:
            both = [there("x", deal.amount, lag), there("y", -part, lag)]
            lines = Lines([here("a", deal.amount - part, none)], both)
        case Shape.REVERSED:
            lines = Lines([here("a", deal.amount, none), here("b", -deal.amount, lag)], [])
        case Shape.BATCH:
            file = f"file-{deal.name}"
            payouts = [here(one, -deal.amount, none, file) for one in "abc"]
            wrong = deal.delta if deal.fault is Fault.AMOUNT else 0
            line = there("x", -3 * deal.amount - wrong, lag)._replace(reference=f"FILE {deal.name}")
            lines = Lines(payouts, [line])
        case Shape.CUT:
            line = there("x", -deal.amount, lag)._replace(reference=reference.lower()[:22])
            lines = Lines([here("a", -deal.amount, none)], [line])
        case _:
            line = there("x", big, lag)._replace(reference=None)
            lines = Lines([here("a", big, none)], [line])
    return lines


def _put_fault(deal: Deal, lines: Lines) -> Lines:
    (ours,), (theirs,) = lines
    other = "USD" if deal.currency == "EUR" else "EUR"
    made = lines
    match deal.fault:
        case Fault.MISSING_HERE:
            made = Lines([], [theirs])
        case Fault.MISSING_THERE:
            made = Lines([ours], [])
        case Fault.REPEATED:
            again = theirs._replace(id=theirs.id + "-again", at=theirs.at + HOUR)
            made = Lines([ours], [theirs, again])
        case Fault.AMOUNT:
            change = deal.delta if theirs.amount > 0 else -deal.delta
            made = Lines([ours], [theirs._replace(amount=theirs.amount + change)])
        case Fault.CURRENCY:
            made = Lines([ours], [theirs._replace(currency=other)])
        case Fault.LATE:
            made = Lines([ours], [theirs._replace(at=ours.at + WINDOW + (deal.lag + 1) * HOUR)])
        case _:
            pass
    return made


def draw_deals(seed: int, count: int, faulty: float) -> Iterator[Deal]:
    """A month of deals; that share of the simple ones is faulty."""
    dice = Random(seed)
    faults = [fault for fault in Fault if fault is not Fault.NONE]
    for place in range(count):
        fault = dice.choice(faults) if dice.random() < faulty else Fault.NONE
        yield Deal(
            name=f"{place:06}",
            shape=dice.choice([Shape.CHARGE] * 4 + [Shape.REFUND] + list(Shape)),
            fault=fault,
            amount=dice.choice([5000, 9999, dice.randrange(20, 500_000)]),
            currency=dice.choice(["EUR", "EUR", "USD"]),
            hour=dice.randrange(30 * 24),
            lag=dice.randrange(24 * 4),
            delta=dice.choice([-1, 1, dice.randrange(2, 10)]),
            fee=dice.choice([0, 25, dice.randrange(100)]),
        )
