"""Every sequence of moves of two chains and outsiders on two wallets, up to a depth.

CATENA_LONG=1 looks two moves further.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest

from catena.liens.liens import Lien, OutOfOrder
from catena.liens.pool import Pool
from tests.liens.world import Done, Violation, World

DEPTH: Final = 5 if os.environ.get("CATENA_LONG") == "1" else 3
_log = logging.getLogger(__name__)


def explore(begin: World, depth: int) -> Counter[str]:
    """Visit every state that is reached within so many moves; counts what was seen."""
    seen = {begin.key()}
    edge = [begin]
    counts: Counter[str] = Counter(states=1)
    for _ in range(depth):
        reached = []
        for world in edge:
            for move in world.moves():
                after = world.branch()
                moved = after.try_move(move)
                counts["moves"] += 1
                who = "outsiders" if move.chain is None else "chains"
                counts[f"{who} {move.what}, {'done' if moved else 'refused'}"] += 1
                key = after.key()
                if moved and key not in seen:
                    seen.add(key)
                    after.check_ways_back()
                    reached.append(after)
        counts["states"] += len(reached)
        edge = reached
    return counts


@pytest.mark.parametrize(("a", "b", "floor_b"), [(3, 0, 0), (2, 2, 0), (3, 1, -2)])
def test_every_invariant_in_every_state(a: int, b: int, floor_b: int) -> None:
    """I2 to I6 and I8 hold, and from every state each chain can be rolled back."""
    counts = explore(World.open(a, b, floor_b), DEPTH)
    _log.info("%s", dict(counts))
    # A move that never happened, or was never refused, proves nothing.
    for seen in (
        *(f"outsiders pay, {how}" for how in ("done", "refused")),
        *(
            f"chains {what}, {how}"
            for what in ("pay", "reserve", "release")
            for how in ("done", "refused")
        ),
        "chains finish, done",
        "chains roll back, done",
    ):
        assert counts[seen], seen


class ForwardUndo(World):
    """Rolls back in the order in which it was done."""

    def _undo_order(self, steps: Sequence[Done]) -> Sequence[Done]:
        return steps


class EarlyProceeds(World):
    """Lets outsiders have what the chain was paid, before its outcome."""

    def _may_release(self, lien: Lien) -> bool:
        return lien.is_open


class UnrecordedDraws(World):
    """Forgets what was drawn."""

    def _undo_liens(self, pool: Pool, step: Done) -> None:
        super()._undo_liens(pool, Done(step.lien, step.lines, (), step.proceeds))


class SkippedUndo(World):
    """Leaves the first step as it is."""

    def _undo_order(self, steps: Sequence[Done]) -> Sequence[Done]:
        return steps[:0:-1]


@pytest.mark.parametrize(
    ("twin", "caught"),
    [
        (ForwardUndo, OutOfOrder),
        (EarlyProceeds, OutOfOrder),
        (UnrecordedDraws, OutOfOrder),
        (SkippedUndo, Violation),
    ],
)
def test_broken_twins_are_caught(twin: type[World], caught: type[Exception]) -> None:
    """What breaks a rule is noticed: money that is gone, or that the net effect is not zero."""
    with pytest.raises(caught):
        explore(twin.open(3, 0), 4)
