"""How rows of the books become the ledger's own values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catena.ids import ACCOUNT
from catena.ledger.accounts import AccountStatus, AccountType, Side
from catena.ledger.entries import Line
from catena.ledger.terms import Profile

if TYPE_CHECKING:
    import asyncpg

__all__ = ["line_from_row", "profile_from_row"]


def line_from_row(row: asyncpg.Record) -> Line:
    """A line, from account_id, is_debit, amount (minor units) and currency."""
    return Line(
        ACCOUNT + row["account_id"].hex,
        Side.DEBIT if row["is_debit"] else Side.CREDIT,
        row["amount"],
        row["currency"],
    )


def profile_from_row(row: asyncpg.Record) -> Profile:
    """An account as people see it, from columns of accounts and balances; metadata as text."""
    return Profile(
        ACCOUNT + row["account_id"].hex,
        AccountType(row["type"]),
        row["currency"],
        row["role"],
        row["user_id"],
        row["name"],
        row["metadata"],
        AccountStatus(row["status"]),
        row["floor"],
        row["ceiling"],
        row["revision"],
        row["created_at"],
    )
