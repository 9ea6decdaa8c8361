"""Notices that nobody knew what to do with, tried again: what they are about may be known by now.

Invariant: a round asks about so many of a ledger at most and the next goes on behind them, so that
none waits for ever, however many stay unmatched.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.notices import Told, list_notices
from catena.db.pool import is_lost
from catena.errors import CatenaError

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.settings import Settings

__all__ = ["Sweep", "keep_sweeping"]

_UNREADABLE: Final = (ValueError, KeyError, TypeError)

_log = structlog.get_logger(__name__)


class Sweep:
    """Goes round a ledger's unmatched notices. `take_again` says whether one is matched now."""

    def __init__(
        self, pool: Pool, take_again: Callable[[Ledger, Told], Awaitable[bool]], limit: int
    ) -> None:
        self._pool = pool
        self._take_again = take_again
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
        return sum([await self._try(ledger, heard.told) for heard in found])

    async def _try(self, ledger: Ledger, told: Told) -> bool:
        """One that cannot be taken now, or never, is in nobody's way."""
        try:
            return await self._take_again(ledger, told)
        except (CatenaError, *_UNREADABLE) as error:
            reason = type(error).__name__
            _log.warning("notice_not_taken", gateway=told.gateway, id=told.id, error=reason)
            return False


async def keep_sweeping(
    sweep: Sweep,
    ledgers: Callable[[], Iterable[str]],
    find_ledger: Callable[[str], Awaitable[Ledger | None]],
    settings: Settings,
) -> None:
    """Go round the ledgers that have gateways, time and again, until cancelled."""
    while True:
        await asyncio.sleep(settings.notice_sweep_seconds)
        try:
            for id in sorted(set(ledgers())):
                ledger = await find_ledger(id)
                if ledger is not None:
                    await sweep.go(ledger)
        except Exception as error:  # noqa: BLE001  # the next round tries again
            if not is_lost(error):
                _log.exception("notices_not_swept")
