"""Whether a statement is whole, and follows upon the one before: balances prove it, numbers hint.

Invariant: what has been read is held against what the bank says stands on the account, so money
that a statement leaves out is noticed although nothing names it. Pure: it compares, and stores
nothing.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import NamedTuple

from catena.gateways.bank.camt import Kind, Statement

__all__ = ["Closing", "Gap", "GapCode", "close_statement", "find_gaps"]


class GapCode(StrEnum):
    """What is wrong. The first two are proofs that an entry is missing; the others are hints."""

    ENTRIES = "entries"
    """The entries do not lead from the opening to the closing balance."""
    BALANCE = "balance"
    """The opening balance is not the closing one of the statement before."""
    NUMBER = "number"
    """Its number does not follow upon the one before."""
    REPEATED = "repeated"
    """It is the statement before, once more."""
    COUNT = "count"
    """It says that it has another number of entries than it has."""
    UNTOLD = "untold"
    """It does not say what stood, or stands, on the account: nothing can be proved."""


class Gap(NamedTuple):
    """`expected` and `found` in minor units for the two proofs, else numbers; None: not told."""

    code: GapCode
    expected: int | None = None
    found: int | None = None

    @property
    def is_proof(self) -> bool:
        """Whether money is missing for certain."""
        return self.code in (GapCode.ENTRIES, GapCode.BALANCE)


class Closing(NamedTuple):
    """What is remembered of an account's last statement, to hold the next one against."""

    statement_id: str
    page: int
    is_last: bool
    electronic: int | None
    legal: int | None
    balance: int | None
    created_at: dt.datetime


def close_statement(statement: Statement) -> Closing:
    """What to remember of a statement, or of a page of one."""
    return Closing(
        statement.id,
        statement.page,
        statement.is_last,
        statement.electronic,
        statement.legal,
        _find_ends(statement)[1],
        statement.created_at,
    )


def find_gaps(before: Closing | None, statement: Statement, net: int, entries: int) -> list[Gap]:
    """What is missing in a statement, or between it and the one before of its account.

    `net`: its booked entries in minor units, credits less debits; `entries`: how many it has, of
    all states. Reports and notifications prove nothing, so of them nothing is said. The pages of a
    statement are held against each other just so.
    """
    if statement.kind is not Kind.STATEMENT:
        return []
    if before is not None and (before.statement_id, before.page) == (statement.id, statement.page):
        return [Gap(GapCode.REPEATED)]
    gaps = []
    opening, closing = _find_ends(statement)
    if opening is None or closing is None:
        gaps.append(Gap(GapCode.UNTOLD, opening, closing))
    elif opening + net != closing:
        gaps.append(Gap(GapCode.ENTRIES, closing, opening + net))
    if before is not None:
        if None not in (opening, before.balance) and opening != before.balance:
            gaps.append(Gap(GapCode.BALANCE, before.balance, opening))
        gaps += _find_skipped(before, statement)
    is_whole = statement.page == 1 and statement.is_last
    if is_whole and statement.entries_said not in (None, entries):
        gaps.append(Gap(GapCode.COUNT, statement.entries_said, entries))
    return gaps


def _find_ends(statement: Statement) -> tuple[int | None, int | None]:
    """What stood on the account before it, and after it. Pages end and begin with interim ones."""
    ours = [one for one in statement.balances if one.currency == statement.balances[0].currency]
    by_code = {one.code: one.amount for one in reversed(ours)}
    interim = [one.amount for one in ours if one.code == "ITBD"]
    opening = by_code.get("OPBD", by_code.get("PRCD"))
    closing = by_code.get("CLBD")
    if opening is None and interim and (closing is not None or len(interim) > 1):
        opening = interim[0]
    if closing is None and interim and (opening is not None) and not statement.is_last:
        closing = interim[-1]
    return opening, closing


def _find_skipped(before: Closing, statement: Statement) -> list[Gap]:
    """By the first kind of number that both have. A new year may begin again at 1."""
    pairs = ((before.electronic, statement.electronic), (before.legal, statement.legal))
    last, number = next((pair for pair in pairs if None not in pair), (None, None))
    if last is None or number is None:
        return []
    if statement.id == before.statement_id:
        following = before.page + 1
        return (
            [] if statement.page == following else [Gap(GapCode.NUMBER, following, statement.page)]
        )
    if not before.is_last or statement.page != 1:
        return [Gap(GapCode.NUMBER, before.page + 1, statement.page)]
    begins = number == 1 and statement.created_at.year > before.created_at.year
    return [] if number == last + 1 or begins else [Gap(GapCode.NUMBER, last + 1, number)]
