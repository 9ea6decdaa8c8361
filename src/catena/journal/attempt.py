"""One attempt to commit some pieces: what it needs to read, what it decided, what it wrote."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from catena.db.load import (
    ReferenceRow,
    load_accounts,
    load_corrected,
    load_corrections,
    load_entries,
    load_profiles,
    load_references,
    read_now,
)
from catena.db.write import KeyRow, WriteSet, write
from catena.journal.answers import (
    build_result,
    describe_exceptions,
    describe_refused,
    first_offset,
)
from catena.journal.decide import Book, Decision, decide, decide_together, finish
from catena.journal.pieces import (
    Answer,
    ChangeAccount,
    OpenAccount,
    Piece,
)
from catena.ledger.accounts import Account, system_account_id
from catena.ledger.entries import Entry, EntryType
from catena.ledger.refusals import Refusal

if TYPE_CHECKING:
    from catena.db.pool import Connection

__all__ = ["Attempt"]


class Attempt:
    """The pieces of one commit on their way from the queue to their answers.

    `lock`: read under row locks, in a transaction, instead of trusting what is remembered.
    `sent`: the write has been sent, so that losing the database now leaves it in doubt.
    """

    __slots__ = (
        "_at",
        "_base",
        "_decisions",
        "_earlier",
        "_touched",
        "_work",
        "accounts",
        "lock",
        "pieces",
        "sent",
    )

    def __init__(self, pieces: Sequence[Piece], *, lock: bool) -> None:
        self.pieces = pieces
        self.lock = lock
        self.sent = False
        self.accounts: set[str] = set()
        self._work = WriteSet()
        self._decisions: list[list[Decision] | tuple[int, Refusal]] = []
        self._touched: list[Account] = []
        self._earlier: Mapping[int, Entry] = {}
        self._base = 0
        self._at = dt.datetime.min.replace(tzinfo=dt.UTC)

    async def run(
        self,
        connection: Connection,
        ledger: tuple[int, str],
        remembered: dict[str, Account],
        now: dt.datetime,
        depth: int,
    ) -> None:
        """Load, decide and write; outside a transaction the write is the commit.

        `remembered` are the accounts of earlier commits, to which what is read is added.
        """
        number, ledger_id = ledger
        book = Book(ledger_id, now, remembered)
        await self._load(connection, number, book, depth)
        for piece in self.pieces:
            self._decide(piece, book)
        self._touched = finish(book, self._work)
        earlier = [
            decision.position
            for decisions in self._decisions
            for decision in decisions
            if isinstance(decision, ReferenceRow)
        ]
        self._earlier = await load_entries(connection, number, earlier)
        self.sent = True
        self._base, self._at = await write(connection, number, self._work, self._touched)

    def settle(self) -> None:
        """After the commit: accounts are as they were written, pieces as good as answered."""
        for piece in self.pieces:
            piece.settled = True
        for account in self._touched:
            account.version = (account.version or 1) + 1

    def answer(self) -> int:
        """After the commit: answer every piece. Gives the number of refused operations."""
        refused = 0
        numbering, base, at = self._work.numbering, self._base, self._at
        for piece, decisions in zip(self.pieces, self._decisions, strict=True):
            if isinstance(decisions, tuple):
                refused += 1
                piece.answer(Answer([decisions[1]], refused=decisions[0]))
                continue
            results = [build_result(d, base, at, numbering, self._earlier) for d in decisions]
            refused += sum(isinstance(result, Refusal) for result in results)
            piece.answer(Answer(results))
        return refused

    async def _load(self, connection: Connection, ledger: int, book: Book, depth: int) -> None:
        references, corrected, changed = self._find_needs(book.ledger_id)
        if corrected:
            book.entries = await load_corrected(connection, ledger, corrected, depth)
            for entry in book.entries.values():
                self.accounts.update(line.account for line in entry.lines)
        known = book.accounts
        wanted = self.accounts if self.lock else [id for id in self.accounts if id not in known]
        if wanted:
            found = await load_accounts(connection, ledger, wanted, lock=self.lock)
            book.accounts.update(found)
        if self.lock:
            book.now = await read_now(connection)
        if corrected:
            book.corrections = await load_corrections(connection, ledger, book.entries)
        if references:
            book.references.update(await load_references(connection, ledger, references))
        if changed:
            book.profiles = await load_profiles(connection, ledger, changed)

    def _find_needs(self, ledger_id: str) -> tuple[set[tuple[EntryType, str]], set[str], set[str]]:
        """The references, entries and profiles that the pieces name; notes their accounts."""
        references: set[tuple[EntryType, str]] = set()
        corrected: set[str] = set()
        changed: set[str] = set()
        accounts = self.accounts
        for piece in self.pieces:
            for operation in piece.operations:
                if isinstance(operation, OpenAccount):
                    accounts.add(operation.profile.id)
                    continue
                if isinstance(operation, ChangeAccount):
                    accounts.add(operation.account)
                    changed.add(operation.account)
                    continue
                draft = operation.draft
                for line in draft.lines:
                    accounts.add(line.account)
                if draft.reference is not None:
                    references.add((draft.type, draft.reference))
                if draft.corrects is not None:
                    corrected.add(draft.corrects)
                for role, currency in draft.system or ():
                    accounts.add(system_account_id(ledger_id, role, currency))
        return references, corrected, changed

    def _decide(self, piece: Piece, book: Book) -> None:
        work = self._work
        decisions: list[Decision] | tuple[int, Refusal]
        if piece.atomic and len(piece.operations) > 1:
            decisions = decide_together(piece.operations, book, work)
        else:
            decisions = [decide(operation, book, work) for operation in piece.operations]
            if piece.atomic and isinstance(decisions[0], Refusal):
                decisions = (0, decisions[0])
        self._decisions.append(decisions)
        if isinstance(decisions, tuple):
            work.keys.append(KeyRow(piece.key, piece.payload, None, describe_refused(*decisions)))
        else:
            offset, exceptions = first_offset(decisions), describe_exceptions(decisions)
            work.keys.append(KeyRow(piece.key, piece.payload, offset, exceptions))
