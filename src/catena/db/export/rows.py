"""What an export is made of: accounts, entries and balances, as a format writes them.

Amounts are minor units, debits positive and credits negative, as plain-text accounting has them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from catena.money import Currency, format_amount

__all__ = ["AccountRow", "BalanceRow", "Dates", "EntryRow", "LineRow", "Style", "write_amount"]


class Dates(StrEnum):
    """Which of an entry's two times becomes the date of its transaction (in UTC).

    Running totals follow the order in which entries were recorded, and the programs check
    assertions in the order of dates: so only recorded dates let every line be asserted.
    """

    RECORDED = "recorded"
    """When we learned it; the effective date goes beside it. Every running total is asserted."""
    EFFECTIVE = "effective"
    """When it counts; the recorded time goes beside it. Only last balances are asserted."""


class AccountRow(NamedTuple):
    """An account; `opened` is a day on which it has no line yet, or its first."""

    id: str
    type: str
    currency: Currency
    opened: dt.date
    role: str | None
    user_id: str | None
    name: str | None


class LineRow(NamedTuple):
    """One line. `running`: the total stored on it, debits less credits."""

    account: str
    account_type: str
    amount: int
    running: int
    currency: Currency


class BalanceRow(NamedTuple):
    """What is stored of an account at the end of a day: debits less credits."""

    account: str
    account_type: str
    day: dt.date
    total: int
    currency: Currency


class EntryRow(NamedTuple):
    """One entry. `metadata` and `details` are JSON texts, `corrects` the id of an entry."""

    id: str
    position: int
    type: str
    effective_at: dt.datetime
    recorded_at: dt.datetime
    description: str | None
    reference: str | None
    metadata: str | None
    details: str | None
    corrects: str | None
    lines: Sequence[LineRow]


class Style(Protocol):
    """How one program wants it. Each part is text with a line break at its end."""

    running_by_day: bool
    """Running totals are asserted at the end of a day, instead of on each line."""

    def write_head(self, title: str, currencies: Sequence[Currency]) -> str:
        """What stands first."""

    def write_account(self, account: AccountRow) -> str:
        """The account, before anything happens on it."""

    def write_entry(self, entry: EntryRow, dates: Dates) -> str:
        """The entry with its lines."""

    def write_balance(self, balance: BalanceRow) -> str:
        """The assertion that the account stands there."""


def write_amount(amount: int, currency: Currency, symbol: str) -> str:
    """Major units and the commodity, such as -125.50 USD."""
    return f"{format_amount(amount, currency)} {symbol}"
