"""Notices that nobody has applied yet, or knew what to do with, tried again.

Invariant: a round asks about so many of a ledger at most and the next goes on behind them, so that
none waits for ever, however many stay unmatched.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from catena.db.notices import Told, list_notices
from catena.db.pool import is_lost

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.settings import Settings

__all__ = ["Apply", "Sweep", "keep_sweeping"]

Apply = Callable[["Ledger", Told], Awaitable[bool]]
"""Applies a notice; gives whether somebody knows now what to do with it."""

_log = structlog.get_logger(__name__)


class Sweep:
    """Goes round a ledger's unmatched notices."""

    def __init__(self, pool: Pool, apply: Apply, limit: int) -> None:
        self._pool = pool
        self._apply = apply
        self._limit = limit
        self._places: dict[str, tuple[dt.datetime, str, str]] = {}

    async def go(self, ledger: Ledger) -> int:
        """Try the next ones; gives how many of them are matched now."""
        after = self._places.pop(ledger.id, None)
        async with self._pool.acquire() as connection:
            found = await list_notices(connection, ledger.number, after=after, limit=self._limit)
        if len(found) == self._limit:
            last = found[-1]
            self._places[ledger.id] = (last.received_at, last.told.gateway, last.told.id)
        return sum([await self._apply(ledger, heard.told) for heard in found])


async def keep_sweeping(
    sweep: Sweep,
    ledgers: Callable[[], Iterable[str]],
    find_ledger: Callable[[str], Awaitable[Ledger | None]],
    settings: Settings,
) -> None:
    """Go round the ledgers that have gateways, time and again, until cancelled: at once when a
    process starts, and without a pause while there is something that can be matched.
    """
    while True:
        matched = 0
        try:
            for id in sorted(set(ledgers())):
                ledger = await find_ledger(id)
                if ledger is not None:
                    matched += await sweep.go(ledger)
        except Exception as error:  # noqa: BLE001  # the next round tries again
            if not is_lost(error):
                _log.exception("notices_not_swept")
        if not matched:
            await asyncio.sleep(settings.notice_sweep_seconds)
