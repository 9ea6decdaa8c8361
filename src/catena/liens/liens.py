"""Liens: what one is, and how its states follow from what happens to it.

Invariant (I8): once a lien is active, amount = remaining + drawn + released + taken_back.
Rules: docs/concepts/liens.md.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Lien", "LienKind", "LienState", "OutOfOrder"]


class LienKind(StrEnum):
    """Where the money of a lien comes from."""

    RESERVE = "reserve"
    """Funds that were there: `reserved` grows, `posted` stays."""
    PROCEEDS = "proceeds"
    """A credit inside the chain: both grow together, so that nobody outside has more to spend."""


class LienState(StrEnum):
    """What may still happen to a lien."""

    CREATED = "created"
    """Declared on a chain that has not started: no effect yet."""
    ACTIVE = "active"
    UTILIZED = "utilized"
    """Nothing remains; an undo can refill it."""
    RELEASED = "released"
    """Ended with its chain or by its undo, or its unused rest was released by hand."""
    EXPIRED = "expired"
    """Its unused rest ran out."""


_OPEN: Final = frozenset({LienState.ACTIVE, LienState.UTILIZED})
"""The states in which what remains is counted in the account's `reserved`."""


class OutOfOrder(Exception):
    """A credit is undone before what was spent of it: never so in reverse commit order."""


@dataclass(slots=True, eq=False)
class Lien:
    """Funds on one account that belong to one chain. All amounts in minor units.

    `drawn`: spent by the chain, and not undone. `released`: given to everyone, at its end or
    before. `taken_back`: gone with the credit that it came from. `expires_at`: None for never;
    only a RESERVE has one.
    """

    id: str
    chain: str
    step: str
    account: str
    kind: LienKind
    amount: int
    expires_at: dt.datetime | None = None
    state: LienState = LienState.CREATED
    remaining: int = 0
    drawn: int = 0
    released: int = 0
    taken_back: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the chain has it: what remains can be drawn, what was drawn can come back."""
        return self.state in _OPEN

    @property
    def may_end_early(self) -> bool:
        """Whether its unused rest may go before the chain's outcome. PROCEEDS never: a rollback
        needs them, and someone outside could spend them.
        """
        return self.kind is LienKind.RESERVE and self.is_open

    def activate(self) -> int:
        """Count it from now on; gives what the account's `reserved` grows by."""
        self.state, self.remaining = LienState.ACTIVE, self.amount
        return self.amount

    def draw(self, amount: int) -> None:
        """Spend some of what remains."""
        self.remaining -= amount
        self.drawn += amount
        self._settle_state()

    def refill(self, amount: int) -> int:
        """Undo a draw; gives what `reserved` grows by. What comes back to an ended lien is free."""
        self.drawn -= amount
        if not self.is_open:
            self.released += amount
            return 0
        self.remaining += amount
        self._settle_state()
        return amount

    def take_back(self) -> int:
        """Undo the credit that made it, whole; gives what `reserved` shrinks by.

        Raises OutOfOrder unless all of it is there.
        """
        if self.remaining != self.amount:
            raise OutOfOrder(self.id)
        self.taken_back, self.remaining = self.remaining, 0
        self.state = LienState.RELEASED
        return self.taken_back

    def end(self, state: LienState = LienState.RELEASED) -> int:
        """Give what remains to everyone; gives what `reserved` shrinks by. Nothing ends twice."""
        if not self.is_open:
            return 0
        remaining, self.remaining = self.remaining, 0
        self.released += remaining
        self.state = state
        return remaining

    def _settle_state(self) -> None:
        self.state = LienState.ACTIVE if self.remaining else LienState.UTILIZED
