"""Visiting every world that can be reached."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from catena.chains.chain import Chain
from catena.chains.states import ChainState, StepState
from tests.chains.checks import Violation, check_move, check_world
from tests.chains.drive import drive_back, drive_on
from tests.chains.moves import Move
from tests.chains.world import World

__all__ = ["Seen", "explore"]


@dataclass
class Seen:
    """What an exploration has met. `steps` and `chains`: every transition and how often."""

    states: int = 0
    moves: int = 0
    driven: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    chains: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)


def explore(begin: World, *, drive: bool = True) -> Seen:
    """Visit every world that can be reached from this one, and check it. Raises Violation."""
    seen = Seen()
    known: dict[object, tuple[object, Move] | None] = {begin.key(): None}
    driven: set[object] = set()
    waiting = [begin]
    while waiting:
        world = waiting.pop()
        seen.states += 1
        here = world.key()
        for move in world.moves():
            if move.cost > world.left:
                continue
            try:
                after = world.after(move)
                seen.moves += 1
                if after is None:
                    seen.kinds[f"{move.what}, refused"] += 1
                    continue
                seen.kinds[move.what] += 1
                check_move(world, after)
                if after.chains.get(move.chain) is not world.chains.get(move.chain):
                    _count(world.chains.get(move.chain), after.chains[move.chain], seen)
                key = after.key()
                if key in known:
                    continue
                known[key] = here, move
                check_world(after)
                if drive and after.core() not in driven:
                    driven.add(after.core())
                    order = list(after.definitions)
                    drive_back(after, order)
                    drive_back(after, order[::-1])
                    drive_on(after, order)
                waiting.append(after)
            except Violation as violation:
                path = "\n".join(map(str, [*_path(known, here), move]))
                violation.add_note(f"after\n{path}")
                raise
    seen.driven = len(driven)
    return seen


def _path(known: dict[object, tuple[object, Move] | None], key: object) -> list[Move]:
    moves = []
    while (came := known[key]) is not None:
        key, move = came
        moves.append(move)
    return moves[::-1]


def _count(before: Chain | None, after: Chain, seen: Seen) -> None:
    """Every transition of the last commit."""
    state = before.state if before is not None else ChainState.CREATED
    steps = {name: run.state for name, run in before.steps.items()} if before is not None else {}
    for event in after.history[-1].events:
        if event.step and event.to in frozenset(StepState):
            was = steps.get(event.step, StepState.PENDING)
            steps[event.step] = StepState(event.to)
            seen.steps[was, event.to] += 1
        elif (
            not event.step and event.to in frozenset(ChainState) and event.to != ChainState.CREATED
        ):
            seen.chains[state, event.to] += 1
            state = ChainState(event.to)
