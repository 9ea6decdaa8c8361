"""Two wallets, a few chains and outsiders: every move they have, and what must hold after each.

The checks are named as in docs/concepts/invariants.md. A chain is rolled back as the engine does
it: in reverse order, each posting by its mirror image, shielded from what the ledger refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from catena.ledger.accounts import Account, AccountType, Side
from catena.ledger.corrections import mirror_lines
from catena.ledger.entries import Draft, EntryType, Line, post_entry, refuse_entry
from catena.ledger.refusals import Refusal
from catena.liens.liens import Lien, LienKind, LienState
from catena.liens.pool import Draw, Pool, Posted, Spending
from tests.liens.clock import NOW

__all__ = ["CHAINS", "Done", "Move", "Violation", "World"]

A, B, BANK = "a", "b", "bank"
WALLETS: Final = (A, B)
CHAINS: Final = ("one", "two")


class Violation(AssertionError):
    """An invariant does not hold; the message begins with its name."""


class Move(NamedTuple):
    """Something that someone may do. `chain` None: an outsider."""

    what: str
    chain: str | None = None
    source: str = ""
    destination: str = ""
    amount: int = 0


@dataclass
class Done:
    """A step of a chain that is committed: a lien of its own, or a posting."""

    lien: str | None = None
    lines: Sequence[Line] = ()
    draws: Sequence[Draw] = ()
    proceeds: Sequence[str] = ()


@dataclass
class World:
    """The books, and what each running chain has done, in commit order."""

    accounts: dict[str, Account] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    done: dict[str, list[Done]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    made: int = 0

    @classmethod
    def open(cls, a: int, b: int, floor_b: int = 0) -> World:
        """Two wallets with this much in them."""
        liability = AccountType.LIABILITY
        accounts = [
            Account(A, liability, "USD", credits=a),
            Account(B, liability, "USD", credits=b, floor=floor_b),
            Account(BANK, AccountType.ASSET, "USD", debits=a + b, floor=None),
        ]
        return cls(
            {account.id: account for account in accounts},
            {chain: Pool() for chain in CHAINS},
            {chain: [] for chain in CHAINS},
        )

    def branch(self) -> World:
        """A world of its own that begins as this one is."""
        return type(self)(
            {id: copy(account) for id, account in self.accounts.items()},
            {chain: Pool(map(copy, pool.liens.values())) for chain, pool in self.pools.items()},
            {chain: list(steps) for chain, steps in self.done.items()},
            set(self.ended),
            self.made,
        )

    def moves(self) -> Iterator[Move]:
        """All that may be tried now."""
        for source, destination in ((A, B), (B, A)):
            yield Move("pay", None, source, destination, 1)
            yield Move("pay", None, source, destination, 2)
        for chain in CHAINS:
            if chain in self.ended:
                continue
            for wallet in WALLETS:
                yield Move("reserve", chain, wallet, amount=2)
                yield Move("pay", chain, BANK, wallet, 2)
                yield Move("pay", chain, wallet, BANK, 1)
            yield Move("pay", chain, A, B, 2)
            yield Move("pay", chain, B, A, 3)
            yield Move("release", chain)
            yield Move("finish", chain)
            yield Move("roll back", chain)

    def try_move(self, move: Move) -> bool:
        """Do it, unless it is refused; raises Violation."""
        chain = move.chain
        before = {id: copy(account) for id, account in self.accounts.items()}
        if chain is None:
            moved = self._pay_outside(move)
        elif move.what == "reserve":
            moved = self._reserve(chain, move)
        elif move.what == "pay":
            moved = self._pay(chain, move, before)
        elif move.what == "release":
            moved = self._release(chain)
        else:
            self._end(chain, completed=move.what == "finish")
            moved = True
        if not moved:
            _insist("a refusal changes nothing", same(before, self.accounts))
        self.check()
        return moved

    def _pay_outside(self, move: Move) -> bool:
        draft = _draft(move)
        if refuse_entry(draft, self.accounts, NOW) is not None:
            return False
        list(post_entry(draft.lines, self.accounts))
        return True

    def _reserve(self, chain: str, move: Move) -> bool:
        lien = self._make_lien(chain, LienKind.RESERVE, move.source, move.amount)
        if self.pools[chain].reserve(lien, self.accounts[move.source]) is not None:
            return False
        self.done[chain].append(Done(lien.id))
        return True

    def _pay(self, chain: str, move: Move, before: dict[str, Account]) -> bool:
        pool, draft = self.pools[chain], _draft(move)
        funds = {wallet: pool.funds(wallet) for wallet in WALLETS}
        posted = pool.post(
            draft,
            self.accounts,
            lambda covered: refuse_entry(draft, self.accounts, NOW, thawed=covered),
            partial(self._make_lien, chain, LienKind.PROCEEDS),
            Spending(),
        )
        if isinstance(posted, Refusal):
            return False
        self._check_isolation(move, before, funds)
        proceeds = [lien.id for lien in posted.proceeds]
        self.done[chain].append(Done(None, draft.lines, posted.draws, proceeds))
        return self._note(posted)

    def _note(self, posted: Posted) -> bool:
        """The lines show the accounts as they stand after them."""
        for shown in posted.accounts:
            account = self.accounts[shown.id]
            _insist("I2 running balance", shown.debits == account.debits)
            _insist("I2 running balance", shown.credits == account.credits)
        return True

    def _check_isolation(
        self, move: Move, before: dict[str, Account], funds: dict[str, int]
    ) -> None:
        if move.destination in WALLETS:
            now, then = self.accounts[move.destination], before[move.destination]
            _insist("I4 a credit inside", now.available == then.available)
        if move.source in WALLETS:
            beyond = max(0, move.amount - funds[move.source])
            now, then = self.accounts[move.source], before[move.source]
            _insist("I4 a draw", _available(now) == _available(then) - beyond)

    def _release(self, chain: str) -> bool:
        for lien in self.pools[chain].liens.values():
            if self._may_release(lien):
                self.pools[chain].release(lien, self.accounts[lien.account])
                return True
        return False

    def _may_release(self, lien: Lien) -> bool:
        return lien.may_end_early

    def _end(self, chain: str, *, completed: bool) -> None:
        self.ended.add(chain)
        if not completed:
            self._roll_back(chain)
        self.pools[chain].settle(self.accounts)
        _insist("I8 no open lien", not any(lien.is_open for lien in self._liens(chain)))

    def _roll_back(self, chain: str) -> None:
        for step in self._undo_order(self.done[chain]):
            self._undo(chain, step)
            self._check_floors("I5 rolling back")
        self.done[chain].clear()

    def _undo_order(self, steps: Sequence[Done]) -> Sequence[Done]:
        return steps[::-1]

    def _undo(self, chain: str, step: Done) -> None:
        pool = self.pools[chain]
        if step.lien is not None:
            lien = pool.liens[step.lien]
            pool.release(lien, self.accounts[lien.account])
            return
        list(post_entry(mirror_lines(step.lines), self.accounts))
        self._undo_liens(pool, step)

    def _undo_liens(self, pool: Pool, step: Done) -> None:
        proceeds = [pool.liens[id] for id in step.proceeds]
        pool.undo_post(step.draws, proceeds, self.accounts)

    def _make_lien(self, chain: str, kind: LienKind, account: str, amount: int) -> Lien:
        self.made += 1
        return Lien(f"lien {self.made}", chain, f"step {self.made}", account, kind, amount)

    def _liens(self, chain: str) -> Sequence[Lien]:
        return list(self.pools[chain].liens.values())

    def check(self) -> None:
        """What holds in every state; that each chain can be rolled back is tried on a copy."""
        self._check_floors("I3 no overdraft")
        for id, account in self.accounts.items():
            liens = [lien for chain in CHAINS for lien in self._liens(chain) if lien.account == id]
            remaining = sum(lien.remaining for lien in liens if lien.is_open)
            _insist("I2 reserved", account.reserved == remaining)
            for lien in liens:
                parts = lien.remaining + lien.drawn + lien.released + lien.taken_back
                _insist("I8 the parts of a lien", lien.amount == parts)
                _insist("I8 nothing below zero", min(lien.remaining, lien.drawn) >= 0)
                utilized = lien.state is LienState.UTILIZED
                _insist("I8 its state", not lien.is_open or utilized == (lien.remaining == 0))
            for chain in CHAINS:
                pool, available = self.pools[chain], account.available
                virtual = None if available is None else available + pool.funds(id)
                _insist("I2 virtual balance", pool.virtual(account) == virtual)

    def check_ways_back(self) -> None:
        """I5 and I6: whichever chain ends first, the others' money alone remains."""
        for order in (CHAINS, CHAINS[::-1]):
            world = self.branch()
            for chain in order:
                if chain in world.ended:
                    continue
                expected = world.posted()
                for step in world.done[chain]:
                    for line in step.lines:
                        account = world.accounts[line.account]
                        grows = line.side is account.normal_side
                        expected[line.account] -= line.amount if grows else -line.amount
                world.try_move(Move("roll back", chain))
                _insist("I6 net effect", world.posted() == expected)

    def posted(self) -> dict[str, int]:
        """The balance of each account."""
        return {id: account.posted for id, account in self.accounts.items()}

    def _check_floors(self, name: str) -> None:
        for wallet in WALLETS:
            _insist(name, _available(self.accounts[wallet]) >= 0)

    def key(self) -> tuple[object, ...]:
        """The state, but for names and for what has ended: all that can follow depends on it."""
        numbers: dict[str, int] = {}
        chains: list[object] = []
        for chain in CHAINS:
            if chain in self.ended:
                chains.append(None)
                continue
            for lien in self._liens(chain):
                numbers[lien.id] = len(numbers)
            liens = [
                (lien.account, lien.kind, lien.amount, lien.remaining, lien.drawn, lien.state)
                for lien in self._liens(chain)
            ]
            done = [
                (
                    numbers.get(step.lien or ""),
                    tuple(step.lines),
                    tuple((numbers[draw.lien], draw.amount) for draw in step.draws),
                    tuple(numbers[id] for id in step.proceeds),
                )
                for step in self.done[chain]
            ]
            chains.append((tuple(liens), tuple(done)))
        balances = tuple((a.posted, a.reserved) for a in self.accounts.values())
        return (balances, *chains)


def same(one: dict[str, Account], other: dict[str, Account]) -> bool:
    """Whether the accounts have the same numbers."""
    return all(
        (a.debits, a.credits, a.reserved, a.line_count)
        == (other[id].debits, other[id].credits, other[id].reserved, other[id].line_count)
        for id, a in one.items()
    )


def _available(account: Account) -> int:
    available = account.available
    assert available is not None
    return available


def _draft(move: Move) -> Draft:
    lines = (
        Line(move.source, Side.DEBIT, move.amount, "USD"),
        Line(move.destination, Side.CREDIT, move.amount, "USD"),
    )
    return Draft(EntryType.TRANSFER, lines)


def _insist(name: str, holds: object) -> None:
    if not holds:
        raise Violation(name)
