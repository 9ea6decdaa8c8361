"""Processes with one thing broken, to see that a checker notices: each a small wrapper.

Invariant: a twin does otherwise as the real process does; nothing of the product is edited.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from catena.chains.answers import answer
from catena.chains.step_types import Answer, Call, Direction, Outcome
from catena.journal import Journal, Operation, RunChain
from simulation.boundary import RealConnection, SimulatedConnection
from simulation.crashes import CALL, Fate, place_of
from simulation.process import Line, Process, WatchedJournal

if TYPE_CHECKING:
    from catena.db.pool import Pool
    from catena.journal.cards import Cards

__all__ = ["TWINS", "Twin"]

T = TypeVar("T")


class _UnfencedJournal(WatchedJournal):
    def watch(self, operation: Operation) -> Operation:
        watched = super().watch(operation)
        inner = operation.act if isinstance(operation, RunChain) else None
        if isinstance(watched, RunChain) and isinstance(inner, partial) and inner.func is answer:
            return watched._replace(work=None)
        return watched


class Unfenced(Process):
    """Its answers are committed whoever has the work by now."""

    def make_journal(self, pool: Pool, cards: Cards) -> Journal:
        """A journal that is not told of the fence."""
        return _UnfencedJournal(self, pool, cards)


class _UnversionedConnection(SimulatedConnection):
    async def send(
        self, query: str, values: tuple[Any, ...], carry: Callable[[tuple[Any, ...]], Awaitable[T]]
    ) -> T:
        async def carry_on(sent: tuple[Any, ...]) -> T:
            return await carry((*sent[:-1], await self._append(sent[0], sent[-1])))

        writes = place_of(query) == "write" and values[-1] is not None and '"waiting"' in values[-1]
        return await super().send(query, values, carry_on if writes else carry)

    async def _append(self, ledger: int, text: str) -> str:
        """Have what was decided follow on whatever there is by now."""
        rest = json.loads(text)
        for row in rest.get("chains", ()):
            found = await self.real.fetchval(
                "SELECT events FROM chains WHERE ledger_id = $1 AND chain_id = $2",
                ledger,
                row["chain_id"],
            )
            more = found - row["before"] if found else 0
            row["before"] += more
            row["events"] += more
            for event in rest.get("events", ()):
                if event["subject"] == row["chain_id"]:
                    event["data"]["first"] += more
        return json.dumps(rest)


class Unversioned(Process):
    """It registers waits without looking whether the chain is still as it was read."""

    def make_connection(self, real: RealConnection) -> SimulatedConnection:
        """A connection that lets such a commit pass."""
        return _UnversionedConnection(self, real)


class _HastyLine(Line):
    async def call(self, call: Call) -> Answer:
        try:
            found = await super().call(call)
        except TimeoutError:
            found = Answer(Outcome.UNKNOWN)
        if found.outcome is not Outcome.UNKNOWN:
            return found
        return Answer(Outcome.DECLINED, code="timeout", permanent=False)


class Hasty(Process):
    """It takes silence for a refusal, and so begins a new round after an unknown answer."""

    def make_line(self) -> Line:
        """A line on which silence is a no."""
        return _HastyLine(self)


class _LazyLine(Line):
    def reach_partner(self, call: Call) -> Answer:
        if call.direction is Direction.UNDO:
            return Answer(Outcome.APPROVED)
        return super().reach_partner(call)


class Lazy(Process):
    """It says that it has undone what it has not."""

    def make_line(self) -> Line:
        """A line that is not used for undoing."""
        return _LazyLine(self)


class Twin(NamedTuple):
    """What is wrong with it, in which shape, about which seed and by what kind of crash (None: by
    itself) it shows, and the checker that notices.
    """

    kind: type[Process]
    shape: str
    seed: int
    crash: tuple[str, Fate] | None
    checker: str


TWINS: Final = {
    "unfenced result": Twin(
        Unfenced, "reserve_and_pay", 2, ("load chains", Fate.SLEEPS), "I9 fence"
    ),
    "wait registered without version check": Twin(
        Unversioned, "signals", 3, ("write", Fate.STALLS), "I11 signals"
    ),
    "new round after an unknown answer": Twin(
        Hasty, "reserve_and_pay", 3, (CALL, Fate.CUT_AFTER), "I7 once"
    ),
    "skipped compensation": Twin(Lazy, "compensation", 1, None, "I6 outside effects"),
}
