"""How rows of the books become the ledger's own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catena.ids import ACCOUNT
from catena.ledger.accounts import Side
from catena.ledger.entries import Line

__all__ = ["line_from_row"]


def line_from_row(row: Mapping[str, Any]) -> Line:
    """A line, from account_id, is_debit, amount (minor units) and currency."""
    return Line(
        ACCOUNT + row["account_id"].hex,
        Side.DEBIT if row["is_debit"] else Side.CREDIT,
        row["amount"],
        row["currency"],
    )
