"""Wallets and liens as docs/concepts/liens.md tells: what chains did is kept, replayed to be asked.

Invariant: nothing is undone but by forgetting that it was done. Slow, and obvious.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Act", "Funds", "NaiveLien", "Shown", "replay"]

Moves = Sequence[tuple[str, int]]
"""By account: what it gains, in minor units on the credit side; below 0: what it loses."""


class Act(NamedTuple):
    """What a step did to the books: it reserved, it posted, or a reservation's rest ended.

    `lien`: the step whose reservation is drawn on first, or whose rest ended. `keeps`: what it
    credits stays with the chain.
    """

    step: str
    kind: str
    moves: Moves = ()
    lien: str | None = None
    keeps: bool = True


class Shown(NamedTuple):
    """An open lien as it is compared."""

    step: str
    account: str
    kind: str
    amount: int
    remaining: int
    drawn: int


@dataclass
class NaiveLien:
    """Money of one chain on one account."""

    step: str
    account: str
    kind: str
    amount: int
    remaining: int
    drawn: int = 0
    is_open: bool = True


def replay(acts: Iterable[Act], wallets: Container[str]) -> list[NaiveLien]:
    """The liens that a chain has when it has done these things."""
    liens: list[NaiveLien] = []
    for act in acts:
        if act.kind == "reserve":
            ((account, amount),) = act.moves
            liens.append(NaiveLien(act.step, account, "reserve", amount, amount))
        elif act.kind == "end":
            for lien in liens:
                if lien.step == act.lien and lien.kind == "reserve":
                    lien.remaining, lien.is_open = 0, False
        else:
            for account, change in act.moves:
                if account not in wallets:
                    continue
                if change < 0:
                    _draw(liens, account, -change, act.lien)
                elif act.keeps:
                    liens.append(NaiveLien(act.step, account, "proceeds", change, change))
    return liens


def _draw(liens: Iterable[NaiveLien], account: str, owed: int, first: str | None) -> None:
    """Spend of the chain's own money: of the lien that is named, then of the oldest."""
    own = [lien for lien in liens if lien.account == account and lien.is_open]
    own.sort(key=lambda lien: not (lien.step == first and lien.kind == "reserve"))
    for lien in own:
        part = min(lien.remaining, owed)
        lien.remaining -= part
        lien.drawn += part
        owed -= part


@dataclass
class Funds:
    """What every account holds, on the credit side, and what the chains did (by chain, open ones).

    `statuses` of the wallets; any other account is the platform's, and has no floor.
    """

    posted: dict[str, int]
    statuses: dict[str, str]
    acts: dict[str, list[Act]]

    def liens(self, chain: str) -> list[NaiveLien]:
        """The chain's liens, those that have ended too."""
        return replay(self.acts.get(chain, ()), self.statuses)

    def pool(self, chain: str, account: str) -> int:
        """What the chain has under lien on the account."""
        return sum(lien.remaining for lien in self.liens(chain) if lien.account == account)

    def rest(self, chain: str, step: str, account: str) -> int:
        """What is left of the liens that a step of the chain made on the account."""
        return sum(
            lien.remaining
            for lien in self.liens(chain)
            if (lien.step, lien.account) == (step, account)
        )

    def reserved(self, account: str) -> int:
        """What is under lien on the account."""
        return sum(self.pool(chain, account) for chain in self.acts)

    def available(self, account: str) -> int:
        """What anyone may spend."""
        return self.posted[account] - self.reserved(account)

    def refuse(
        self,
        moves: Moves,
        pools: Mapping[str, int],
        *,
        pool_only: bool = False,
        shielded: bool = False,
    ) -> str | None:
        """Why these moves are refused to somebody who has so much of his own under lien.

        `shielded`: no freeze refuses it.
        """
        losses = [(account, -change) for account, change in moves if change < 0]
        losses = [(account, loss) for account, loss in losses if account in self.statuses]
        for account, loss in losses:
            covered = pools.get(account, 0) >= loss
            if self.statuses[account] == "frozen" and not covered and not shielded:
                return "account_frozen"
        for account, loss in losses:
            open_to_it = pools.get(account, 0) + (0 if pool_only else self.available(account))
            if loss > open_to_it:
                return "insufficient_funds"
        return None

    def post(self, moves: Moves) -> None:
        """Move money."""
        for account, change in moves:
            self.posted[account] = self.posted.get(account, 0) + change

    def describe(self) -> dict[str, tuple[int, int, str]]:
        """Every account: posted, reserved and status."""
        return {
            account: (posted, self.reserved(account), self.statuses.get(account, "active"))
            for account, posted in self.posted.items()
        }

    def show_liens(self, chain: str) -> Iterator[Shown]:
        """The chain's open liens."""
        for lien in self.liens(chain):
            if lien.is_open:
                yield Shown(
                    lien.step, lien.account, lien.kind, lien.amount, lien.remaining, lien.drawn
                )
