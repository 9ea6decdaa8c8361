"""Which ledger a request means, and whether its caller may use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catena.clock import monotonic
from catena.db.installation import Ledger, list_ledgers
from catena.errors import LedgerRequired, NotFound

if TYPE_CHECKING:
    from catena.auth.keys import Caller
    from catena.db.pool import Pool

__all__ = ["Ledgers"]


class Ledgers:
    """The installation's ledgers, as this process last read them.

    Other processes go on with them: that one is the only one is believed for `remember_seconds`,
    and whoever meets an asset that is not there, or shows what is, reads them anew.
    """

    def __init__(self, pool: Pool, remember_seconds: float) -> None:
        self._pool = pool
        self._remember_seconds = remember_seconds
        self._by_id: dict[str, Ledger] = {}
        self._counted_until = 0.0

    async def refresh(self) -> list[Ledger]:
        """Read them anew, the oldest first."""
        async with self._pool.acquire() as connection:
            ledgers = await list_ledgers(connection)
        self._by_id = {ledger.id: ledger for ledger in ledgers}
        self._counted_until = monotonic() + self._remember_seconds
        return ledgers

    def recall(self, caller: Caller, id: str | None) -> Ledger | None:
        """The ledger that is meant, if this process knows it already."""
        if id is None:
            allowed = self._by_id if caller.ledgers is None else caller.ledgers
            if len(allowed) != 1 or (allowed is self._by_id and monotonic() > self._counted_until):
                return None
            (id,) = allowed
        elif caller.ledgers is not None and id not in caller.ledgers:
            return None
        return self._by_id.get(id)

    def _allow(self, caller: Caller) -> list[Ledger]:
        """The ledgers that the caller may use."""
        if caller.ledgers is None:
            return list(self._by_id.values())
        return [self._by_id[id] for id in caller.ledgers if id in self._by_id]

    async def find_number(self, number: int) -> Ledger | None:
        """The ledger with this number, for who works in all of them."""
        for ledger in self._by_id.values():
            if ledger.number == number:
                return ledger
        return next((ledger for ledger in await self.refresh() if ledger.number == number), None)

    def recall_any(self, id: str) -> Ledger | None:
        """The ledger with this id, if this process knows it already."""
        return self._by_id.get(id)

    async def find_any(self, id: str) -> Ledger | None:
        """The ledger with this id, for a caller whose right to it was seen before."""
        if id not in self._by_id:
            await self.refresh()
        return self._by_id.get(id)

    async def find(self, caller: Caller, id: str | None) -> Ledger:
        """The ledger named, or left out, the only one that the caller may use.

        Raises LedgerRequired when there are several, NotFound for any that the caller may not use.
        """
        ledger = self.recall(caller, id)
        if ledger is None:
            await self.refresh()
            ledger = self.recall(caller, id)
        if ledger is not None:
            return ledger
        if id is None:
            if caller.ledgers is not None and not caller.ledgers:
                raise LedgerRequired("The credential may use no ledger.")
            raise LedgerRequired(_list_choices(self._allow(caller)))
        raise NotFound("There is no such ledger for this credential.")


_LISTED: Final = 10
"""Ledgers that an error names, at most."""


def _list_choices(ledgers: Sequence[Ledger]) -> str:
    """What can be named, for who has named none."""
    if not ledgers:
        return "There is no ledger yet: POST /v1/ledgers."
    names = [f"{ledger.id} ({ledger.name})" for ledger in ledgers[:_LISTED]]
    more = f" and {len(ledgers) - _LISTED} more" if len(ledgers) > _LISTED else ""
    return f"Name the ledger in the header Catena-Ledger: {', '.join(names)}{more}."
