"""An account's lines as people page through them: the question, its pages, and the effective order.

Invariant: in effective order lines stand by (effective_at, number), so inserting a line never moves
another. A cut, (moment, number), lies between two lines: those that are less stand before it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from catena.ledger.accounts import Side
from catena.ledger.entries import Entry, EntryType

__all__ = [
    "HistoryPlace",
    "LineQuery",
    "Look",
    "Page",
    "Posting",
    "StatementLine",
    "StatementPlace",
    "merge_looks",
    "moment_from_stamp",
    "stamp_of",
    "take_lines",
]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class LineQuery(NamedTuple):
    """What is asked of an account's lines: those in [start, end), in which direction, and which.

    `types`: any of them, or none for all. `metadata`: JSON text of what the entry's must contain.
    """

    start: dt.datetime | None = None
    end: dt.datetime | None = None
    descending: bool = False
    types: Sequence[EntryType] = ()
    reference: str | None = None
    metadata: str | None = None


class StatementLine(NamedTuple):
    """One line of the account, with its entry. `balance`: posted after it, in the page's order.

    Minor units.
    """

    number: int
    side: Side
    amount: int
    balance: int
    entry: Entry


class HistoryPlace(NamedTuple):
    """Where a history goes on: at line `next`, within the lines after `before` up to `last`."""

    before: int
    last: int
    next: int


class StatementPlace(NamedTuple):
    """Where a statement goes on: at a cut in the effective order of the first `known` lines.

    `stamp`: the cut's moment in microseconds since 1970, None for an open end. `balance`: posted
    before the cut; `opening` and `closing`: before the range and its end. Minor units.
    """

    known: int
    stamp: int | None
    number: int
    balance: int
    opening: int
    closing: int


Place = TypeVar("Place", HistoryPlace, StatementPlace)


class Page(NamedTuple, Generic[Place]):
    """Some lines of an account. `opening`, `closing`: posted before the whole range and after it.

    `next`: the place at which the list goes on; None: this is its end. A filtered page may be
    short, or empty, while more remain.
    """

    currency: str
    items: list[StatementLine]
    opening: int
    closing: int
    next: Place | None


class Posting(NamedTuple):
    """A line in effective order. `signed`: what it adds to posted."""

    effective_at: dt.datetime
    number: int
    position: int
    signed: int


class Look(NamedTuple):
    """Lines of one kind. `end`: the moment and number up to which all were seen; None: all were."""

    lines: Sequence[Posting]
    end: tuple[dt.datetime, int] | None


def merge_looks(looks: Sequence[Look], *, descending: bool) -> Look:
    """The lines of several looks in order, as far as nothing unseen can stand between them."""
    ends = [look.end for look in looks if look.end is not None]
    lines = sorted((line for look in looks for line in look.lines), reverse=descending)
    if not ends:
        return Look(lines, None)
    end = max(ends) if descending else min(ends)
    if descending:
        return Look([line for line in lines if line[:2] >= end], end)
    return Look([line for line in lines if line[:2] <= end], end)


def take_lines(
    look: Look,
    place: StatementPlace,
    *,
    descending: bool,
    wanted: Container[int] | None,
    room: int,
) -> tuple[list[tuple[Posting, int]], StatementPlace | None]:
    """Walk from `place` over what was seen, and take at most `room` lines, with posted after each.

    `wanted`: the positions of entries to take, None for all. Gives the place behind the last line
    walked over, or None at the end of the range.
    """
    taken: list[tuple[Posting, int]] = []
    balance = place.balance
    for index, line in enumerate(look.lines):
        after = balance if descending else balance + line.signed
        balance = balance - line.signed if descending else after
        if wanted is None or line.position in wanted:
            taken.append((line, after))
            if len(taken) == room:
                if look.end is None and index == len(look.lines) - 1:
                    break
                return taken, _place_behind(place, line[:2], balance, descending=descending)
    if look.end is None:
        return taken, None
    return taken, _place_behind(place, look.end, balance, descending=descending)


def _place_behind(
    place: StatementPlace, key: tuple[dt.datetime, int], balance: int, *, descending: bool
) -> StatementPlace:
    moment, number = key
    cut = number if descending else number + 1
    return place._replace(stamp=stamp_of(moment), number=cut, balance=balance)


def stamp_of(moment: dt.datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_from_stamp(stamp: int) -> dt.datetime:
    """The moment so many microseconds after 1970, in UTC."""
    return _EPOCH + stamp * _MICROSECOND
