"""One attempt to commit some pieces: what it needs to read, what it decided, what it wrote."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from catena.chains.needs import named_entries, wanted_accounts
from catena.chains.refusals import ChainRefused
from catena.chains.states import ChainState
from catena.db.inbox import find_waiting, load_inbox, load_messages
from catena.db.load import (
    ClaimRow,
    ReferenceRow,
    load_accounts,
    load_assets,
    load_corrected,
    load_corrections,
    load_entries,
    load_profiles,
    load_references,
    read_now,
)
from catena.db.load_chains import find_running, load_chain_states, load_chains
from catena.db.notices import load_notices
from catena.db.reconciliation import load_cards
from catena.db.write import KeyRow, WriteSet, write
from catena.journal.answers import (
    build_result,
    describe_exceptions,
    describe_refused,
    first_offset,
)
from catena.journal.book import Book
from catena.journal.cards import Cards
from catena.journal.chain_rows import DUE_NOW
from catena.journal.decide import Decision, decide, decide_together, finish
from catena.journal.needs import Needs, named_assets
from catena.journal.pieces import Answer, Piece
from catena.ledger.accounts import Account
from catena.ledger.entries import Entry
from catena.ledger.refusals import Refusal

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Connection

__all__ = ["Attempt"]

_NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)

_UNDOING: Final = (ChainState.FAILED, ChainState.ROLLING_BACK)


class Attempt:
    """The pieces of one commit on their way from the queue to their answers.

    `remembered` are the accounts of earlier commits, to which what is read is added.
    `lock`: read under row locks, in a transaction, instead of trusting what is remembered.
    `sent`: the write has been sent, so that losing the database now leaves it in doubt.
    `keys` and `size`: the idempotency keys of its pieces, and how many operations they are.
    """

    __slots__ = (
        "_at",
        "_base",
        "_book",
        "_decisions",
        "_earlier",
        "_ledger",
        "_needs",
        "_touched",
        "_work",
        "keys",
        "lock",
        "pieces",
        "sent",
        "size",
    )

    def __init__(
        self, ledger: Ledger, remembered: dict[str, Account], cards: Cards, *, lock: bool
    ) -> None:
        self.pieces: list[Piece] = []
        self.keys: set[str] = set()
        self.size = 0
        self.lock = lock
        self.sent = False
        self._ledger = ledger
        self._book = Book(ledger, remembered, cards)
        self._needs = Needs()
        self._book.sought = self._needs.accounts
        self._work = WriteSet()
        self._decisions: list[list[Decision] | tuple[int, Refusal | ChainRefused]] = []
        self._touched: list[Account] = []
        self._earlier: Mapping[int, Entry] = {}
        self._base = 0
        self._at = _NEVER

    @property
    def accounts(self) -> Collection[str]:
        """All that its pieces name, and what it has changed: a chain that a notice begins may name
        more, which is remembered.
        """
        return self._needs.accounts | self._book.touched.keys()

    def add(self, piece: Piece) -> None:
        """Take a piece in, to be decided after the others."""
        self.pieces.append(piece)
        if piece.key is not None:
            self.keys.add(piece.key)
        self._needs.update(piece.needs)
        self.size += len(piece.operations)

    def can_decide(self, piece: Piece) -> bool:
        """Whether all that the piece needs is remembered."""
        return piece.needs.are_met(self._book.accounts, self._book.assets)

    def must_read(self) -> bool:
        """Whether something has to be read before all can be decided."""
        return self.lock or not self._needs.are_met(self._book.accounts, self._book.assets)

    async def run(
        self,
        connection: Connection,
        now: dt.datetime,
        depth: int,
        tell_sent: Callable[[Attempt], None],
    ) -> None:
        """Load, decide and write; outside a transaction the write is the commit."""
        book, number = self._book, self._ledger.number
        await self._load(connection, depth)
        # The times of chains are the database's.
        self.decide(book.now if self.lock or self._needs.chains else now)
        self._touched = finish(book, self._work)
        earlier = [
            decision.position
            for decisions in self._decisions
            for decision in decisions
            if isinstance(decision, ReferenceRow)
        ]
        self._earlier = await load_entries(connection, number, earlier)
        if self._work.is_empty() and not self._touched:
            return
        self.sent = True
        tell_sent(self)
        self._base, self._at = await write(connection, number, self._work, self._touched)

    def decide(self, now: dt.datetime) -> None:
        """Decide the pieces that are not decided yet."""
        self._book.now = now
        for piece in self.pieces[len(self._decisions) :]:
            self._decide(piece)

    @property
    def committed_at(self) -> dt.datetime | None:
        """When it was committed, by the database's clock; None for one that wrote nothing."""
        return None if self._at is _NEVER else self._at

    def moves(self) -> Iterator[tuple[str, int, bool]]:
        """The chains that it has moved: to which event, and whether that was their end."""
        for opened in self._book.chains.all():
            if opened.offset:
                yield opened.chain.id, opened.chain.number, opened.is_ended

    def leaves_work(self) -> bool:
        """Whether what it wrote names work that is due at once."""
        return any(row.get("due_at") == DUE_NOW for row in self._work.rest.get("work", ()))

    def settle(self) -> None:
        """After the commit: accounts are as they were written, pieces as good as answered, and the
        calls that it began are made.
        """
        taker = self._book.cards.taker
        if taker is not None:
            for begun in self._book.chains.begun():
                taker.take(self._ledger, begun)
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
            refused += sum(isinstance(result, Refusal | ChainRefused) for result in results)
            piece.answer(Answer(results))
        return refused

    async def _load(self, connection: Connection, depth: int) -> None:
        """Read what the undecided pieces need and what is not remembered."""
        book, needs, number = self._book, self._needs, self._ledger.number
        await self._load_news(connection)
        if needs.chains:
            await self._load_chains(connection)
        await self._load_assets(connection)
        if needs.corrected:
            book.entries = await load_corrected(connection, number, needs.corrected, depth)
            for entry in book.entries.values():
                needs.accounts.update(line.account for line in entry.lines)
            owners = {e.chain for e in book.entries.values() if e.chain} - needs.chains
            if owners:
                book.chain_states = await load_chain_states(connection, number, owners)
        known = book.accounts
        wanted = needs.accounts if self.lock else [id for id in needs.accounts if id not in known]
        if wanted:
            book.accounts.update(await load_accounts(connection, number, wanted, lock=self.lock))
        if self.lock:
            book.now = await read_now(connection)
        if needs.corrected:
            book.corrections = await load_corrections(connection, number, book.entries)
        if needs.references:
            await self._load_references(connection)
        if needs.changed:
            book.profiles = await load_profiles(connection, number, needs.changed)
        if needs.closed:
            # One more than may end in this commit.
            limit = len(needs.chains) + 1
            book.named = await find_running(connection, number, needs.closed, limit)

    async def _load_references(self, connection: Connection) -> None:
        """Read what bears the references already: entries, and chains in the place of some."""
        book, number = self._book, self._ledger.number
        found = await load_references(connection, number, self._needs.references)
        book.references.update(found)
        chains = [row.chain for row in found.values() if isinstance(row, ClaimRow)]
        if chains:
            loaded = await load_chains(connection, number, chains)
            book.claimants = {id: one.chain for id, one in loaded.items()}

    async def _load_news(self, connection: Connection) -> None:
        """Read what is known of messages, who waits for them, of notices, and of items."""
        book, needs, number = self._book, self._needs, self._ledger.number
        if needs.messages:
            keys = [(message.source, message.id) for message in needs.messages]
            book.inbox = await load_inbox(connection, number, keys)
            correlations = {message.correlation for message in needs.messages}
            needs.chains.update(await find_waiting(connection, number, correlations))
        if needs.notices:
            book.notices = await load_notices(connection, number, needs.notices)
        if needs.items:
            book.items = await load_cards(connection, number, needs.items)

    async def _load_assets(self, connection: Connection) -> None:
        """Read the ledger's assets anew where one is named that this process does not know."""
        if not self._needs.assets <= self._book.assets.keys():
            self._book.assets = await load_assets(connection, self._ledger.number)

    async def _load_chains(self, connection: Connection) -> None:
        """Read the chains, and note what they will need in turn."""
        book, needs = self._book, self._needs
        loaded = await load_chains(connection, self._ledger.number, needs.chains, lock=self.lock)
        book.chains.add(loaded)
        if not self.lock:
            book.now = await read_now(connection)
        waiting: list[str] = []
        for id, (chain, _) in loaded.items():
            needs.accounts |= wanted_accounts(chain, self._ledger.id, book.cards.catalogue)
            needs.corrected.update(named_entries(r.definition for r in chain.steps.values()))
            needs.assets.update(named_assets(r.definition for r in chain.steps.values()))
            if any(run.correlation for run in chain.steps.values()):
                waiting.append(id)
            if id in needs.undoing or chain.state in _UNDOING:
                needs.corrected.update(r.entry for r in chain.committed() if r.entry is not None)
        if waiting:
            book.messages = await load_messages(connection, self._ledger.number, waiting)

    def _decide(self, piece: Piece) -> None:
        book, work = self._book, self._work
        decisions: list[Decision] | tuple[int, Refusal | ChainRefused]
        if piece.atomic and len(piece.operations) > 1:
            decisions = decide_together(piece.operations, book, work)
        else:
            decisions = [decide(operation, book, work) for operation in piece.operations]
            if piece.atomic and isinstance(decisions[0], Refusal | ChainRefused):
                decisions = (0, decisions[0])
        self._decisions.append(decisions)
        if piece.key is None:
            return
        if isinstance(decisions, tuple):
            work.keys.append(KeyRow(piece.key, piece.payload, None, describe_refused(*decisions)))
        else:
            offset, exceptions = first_offset(decisions), describe_exceptions(decisions)
            work.keys.append(KeyRow(piece.key, piece.payload, offset, exceptions))
