"""The input format of beancount. Source: beancount.github.io/docs, "Beancount Language Syntax".

Invariant: text of a caller's stands in strings only, with its quotes, backslashes and line breaks
escaped. Every assertion is exact: beancount's own tolerance would let a cent pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from catena.db.export.rows import (
    AccountRow,
    BalanceRow,
    Dates,
    EntryRow,
    write_amount,
)
from catena.money import Currency

__all__ = ["BeancountStyle"]

_ROOTS: Final = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Income",
    "expense": "Expenses",
}

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class BeancountStyle:
    """A transaction has one date; the entry's other time is in its metadata."""

    running_by_day = True

    def write_head(self, title: str, currencies: Sequence[Currency]) -> str:
        """The title, and the commodities with their decimal places."""
        commodities = (
            f'1970-01-01 commodity {currency.code}\n  exponent: "{currency.exponent}"\n'
            for currency in currencies
        )
        return "".join([f'option "title" {_quote(title)}\n\n', *commodities, "\n"])

    def write_account(self, account: AccountRow) -> str:
        """Open the account, for its currency alone."""
        metadata = {
            "id": account.id,
            "role": account.role,
            "user": account.user_id,
            "name": account.name,
        }
        opening = f"{account.opened} open {_name(account.type, account.id)}"
        return f"{opening} {account.currency.code}\n" + "".join(_write_metadata(metadata)) + "\n"

    def write_entry(self, entry: EntryRow, dates: Dates) -> str:
        """A transaction with everything that is known of the entry."""
        time = entry.effective_at if dates is Dates.EFFECTIVE else entry.recorded_at
        metadata = {
            "id": entry.id,
            "position": str(entry.position),
            "type": entry.type,
            "recorded": entry.recorded_at.isoformat(),
            "effective": entry.effective_at.isoformat(),
            "corrects": entry.corrects,
            "reference": entry.reference,
            "metadata": entry.metadata,
            "details": entry.details,
        }
        postings = (
            f"  {_name(line.account_type, line.account)}"
            f"  {write_amount(line.amount, line.currency, line.currency.code)}\n"
            for line in entry.lines
        )
        title = _quote(entry.description or entry.type)
        return "".join([f"{time.date()} * {title}\n", *_write_metadata(metadata), *postings, "\n"])

    def write_balance(self, balance: BalanceRow) -> str:
        """An assertion, which beancount checks before the first transaction of its day."""
        following = balance.day + dt.timedelta(days=1)
        amount = write_amount(balance.total, balance.currency, f"~ 0 {balance.currency.code}")
        return f"{following} balance {_name(balance.account_type, balance.account)}  {amount}\n"


def _name(type: str, account: str) -> str:
    """A part of a name starts with a capital and has no underscore: acct_1f is Acct-1f."""
    return f"{_ROOTS.get(type, 'Unknown')}:{account.replace('acct_', 'Acct-')}"


def _write_metadata(metadata: Mapping[str, str | None]) -> Iterator[str]:
    return (f"  {key}: {_quote(text)}\n" for key, text in metadata.items() if text is not None)


def _quote(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'
