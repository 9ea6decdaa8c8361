"""What the machine asks of the books of one commit, and how it posts in them.

Invariant: plain contracts; who keeps the books (`journal`) reads, locks and writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from catena.chains.postings import Assets
from catena.chains.step_types import Catalogue
from catena.ids import LIEN, derive_within
from catena.ledger.accounts import Account
from catena.ledger.entries import Draft
from catena.ledger.refusals import Refusal
from catena.liens.liens import Lien, LienKind
from catena.liens.pool import Posted, Spending

if TYPE_CHECKING:
    from catena.chains.chain import Chain, StepRun

__all__ = ["Books", "Entry", "How", "make_proceeds"]


class Books(Protocol):
    """The books of one commit, as the machine sees them. `now`: the database's clock.

    `call_seconds`: how long a call to a partner may take.
    """

    now: dt.datetime
    ledger_id: str
    assets: Assets
    catalogue: Catalogue
    call_seconds: float

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The accounts that were read."""

    def account(self, id: str) -> Account | None:
        """The account, to be changed or read in this commit."""

    def knows(self, account: str) -> bool:
        """Whether it was read, be it there or not. False: nobody knew that it would be needed."""

    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        """Post an entry of the chain's."""

    def undo(self, chain: Chain, run: StepRun) -> int | None:
        """Post the reversal of the step's entry; None when its lines were not read."""

    def mark(self) -> object:
        """A point to go back to."""

    def rewind(self, mark: Any) -> None:  # noqa: ANN401  # what `mark` gave
        """Drop everything that was done since."""

    def jitter(self) -> float:
        """A random number, 0 to 1."""


class How(NamedTuple):
    """How an entry is posted. `shielded`: refused for no freeze, ceiling or limit.

    `amount`: minor units of a refund.
    """

    spending: Spending
    shielded: bool
    amount: int | None = None


class Entry(NamedTuple):
    """An entry that was posted: its distance from the chain's own event, and what it did."""

    distance: int
    posted: Posted


def make_proceeds(chain: Chain, run: StepRun, account: str, amount: int) -> Lien:
    """The lien that a credit of this step's makes, in minor units."""
    id = derive_within(LIEN, chain.id, run.name, account)
    return Lien(id, chain.id, run.name, account, LienKind.PROCEEDS, amount)
