"""The books of one commit, as one operation on a chain sees them (`chains.books.Books`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from functools import partial
from typing import NamedTuple

from catena.chains.books import Entry, How, make_proceeds
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Step
from catena.chains.needs import adapter_of
from catena.db.inbox import Message
from catena.db.write import Mark, WriteSet
from catena.ids import ACCOUNT, is_id, position_of
from catena.journal.book import Book
from catena.ledger.accounts import Account
from catena.ledger.corrections import (
    Correction,
    mirror_lines,
    record_reversal,
)
from catena.ledger.entries import Draft, EntryType, post_entry, refuse_entry
from catena.ledger.refusals import Refusal

__all__ = ["ChainBooks"]


class _Mark(NamedTuple):
    written: Mark
    posted: set[str]
    corrections: dict[str, Correction]


class ChainBooks:
    """The machine's books (`chains.machine.Books`) over a commit's, for one operation.

    `blocked`: something was needed that nobody had read.
    """

    def __init__(self, book: Book, work: WriteSet, offset: int) -> None:
        self.now = book.now
        self.ledger_id = book.ledger_id
        self.assets: Mapping[str, int] = book.assets
        self.catalogue = book.cards.catalogue
        self.accounts: Mapping[str, Account] = book.accounts
        self.lease_seconds = book.cards.lease_seconds
        self.call_seconds = book.cards.call_seconds
        self.blocked = False
        self.posted: set[str] = set()
        self._book = book
        self._work = work
        self._offset = offset
        self._saved: dict[str, tuple[int, int, int, int]] = {}

    def account(self, id: str) -> Account | None:
        """The account, to be changed or read in this commit."""
        account = self._book.accounts.get(id)
        if account is None:
            self.knows(id)
            return None
        if id not in self._saved:
            self._saved[id] = (
                account.debits,
                account.credits,
                account.reserved,
                account.line_count,
            )
        self._book.touched[id] = account
        return account

    def knows(self, account: str) -> bool:
        """Whether it was looked for, or cannot be there; else the chain is blocked until it is."""
        book = self._book
        known = account in book.accounts or account in book.sought or not is_id(ACCOUNT, account)
        self.blocked |= not known
        return known

    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        """Post an entry of the chain's: of its pool first, then of what is available."""
        book = self._book
        draft = draft._replace(chain=chain.id, step=run.name)
        if draft.corrects is not None:
            correction = book.correct(draft, how.amount)
            if isinstance(correction, Refusal):
                return correction
            draft = correction
        for role, currency in draft.system:
            book.ensure_system_account(role, currency)
        for line in draft.lines:
            self.account(line.account)
        posted = chain.pool.post(
            draft,
            book.accounts,
            lambda covered: refuse_entry(
                draft, book.accounts, book.now, thawed=covered, shielded=how.shielded
            ),
            partial(make_proceeds, chain, run),
            how.spending,
        )
        if isinstance(posted, Refusal):
            book.drop_unused(draft)
            return posted
        offset = self._write(draft, posted.accounts)
        if draft.corrects is not None:
            book.record_correction(draft, self._work, offset)
        return Entry(offset - self._offset, posted)

    def undo(self, chain: Chain, run: StepRun) -> int | None:
        """Post the reversal of the step's entry, refused by nothing; None: it was not read."""
        book = self._book
        entry = book.entries.get(run.entry or "")
        if entry is None:
            self.blocked = True
            return None
        draft = Draft(
            EntryType.REVERSAL,
            mirror_lines(entry.lines),
            corrects=entry.id,
            chain=chain.id,
            step=run.name,
            is_undo=True,
        )
        for line in draft.lines:
            self.account(line.account)
        shown = [account.copy() for account in post_entry(draft.lines, book.accounts)]
        offset = self._write(draft, shown)
        book.corrections.setdefault(entry.id, Correction(entry.id))
        record_reversal(entry, book.entries, book.corrections)
        book.note_corrections(self._work, offset)
        return offset - self._offset

    def _write(self, draft: Draft, shown: Iterable[Account]) -> int:
        corrects = None if draft.corrects is None else position_of(draft.corrects)
        offset = self._work.add_entry(draft, corrects)
        for ordinal, (line, account) in enumerate(zip(draft.lines, shown, strict=True), 1):
            if account.role is None:
                self.posted.add(account.id)
            self._work.add_line(offset, ordinal, line, account, None)
        return offset

    def mark(self) -> _Mark:
        """A point to go back to; accounts are kept as they are when they are first touched."""
        self._saved = {}
        corrections = {id: copy(one) for id, one in self._book.corrections.items()}
        return _Mark(self._work.mark(), set(self.posted), corrections)

    def rewind(self, mark: _Mark) -> None:
        """Drop everything that was done since."""
        written, self.posted, self._book.corrections = mark
        accounts = self._book.accounts
        for id, figures in self._saved.items():
            here = accounts.get(id)
            if here is None:  # a system account, dropped when what used it first was refused
                continue
            here.debits, here.credits, here.reserved, here.line_count = figures
            if not here.version and not here.line_count:  # a system account, not used after all
                del accounts[id]
                del self._book.touched[id]
        self._work.rewind(written)

    def takes_call(self, step: Step) -> bool:
        """Whether this commit may begin a call of the step, beside those that it has begun."""
        adapter = adapter_of(step.type, step.inputs)
        if not self._book.room or not self._book.cards.knows(self.ledger_id, adapter):
            return False
        self._book.room -= 1
        return True

    def waiting_messages(self, chain: str) -> list[Message]:
        """What had come for the chain before it began to wait; each is given once."""
        return self._book.messages.pop(chain, [])

    def jitter(self) -> float:
        """A random number, 0 to 1."""
        return self._book.cards.random()
