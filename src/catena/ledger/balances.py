"""Balances as they are told to callers: now, and at a moment of the past.

Invariant: posted and available follow from the totals, by the same rule as in `accounts.Account`.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from catena.ledger.accounts import AccountStatus, Side

__all__ = ["Balance", "PastBalance", "Terms", "compute_available", "compute_posted"]


def compute_posted(side: Side, debits: int, credits: int) -> int:
    """The balance on the normal side, in minor units."""
    return debits - credits if side is Side.DEBIT else credits - debits


def compute_available(posted: int, reserved: int, floor: int | None) -> int | None:
    """What anyone may spend, in minor units: posted - reserved - floor; None without a floor."""
    return None if floor is None else posted - reserved - floor


class Balance(NamedTuple):
    """An account's balance now, in minor units of `currency`.

    `version` grows with every write to it, `line_count` with every line. It is as of the ledger's
    `position`, the last one then, which was recorded at `recorded_at`.
    """

    account: str
    currency: str
    normal_side: Side
    debits: int
    credits: int
    reserved: int
    floor: int | None
    ceiling: int | None
    status: AccountStatus
    line_count: int
    version: int
    position: int
    recorded_at: dt.datetime

    @property
    def posted(self) -> int:
        """The balance on the normal side."""
        return compute_posted(self.normal_side, self.debits, self.credits)

    @property
    def available(self) -> int | None:
        """What anyone may spend; None where nothing bounds it."""
        return compute_available(self.posted, self.reserved, self.floor)


class Terms(NamedTuple):
    """What bounded an account at a moment of recorded time. Minor units."""

    reserved: int
    floor: int | None
    ceiling: int | None
    status: AccountStatus


class PastBalance(NamedTuple):
    """An account's balance at a moment, in minor units of `currency`.

    It counts some of the account's first `line_count` lines, the last of which belongs to the entry
    at `position` (0: there was none yet). `terms`: only by recorded time.
    """

    account: str
    currency: str
    normal_side: Side
    debits: int
    credits: int
    line_count: int
    position: int
    terms: Terms | None

    @property
    def posted(self) -> int:
        """The balance on the normal side."""
        return compute_posted(self.normal_side, self.debits, self.credits)

    @property
    def available(self) -> int | None:
        """What anyone could spend; None where nothing bounded it, and by effective time."""
        if self.terms is None:
            return None
        return compute_available(self.posted, self.terms.reserved, self.terms.floor)
