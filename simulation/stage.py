"""The stage: one actor moves at a time, from gate to gate, in the order that the seed gives.

Invariant: between two turns nothing is under way but what waits at a gate, so that the same seed
plays the same play, whatever the machine does beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from simulation.process import Process

__all__ = ["Gate", "Stage"]

_HOPS: Final = 12
"""Turns of the event loop in which nothing new happened, until nothing will."""

_STUCK_SECONDS: Final = 30.0
"""Longest wait for something that is under way."""

T = TypeVar("T")


class Gate:
    """Somebody waits here for a turn. `process` None: a client. `holds`: it has rows locked.

    `idle`: its turn comes when nothing else is left to do at this moment.
    """

    __slots__ = ("done", "holds", "idle", "name", "process")

    def __init__(self, process: Process | None, name: str, *, holds: bool, idle: bool) -> None:
        self.process = process
        self.name = name
        self.holds = holds
        self.idle = idle
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Stage:
    """Who waits, and what is under way."""

    def __init__(self) -> None:
        self.waiting: list[Gate] = []
        self._moves = 0
        self._under_way = 0
        self._changed = asyncio.Event()

    async def wait(
        self, process: Process | None, name: str, *, holds: bool = False, idle: bool = False
    ) -> None:
        """Wait for a turn."""
        gate = Gate(process, name, holds=holds, idle=idle)
        self.waiting.append(gate)
        self.note()
        try:
            await gate.done
        finally:
            if gate in self.waiting:
                self.waiting.remove(gate)

    def release(self, gate: Gate) -> None:
        """Give the turn."""
        self.waiting.remove(gate)
        gate.done.set_result(None)

    def note(self) -> None:
        """Something happened: more may follow."""
        self._moves += 1
        self._changed.set()

    async def carry(self, work: Awaitable[T]) -> T:
        """Have something carried out by the world outside of the event loop."""
        self._under_way += 1
        try:
            return await work
        finally:
            self._under_way -= 1
            self.note()

    async def settle(self, expects: Callable[[], bool]) -> None:
        """Wait until nothing moves; `expects`: somebody is sure to move again by himself."""
        while True:
            moves = self._moves
            for _ in range(_HOPS):
                await asyncio.sleep(0)
            if self._moves != moves:
                continue
            if not self._under_way and not expects():
                return
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), _STUCK_SECONDS)
