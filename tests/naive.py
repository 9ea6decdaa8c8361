"""An account's past recomputed the slow way: every line read once, then sorted and added up.

Invariant: it shares no SQL and no rule with catena.db.read or catena.ledger.statements.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from tests.postgres import Database
from tests.scribe import connect_as_owner

__all__ = ["NaiveAccount", "NaiveLine", "read_naively"]


@dataclass(frozen=True, slots=True)
class NaiveLine:
    """A line with what its entry says."""

    number: int
    amount: int
    is_debit: bool
    effective_at: dt.datetime
    recorded_at: dt.datetime
    type: str
    reference: str | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NaiveAccount:
    """Every line of an account that grows by credits."""

    lines: list[NaiveLine]

    def known_at(self, moment: dt.datetime | None) -> NaiveAccount:
        """What was recorded by then."""
        return NaiveAccount(
            [line for line in self.lines if moment is None or line.recorded_at <= moment]
        )

    def totals(self, effective_at: dt.datetime | None = None) -> tuple[int, int]:
        """Debits and credits of what had taken effect by then."""
        counted = [
            line for line in self.lines if effective_at is None or line.effective_at <= effective_at
        ]
        return (
            sum(line.amount for line in counted if line.is_debit),
            sum(line.amount for line in counted if not line.is_debit),
        )

    def rows(self, order: str, start: dt.datetime, end: dt.datetime) -> list[tuple[int, int]]:
        """Number of each line in [start, end) and posted after it, by `order`'s dates."""
        balance = 0
        found = []
        for line in sorted(self.lines, key=lambda line: (getattr(line, order), line.number)):
            balance += -line.amount if line.is_debit else line.amount
            if start <= getattr(line, order) < end:
                found.append((line.number, balance))
        return found

    def posted_before(self, order: str, moment: dt.datetime) -> int:
        """What was posted by lines dated before the moment."""
        return sum(
            -line.amount if line.is_debit else line.amount
            for line in self.lines
            if getattr(line, order) < moment
        )

    def moments(self) -> list[dt.datetime]:
        """Every date that a line has, and the microseconds beside it."""
        dates = {line.effective_at for line in self.lines}
        dates |= {line.recorded_at for line in self.lines}
        return sorted(date + dt.timedelta(microseconds=by) for date in dates for by in (-1, 0, 1))


async def read_naively(database: Database, ledger: int, account: str) -> NaiveAccount:
    """Read every line of the account."""
    async with connect_as_owner(database) as owner:
        rows = await owner.fetch(
            "SELECT number, amount, is_debit, l.effective_at, l.recorded_at, type, reference,"
            " metadata FROM lines l JOIN entries USING (ledger_id, position)"
            " WHERE ledger_id = $1 AND account_id = $2",
            ledger,
            account[5:],
        )
    return NaiveAccount(
        [NaiveLine(**{**row, "metadata": json.loads(row["metadata"] or "{}")}) for row in rows]
    )
