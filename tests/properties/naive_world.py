"""Everything that the model of chains holds, and what each request does to it.

Invariant: requests come one after the other; what is refused leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from tests.properties.naive_calls import append, begin, due_calls, start
from tests.properties.naive_chains import NaiveChain
from tests.properties.naive_funds import Funds
from tests.properties.naive_steps import Asked, NaiveStep, Plan

__all__ = ["NaiveWorld", "Room"]


@dataclass
class Room:
    """How many calls a process may begin in the commit that makes them due."""

    left: int
    begun: list[tuple[str, Asked]] = field(default_factory=list)


@dataclass
class NaiveWorld:
    """The accounts, the chains, and what time it is (whole seconds)."""

    funds: Funds
    chains: dict[str, NaiveChain] = field(default_factory=dict)
    now: int = 0

    def describe(self) -> object:
        """What is compared with the service."""
        chains = {id: _describe(chain) for id, chain in self.chains.items()}
        return self.funds.describe(), chains

    # --- outsiders ---------------------------------------------------------------------------

    def move(self, source: str, target: str, amount: int) -> str:
        """Somebody outside of every chain moves money."""
        moves = [(source, -amount), (target, amount)]
        refused = self.funds.refuse(moves, {})
        if refused is None:
            self.funds.post(moves)
        return refused or "done"

    def close(self, account: str) -> str:
        """Somebody closes an account."""
        if any(account in self.names(chain) for chain in self.chains.values()):
            return "account_in_use"
        if self.funds.posted[account] or self.funds.reserved(account):
            return "account_not_empty"
        self.funds.statuses[account] = "closed"
        return "done"

    def names(self, chain: NaiveChain) -> set[str]:
        """The accounts that a running chain names."""
        if chain.is_ended:
            return set()
        plans = [step.plan for step in chain.steps.values()]
        plans = [plan for plan in plans if plan.kind not in ("call", "wait", "release", "extend")]
        reserved = {plan.source for plan in plans if plan.kind == "reserve"}
        moving = [plan for plan in plans if plan.kind != "reserve"]
        return reserved | {account for plan in moving for account in (plan.source, plan.target)}

    # --- chains ------------------------------------------------------------------------------

    def create(self, id: str, plans: Sequence[Plan], room: Room, **told: int | bool | None) -> str:
        """Make a chain, and run it unless it is open."""
        chain = NaiveChain(id, self.funds, timeout=told["timeout"], now=self.now)
        chain.steps = {plan.name: NaiveStep(plan) for plan in plans}
        self.funds.acts[id] = []
        self.chains[id] = chain
        if not told["is_open"]:
            start(chain)
        self._begin_calls(chain, room)
        return "done"

    def on(self, id: str, act: Callable[[NaiveChain], object], room: Room) -> object:
        """Do something to a chain; what it gave."""
        chain = self.chains[id]
        chain.now = self.now
        before = self._copy(chain)
        value = act(chain)
        if self._copy(chain) != before:
            self._begin_calls(chain, room)
        return value

    def changes(self, id: str, act: Callable[[NaiveChain], object]) -> bool:
        """Whether this would change the chain at all."""
        trial = deepcopy(self)
        chain = trial.chains[id]
        chain.now = trial.now
        before = trial._copy(chain)
        act(chain)
        return trial._copy(chain) != before

    def append_tried(self, id: str, plan: Plan, room: Room) -> object:
        """Append a step that can be done now, or say why it cannot."""
        if self.chains[id].state == "executing":
            trial = deepcopy(self)
            trial.on(id, lambda chain: append(chain, [plan]), Room(0))
            step = trial.chains[id].steps[plan.name]
            if step.state == "failed" or step.parked:
                return step.result.get("failure", "lien_not_open")
        return self.on(id, lambda chain: append(chain, [plan]), room)

    def _begin_calls(self, chain: NaiveChain, room: Room) -> None:
        for due in list(due_calls(chain)):
            if due.at is not None or due.direction != "forward":
                continue
            room.left -= 1
            if room.left >= 0:
                asked = begin(chain, due.step.plan.name)
                if asked is not None:
                    room.begun.append((chain.id, asked))

    def _copy(self, chain: NaiveChain) -> object:
        acts = list(self.funds.acts.get(chain.id, ()))
        return deepcopy({**chain.__dict__, "funds": None, "now": 0}), acts


def _describe(chain: NaiveChain) -> object:
    steps = {
        name: (
            step.state,
            step.parked,
            step.attempt,
            step.round,
            step.undo_attempt,
            step.undo_round,
            step.seq,
        )
        for name, step in chain.steps.items()
    }
    liens = sorted(chain.funds.show_liens(chain.id))
    return chain.state, chain.failure, chain.pending, sorted(chain.signals), steps, liens
