"""The sandbox's own clock: it goes as the real one does, can be set on, and can stand still.

Invariant: it never goes back. Everything that takes time in the sandbox takes it by this clock;
only signatures and connections go by the real one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections.abc import Callable
from itertools import count

from msgspec import Struct

from catena.clock import Clock

__all__ = ["Agenda", "SandboxClock", "Setting"]


class Setting(Struct, frozen=True):
    """How the clock is set: so far before the real one; standing where it stands still."""

    ahead: dt.timedelta = dt.timedelta()
    stands_at: dt.datetime | None = None


class SandboxClock:
    """Tells the sandbox's time."""

    def __init__(self, real: Clock, setting: Setting) -> None:
        self._real = real
        self.setting = setting

    def now(self) -> dt.datetime:
        """The sandbox's time."""
        return self.setting.stands_at or self._real() + self.setting.ahead

    def advance(self, seconds: float) -> None:
        """Set it on."""
        step = dt.timedelta(seconds=seconds)
        stands_at = self.setting.stands_at
        self.setting = Setting(self.setting.ahead + step, stands_at and stands_at + step)

    def stop(self) -> None:
        """Let it stand still."""
        self.setting = Setting(self.setting.ahead, self.now())

    def run(self) -> None:
        """Let it go on from where it stands."""
        if self.setting.stands_at is not None:
            self.setting = Setting(self.setting.stands_at - self._real())

    def seconds_until(self, at: dt.datetime) -> float | None:
        """Real seconds until it shows `at`; None while it stands still."""
        if self.setting.stands_at is not None:
            return None
        return max(0.0, (at - self.now()).total_seconds())


class Agenda:
    """What is to be done, and when; each is told the time that it was due at."""

    def __init__(self) -> None:
        self._due: list[tuple[dt.datetime, int, Callable[[dt.datetime], None]]] = []
        self._numbers = count()
        self._woken = asyncio.Event()

    def add(self, at: dt.datetime, act: Callable[[dt.datetime], None]) -> None:
        """Do this then."""
        heapq.heappush(self._due, (at, next(self._numbers), act))
        if self._due[0][0] == at:
            self.wake()

    def run_due(self, now: dt.datetime) -> None:
        """Do all that is due, in its order, and what comes of it."""
        while self._due and self._due[0][0] <= now:
            at, _, act = heapq.heappop(self._due)
            act(at)

    def wake(self) -> None:
        """Have the next moment looked at again: the clock was set, or something was added."""
        self._woken.set()

    async def wait(self, clock: SandboxClock) -> None:
        """Until something is due, or `wake`."""
        self._woken.clear()
        seconds = clock.seconds_until(self._due[0][0]) if self._due else None
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
