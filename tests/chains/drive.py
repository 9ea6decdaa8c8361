"""Driving every chain of a world to its end, once faults have stopped: I5, and I10."""

from __future__ import annotations

from collections.abc import Sequence

from catena.chains.chain import Chain
from catena.chains.states import ChainState
from tests.chains.checks import check_world, insist
from tests.chains.moves import Move
from tests.chains.world import World

__all__ = ["drive_back", "drive_on"]

MOVES_MAX = 80
"""A chain is at its end long before."""

_KIND = ("approve", "not found", "decline")


def drive_back(world: World, order: Sequence[str]) -> World:
    """Cancel each chain in turn; before its pivot it is rolled back with what it holds."""
    for id in order:
        if id in world.chains:
            world = _drive(world, id, back=True)
            chain = world.chains[id]
            expected = ChainState.COMPLETED if chain.pivot_is_past else ChainState.ROLLED_BACK
            done = chain.state is ChainState.COMPLETED and not chain.pivot
            insist("I5 compensability", chain.state is expected or done)
    return world


def drive_on(world: World, order: Sequence[str]) -> World:
    """Let each chain in turn come to its end by itself."""
    for id in order:
        if id in world.chains:
            world = _drive(world, id, back=False)
            chain = world.chains[id]
            insist("I10 ends", chain.is_ended or any(chain.parked()))
    return world


def _drive(world: World, id: str, *, back: bool) -> World:
    cancelled = False
    for _ in range(MOVES_MAX):
        chain = world.chains[id]
        if chain.is_ended:
            break
        move = _choose(world, chain, back=back, cancelled=cancelled)
        if move is None:
            break
        cancelled |= move.what == "cancel"
        world = world.after(move) or world
        check_world(world)
    return world


def _choose(world: World, chain: Chain, *, back: bool, cancelled: bool) -> Move | None:
    moves = [move for move in world.moves() if move.chain == chain.id or move.what == "tick"]
    by_name = {move.what: move for move in moves}
    answers = {move.how: move for move in moves if move.what == "answer"}
    if back and not cancelled and "cancel" in by_name:
        return by_name["cancel"]
    if answers:
        if back and chain.pivot_is_out and "decline" in answers:
            return answers["decline"]
        for how in _KIND:
            if how in answers:
                return answers[how]
    for what in ("resume", "start", "begin", "timer", "retry", "tick"):
        if what in by_name:
            return by_name[what]
    late = [move for move in world.moves() if move.what == "late"]
    return late[0] if late and not back else None
