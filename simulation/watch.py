"""What is seen of the processes at their boundary: who took which work, and what they committed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from catena.chains.history import Event
from catena.ids import CHAIN

if TYPE_CHECKING:
    from simulation.process import Process
    from simulation.world import World

__all__ = ["Decided", "Watch"]


class Decided(NamedTuple):
    """What an operation did to a chain, and the work (step and fence) that its sender had taken."""

    chain: str
    work: tuple[str, int] | None
    events: Sequence[Event]


class Watch:
    """The one who watches. `stale`: commits under a fence that somebody else had passed (I9)."""

    def __init__(self, world: World) -> None:
        self.stale: list[str] = []
        self._world = world
        self._fences: dict[tuple[str, str], int] = {}

    def note_claims(self, process: Process, rows: Iterable[Any]) -> None:
        """Somebody has taken work, whether or not he hears of it."""
        for row in rows:
            chain, step, fence = CHAIN + row["chain_id"].hex, row["step"], row["fence"]
            self._fences[chain, step] = fence
            name = self._world.name_of(chain)
            self._world.note(f"{process.name} takes {name}.{step or 'clock'} under {fence}")

    def note_commit(self, process: Process, written: Iterable[Decided]) -> None:
        """Somebody has committed."""
        for chain, work, events in written:
            if not events:
                continue
            name = self._world.name_of(chain)
            told = ", ".join(f"{event.step} {event.to}".strip() for event in events)
            self._world.note(f"{process.name} commits {name}: {told}")
            if work is not None and self._fences.get((chain, work[0]), 0) > work[1]:
                self.stale.append(f"{process.name} wrote {told} to {name} under fence {work[1]}")
