"""Every interleaving of chains of three steps, with faults, commands and outsiders at every point.

The worlds are told apart by all that decides what may follow; each is checked, and driven to its
end both ways. How many faults, commands and payments of outsiders there are at most is in the
tables; CATENA_LONG=1 takes the larger number. docs/reference/exploration.md has the figures.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import Final

from catena.chains.states import CHAIN_MOVES, STEP_MOVES, ChainState
from tests.chains.exploration import explore
from tests.chains.shapes import SHAPES
from tests.chains.world import World

_LONG: Final = os.environ.get("CATENA_LONG") == "1"
_log = logging.getLogger(__name__)

EXPLORED: Final[Sequence[tuple[tuple[str, ...], int, int]]] = (
    *(((name,), 2, 4) for name in SHAPES if name != "parallel outside steps"),
    (("parallel outside steps",), 1, 3),
    *(((name, name), 1, 3) for name in ("ledger only", "lien, outside, ledger", "pivot")),
    (("proceeds spent inside", "proceeds spent inside"), 1, 3),
    (("parallel outside steps", "ledger only"), 1, 3),
    (("a wait", "pivot"), 1, 3),
    (("released by hand", "ledger only"), 1, 3),
    (("accepted", "lien, outside, ledger"), 0, 2),
    (("outside steps behind the pivot", "ledger only"), 0, 3),
)
"""Which chains at once, and how many faults: at most, and with CATENA_LONG=1."""

_NEVER: Final = {(ChainState.VALIDATED, ChainState.ROLLED_BACK)}
"""A chain that is started runs in the same commit: nobody finds it validated."""

_MUST_HAPPEN: Final = """
    start make begin answer tick late land timer cancel hold resume reject signal compensate
    outsider retry skip mark_done mark_refused
"""


def test_every_interleaving() -> None:
    """I1 to I8, I10, I12 and I13 hold in every state, and every transition there is was met."""
    chains: Counter[tuple[str, str]] = Counter()
    steps: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    for names, few, many in EXPLORED:
        faults = many if _LONG else few
        seen = explore(World.open([SHAPES[name] for name in names], faults))
        told = f"{' and '.join(names)} | {faults} | {seen.states:,} | {seen.moves:,}"
        _log.info("| %s | %s |", told, f"{seen.driven:,}")
        chains += seen.chains
        steps += seen.steps
        kinds += seen.kinds
    assert {(move.before, move.after) for move in CHAIN_MOVES} - chains.keys() == _NEVER
    assert {(move.before, move.after) for move in STEP_MOVES} - steps.keys() == set()
    # A move that never happened, or was never refused, proves nothing.
    assert set(_MUST_HAPPEN.split()) - kinds.keys() == set()
    assert kinds["outsider, refused"]
