"""Balance reads that share statements: what waits at the same moment is read at once.

Invariant: a read's statement starts after the read was asked for, so it includes everything that
was acknowledged before, by any process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.pool import is_lost
from catena.db.read.balances import read_balances
from catena.db.tasks import stop_task
from catena.errors import CatenaError, DatabaseUnavailable, NotFound, Overloaded
from catena.ledger.balances import Balance

if TYPE_CHECKING:
    from catena.db.pool import Pool
    from catena.settings import Settings

__all__ = ["SharedReads"]

_Done = Callable[[Balance | CatenaError], None]

_log: Final = structlog.get_logger(__name__)


class SharedReads:
    """The balance reads that wait in this process, and the task that serves them."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._batch = settings.read_batch
        self._waiting_max = settings.queue_operations
        self._waiting: dict[int, deque[tuple[str, _Done]]] = {}
        self._count = 0
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="balance reads")

    def submit(self, ledger: int, account: str, done: _Done) -> None:
        """Ask for a balance; `done` is called once. Raises Overloaded."""
        if self._count >= self._waiting_max:
            raise Overloaded
        self._count += 1
        self._waiting.setdefault(ledger, deque()).append((account, done))
        self._wake.set()

    async def close(self) -> None:
        """Stop; what waits is not answered."""
        await stop_task(self._task)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            for ledger in list(self._waiting):
                await self._serve(ledger)
            if not self._count:
                await self._wake.wait()

    async def _serve(self, ledger: int) -> None:
        queue = self._waiting[ledger]
        asked = [queue.popleft() for _ in range(min(len(queue), self._batch))]
        if not queue:
            del self._waiting[ledger]
        self._count -= len(asked)
        try:
            async with self._pool.acquire() as connection:
                found = await read_balances(connection, ledger, list({id for id, _ in asked}))
        except Exception as error:  # noqa: BLE001  # each caller is told; the task goes on
            told = DatabaseUnavailable() if is_lost(error) else CatenaError()
            for _, done in asked:
                _tell(done, told)
            return
        for id, done in asked:
            _tell(done, found.get(id) or NotFound())


def _tell(done: _Done, found: Balance | CatenaError) -> None:
    """Tell a caller. One who cannot be told harms nobody else."""
    try:
        done(found)
    except Exception:  # noqa: BLE001  # whatever is wrong with it is its own
        _log.exception("balance_not_taken")
