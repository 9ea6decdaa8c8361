"""Lines of either side that share a reference or a file, and are not equal one by one.

Invariant: nothing is called a difference that a line which is still on its way could make up; what
is called matched comes to the same total.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from catena.gateways.contract import StatementLine
from catena.reconciliation.findings import Finding, How, Kind
from catena.reconciliation.lines import BookLine, Folded, M, Terms
from catena.reconciliation.pairing import (
    are_near,
    net_out,
    pair_equal,
    split_by_sums,
    sum_amounts,
)

__all__ = ["match_batches", "match_group"]

_Ours = Sequence[BookLine]
_Theirs = Sequence[StatementLine]


def match_batches(ours: _Ours, theirs: _Theirs, terms: Terms, folded: Folded) -> Iterator[Finding]:
    """One line of theirs for all that left in one file: its reference is the file's.

    What of the file our books have taken back is left out where the total is right without it.
    """
    files: dict[tuple[str, str, bool], list[BookLine]] = defaultdict(list)
    for line in ours:
        if line.batch and (file := folded[line.batch]) is not None:
            files[file, line.currency, line.amount > 0].append(line)
    if not files:
        return
    bookings: dict[tuple[str, str, bool], list[StatementLine]] = defaultdict(list)
    for booking in theirs:
        if (file := folded[booking.reference]) is not None:
            key = (file, booking.currency, booking.amount > 0)
            if key in files:
                bookings[key].append(booking)
    taken_back = _list_taken_back(ours, folded) if bookings else frozenset()
    for key, lines in bookings.items():
        left = [line for line in files[key] if line.id not in taken_back]
        for part in (files[key], left):
            if sum_amounts(part) == sum_amounts(lines):
                kind = Kind.MATCHED if are_near(part, lines, terms.window) else Kind.DIFFERING_DATE
                yield Finding(kind, How.BATCH, tuple(part), tuple(lines))
                break
        else:
            if left:
                yield _differ(Kind.DIFFERING_AMOUNT, How.BATCH, left, lines, terms)


def _list_taken_back(ours: _Ours, folded: Folded) -> frozenset[str]:
    groups: dict[tuple[str | None, str], list[BookLine]] = defaultdict(list)
    for line in ours:
        groups[folded[line.reference], line.currency].append(line)
    return frozenset(
        line.id
        for (reference, _), lines in groups.items()
        if reference is not None
        for pair in net_out(lines)
        for line in pair
    )


def match_group(ours: _Ours, theirs: _Theirs, terms: Terms) -> Iterator[Finding]:
    """What lines under one reference are to each other; what is not given stands alone.

    In this order: totals that agree within the window, the same amounts however late, totals that
    agree however late, what one side took back, other amounts, other currencies.
    """
    if len(ours) + len(theirs) < 2:  # noqa: PLR2004  # nothing to put together
        return
    our_rest: list[BookLine] = []
    their_rest: list[StatementLine] = []
    ours_by_currency = _split_by_currency(ours)
    theirs_by_currency = _split_by_currency(theirs)
    for currency in sorted({*ours_by_currency, *theirs_by_currency}):
        left = _Left(ours_by_currency.get(currency, []), theirs_by_currency.get(currency, []))
        if left.ours and left.theirs:
            yield from left.take(_agree_in_sum(left, terms, Kind.MATCHED))
            yield from left.take(_agree_late(left))
            yield from left.take(_agree_in_sum(left, terms, Kind.DIFFERING_DATE))
        yield from left.take(_take_back(left, terms))
        yield from left.take(_differ_in_amount(left, terms))
        our_rest += left.ours
        their_rest += left.theirs
    if our_rest and their_rest:
        yield from _differ_in_currency(our_rest, their_rest, terms)


class _Left:
    """What is left of a group in one currency, in order of time."""

    def __init__(self, ours: list[BookLine], theirs: list[StatementLine]) -> None:
        self.ours = ours
        self.theirs = theirs

    def take(self, findings: Iterable[Finding]) -> list[Finding]:
        """These findings; their lines are no longer left."""
        taken = list(findings)
        if not taken:
            return taken
        our_ids = {line.id for finding in taken for line in finding.ours}
        their_ids = {line.id for finding in taken for line in finding.theirs}
        self.ours = [line for line in self.ours if line.id not in our_ids]
        self.theirs = [line for line in self.theirs if line.id not in their_ids]
        return taken


def _agree_in_sum(left: _Left, terms: Terms, kind: Kind) -> Iterator[Finding]:
    our_end = their_end = 0
    for part in split_by_sums(left.ours, left.theirs):
        ours = left.ours[our_end : our_end + part.ours]
        theirs = left.theirs[their_end : their_end + part.theirs]
        our_end += part.ours
        their_end += part.theirs
        if kind is Kind.DIFFERING_DATE or are_near(ours, theirs, terms.window):
            yield Finding(kind, How.SUM, tuple(ours), tuple(theirs))


def _agree_late(left: _Left) -> Iterator[Finding]:
    for ours, theirs in pair_equal(left.ours, left.theirs, lambda _: True, lambda _: True, None):
        yield Finding(Kind.DIFFERING_DATE, How.REFERENCE, (ours,), (theirs,))


def _take_back(left: _Left, terms: Terms) -> Iterator[Finding]:
    """Only when the first of the two has waited: else the other side may have both tomorrow."""
    for pair in net_out(left.ours):
        if terms.wait(min(line.at for line in pair)) is None:
            yield Finding(Kind.MATCHED, How.NETTED, pair, ())
    for couple in net_out(left.theirs):
        if terms.wait(min(line.at for line in couple)) is None:
            yield Finding(Kind.MATCHED, How.NETTED, (), couple)


def _differ_in_amount(left: _Left, terms: Terms) -> Iterator[Finding]:
    """What came in by our books with what came in by theirs, and what went out likewise."""
    for is_in in (True, False):
        ours = [line for line in left.ours if (line.amount > 0) is is_in]
        theirs = [line for line in left.theirs if (line.amount > 0) is is_in]
        if ours and theirs and sum_amounts(ours) == sum_amounts(theirs):
            kind = Kind.MATCHED if are_near(ours, theirs, terms.window) else Kind.DIFFERING_DATE
            yield Finding(kind, How.SUM, tuple(ours), tuple(theirs))
        elif ours and theirs:
            yield _differ(Kind.DIFFERING_AMOUNT, How.REFERENCE, ours, theirs, terms)


def _differ_in_currency(ours: _Ours, theirs: _Theirs, terms: Terms) -> Iterator[Finding]:
    """Currency by currency in the order of their codes, what came in apart from what went out."""
    for is_in in (True, False):
        our_lines = _split_by_currency([line for line in ours if (line.amount > 0) is is_in])
        their_lines = _split_by_currency([line for line in theirs if (line.amount > 0) is is_in])
        for ours_in, theirs_in in zip(sorted(our_lines), sorted(their_lines), strict=False):
            yield _differ(
                Kind.DIFFERING_CURRENCY,
                How.REFERENCE,
                our_lines[ours_in],
                their_lines[theirs_in],
                terms,
            )


def _differ(kind: Kind, how: How, ours: _Ours, theirs: _Theirs, terms: Terms) -> Finding:
    times = [line.at for line in chain[BookLine | StatementLine](ours, theirs)]
    waits_until = terms.wait(min(times), max(times))
    return Finding(kind, how, tuple(ours), tuple(theirs), waits_until)


def _split_by_currency(lines: Iterable[M]) -> dict[str, list[M]]:
    split: dict[str, list[M]] = defaultdict(list)
    for line in lines:
        split[line.currency].append(line)
    return split
