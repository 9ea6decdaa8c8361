"""A ledger's lane: takes what waits, in order, and commits it once.

While one commit is at the database, the accounts that the next needs are read beside it, and it is
decided over what that one will leave, to be sent as soon as the first has landed; if the first has
to be decided again, so has the next. The write checks the versions of all that was read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from catena.clock import monotonic
from catena.db.pool import is_lost
from catena.errors import CatenaError, IdempotencyKeyInUse, Overloaded
from catena.journal.attempt import Attempt
from catena.journal.cards import Cards
from catena.journal.commit import Committer
from catena.journal.pieces import Piece

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.journal.commit import LaneCounts
    from catena.settings import Settings

__all__ = ["Lane"]

_SMALL_COMMIT: Final = 16
"""Operations that are not worth two commits."""

_LARGE_COMMIT: Final = 500
"""Operations that do not fit into a socket's buffer (208 kB) as one statement."""

_SENDING_SECONDS: Final = 0.002
"""What follows waits so long after a large commit, or half of it would be sent only after that."""

_log = structlog.get_logger(__name__)


class Lane:
    """The queue of one ledger in this process, and the task that empties it."""

    def __init__(
        self,
        ledger: Ledger,
        pool: Pool,
        settings: Settings,
        clock: Clock,
        cards: Cards,
        landed: Callable[[Attempt], None],
    ) -> None:
        self.ledger_id = ledger.id
        self.waiting = 0
        self._settings = settings
        self._queue: deque[Piece] = deque()
        self._committer = Committer(
            ledger,
            pool,
            settings,
            clock,
            cards,
            sent=self._note_sent,
            undone=self._note_undone,
            landed=landed,
        )
        self._under_way: Attempt | None = None
        self._ahead: Attempt | None = None
        self._before: Attempt | None = None
        self._wake = asyncio.Event()
        self._looking = False
        self._reading: asyncio.Task[None] | None = None
        self._sought: set[str] = set()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"lane {ledger.id}")

    @property
    def counts(self) -> LaneCounts:
        """What it has done."""
        return self._committer.counts

    def know(self, ledger: Ledger) -> None:
        """Take note of the assets that the ledger has registered since."""
        self._committer.know(ledger)

    def submit(self, piece: Piece) -> None:
        """Queue a piece. Raises Overloaded when too much is waiting; nothing was done then.

        What it needs is found here: whatever is wrong with it stops its sender, and not the lane.
        """
        size = len(piece.operations)
        if self._closing or self.waiting + size > self._settings.queue_operations:
            raise Overloaded
        piece.needs.add(piece.operations, self.ledger_id)
        piece.waiting_since = monotonic()
        self.waiting += size
        self._queue.append(piece)
        if self._under_way is None:
            self._wake.set()
        elif not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._decide_ahead)

    async def close(self) -> None:
        """Take nothing more, finish what waits, and stop."""
        self._closing = True
        self._wake.set()
        await self._task
        if self._reading is not None:
            await self._reading

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            attempt, self._ahead = self._ahead or self._committer.make_attempt(), None
            self._fill(attempt)
            if attempt.pieces:
                await self._committer.commit(attempt)
                self._under_way = None
                self._evict()
                continue
            self._before = None
            self._committer.answer_committed()
            await self._committer.rest()
            if self._closing and not self._queue:
                return
            await self._wake.wait()

    def _note_sent(self, attempt: Attempt) -> None:
        """While the database works, answer the commit before, and decide the next."""
        self._under_way = self._before = attempt
        self._looking = True
        loop = asyncio.get_running_loop()
        if attempt.size < _LARGE_COMMIT:
            loop.call_soon(self._while_sent)
        else:
            loop.call_soon(loop.call_later, _SENDING_SECONDS, self._while_sent)

    def _while_sent(self) -> None:
        self._committer.answer_committed()
        self._decide_ahead()

    def _note_undone(self) -> None:
        """What was decided ahead stood on what is void: it waits again."""
        self._under_way = None
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._queue.extendleft(reversed(ahead.pieces))
            self.waiting += ahead.size
            for id in ahead.accounts:
                self._committer.accounts.pop(id, None)

    def _decide_ahead(self) -> None:
        """Decide what can be, over what the commit under way will leave."""
        self._looking = False
        under_way = self._under_way
        if under_way is None or under_way.lock:
            return
        if self._ahead is None:
            self._ahead = self._committer.make_attempt()
        try:
            self._fill(self._ahead, behind=under_way)
            self._ahead.decide(self._committer.now())
        except Exception:  # noqa: BLE001  # when it is decided in its turn, only the culprit fails
            _log.exception("not_decided_ahead", ledger=self.ledger_id)
            self._note_undone()
            return
        self._remember_more()

    def _remember_more(self) -> None:
        """Read the accounts that keep what waits from being decided ahead, beside the commit."""
        if self._reading is not None:
            return
        known = self._committer.accounts
        wanted = {
            id
            for piece in islice(self._queue, self._settings.commit_operations)
            if piece.needs.are_accounts
            for id in piece.needs.accounts
            if id not in known
        }
        wanted -= self._sought  # what was not there is looked for again by its own commit
        if wanted:
            self._sought = wanted
            self._reading = asyncio.create_task(self._read(wanted), name="accounts ahead")

    async def _read(self, wanted: Collection[str]) -> None:
        try:
            await self._committer.remember(wanted)
        except Exception as error:  # noqa: BLE001  # the commit that needs them reads them
            if not is_lost(error):
                _log.exception("not_read_ahead", ledger=self.ledger_id)
            return
        finally:
            self._reading = None
        self._decide_ahead()

    def _fill(self, attempt: Attempt, *, behind: Attempt | None = None) -> None:
        """Give the next pieces to the attempt, in order; `behind` a commit under way, those alone
        that need nothing from the database.

        A key appears once in a commit; its next use waits for the next.
        """
        oldest = monotonic() - self._settings.answer_seconds
        limit = min(self._settings.commit_operations, self._share(attempt))
        again: list[Piece] = []
        queue = self._queue
        while queue:
            piece = queue[0]
            size = len(piece.operations)
            if attempt.pieces and attempt.size + size > limit:
                break
            taken = piece.key in attempt.keys
            if behind is not None and (
                taken or piece.key in behind.keys or not attempt.can_decide(piece)
            ):
                break
            queue.popleft()
            if taken:
                again.append(piece)
                continue
            self.waiting -= size
            if piece.waiting_since < oldest:
                piece.answer(self._excuse(piece))
                continue
            attempt.add(piece)
        queue.extendleft(reversed(again))

    def _excuse(self, piece: Piece) -> CatenaError:
        if self._before is not None and piece.key in self._before.keys:
            return IdempotencyKeyInUse()
        return self._committer.excuse(piece)

    def _share(self, attempt: Attempt) -> int:
        """Half of the operations that are known of: while they are committed, the others are
        answered and their callers send more. All at once would have us and the database take turns.
        """
        before = self._before.size if self._before is not None else 0
        known = before + attempt.size + self.waiting
        return max(_SMALL_COMMIT, (known + 1) // 2)

    def _evict(self) -> None:
        """Keep to the limit: accounts that were remembered first go first."""
        accounts = self._committer.accounts
        excess = len(accounts) - self._settings.cached_accounts
        if excess > 0:
            ahead = self._ahead.accounts if self._ahead is not None else ()
            for id in list(accounts)[: excess + len(accounts) // 10]:
                if id not in ahead:
                    del accounts[id]
