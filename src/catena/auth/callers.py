"""Finds who a credential belongs to, and remembers it for a moment.

Invariant: a revoked key is refused by every process within `credential_cache_seconds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catena.auth.keys import Caller, hash_secret, is_key
from catena.clock import monotonic
from catena.db.installation import find_key

if TYPE_CHECKING:
    from catena.db.pool import Pool

__all__ = ["Callers"]

_REMEMBERED_MAX: Final = 10_000


class Callers:
    """The callers that this process has checked lately."""

    def __init__(self, pool: Pool, remember_seconds: float) -> None:
        self._pool = pool
        self._remember_seconds = remember_seconds
        self._remembered: dict[bytes, tuple[float, Caller]] = {}

    def recall(self, header: bytes) -> Caller | None:
        """The caller of an Authorization header that was checked a moment ago, without waiting."""
        found = self._remembered.get(header)
        if found is None or found[0] < monotonic():
            return None
        return found[1]

    async def find(self, header: bytes) -> Caller | None:
        """The caller of an Authorization header (`Bearer ctk_...`), or None."""
        caller = self.recall(header)
        if caller is not None:
            return caller
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
        self._remembered[header] = (monotonic() + self._remember_seconds, caller)
        return caller
