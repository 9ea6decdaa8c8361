"""The two sides of a reconciliation, and the terms on which they are held against each other.

Invariant: amounts are signed minor units as we see them: positive is money that came to the
account at the gateway, for our lines (a debit of the clearing account) as for theirs.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable
from operator import attrgetter
from typing import Final, NamedTuple, Protocol, TypeVar

from catena.gateways.contract import StatementLine, Subject
from catena.ledger.entries import EntryType

__all__ = [
    "AHEAD",
    "BookLine",
    "Folded",
    "M",
    "Movement",
    "Terms",
    "fold_reference",
    "is_fee",
    "is_matched",
    "sort_lines",
]


class BookLine(NamedTuple):
    """One line of an entry on a gateway's clearing account.

    `id`: the entry's, a stroke and the line's ordinal: `ent_01.../1`. `reference`: the gateway's
    own, or the EndToEndId, that the entry carries. `at`: its effective_at, which is what a
    statement's date answers to. `batch`: the reference of the file that the payment left in, on
    payments only, not on what came back. `settles`: the item of the work list that it was posted
    for.
    """

    id: str
    type: EntryType
    amount: int
    currency: str
    reference: str | None
    at: dt.datetime
    batch: str | None = None
    chain: str | None = None
    step: str | None = None
    settles: str | None = None

    @property
    def entry(self) -> str:
        """The entry's id."""
        return self.id.partition("/")[0]


class Movement(Protocol):
    """What the lines of both sides have."""

    @property
    def id(self) -> str:
        """Its own, unique on its side."""

    @property
    def amount(self) -> int:
        """In minor units; positive: to us."""

    @property
    def currency(self) -> str:
        """ISO 4217, or an asset of the ledger."""

    @property
    def reference(self) -> str | None:
        """What both sides should call it."""

    @property
    def at(self) -> dt.datetime:
        """When it counts."""


class Terms(NamedTuple):
    """What both sides are held to.

    `until`: up to where both sides are complete. `window`: how far apart the two halves of a
    payment may lie; a line is no discrepancy before it has passed. `cut_characters`: how much of a
    reference must be left (folded) for it to count as one that a bank has cut.
    """

    until: dt.datetime
    window: dt.timedelta
    cut_characters: int

    def wait(self, first: dt.datetime, last: dt.datetime | None = None) -> dt.datetime | None:
        """Until when the rest of lines from `first` to `last` may still come; None: it is over.

        A window from the last on, and two from the first at most: so that something new under an
        old reference does not keep it waiting for ever.
        """
        end = first + self.window
        if last is not None:
            end = min(last + self.window, end + self.window)
        return end if end > self.until else None


M = TypeVar("M", bound=Movement)

AHEAD: Final = dt.timedelta(days=1)
"""How far ahead of now a side may be said to be complete: days end elsewhere at other times."""

_NOT_A_REFERENCE: Final = frozenset({"", "NOTPROVIDED", "NONREF"})
"""What ISO 20022 and SWIFT write where there is no reference, folded."""


def fold_reference(reference: str | None) -> str | None:
    """A reference as banks may not change it: NFKC, capitals, letters and digits alone.

    None for none, and for what only says that there is none (NOTPROVIDED, NONREF).
    """
    if reference is None:
        return None
    if reference.isascii():
        folded = reference.upper()
    else:
        folded = unicodedata.normalize("NFKC", reference).upper()
    if not folded.isalnum():
        folded = "".join(filter(str.isalnum, folded))
    return None if folded in _NOT_A_REFERENCE else folded


class Folded(dict[str | None, str | None]):
    """References as they were folded already: a run folds each once."""

    def __missing__(self, reference: str | None) -> str | None:
        folded = self[reference] = fold_reference(reference)
        return folded


def is_fee(line: BookLine | StatementLine) -> bool:
    """Whether it is about what the gateway takes for itself: booked from the statement."""
    if isinstance(line, BookLine):
        return line.type is EntryType.FEE
    return line.subject is Subject.FEE


def is_matched(line: BookLine | StatementLine) -> bool:
    """Whether it needs another half: fees do not, and what moves nothing does not."""
    return line.amount != 0 and not is_fee(line)


def sort_lines(lines: Iterable[M]) -> list[M]:
    """In order of time; at the same moment by id: the same lines always in one order."""
    return sorted(lines, key=attrgetter("at", "id"))
