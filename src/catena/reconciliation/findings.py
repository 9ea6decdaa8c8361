"""What reconciling finds: each line of both sides stands in exactly one finding.

Invariant: the differences of all findings add up to what their lines say less what ours say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from catena.gateways.contract import StatementLine
from catena.reconciliation.lines import BookLine

__all__ = ["Finding", "How", "Kind", "add_differences"]


class Kind(StrEnum):
    """What a finding means. All but the first are discrepancies, once they have waited."""

    MATCHED = "matched"
    """Both sides say the same."""
    MISSING_HERE = "missing_here"
    """Their statement has it, our books do not."""
    MISSING_THERE = "missing_there"
    """Our books have it, their statement does not."""
    DIFFERING_AMOUNT = "differing_amount"
    """Both have it, with different amounts."""
    DIFFERING_CURRENCY = "differing_currency"
    """Both have it, in different currencies."""
    DIFFERING_DATE = "differing_date"
    """Both have it, further apart than the window; the money is right."""


class How(StrEnum):
    """What put the lines of a finding together."""

    REFERENCE = "reference"
    """The same reference and amount, line by line."""
    CUT_REFERENCE = "cut_reference"
    """The same amount, and one reference is the beginning of the other."""
    SUM = "sum"
    """The same reference, and the same total: partial captures, or a net booking."""
    BATCH = "batch"
    """One line of theirs for a whole file of ours."""
    AMOUNT = "amount"
    """The same amount within the window; one side has no reference."""
    NETTED = "netted"
    """One side alone booked it and took it back."""
    ADJUSTED = "adjusted"
    """Adjusting entries made up the difference."""
    REPEATED = "repeated"
    """Nothing, but the same reference and amount stood there once before, matched."""
    NOTHING = "nothing"
    """Nothing: a line that stands alone."""


class Finding(NamedTuple):
    """Some lines of ours and of theirs, and what they are to each other.

    `waits_until`: before that it is in transit, and no discrepancy: the other half may still come.
    `items`: the items of the work list that its lines were in.
    """

    kind: Kind
    how: How
    ours: tuple[BookLine, ...]
    theirs: tuple[StatementLine, ...]
    waits_until: dt.datetime | None = None
    items: tuple[str, ...] = ()

    @property
    def is_in_transit(self) -> bool:
        """Whether the other half may still come."""
        return self.waits_until is not None

    @property
    def is_open(self) -> bool:
        """Whether it is a discrepancy."""
        return self.waits_until is None and self.kind is not Kind.MATCHED

    @property
    def lines(self) -> tuple[BookLine | StatementLine, ...]:
        """Those of both sides, ours first."""
        return tuple(chain[BookLine | StatementLine](self.ours, self.theirs))

    @property
    def at(self) -> dt.datetime:
        """When its first line counts."""
        return min(line.at for line in self.lines)

    def differences(self) -> dict[str, int]:
        """Theirs less ours, in minor units, for each of its currencies."""
        sums: dict[str, int] = {}
        for their_line in self.theirs:
            sums[their_line.currency] = sums.get(their_line.currency, 0) + their_line.amount
        for our_line in self.ours:
            sums[our_line.currency] = sums.get(our_line.currency, 0) - our_line.amount
        return sums


def add_differences(findings: Iterable[Finding]) -> dict[str, int]:
    """Theirs less ours over all of them, for each currency, in minor units."""
    sums: dict[str, int] = {}
    for finding in findings:
        for currency, amount in finding.differences().items():
            sums[currency] = sums.get(currency, 0) + amount
    return sums
