"""Rows of reconciliation as others have them: ids with their prefixes, JSON as values."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from catena.ids import IMPORT, ITEM, RUN, IdSource, derive_id

if TYPE_CHECKING:
    import asyncpg

__all__ = [
    "Asker",
    "ChangeRow",
    "ClearingRow",
    "FindingRow",
    "ImportRow",
    "ItemCard",
    "ItemRow",
    "OurLine",
    "RunRow",
    "TheirLine",
]


class Asker(NamedTuple):
    """Who asks for a statement or a run. `key` and `payload`, in hex, of the request, if it is one:
    what it asks for is done once.
    """

    who: str
    key: str | None = None
    payload: str | None = None

    def name(self, prefix: str, ledger: str, new_id: IdSource) -> str:
        """The id of what it asks for: of the same request always the same."""
        return new_id(prefix) if self.key is None else derive_id(prefix, ledger, self.key)


class ImportRow(NamedTuple):
    """A statement that came in. `balances`: minor units by currency, as it says them."""

    gateway: str
    number: int
    id: str
    digest: bytes
    covers_from: dt.datetime
    covers_until: dt.datetime
    lines: int
    repeated: int
    balances: Mapping[str, int]
    who: str
    received_at: dt.datetime

    @classmethod
    def read(cls, row: asyncpg.Record) -> ImportRow:
        """From its row, with balances as text."""
        id, balances = IMPORT + row["import_id"].hex, json.loads(row["balances"])
        return cls._make((row["gateway"], row["number"], id, *row[3:8], balances, *row[9:11]))


class TheirLine(NamedTuple):
    """A line of a statement, as it is stored. Minor units, positive: to us."""

    id: str
    subject: str
    amount: int
    fee: int
    currency: str
    reference: str | None
    at: dt.datetime
    text: str
    about: str | None


class OurLine(NamedTuple):
    """A line of a clearing account, with what its entry says. `amount` in minor units, positive: to
    us. `corrects`: the entry that its entry reverses or refunds.
    """

    entry: str
    ordinal: int
    number: int
    amount: int
    currency: str
    at: dt.datetime
    type: str
    reference: str | None
    batch: str | None
    chain: str | None
    step: str | None
    corrects: str | None

    @property
    def id(self) -> str:
        """The entry's, a stroke and the ordinal."""
        return f"{self.entry}/{self.ordinal}"


class RunRow(NamedTuple):
    """A run. `figures`: of each currency; `lines_read` by currency; `fees_run`: the id of the first
    since fees were booked.
    """

    gateway: str
    number: int
    id: str
    position: int
    lines_read: Mapping[str, int]
    imports_read: int
    origin: dt.datetime
    begins: dt.datetime
    until: dt.datetime
    window: dt.timedelta
    cut_characters: int
    counts: Mapping[str, int]
    figures: Mapping[str, Mapping[str, int]]
    fees_run: str
    who: str
    made_at: dt.datetime

    @classmethod
    def read(cls, row: asyncpg.Record) -> RunRow:
        """From its row, with JSON as text."""
        first = row["gateway"], row["number"], RUN + row["run_id"].hex, row["position"]
        read = json.loads(row["lines_read"])
        counts, figures = json.loads(row["counts"]), json.loads(row["figures"])
        last = RUN + row["fees_run"].hex, row["who"], row["made_at"]
        return cls._make((*first, read, *row[5:11], counts, figures, *last))


class FindingRow(NamedTuple):
    """A finding by the ids of its lines. `item`: of the work list. `is_earlier`: its lines are from
    before reconciliation began, and may still be halves of later ones.
    """

    kind: str
    how: str
    ours: Sequence[str]
    theirs: Sequence[str]
    waits_until: dt.datetime | None
    item: str | None
    is_earlier: bool


class ItemCard(NamedTuple):
    """Where an item stands."""

    state: str
    version: int


class ItemRow(NamedTuple):
    """An item of the work list. `differences`: theirs less ours, in minor units by currency."""

    id: str
    gateway: str
    state: str
    kind: str
    how: str
    differences: Mapping[str, int]
    run: int
    changes: int
    version: int
    opened_at: dt.datetime
    changed_at: dt.datetime

    @classmethod
    def read(cls, row: asyncpg.Record) -> ItemRow:
        """From its row, with differences as text."""
        found = json.loads(row["differences"])
        return cls._make((ITEM + row["item_id"].hex, *row[1:5], found, *row[6:11]))


class ChangeRow(NamedTuple):
    """A change of an item."""

    item: str
    number: int
    state: str
    at: dt.datetime
    who: str
    reason: str
    entry: str | None


class ClearingRow(NamedTuple):
    """A clearing account: what it has, in minor units, and how many lines."""

    account: str
    currency: str
    posted: int
    lines: int
