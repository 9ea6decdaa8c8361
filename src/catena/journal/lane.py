"""A ledger's lane: takes what waits, decides it in order, commits it once, answers each piece.

First it decides over the accounts it remembers, and the write checks their versions; after someone
else was first it decides again under locks. A commit whose answer was lost is sent again: its keys
tell whether it had landed. Never answers before the commit, and never twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from catena.clock import monotonic
from catena.db.load import StoredKey, load_keys
from catena.db.pool import is_lost
from catena.db.write import KeyTaken, Stale
from catena.errors import CatenaError, DatabaseUnavailable, OutcomeUnknown, Overloaded
from catena.journal.answers import answer_again
from catena.journal.attempt import Attempt
from catena.journal.pieces import Answer, Piece
from catena.ledger.accounts import Account

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.pool import Connection, Pool
    from catena.settings import Settings

__all__ = ["Lane", "LaneCounts"]

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


class Lane:
    """The queue of one ledger in this process, and the task that empties it."""

    def __init__(
        self, number: int, ledger_id: str, pool: Pool, settings: Settings, clock: Clock
    ) -> None:
        self.number = number
        self.ledger_id = ledger_id
        self.counts = LaneCounts()
        self.waiting = 0
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._queue: deque[Piece] = deque()
        self._accounts: dict[str, Account] = {}
        self._committed: list[Attempt] = []
        self._wake = asyncio.Event()
        self._locking = 0
        self._reachable = True
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"lane {ledger_id}")

    def submit(self, piece: Piece) -> None:
        """Queue a piece. Raises Overloaded when too much is waiting; nothing was done then."""
        size = len(piece.operations)
        if self._closing or self.waiting + size > self._settings.queue_operations:
            raise Overloaded
        piece.waiting_since = monotonic()
        self.waiting += size
        self._queue.append(piece)
        self._wake.set()

    async def close(self) -> None:
        """Take nothing more, finish what waits, and stop."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while self._queue or not self._closing:
            self._wake.clear()
            pieces = self._take()
            commit = asyncio.create_task(self._commit_all(pieces)) if pieces else None
            await asyncio.sleep(0)  # it decides and sends; while the database works, we answer
            self._answer_committed()
            if commit is not None:
                await commit
            elif not self._closing:
                await self._wake.wait()
        self._answer_committed()

    def _answer_committed(self) -> None:
        """Answer what the commit before this one did."""
        committed, self._committed = self._committed, []
        for attempt in committed:
            try:
                self.counts.refused += attempt.answer()
            except Exception as error:  # noqa: BLE001  # the lane goes on for the others
                self._give_up(attempt.pieces, error)

    async def _commit_all(self, pieces: Sequence[Piece]) -> None:
        started = monotonic()
        try:
            await self._commit(pieces, started + self._settings.answer_seconds)
        except Exception as error:  # noqa: BLE001  # the lane goes on for the others
            self._give_up([piece for piece in pieces if not piece.settled], error)
        self.counts.seconds += monotonic() - started

    def _take(self) -> list[Piece]:
        """The next pieces in order. A key appears once; its next use waits for the next commit."""
        oldest = monotonic() - self._settings.answer_seconds
        taken: dict[str, Piece] = {}
        again: list[Piece] = []
        operations = 0
        while self._queue:
            size = len(self._queue[0].operations)
            if taken and operations + size > self._settings.commit_operations:
                break
            piece = self._queue.popleft()
            if piece.key in taken:
                again.append(piece)
                continue
            self.waiting -= size
            if piece.waiting_since < oldest:
                piece.answer(Overloaded() if self._reachable else DatabaseUnavailable())
                continue
            taken[piece.key] = piece
            operations += size
        self._queue.extendleft(reversed(again))
        return list(taken.values())

    async def _commit(self, pieces: Sequence[Piece], deadline: float) -> None:
        """Commit these pieces, in as many attempts as it takes; answer those that cannot be."""
        attempts = 0
        while pieces and attempts < self._settings.commit_attempts:
            attempt = Attempt(pieces, lock=self._locking > 0)
            try:
                await self._run_attempt(attempt)
            except Stale:
                attempts += 1
                self.counts.stale += 1
                self._locking = _LOCKING_STREAK
            except KeyTaken:
                attempts += await self._answer_taken(pieces)
                pieces = [piece for piece in pieces if not piece.answered]
            except Exception as error:  # noqa: BLE001  # sorted here: lost, or a culprit
                if not is_lost(error):
                    await self._take_apart(attempt, deadline, error)
                    return
                self._note_lost(attempt, error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return
            self._forget(attempt)
            if monotonic() > deadline:
                break
        for piece in pieces:
            piece.answer(self._excuse(piece))

    async def _run_attempt(self, attempt: Attempt) -> None:
        ledger, depth = (self.number, self.ledger_id), self._settings.correction_depth
        async with self._pool.acquire() as connection:
            if attempt.lock:
                async with connection.transaction():
                    await attempt.run(connection, ledger, self._accounts, self._clock(), depth)
            else:
                await attempt.run(connection, ledger, self._accounts, self._clock(), depth)
        self._reachable = True
        self._locking = max(0, self._locking - 1)
        attempt.settle()
        self._committed.append(attempt)
        self._evict()
        self.counts.commits += 1
        self.counts.operations += sum(len(piece.operations) for piece in attempt.pieces)

    async def _answer_taken(self, pieces: Sequence[Piece]) -> bool:
        """Answer the pieces whose keys are taken from what is stored; False if that was lost."""
        try:
            async with self._pool.acquire() as connection:
                keys = [piece.key for piece in pieces]
                stored = await load_keys(connection, self.number, keys)
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
            return await answer_again(connection, self.number, piece, stored)
        except Exception as error:
            if is_lost(error):
                raise
            _log.exception("stored_answer_unreadable", ledger=self.ledger_id)
            return CatenaError()

    async def _take_apart(self, attempt: Attempt, deadline: float, error: Exception) -> None:
        """Commit the halves apart, so that only the culprit fails."""
        self._forget(attempt)
        pieces = attempt.pieces
        if len(pieces) == 1:
            self._give_up(pieces, error)
            return
        half = len(pieces) // 2
        await self._commit(pieces[:half], deadline)
        await self._commit(pieces[half:], deadline)

    def _give_up(self, pieces: Sequence[Piece], error: Exception) -> None:
        _log.error("piece_failed", ledger=self.ledger_id, exc_info=error)
        for piece in pieces:
            if not piece.answered:
                piece.answer(OutcomeUnknown() if piece.in_doubt else CatenaError())

    def _note_lost(self, attempt: Attempt, error: Exception) -> None:
        self.counts.lost += 1
        self._reachable = False
        for piece in attempt.pieces:
            piece.in_doubt |= attempt.sent
        _log.warning("database_lost", ledger=self.ledger_id, error=type(error).__name__)

    def _excuse(self, piece: Piece) -> CatenaError:
        if piece.in_doubt:
            return OutcomeUnknown()
        return Overloaded() if self._reachable else DatabaseUnavailable()

    def _forget(self, attempt: Attempt) -> None:
        """Drop what may not be as it is stored."""
        for id in attempt.accounts:
            self._accounts.pop(id, None)

    def _evict(self) -> None:
        """Keep to the limit: those that were remembered first go first."""
        excess = len(self._accounts) - self._settings.cached_accounts
        if excess > 0:
            for id in list(self._accounts)[: excess + len(self._accounts) // 10]:
                del self._accounts[id]
