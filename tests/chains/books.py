"""Books in memory: the journal's part of a commit, so that the machine can be run by the million.

Invariant: what it posts is what the journal would post; a commit is all or nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from catena.chains.books import Entry, How, make_proceeds
from catena.chains.chain import Chain, StepRun
from catena.chains.step_types import Catalogue
from catena.ids import EVENT, position_of
from catena.ledger.accounts import Account, AccountType, open_system_account, system_account_id
from catena.ledger.corrections import mirror_lines
from catena.ledger.entries import Draft, Line, post_entry, refuse_entry
from catena.ledger.refusals import Refusal

__all__ = ["LEDGER", "NOW", "MemoryBooks", "wallet"]

NOW: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LEDGER: Final = "ldg_" + "0" * 32


def wallet(id: str, funds: int = 0, floor: int | None = 0) -> Account:
    """A wallet in dollars with so many cents in it."""
    return Account(id, AccountType.LIABILITY, "USD", credits=funds, floor=floor)


class _Mark(NamedTuple):
    accounts: Mapping[str, Account]
    entries: int


@dataclass
class MemoryBooks:
    """Accounts and entries. `now` is moved by whoever plays the world."""

    accounts: dict[str, Account] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=Catalogue)
    now: dt.datetime = NOW
    ledger_id: str = LEDGER
    assets: Mapping[str, int] = field(default_factory=dict)
    entries: list[Sequence[Line]] = field(default_factory=list)
    position: int = 0
    luck: float = 0.5
    call_seconds: float = 10.0

    def account(self, id: str) -> Account | None:
        """The account, if there is one."""
        return self.accounts.get(id)

    def knows(self, account: str) -> bool:
        """Everything is known here."""
        return bool(account)

    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        """Post an entry of the chain's."""
        for role, currency in draft.system:
            id = system_account_id(self.ledger_id, role, currency)
            self.accounts.setdefault(id, open_system_account(self.ledger_id, role, currency))
        posted = chain.pool.post(
            draft,
            self.accounts,
            lambda covered: refuse_entry(
                draft, self.accounts, self.now, thawed=covered, shielded=how.shielded
            ),
            partial(make_proceeds, chain, run),
            how.spending,
        )
        if isinstance(posted, Refusal):
            return posted
        self.entries.append(draft.lines)
        return Entry(len(self.entries) - self.position, posted)

    def undo(self, chain: Chain, run: StepRun) -> int | None:
        """Post the mirror image of the step's entry."""
        del chain
        assert run.entry is not None
        lines = mirror_lines(self.entries[position_of(run.entry) - 1])
        list(post_entry(lines, self.accounts))
        self.entries.append(lines)
        return len(self.entries) - self.position

    def mark(self) -> _Mark:
        """A point to go back to."""
        return _Mark(
            {id: copy(account) for id, account in self.accounts.items()}, len(self.entries)
        )

    def rewind(self, mark: Any) -> None:  # noqa: ANN401  # the machine knows no more of it
        """Drop everything that was done since."""
        self.accounts.clear()
        self.accounts.update(mark.accounts)
        del self.entries[mark.entries :]

    def jitter(self) -> float:
        """As much luck as the world gives."""
        return self.luck

    def begin(self) -> None:
        """Begin a commit: the chain's event takes the next position."""
        self.entries.append(())
        self.position = len(self.entries)

    def commit(self, chain: Chain) -> Chain:
        """End it; gives the chain as it is read back."""
        return chain.commit(self.now, f"{EVENT}{self.position:032x}") if chain.new else chain
