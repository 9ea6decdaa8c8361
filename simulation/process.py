"""A simulated process: a journal and a worker of its own, which die, sleep or lose connections.

Invariant: what it remembers dies with it; while it sleeps nothing of it moves. The journal and the
worker are the product's own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Sequence
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, cast

from catena.chains.step_types import Answer, Call, Catalogue, Direction
from catena.engine.stray import StrayStep
from catena.engine.worker import Worker
from catena.errors import CatenaError
from catena.journal import Answer as Told
from catena.journal import Journal, Operation, Piece, RunChain
from catena.journal.cards import Cards
from catena.settings import Settings
from simulation.boundary import RealConnection, RealPool, SimulatedConnection, SimulatedPool
from simulation.crashes import CALL, Fate
from simulation.partner import Partner
from simulation.watch import Decided

if TYPE_CHECKING:
    from catena.chains.books import Books
    from catena.chains.chain import Chain
    from catena.chains.step_types import StepType
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from simulation.stage import Stage
    from simulation.world import World

__all__ = ["PROCESS", "SETTINGS", "Line", "Process", "WatchedJournal"]

PROCESS: Final[ContextVar[Process | None]] = ContextVar("process", default=None)
"""Whose task this is."""

SETTINGS: Final = Settings(poll_seconds=3600.0, lease_seconds=15.0, answer_seconds=60.0)
"""The worker is woken, never left to look by itself: that would be real time."""

_SKEWS: Final = (0.0, 2.0, 90.0)
"""How wrong the clocks of a world's processes go, at most, in seconds."""


def find_gateways(ledger_id: str) -> tuple[()]:
    """A world has none."""
    del ledger_id
    return ()


class Process:
    """One process. `tasks`: all of its tasks; `asleep`: None, or why nothing of it moves."""

    def __init__(self, world: World, name: str, real: RealPool) -> None:
        self.world = world
        self.stage: Stage = world.stage
        self.name = name
        self.is_dead = False
        self.asleep: Fate | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self.pool = SimulatedPool(self, real)
        self._random = random.Random(f"{world.seed} {name}")
        skew = _SKEWS[world.seed % len(_SKEWS)]
        self._skew = dt.timedelta(seconds=self._random.uniform(-skew, skew))
        self._expected = False
        self._decided: list[Decided] = []
        self._asked: set[asyncio.Future[Told | CatenaError | None]] = set()
        self._context = copy_context()
        self._context.run(PROCESS.set, self)
        self._begin()

    def _begin(self) -> None:
        pool = cast("Pool", self.pool)
        stray = StrayStep()
        catalogue = Catalogue([self.make_line(), stray])
        stray.attach(catalogue)
        seconds = SETTINGS.lease_seconds, SETTINGS.call_seconds
        cards = Cards(catalogue, self._random.random, *seconds)
        run, find = self._context.run, self.find_ledger
        self.journal = run(self.make_journal, pool, cards)
        self.worker = run(Worker, pool, self.journal, catalogue, find, find_gateways, SETTINGS)

    # --- what a twin has otherwise -----------------------------------------------------------

    def make_journal(self, pool: Pool, cards: Cards) -> Journal:
        """Its journal."""
        return WatchedJournal(self, pool, cards)

    def make_line(self) -> Line:
        """Its line to the partners."""
        return Line(self)

    def make_connection(self, real: RealConnection) -> SimulatedConnection:
        """A connection of its."""
        return SimulatedConnection(self, real)

    # --- what it does ------------------------------------------------------------------------

    def tell_time(self) -> dt.datetime:
        """Its own clock, which may go wrong."""
        return self.world.clock.now + self._skew

    async def find_ledger(self, number: int) -> Ledger | None:
        """The world has one ledger; others in the database are other worlds'."""
        return self.world.ledger if number == self.world.ledger.number else None

    async def ask(
        self, operations: Sequence[Operation], key: str, payload: str
    ) -> Told | CatenaError | None:
        """A client's request; None when the process died or slept meanwhile."""
        told: asyncio.Future[Told | CatenaError | None] = asyncio.get_running_loop().create_future()
        self._asked.add(told)

        def take(answer: Told | CatenaError) -> None:
            self.stage.note()
            if not told.done():
                told.set_result(answer)

        piece = Piece(operations, key=key, payload=payload, done=take)
        self._context.run(self.journal.submit, self.world.ledger, piece)
        try:
            return await told
        finally:
            self._asked.discard(told)

    def wake(self) -> None:
        """Somebody hints that there is work."""
        if not self.is_dead:
            self.stage.note()
            self.worker.wake()

    # --- what happens to it ------------------------------------------------------------------

    async def reach(self, place: str, connection: SimulatedConnection | None = None) -> Fate | None:
        """Wait for a turn at a place; gives its fate there, unless that ends the process."""
        self.check_alive()
        holds = connection is not None and connection.holds
        if _is_lane():
            self._expected = False
        await self.stage.wait(self, place, holds=holds)
        self.check_alive()
        fate = self.world.strike(self, place)
        if fate is Fate.DIES_BEFORE:
            self.die()
            raise asyncio.CancelledError
        if fate in (Fate.STALLS, Fate.SLEEPS):
            if connection is not None and holds:
                connection.sever()  # the server ends a transaction that stays idle
                await self.stage.carry(connection.roll_back())
            self.asleep = fate
            self._lose_clients()
            await self.stage.wait(self, f"{place} after sleep")
            self.check_alive()
        return fate

    def check_alive(self) -> None:
        """Raises CancelledError once it is dead: no line of it runs any more."""
        if self.is_dead:
            raise asyncio.CancelledError

    def expect_again(self) -> None:
        """Its lane has lost a connection, and comes again by itself after a pause."""
        self._expected |= _is_lane()

    def is_expected(self) -> bool:
        """Whether it is sure to move again by itself."""
        return self._expected and not self.is_dead and self.asleep is None

    def die(self) -> None:
        """It ends, here and now."""
        self.is_dead = True
        self.pool.sever_all()
        self._lose_clients()
        current = asyncio.current_task()
        for task in self.tasks:
            if task is not current:
                task.cancel()
        self.world.bury(self)

    def _lose_clients(self) -> None:
        """Those who asked it hear nothing any more."""
        for told in self._asked:
            if not told.done():
                told.set_result(None)

    # --- what is seen of it ------------------------------------------------------------------

    def note_answer(
        self,
        connection: SimulatedConnection,
        place: str,
        answer: Any,  # noqa: ANN401  # rows
    ) -> None:
        """The database has carried out a statement of its."""
        if place in ("load chains", "lock chains"):
            self._decided = []
        elif place == "claim":
            self.world.watch.note_claims(self, answer)
        elif place == "write":
            connection.written, self._decided = self._decided, []
            if not connection.holds:
                self.note_commit(connection)

    def note_decided(self, decided: Decided) -> None:
        """It has decided something that its next write holds."""
        self._decided.append(decided)

    def note_commit(self, connection: SimulatedConnection) -> None:
        """What it has written is committed."""
        written, connection.written = connection.written, []
        self.world.watch.note_commit(self, written)


def _is_lane() -> bool:
    """Whether this is the task of a journal's lane."""
    task = asyncio.current_task()
    return task is not None and task.get_name().startswith("lane ")


class WatchedJournal(Journal):
    """A process's journal, and what of each commit was decided under which fence."""

    def __init__(self, process: Process, pool: Pool, cards: Cards) -> None:
        super().__init__(pool, SETTINGS, process.tell_time, cards)
        self._process = process

    def submit(self, ledger: Ledger, piece: Piece) -> None:
        """As the journal does."""
        piece.operations = [self.watch(operation) for operation in piece.operations]
        super().submit(ledger, piece)

    def watch(self, operation: Operation) -> Operation:
        """The operation, seen."""
        if not isinstance(operation, RunChain):
            return operation
        work, inner = operation.work, operation.act

        def act(chain: Chain, books: Books) -> Any:  # noqa: ANN401  # as the act gives
            value = inner(chain, books)
            self._process.note_decided(Decided(chain.id, work, tuple(chain.new)))
            return value

        return operation._replace(act=act)


class Line:
    """A process's line to the partners (`chains.step_types.Outside`), which can be struck."""

    type: StepType = Partner.type

    def __init__(self, process: Process) -> None:
        self.process = process

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """As the partner does."""
        return self.process.world.partner.check(inputs, compensation, ledger_id)

    async def call(self, call: Call) -> Answer:
        """Make a call, with its fate.

        A process that slept past the call's time finds, as it wakes, that this time has run out.
        """
        process, clock = self.process, self.process.world.clock
        began = clock.now
        fate = await process.reach(CALL)
        passed = (clock.now - began).total_seconds()
        if fate is Fate.CUT_BEFORE or passed >= call.timeout_seconds:
            raise TimeoutError
        answer = self.reach_partner(call)
        if fate is Fate.DIES_AFTER:
            process.die()
            raise asyncio.CancelledError
        if fate is Fate.CUT_AFTER:
            raise TimeoutError
        return answer

    def reach_partner(self, call: Call) -> Answer:
        """The partner takes the call."""
        answer = self.process.world.partner.act(call)
        undo = call.direction in (Direction.UNDO, Direction.UNDO_LOOK_UP)
        self.process.world.note(
            f"{self.process.name} calls {call.step}{' undo' if undo else ''} {call.direction}"
            f" {call.key.rsplit('.', 1)[-1]}.{call.attempt}: {answer.outcome} {answer.code}"
        )
        return answer
