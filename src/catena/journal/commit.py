"""Takes an attempt to its end: committed, decided again, read back, or taken apart.

After someone else was first, the next commits decide under locks. A commit whose answer was lost is
sent again: its keys tell whether it had landed. Never answers before the commit, and never twice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from catena.clock import monotonic
from catena.db.load import StoredKey, load_accounts, load_keys, read_now
from catena.db.pool import give_back, is_full, is_lost
from catena.db.write import KeyTaken, Stale
from catena.errors import CatenaError, DatabaseUnavailable, OutcomeUnknown, Overloaded
from catena.journal.answers import answer_again
from catena.journal.attempt import Attempt
from catena.journal.cards import Cards
from catena.journal.pieces import Answer, Piece
from catena.ledger.accounts import Account

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Connection, Pool
    from catena.settings import Settings

__all__ = ["Committer", "LaneCounts"]

_LOCKING_STREAK: Final = 16
"""Commits that lock at once after one was stale: somebody else is writing here too."""

_RETRY_SECONDS: Final = 0.05
"""Pause before a lost database is tried again."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LaneCounts:
    """What a lane has done since the start; the metrics page reads it."""

    commits: int = 0
    operations: int = 0
    refused: int = 0
    replayed: int = 0
    stale: int = 0
    lost: int = 0
    seconds: float = 0.0


class Committer:
    """Commits a ledger's attempts, one after the other.

    `sent` is called when an attempt is decided and on its way; `undone` when what it decided is
    void; `landed` when it is committed. `committed` are the attempts that wait to be answered.
    """

    def __init__(
        self,
        ledger: Ledger,
        pool: Pool,
        settings: Settings,
        clock: Clock,
        cards: Cards,
        *,
        sent: Callable[[Attempt], None],
        undone: Callable[[], None],
        landed: Callable[[Attempt], None],
    ) -> None:
        self.counts = LaneCounts()
        self.accounts: dict[str, Account] = {}
        self.committed: list[Attempt] = []
        self._reachable = True
        self._ledger = ledger
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._cards = cards
        self._sent = sent
        self._undone = undone
        self._landed = landed
        self._locking = 0
        self._held: Connection | None = None
        self._ahead: dt.timedelta | None = None

    def know(self, ledger: Ledger) -> None:
        """Go on with the ledger as it is now: its assets only ever become more."""
        if len(ledger.assets) > len(self._ledger.assets):
            self._ledger = ledger

    def now(self) -> dt.datetime:
        """The database's clock, as far as this process knows: it is seldom behind it, and ahead by
        no more than a commit takes.
        """
        return self._clock() + (self._ahead or dt.timedelta())

    def make_attempt(self) -> Attempt:
        """An attempt at the next commit."""
        return Attempt(self._ledger, self.accounts, self._cards, lock=self._locking > 0)

    async def remember(self, ids: Collection[str]) -> None:
        """Read accounts that are not remembered, beside a commit, which touches none of them.

        Like all that is remembered they count only while nobody else has changed them.
        """
        if is_full(self._pool):
            return
        async with self._pool.acquire() as connection:
            found = await load_accounts(connection, self._ledger.number, ids, lock=False)
        for id, account in found.items():
            self.accounts.setdefault(id, account)

    async def commit(self, attempt: Attempt) -> None:
        """Commit it, in as many attempts as it takes; answer the pieces that cannot be."""
        started = monotonic()
        try:
            await self._commit(attempt, started + self._settings.answer_seconds)
        except Exception as error:  # noqa: BLE001  # the lane goes on for the others
            self._give_up([piece for piece in attempt.pieces if not piece.settled], error)
        self.counts.seconds += monotonic() - started

    async def rest(self) -> None:
        """There is nothing to commit: let others have the connection."""
        held, self._held = self._held, None
        if held is not None:
            await give_back(self._pool, held)

    def answer_committed(self) -> None:
        """Answer what was committed."""
        committed, self.committed = self.committed, []
        for attempt in committed:
            try:
                self.counts.refused += attempt.answer()
            except Exception as error:  # noqa: BLE001  # the lane goes on for the others
                self._give_up(attempt.pieces, error)

    async def _commit(self, attempt: Attempt, deadline: float) -> None:
        attempts = 0
        pieces: Sequence[Piece] = attempt.pieces
        while True:
            try:
                await self._run(attempt)
            except Stale:
                attempts += 1
                self.counts.stale += 1
                self._locking = _LOCKING_STREAK
                await self._undo(attempt)
            except KeyTaken:
                await self._undo(attempt)
                attempts += await self._answer_taken(pieces)
                pieces = [piece for piece in pieces if not piece.answered]
            except Exception as error:  # noqa: BLE001  # sorted here: lost, or a culprit
                await self._undo(attempt)
                if not is_lost(error):
                    await self._take_apart(pieces, deadline, error)
                    return
                self._note_lost(attempt, error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return
            if not pieces or attempts == self._settings.commit_attempts or monotonic() > deadline:
                break
            attempt = self._try_again(pieces)
        for piece in pieces:
            piece.answer(self.excuse(piece))

    def _try_again(self, pieces: Sequence[Piece]) -> Attempt:
        self._undone()  # they come before whatever was decided ahead
        attempt = self.make_attempt()
        for piece in pieces:
            attempt.add(piece)
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        depth = self._settings.correction_depth
        if self._held is None or attempt.must_read():
            self.answer_committed()  # what comes first may take its time
        connection = await self._connect()
        began = self._clock()
        if attempt.lock:
            async with connection.transaction():
                await attempt.run(connection, self.now(), depth, self._sent)
        else:
            await attempt.run(connection, self.now(), depth, self._sent)
        if attempt.committed_at is not None:
            self._ahead = attempt.committed_at - began
        self._reachable = True
        self._locking = max(0, self._locking - 1)
        attempt.settle()
        self.committed.append(attempt)
        self._landed(attempt)
        self.counts.commits += 1
        self.counts.operations += attempt.size
        if is_full(self._pool):
            await self.rest()

    async def _connect(self) -> Connection:
        """The connection, kept from commit to commit: to give it back and take it costs."""
        if self._held is None:
            self._held = await self._pool.acquire()
        if self._ahead is None:
            began = self._clock()
            self._ahead = await read_now(self._held) - began
        return self._held

    async def _undo(self, attempt: Attempt) -> None:
        """Drop what may not be as it is stored."""
        self.answer_committed()
        self._undone()
        for id in attempt.accounts:
            self.accounts.pop(id, None)
        await self.rest()

    async def _answer_taken(self, pieces: Sequence[Piece]) -> bool:
        """Answer the pieces whose keys are taken from what is stored; False if that was lost."""
        try:
            async with self._pool.acquire() as connection:
                keys = [piece.key for piece in pieces if piece.key is not None]
                stored = await load_keys(connection, self._ledger.number, keys)
                for piece in pieces:
                    if piece.key in stored:
                        piece.answer(await self._replay(connection, piece, stored[piece.key]))
        except Exception as error:
            if not is_lost(error):
                raise
            return False
        return True

    async def _replay(
        self, connection: Connection, piece: Piece, stored: StoredKey
    ) -> Answer | CatenaError:
        self.counts.replayed += 1
        try:
            return await answer_again(connection, self._ledger.number, piece, stored)
        except Exception as error:
            if is_lost(error):
                raise
            _log.exception("stored_answer_unreadable", ledger=self._ledger.id)
            return CatenaError()

    async def _take_apart(self, pieces: Sequence[Piece], deadline: float, error: Exception) -> None:
        """Commit the halves apart, so that only the culprit fails."""
        if len(pieces) == 1:
            self._give_up(pieces, error)
            return
        half = len(pieces) // 2
        await self._commit(self._try_again(pieces[:half]), deadline)
        await self._commit(self._try_again(pieces[half:]), deadline)

    def _give_up(self, pieces: Sequence[Piece], error: Exception) -> None:
        _log.error("piece_failed", ledger=self._ledger.id, exc_info=error)
        for piece in pieces:
            if not piece.answered:
                piece.answer(OutcomeUnknown() if piece.in_doubt else CatenaError())

    def _note_lost(self, attempt: Attempt, error: Exception) -> None:
        self.counts.lost += 1
        self._reachable = False
        for piece in attempt.pieces:
            piece.in_doubt |= attempt.sent
        _log.warning("database_lost", ledger=self._ledger.id, error=type(error).__name__)

    def excuse(self, piece: Piece) -> CatenaError:
        """Why a piece has waited too long."""
        if piece.in_doubt:
            return OutcomeUnknown()
        return Overloaded() if self._reachable else DatabaseUnavailable()
