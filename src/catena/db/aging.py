"""Forgets what has a named age: idempotency keys older than their days.

Invariant: a key is kept at least as long as it was promised; a book is never touched.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.installation import list_ledgers

if TYPE_CHECKING:
    from catena.db.pool import Connection, Pool
    from catena.settings import Settings

__all__ = ["forget_keys", "keep_forgetting"]

_EVERY_SECONDS: Final = 3600.0
_AT_ONCE: Final = 10_000

_FORGET: Final = """
DELETE FROM idempotency
 WHERE ledger_id = $1 AND key = ANY (ARRAY(
       SELECT key FROM idempotency
        WHERE ledger_id = $1 AND created_at < clock_timestamp() - $2::interval LIMIT $3))"""

_log = structlog.get_logger(__name__)


async def forget_keys(connection: Connection, ledger: int, age: dt.timedelta) -> int:
    """Forget a ledger's keys that are older than `age`, some at a time; gives how many."""
    forgotten = 0
    while True:
        status: str = await connection.execute(_FORGET, ledger, age, _AT_ONCE)
        count = int(status.rpartition(" ")[2])
        forgotten += count
        if count < _AT_ONCE:
            return forgotten


async def keep_forgetting(pool: Pool, settings: Settings) -> None:
    """Forget old keys of every ledger, every hour, until cancelled."""
    age = dt.timedelta(days=settings.idempotency_days)
    while True:
        try:
            async with pool.acquire() as connection:
                for ledger in await list_ledgers(connection):
                    await forget_keys(connection, ledger.number, age)
        except Exception as error:  # noqa: BLE001  # the next hour tries again
            _log.warning("keys_not_forgotten", error=type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)
