"""A ledger with a gateway, and who keeps its books: posts, takes statements in, reconciles.

Invariant: entries are the journal's, statements come as files; moments are days before now.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from catena.clock import system_clock
from catena.db.installation import Ledger
from catena.db.read.reconciliation import list_items, read_run
from catena.db.reconciliation import reading_at_once
from catena.db.reconciliation_rows import Asker, RunRow
from catena.db.verify import Finding, verify
from catena.gateways.registry import Gateways
from catena.ids import new_id
from catena.journal import ChangeItem, PostEntry, Result
from catena.ledger.accounts import Side, SystemRole, clearing_of, system_account_id
from catena.ledger.entries import Entry, EntryType, Line
from catena.reconciliation.adjustments import Settling
from catena.reconciliation.imports import Imported, Span
from catena.reconciliation.reconciler import Reconciler
from catena.reconciliation.runs import Made
from catena.reconciliation.settling import Seen, fees_to_book, read_item, settle_item
from catena.settings import Settings
from tests.postgres import Database
from tests.scribe import Scribe, make_draft, open_ledger

__all__ = ["ASKER", "GATEWAY", "HEADER", "Desk", "days_ago", "open_desk", "row"]

GATEWAY = "sandbox"
HEADER = "id,at,subject,amount,currency,fee,reference,about"
DEPTH = 16
ASKER = Asker("key_1")
_BEGAN = system_clock().replace(microsecond=0)


def days_ago(count: float) -> dt.datetime:
    """A moment that has passed: so many days before these tests began, to the second."""
    return _BEGAN - dt.timedelta(days=count)


def row(
    id: str,
    at: dt.datetime,
    subject: str,
    amount: str,
    reference: str = "",
    fee: str = "0",
    about: str = "",
) -> str:
    """A line of a plain statement, in dollars."""
    return f"{id},{at.isoformat()},{subject},{amount},USD,{fee},{reference},{about}"


@dataclass
class Desk:
    """Who keeps the books of one gateway."""

    scribe: Scribe
    reconciler: Reconciler
    made: list[Made] = field(default_factory=list)

    async def move(
        self, amount: int, reference: str | None, at: dt.datetime | None = None, **more: object
    ) -> Entry:
        """Our side: so much came to the gateway's clearing account (less than nothing: left it)."""
        ledger, role = self.scribe.ledger.id, clearing_of(GATEWAY)
        sides = (Side.DEBIT, Side.CREDIT) if amount > 0 else (Side.CREDIT, Side.DEBIT)
        roles = (role, SystemRole.HOLDING)
        lines = [
            Line(system_account_id(ledger, name, "USD"), side, abs(amount), "USD")
            for name, side in zip(roles, sides, strict=True)
        ]
        fields: dict[str, Any] = {"effective_at": at, **more}
        if reference is not None:
            fields["reference"] = reference
        system = [(name, "USD") for name in roles]
        draft = make_draft(EntryType.TRANSFER, lines, system=system, **fields)
        return await self.scribe.post(PostEntry(draft))

    async def take(
        self,
        *rows: str,
        begins: dt.datetime | None = None,
        ends: dt.datetime | None = None,
        asker: Asker = ASKER,
    ) -> Imported:
        """Their side: a statement."""
        raw = "\n".join([HEADER, *rows]).encode()
        span = Span(begins, ends)
        ledger = self.scribe.ledger
        return await self.reconciler.read_file(ledger, GATEWAY, "plain", raw, asker, span)

    async def run(self, until: dt.datetime | None = None, asker: Asker = ASKER) -> RunRow:
        """Reconcile."""
        made = await self.reconciler.run(self.scribe.ledger, GATEWAY, asker, until)
        self.made.append(made)
        return made.run

    async def items(self, state: str | None = "open") -> list[Seen]:
        """The work list."""
        async with reading_at_once(self.scribe.pool) as connection:
            rows = await list_items(connection, self.scribe.number, GATEWAY, state, None, 1000)
            found = [await read_item(connection, self.scribe.number, row.id, DEPTH) for row in rows]
        return [seen for seen in found if seen is not None]

    async def ask(self, operation: ChangeItem | PostEntry) -> Result:
        """Have the journal do it."""
        return (await self.scribe.submit([operation])).results[0]

    async def settle(self, seen: Seen, settling: Settling, reason: str = "because") -> Result:
        """Post the entry of a proposal."""
        ledger = self.scribe.ledger.id
        return await self.ask(settle_item(seen, settling, "key_1", reason, ledger))

    async def draw_fees(self, run: RunRow) -> PostEntry:
        """The entry for a run's fees, not posted yet."""
        async with self.scribe.pool.acquire() as connection:
            stored = await read_run(connection, self.scribe.number, run.id)
            assert stored is not None
            return await fees_to_book(connection, self.scribe.ledger, stored.row)

    async def book_fees(self, run: RunRow) -> Result:
        """Post the entry for a run's fees."""
        return await self.ask(await self.draw_fees(run))

    async def prove(self) -> Sequence[Finding]:
        """What `catena verify` finds."""
        async with self.scribe.pool.acquire() as connection:
            return await verify(connection, self.scribe.ledger)


@asynccontextmanager
async def open_desk(database: Database, **settings: float) -> AsyncIterator[Desk]:
    """A new ledger, and its desk."""
    async with open_ledger(database) as scribe:

        async def find(_: str) -> Ledger | None:
            return scribe.ledger

        known = Settings(**settings)  # type: ignore[arg-type]  # fields of it
        yield Desk(
            scribe,
            Reconciler.open(scribe.pool, known, system_clock, new_id, Gateways(), find),
        )
