"""A chain's pool: its liens on every account, and how its entries draw on them and add to them.

Invariant: what a chain credits never changes what others can spend, what it draws was reserved for
it alone, and undo in reverse order finds each lien as it was right after its step.
Rules: docs/concepts/liens.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from catena.ledger.accounts import Account, AccountStatus, Side
from catena.ledger.entries import CODE_OF_STATUS, Draft, Line, post_entry
from catena.ledger.refusals import Refusal, RefusalCode
from catena.liens.liens import Lien, LienState

__all__ = ["Draw", "Pool", "Posted", "Spending", "net_changes"]


class Draw(NamedTuple):
    """So much of a lien was spent, in minor units."""

    lien: str
    amount: int


class Spending(NamedTuple):
    """How an entry spends within its chain. `lien`: drawn on first, before the oldest.

    `pool_only`: a decrease beyond the pool is refused; `lien_only`: one beyond that lien, and no
    other is drawn on. `keeps`: credits make liens of PROCEEDS; not so for what is the receiver's at
    once (a capture).
    """

    lien: str | None = None
    pool_only: bool = False
    keeps: bool = True
    lien_only: bool = False


_FREELY: Final = Spending()


class Posted(NamedTuple):
    """What an entry within a chain did to its liens."""

    draws: Sequence[Draw]
    proceeds: Sequence[Lien]
    accounts: Sequence[Account]
    """Each line's account right after it."""


class Pool:
    """The liens of one chain, in the order in which they were made; `add` alone adds to them."""

    def __init__(self, liens: Iterable[Lien] = ()) -> None:
        self.liens: dict[str, Lien] = {}
        self._by_account: dict[str, list[Lien]] = {}
        for lien in liens:
            self.add(lien)

    def add(self, lien: Lien) -> None:
        """Take in a lien that was made."""
        self.liens[lien.id] = lien
        self._by_account.setdefault(lien.account, []).append(lien)

    def on(self, account: str) -> list[Lien]:
        """Its open liens on the account, the oldest first."""
        return [lien for lien in self._by_account.get(account, ()) if lien.is_open]

    def funds(self, account: str) -> int:
        """What the chain has under lien on the account."""
        return sum(lien.remaining for lien in self.on(account))

    def virtual(self, account: Account) -> int | None:
        """What the chain may spend: available and its own pool; None where nothing bounds it."""
        available = account.available
        return None if available is None else available + self.funds(account.id)

    def reserve(self, lien: Lien, account: Account | None) -> Refusal | None:
        """Take funds that exist for the chain, or say why not. A reservation never waits."""
        refusal = _refuse_reserve(lien, account)
        if refusal is None and account is not None:
            self._activate(lien, account)
        return refusal

    def release(self, lien: Lien, account: Account, state: LienState = LienState.RELEASED) -> None:
        """End a lien of RESERVE: by hand or because it has expired, where it `may_end_early`, or by
        the undo of its step.
        """
        account.reserved -= lien.end(state)

    def settle(self, accounts: Mapping[str, Account]) -> None:
        """The chain's outcome: all its liens end, and what remains of them is everyone's."""
        for lien in self.liens.values():
            accounts[lien.account].reserved -= lien.end()

    def post(
        self,
        draft: Draft,
        accounts: Mapping[str, Account],
        refuse: Callable[[Collection[str]], Refusal | None],
        make_lien: Callable[[str, int], Lien],
        spending: Spending = _FREELY,
    ) -> Posted | Refusal:
        """Post an entry of the chain: decreases draw on the pool, increases add to it.

        `refuse` is the ledger's judgement of the entry (`refuse_entry`), asked when the draws are
        made: what was drawn is available then. It is told the accounts that pay from the pool
        alone: a freeze keeps others from the money, not the chain from its own. `make_lien` makes
        a lien of PROCEEDS of so many minor units on an account. An entry that is refused leaves
        everything as it was.
        """
        changes = net_changes(draft.lines, accounts)
        draws: list[Draw] = []
        covered: list[str] = []
        short: Refusal | None = None
        for id, change in changes.items():
            if change >= 0:
                continue
            left = -change
            for draw in self._plan(id, left, spending):
                draws.append(draw)
                left -= draw.amount
            if not left:
                covered.append(id)
            elif (spending.pool_only or spending.lien_only) and short is None:
                short = Refusal(RefusalCode.INSUFFICIENT_FUNDS, id)
        self._draw(draws, accounts)
        refusal = refuse(covered) or short
        if refusal is not None:
            self.undo_draws(draws, accounts)
            return refusal
        shown = [account.copy() for account in post_entry(draft.lines, accounts)]
        proceeds: list[Lien] = []
        if spending.keeps:
            for id, change in changes.items():
                if change > 0:
                    lien = make_lien(id, change)
                    self._activate(lien, accounts[id])
                    proceeds.append(lien)
        return Posted(draws, proceeds, shown)

    def undo_post(
        self, draws: Sequence[Draw], proceeds: Sequence[Lien], accounts: Mapping[str, Account]
    ) -> None:
        """Undo what `post` did to the liens; the entry's reversal is posted beside it."""
        for lien in proceeds:
            accounts[lien.account].reserved -= lien.take_back()
        self.undo_draws(draws, accounts)

    def undo_draws(self, draws: Sequence[Draw], accounts: Mapping[str, Account]) -> None:
        """Give back what was drawn: to the liens that are open, to everyone where they are not."""
        for draw in reversed(draws):
            lien = self.liens[draw.lien]
            accounts[lien.account].reserved += lien.refill(draw.amount)

    def _activate(self, lien: Lien, account: Account) -> None:
        account.reserved += lien.activate()
        self.add(lien)

    def _plan(self, account: str, amount: int, spending: Spending) -> Iterator[Draw]:
        """Draws of at most `amount`: on the lien that is named, then on the oldest."""
        liens = self.on(account)
        if spending.lien_only:
            liens = [lien for lien in liens if lien.id == spending.lien]
        elif spending.lien is not None:
            liens.sort(key=lambda lien: lien.id != spending.lien)
        for lien in liens:
            part = min(lien.remaining, amount)
            if part:
                amount -= part
                yield Draw(lien.id, part)

    def _draw(self, draws: Sequence[Draw], accounts: Mapping[str, Account]) -> None:
        for draw in draws:
            lien = self.liens[draw.lien]
            lien.draw(draw.amount)
            accounts[lien.account].reserved -= draw.amount


def net_changes(lines: Sequence[Line], accounts: Mapping[str, Account]) -> dict[str, int]:
    """What each account with a floor changes by on its normal side; the others carry no liens."""
    changes: dict[str, int] = {}
    for line in lines:
        account = accounts.get(line.account)
        if account is not None and account.floor is not None:
            change = line.amount if line.side is account.normal_side else -line.amount
            changes[line.account] = changes.get(line.account, 0) + change
    return changes


def _refuse_reserve(lien: Lien, account: Account | None) -> Refusal | None:
    if account is None:
        return Refusal(RefusalCode.UNKNOWN_ACCOUNT, lien.account)
    code = _find_reason(lien, account)
    return None if code is None else Refusal(code, account.id)


def _find_reason(lien: Lien, account: Account) -> RefusalCode | None:
    if account.status is not AccountStatus.ACTIVE:
        return CODE_OF_STATUS[account.status]
    if lien.amount <= 0:
        return RefusalCode.AMOUNT_NOT_POSITIVE
    available = account.available
    if available is None:
        return RefusalCode.NO_FLOOR
    if account.normal_side is not Side.CREDIT:  # a step that spends debits
        return RefusalCode.NOT_RESERVABLE
    return RefusalCode.INSUFFICIENT_FUNDS if available < lien.amount else None
