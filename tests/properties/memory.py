"""What a commit reads and writes, kept in dictionaries: the journal's decisions without PostgreSQL.

Invariant: it applies a write set as `journal_write` must, and refuses one whose running totals,
versions or offsets do not follow from what is there. Never decides anything.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catena.chains.refusals import ChainRefused
from catena.chains.step_types import Catalogue
from catena.db.installation import Ledger
from catena.db.load import ReferenceRow
from catena.db.write import WriteSet
from catena.ids import ACCOUNT, ENTRY, position_of
from catena.journal import LedgerOperation
from catena.journal.book import Book, Decided
from catena.journal.cards import Cards
from catena.journal.decide import Decision, decide, decide_together, finish
from catena.ledger.accounts import Account, AccountStatus, AccountType, Side
from catena.ledger.corrections import Correction
from catena.ledger.entries import Entry, EntryType, Line
from catena.ledger.refusals import Refusal
from catena.ledger.terms import Profile

__all__ = ["Memory"]

_Columns = dict[str, Any]


@dataclass
class Memory:
    """A ledger's tables."""

    ledger_id: str
    now: dt.datetime
    position: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    contents: dict[tuple[str, str], ReferenceRow] = field(default_factory=dict)
    corrections: dict[int, _Columns] = field(default_factory=dict)
    totals: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    base: int = 0

    def commit(
        self, pieces: Sequence[tuple[Sequence[LedgerOperation], bool]]
    ) -> list[list[Decision] | tuple[int, Refusal | ChainRefused]]:
        """Decide the pieces, each atomic or not, in order, and apply what they write."""
        book, work = self._open_book(), WriteSet()
        decisions: list[list[Decision] | tuple[int, Refusal | ChainRefused]] = [
            decide_together(operations, book, work)
            if atomic
            else [decide(operation, book, work) for operation in operations]
            for operations, atomic in pieces
        ]
        touched = finish(book, work)
        self._apply(work, touched)
        return decisions

    def answer(self, decision: Decision) -> Entry | Profile | Refusal:
        """What a caller is told of a decision of the last commit."""
        if isinstance(decision, Refusal):
            return decision
        if isinstance(decision, ReferenceRow):
            return self._entry_at(decision.position)
        assert isinstance(decision, Decided)  # there are no chains here
        if isinstance(decision.value, Profile):
            return decision.value
        return self._entry_at(self.base + decision.offset)

    def _entry_at(self, position: int) -> Entry:
        return next(entry for entry in self.entries.values() if entry.position == position)

    def _open_book(self) -> Book:
        ledger = Ledger(1, self.ledger_id, "memory", {}, self.now, None)
        book = Book(ledger, self.accounts, Cards(Catalogue(), lambda: 0.5, 15, 10))
        book.now = self.now
        book.entries = dict(self.entries)
        book.references.update(self.contents)
        book.profiles = dict(self.profiles)
        by_position = {entry.position: id for id, entry in self.entries.items()}
        book.corrections = {id: Correction(id) for id in self.entries}
        for position, row in self.corrections.items():
            id = by_position[position]
            reversal = by_position[row["reversal"]] if row["reversal"] else None
            book.corrections[id] = Correction(id, reversal, row["shares"] or (), row["version"])
        return book

    def _apply(self, work: WriteSet, touched: Sequence[Account]) -> None:
        base = self.base = self.position
        offsets = [row[0] for row in work.entries]
        offsets += [row["offset"] for row in work.rest.get("events", [])]
        assert sorted(offsets) == list(range(1, work.count + 1))
        self.position += work.count
        for row in work.rest.get("opened", []):
            self._apply_terms(row)
        for row in work.rest.get("changed", []):
            assert row["revision"] == self.profiles[ACCOUNT + str(row["account_id"])].revision + 1
            self._apply_terms(row)
        for entry in work.entries:
            self._apply_entry(entry, [line for line in work.lines if line[2] == entry[0]], base)
        for account in touched:
            totals = account.line_count, account.debits, account.credits
            assert totals == self.totals.get(account.id, (0, 0, 0))
            self.accounts[account.id] = account
            account.version = (account.version or 1) + 1
        for row in work.rest.get("corrections", []):
            self._apply_correction(row, base)

    def _apply_terms(self, row: Mapping[str, Any]) -> None:
        terms = {name: row[name] for name in Profile._fields if name != "id"}
        terms["metadata"] = json.dumps(row["metadata"])
        terms["type"], terms["status"] = AccountType(row["type"]), AccountStatus(row["status"])
        profile = Profile(ACCOUNT + row["account_id"], **terms)
        self.profiles[profile.id] = profile
        if profile.id not in self.accounts:
            self.accounts[profile.id] = Account(
                profile.id,
                profile.type,
                profile.currency,
                role=profile.role,
                floor=profile.floor,
                ceiling=profile.ceiling,
                version=1,
            )

    def _apply_entry(self, row: tuple[Any, ...], rows: list[tuple[Any, ...]], base: int) -> None:
        offset, type, effective_at, corrects, _, reference, content, metadata, details, *_ = row
        position = base + offset
        lines = []
        for ordinal, line in enumerate(rows, 1):
            account, _, _, amount, _, _, place, is_debit, currency, effective = line
            assert (place, effective) == (ordinal, effective_at)
            side = Side.DEBIT if is_debit else Side.CREDIT
            lines.append(Line(ACCOUNT + account, side, amount, currency))
            self._apply_line(line)
        id = f"{ENTRY}{position:032x}"
        assert position_of(id) == position
        self.entries[id] = Entry(
            id,
            position,
            EntryType(type),
            lines,
            effective_at or self.now,
            self.now,
            reference=reference,
            metadata=metadata,
            details=details,
            corrects=None if corrects is None else self._entry_at(corrects).id,
        )
        if reference is not None:
            assert (type, reference) not in self.contents
            self.contents[type, reference] = ReferenceRow(position, content)

    def _apply_line(self, line: tuple[Any, ...]) -> None:
        """A line's number and totals follow from the lines of its account before it."""
        account, number, _, amount, debits, credits, _, is_debit, _, _ = line
        count, debits_before, credits_before = self.totals.get(ACCOUNT + account, (0, 0, 0))
        assert number == count + 1
        assert debits == debits_before + (amount if is_debit else 0)
        assert credits == credits_before + (0 if is_debit else amount)
        self.totals[ACCOUNT + account] = number, debits, credits

    def _apply_correction(self, row: Mapping[str, Any], base: int) -> None:
        stored = self.corrections.get(row["position"])
        assert row["version"] == (stored["version"] if stored else 0)
        reversal = row["reversal"]
        if row["reversal_offset"] is not None:
            reversal = base + row["reversal_offset"]
        assert reversal is None or row["refunded"] == 0
        self.corrections[row["position"]] = {
            "reversal": reversal,
            "shares": row["shares"],
            "version": row["version"] + 1,
        }
