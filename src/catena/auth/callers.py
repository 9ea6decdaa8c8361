"""Finds who a credential belongs to, and remembers it for a moment.

Invariant: a revoked key is refused by every process within `credential_cache_seconds`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from catena.auth.keys import Caller, hash_secret, is_key
from catena.clock import monotonic
from catena.db.installation import find_key
from catena.db.pool import is_lost

if TYPE_CHECKING:
    from catena.db.pool import Pool

__all__ = ["Callers"]

_REMEMBERED_MAX: Final = 10_000


class _Remembered:
    """A caller that was checked; `until` and `renew` are monotonic seconds."""

    __slots__ = ("caller", "renew", "until")

    def __init__(self, caller: Caller, seconds: float) -> None:
        self.caller = caller
        self.until = monotonic() + seconds
        self.renew = self.until - seconds / 2


class Callers:
    """The callers that this process has checked lately.

    One in use is checked again at half its time, so that its requests never wait for that.
    """

    def __init__(self, pool: Pool, remember_seconds: float) -> None:
        self._pool = pool
        self._remember_seconds = remember_seconds
        self._remembered: dict[bytes, _Remembered] = {}
        self._renewing: dict[bytes, asyncio.Task[None]] = {}

    def recall(self, header: bytes) -> Caller | None:
        """The caller of an Authorization header that was checked a moment ago, without waiting."""
        found = self._remembered.get(header)
        if found is None:
            return None
        now = monotonic()
        if now >= found.until:
            return None
        if now > found.renew and header not in self._renewing:
            task = asyncio.create_task(self._renew(header), name="renew a caller")
            self._renewing[header] = task
        return found.caller

    async def find(self, header: bytes) -> Caller | None:
        """The caller of an Authorization header (`Bearer ctk_...`), or None."""
        return self.recall(header) or await self._check(header)

    async def _check(self, header: bytes) -> Caller | None:
        scheme, _, token = header.decode("latin-1").partition(" ")
        secret = token.strip()
        if scheme.lower() != "bearer" or not is_key(secret):
            return None
        async with self._pool.acquire() as connection:
            row = await find_key(connection, hash_secret(secret))
        if row is None:
            self._remembered.pop(header, None)
            return None
        caller = Caller(row.id, frozenset(row.scopes), row.ledgers)
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[header] = _Remembered(caller, self._remember_seconds)
        return caller

    async def _renew(self, header: bytes) -> None:
        try:
            await self._check(header)
        except Exception as error:
            if not is_lost(error):  # else the next request that needs it is told
                raise
        finally:
            del self._renewing[header]
