"""A world: a ledger, processes, partners and clients, played by a seed from beginning to end.

Invariant: when nothing can be done at this moment, time moves to the next moment at which something
is due; so a chain that does not end, ends nowhere. Then the world is checked.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg
from structlog.testing import capture_logs

from catena.db.installation import Ledger, create_ledger
from catena.db.pool import open_pool
from catena.errors import CatenaError
from catena.ids import LEDGER, new_id
from catena.journal import Answer, OpenAccount, Operation, PostEntry
from catena.settings import Settings
from simulation.boundary import RealPool
from simulation.clock import SEARCH_PATH, SimulatedClock, install_clock
from simulation.crashes import Crash, Fate
from simulation.partner import Partner
from simulation.play import Play
from simulation.process import PROCESS, Process
from simulation.stage import Gate, Stage
from simulation.watch import Watch
from simulation.workload import Shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Installation", "World", "opening"]

_CLOCK_MOVES: Final = 300
_TURNS: Final = 6_000
_BARREN: Final = 8
"""How often all workers may look at due work, and do nothing, until something is wrong."""

_HINTED: Final = 0.15
"""How often, at a turn, some worker hears that there may be work."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A database with simulated time, for many worlds: each has a ledger of its own.

    `prepared`: the sessions that see the simulated clock.
    """

    pool: RealPool
    owner: asyncpg.Connection[asyncpg.Record]
    clock: SimulatedClock
    prepared: set[int] = field(default_factory=set)


@asynccontextmanager
async def opening(owner_dsn: str, service_dsn: str) -> AsyncIterator[Installation]:
    """A migrated database, prepared for simulations and for nothing else."""
    settings = Settings(database_connections=12)
    owner = await asyncpg.connect(owner_dsn, server_settings={"search_path": "catena"})
    pool = await open_pool(settings, service_dsn)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(cast("Any", _make_task))  # any keywords of asyncio's
    try:
        yield Installation(pool, owner, await install_clock(owner))
    finally:
        loop.set_task_factory(None)
        await pool.close()
        await owner.close()


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any],
    **told: Any,  # noqa: ANN401  # as asyncio gives it
) -> asyncio.Task[Any]:
    """A task, noted with the process whose task makes it."""
    task = asyncio.Task(coroutine, loop=loop, **told)
    process = PROCESS.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task


@dataclass(eq=False)
class World:
    """One play. `crashes` are those to come, `struck` those that did; `reached` counts places.

    `wrong` is what has been found wrong, as (checker, words).
    """

    installation: Installation
    shape: Shape
    seed: int
    crashes: Sequence[Crash] = ()
    kind: type[Process] = Process
    ledger: Ledger = field(init=False)
    partner: Partner = field(init=False)
    play: Play = field(init=False)
    trace: list[str] = field(default_factory=list)
    struck: list[Crash] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    moves: int = 0
    is_played: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.shape.name} {self.seed}")
        self.clock = self.installation.clock
        self.stage = Stage()
        self.watch = Watch(self)
        self.processes: list[Process] = []
        self._gone: list[Process] = []
        self._clients: list[asyncio.Task[None]] = []
        self._naps: dict[Process, int] = {}
        self._born = 0
        self._barren = 0
        self._left = {(crash.place, crash.number): crash for crash in self.crashes}

    # --- the whole ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Play it."""
        with capture_logs() as logs:
            await self.clock.read()
            await self._make_ledger()
            self.play = Play(self.random, self.ledger.id)
            self.shape.write(self.play)
            self.partner = Partner(self.random, self.play.scripts)
            for _ in range(2):
                self._start_process()
            try:
                await self._perform([self._open_accounts])
                self.is_played = True
                await self._perform([self._client(one) for one in self.play.clients])
            finally:
                await self._end()
                self._read_logs(logs)

    def _read_logs(self, logs: Sequence[MutableMapping[str, Any]]) -> None:
        """What the product itself calls an error is one."""
        for log in logs:
            error = log.get("exc_info")
            if log["log_level"] == "error" and isinstance(error, BaseException):
                trace = "".join(traceback.format_exception(error)[-3:])
                self.wrong.append(("logs", f"{log['event']}: {trace}"))
            elif log["log_level"] == "error":
                self.wrong.append(("logs", f"{log}"))

    async def _make_ledger(self) -> None:
        id = new_id(LEDGER)
        async with self.installation.pool.acquire() as connection:
            await connection.execute(SEARCH_PATH)
            await create_ledger(connection, id, self.shape.name, {})
            number = await connection.fetchval(
                "SELECT ledger_id FROM ledgers WHERE id = $1", id[len(LEDGER) :]
            )
        self.ledger = Ledger(number, id, self.shape.name, {}, self.clock.now, None)

    async def _open_accounts(self) -> None:
        openings: list[Operation] = [OpenAccount(profile) for profile in self.play.profiles]
        for operation in openings:
            await self.ask(operation)
        for deposit in self.play.deposits:
            await self.ask(PostEntry(deposit))

    def _client(
        self, act: Callable[[World], Awaitable[None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def run() -> None:
            await act(self)

        return run

    async def _perform(self, clients: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Have clients act, until nothing is left to do."""
        self._clients = [asyncio.create_task(client()) for client in clients]
        for client in self._clients:
            client.add_done_callback(lambda _: self.stage.note())
        for _ in range(_TURNS):
            await self._settle()
            if not await self._take_turn():
                break
        else:
            self.wrong.append(("I10 ends", f"not at its end after {_TURNS} turns"))
        for client in self._clients:
            if client.done():
                client.result()
            else:
                self.wrong.append(("I10 ends", "a client was never answered"))
                client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _end(self) -> None:
        """Nothing of the processes goes on, and their connections are free."""
        for process in [*self.processes]:
            process.is_dead = True
            process.pool.sever_all()
            for task in process.tasks:
                task.cancel()
            self._gone.append(process)
        tasks = {task for process in self._gone for task in process.tasks}
        await asyncio.gather(*tasks, return_exceptions=True)
        for process in self._gone:
            await process.pool.bury()

    # --- turns -------------------------------------------------------------------------------

    async def _settle(self) -> None:
        await self.stage.settle(lambda: any(process.is_expected() for process in self.processes))
        gone, self._gone = self._gone, []
        for process in gone:
            await process.pool.bury()
        self._gone = []

    async def _take_turn(self) -> bool:
        """One step of the play; False at its end."""
        # Who came first depends on the machine; their names do not.
        gates = sorted(filter(_may_move, self.stage.waiting), key=_order)
        holding = [gate for gate in gates if gate.holds]
        ready = holding or [gate for gate in gates if not gate.idle]
        if ready:
            if self.random.random() < _HINTED:
                self.random.choice(self.processes).wake()
            self._release(self.random.choice(ready))
            return True
        if any(process.asleep is Fate.STALLS for process in self.processes):
            self._rouse(Fate.STALLS)
            return True
        if await self._is_due() and self._barren < _BARREN:
            self._barren += 1
            awake = [process for process in self.processes if process.asleep is None]
            if awake:
                self.random.choice(awake).wake()
                return True
        idle = [gate for gate in gates if gate.idle]
        if idle and any(process.asleep is None for process in self.processes):
            self._release(self.random.choice(idle))
            return True
        return await self._let_time_pass()

    def _release(self, gate: Gate) -> None:
        self.stage.release(gate)

    async def _is_due(self) -> bool:
        found = await self.installation.owner.fetchval(
            "SELECT EXISTS (SELECT FROM catena.work WHERE ledger_id = $1 AND due_at <= $2)",
            self.ledger.number,
            await self.clock.read(),
        )
        return bool(found)

    async def _let_time_pass(self) -> bool:
        """Move to the next moment at which something is due; False when there is none."""
        now = self.clock.now
        due: dt.datetime | None = await self.installation.owner.fetchval(
            "SELECT min(due_at) FROM catena.work"
            " WHERE ledger_id = $1 AND due_at > $2 AND isfinite(due_at)",
            self.ledger.number,
            now,
        )
        if due is None:
            return self._rouse(Fate.SLEEPS)
        if self.moves >= _CLOCK_MOVES:
            if self._rouse(Fate.SLEEPS):
                return True
            self.wrong.append(("I10 ends", f"not at its end after {self.moves} moves of the clock"))
            return False
        self.moves += 1
        self._barren = 0
        await self.clock.move_to(due)
        self.note(f"--- {(due - now).total_seconds():.1f} s later")
        for process in [*self._naps]:
            self._naps[process] -= 1
            if self._naps[process] <= 0:
                self._rouse_one(process)
        return True

    def _rouse(self, why: Fate) -> bool:
        """Let one that stands still go on; False when there is none."""
        for process in self.processes:
            if process.asleep is why:
                self._rouse_one(process)
                return True
        return False

    def _rouse_one(self, process: Process) -> None:
        self.note(f"{process.name} wakes up")
        process.asleep = None
        self._naps.pop(process, None)

    # --- what happens ------------------------------------------------------------------------

    def strike(self, process: Process, place: str) -> Fate | None:
        """What becomes of the process at this place, this time."""
        self._barren = 0 if place in ("write", "call") else self._barren
        if not self.is_played:
            return None
        self.reached[place] += 1
        crash = self._left.pop((place, self.reached[place]), None)
        if crash is None:
            return None
        self.struck.append(crash)
        self.note(f"{process.name}: {crash}")
        if crash.fate is Fate.SLEEPS:
            self._naps[process] = self.random.choice([1, 2, 4, 1000])
        return crash.fate

    def bury(self, process: Process) -> None:
        """A process has died: another is started."""
        self.note(f"{process.name} dies")
        self.processes.remove(process)
        self._naps.pop(process, None)
        self._gone.append(process)
        self._start_process()

    def _start_process(self) -> None:
        self._born += 1
        process = self.kind(self, f"p{self._born}", self.installation.pool)
        self.processes.append(process)

    def note(self, text: str) -> None:
        """Something to be read when it went wrong."""
        self.trace.append(text)

    def name_of(self, chain: str) -> str:
        """What the play calls the chain."""
        return self.play.names.get(chain, f"late_approval {chain[-6:]}")

    # --- what clients do ---------------------------------------------------------------------

    async def ask(self, operation: Operation) -> Answer:
        """Have one operation done, under one key, by whoever answers in the end."""
        key, payload = (
            f"{self.random.getrandbits(128):032x}",
            f"{self.random.getrandbits(128):032x}",
        )
        while True:
            await self.stage.wait(None, "client")
            awake = [process for process in self.processes if process.asleep is None]
            if not awake:
                await self.stage.wait(None, "client", idle=True)
                continue
            process = self.random.choice(awake)
            told = await process.ask([operation], key, payload)
            self.stage.note()
            if isinstance(told, Answer):
                return told
            if isinstance(told, CatenaError) and not told.transient:
                self.wrong.append(("answers", f"{type(operation).__name__}: {told!r}"))
                raise told

    def _make_key(self) -> str:
        return f"{self.random.getrandbits(128):032x}"

    async def pause(self, turns: int, *, idle: bool) -> None:
        """Wait so many turns; `idle`: until nothing else is left to do."""
        for _ in range(turns):
            await self.stage.wait(None, "client")
        if idle:
            await self.stage.wait(None, "client", idle=True)


def _may_move(gate: Gate) -> bool:
    return gate.process is None or gate.process.asleep is None


def _order(gate: Gate) -> tuple[str, str]:
    return gate.process.name if gate.process is not None else "", gate.name
