"""Hints between processes that there is work: sent after a commit, heard by every worker.

Invariant: nothing depends on them. A worker that hears none looks by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.pool import is_lost
from catena.db.tasks import stop_task
from catena.db.work import listening, tell_workers

if TYPE_CHECKING:
    from catena.db.pool import Pool

__all__ = ["Teller", "keep_listening"]

_AGAIN_SECONDS: Final = 1.0
"""Pause before a lost connection is made again."""

_CHECK_SECONDS: Final = 30.0
"""How often the connection on which hints are heard is tried."""

_log = structlog.get_logger(__name__)


class Teller:
    """Tells the workers of other processes; what comes while it does is told together."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="tell workers")

    def tell(self) -> None:
        """There is work."""
        self._wake.set()

    async def close(self) -> None:
        """Stop; a hint that was not sent is nobody's loss."""
        await stop_task(self._task)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                async with self._pool.acquire() as connection:
                    await tell_workers(connection)
            except Exception as error:  # noqa: BLE001  # only a hint
                if not is_lost(error):
                    _log.exception("workers_not_told")


async def keep_listening(pool: Pool, wake: Callable[[], None]) -> None:
    """Hear hints for ever, on a connection of its own; made again when it is lost."""
    while True:
        try:
            async with pool.acquire() as connection, listening(connection, wake):
                wake()  # what was told meanwhile was not heard
                while not connection.is_closed():
                    await asyncio.sleep(_CHECK_SECONDS)
                    await connection.execute("SELECT")
        except Exception as error:  # noqa: BLE001  # only hints
            if not is_lost(error):
                _log.exception("hints_not_heard")
        await asyncio.sleep(_AGAIN_SECONDS)
