"""Ledgers with their numbering: how far each book is written."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = ["LedgerState", "read_ledger_state"]


class LedgerState(NamedTuple):
    """The last position of a ledger, and when it was recorded (0: when the ledger was made)."""

    position: int
    recorded_at: dt.datetime


_STATE: Final = "SELECT position, recorded_at FROM positions WHERE ledger_id = $1"


async def read_ledger_state(connection: Connection, ledger: int) -> LedgerState:
    """How far the ledger is written. Raises LookupError when there is no such ledger."""
    row = await connection.fetchrow(_STATE, ledger)
    if row is None:
        raise LookupError
    return LedgerState(row["position"], row["recorded_at"])
