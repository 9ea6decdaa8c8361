"""The boundary between a simulated process and PostgreSQL: real connections that can be struck.

Invariant: it changes no statement and no answer; it only stops carrying them. What dies is rolled
back, as the server does it; the real session, of which nothing remains, then serves another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from simulation.clock import SEARCH_PATH
from simulation.crashes import Fate, place_of
from simulation.watch import Decided

if TYPE_CHECKING:
    from simulation.process import Process

__all__ = ["SimulatedConnection", "SimulatedPool", "make_lost"]

T = TypeVar("T")

if TYPE_CHECKING:
    RealConnection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    RealPool = asyncpg.Pool[asyncpg.Record]
else:
    RealConnection = asyncpg.pool.PoolConnectionProxy
    RealPool = asyncpg.Pool


def make_lost() -> Exception:
    """What the driver says of a connection that has died."""
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


class SimulatedPool:
    """A process's pool (`catena.db.pool.Pool`). All processes share the real connections."""

    def __init__(self, process: Process, real: RealPool) -> None:
        self._process = process
        self._real = real
        self._taken: set[SimulatedConnection] = set()

    def acquire(self) -> _Acquired:
        """Take a connection: to be awaited, or entered."""
        return _Acquired(self)

    async def take(self) -> SimulatedConnection:
        """Take a connection."""
        self._process.check_alive()
        real = await self._process.stage.carry(self._acquire())
        connection = self._process.make_connection(real)
        self._taken.add(connection)
        return connection

    async def _acquire(self) -> RealConnection:
        real = await self._real.acquire()
        prepared = self._process.world.installation.prepared
        if real.get_server_pid() not in prepared:
            await real.execute(SEARCH_PATH)
            prepared.add(real.get_server_pid())
        return real

    async def release(self, connection: SimulatedConnection) -> None:
        """Give a connection back."""
        if connection in self._taken:
            self._taken.discard(connection)
            await self._process.stage.carry(connection.roll_back())
            await self._process.stage.carry(self._real.release(connection.real))

    def sever_all(self) -> None:
        """The process is gone: so are its connections."""
        for connection in self._taken:
            connection.sever()

    async def bury(self) -> None:
        """Give back what it had taken."""
        for connection in list(self._taken):
            await self.release(connection)

    def get_idle_size(self) -> int:
        """Nobody has to wait for a connection."""
        return 1

    def get_size(self) -> int:
        """As many as are taken."""
        return len(self._taken)

    def get_max_size(self) -> int:
        """As many as anybody wants."""
        return self._real.get_max_size()


class _Acquired:
    """What `acquire` gives: awaitable, and a context."""

    def __init__(self, pool: SimulatedPool) -> None:
        self._pool = pool
        self._connection: SimulatedConnection | None = None

    def __await__(self) -> Generator[Any, None, SimulatedConnection]:
        return self._pool.take().__await__()

    async def __aenter__(self) -> SimulatedConnection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._pool.release(self._connection)


class SimulatedConnection:
    """A process's connection (`catena.db.pool.Connection`)."""

    def __init__(self, process: Process, real: RealConnection) -> None:
        self.real = real
        self.process = process
        self.holds = False
        self.opened: asyncpg.transaction.Transaction | None = None
        self.written: list[Decided] = []
        self._severed = False

    def sever(self) -> None:
        """The connection dies; the server ends what it was doing."""
        self._severed = True
        self.holds = False
        self.written = []

    async def roll_back(self) -> None:
        """The server ends what was not committed."""
        opened, self.opened = self.opened, None
        if opened is not None:
            await opened.rollback()

    def terminate(self) -> None:
        """As the product says it."""
        self.sever()

    def is_closed(self) -> bool:
        """Whether it has died."""
        return self._severed

    async def fetch(self, query: str, *values: Any) -> Any:  # noqa: ANN401  # as the driver's
        """Rows."""
        return await self.send(query, values, lambda sent: self.real.fetch(query, *sent))

    async def fetchrow(self, query: str, *values: Any) -> Any:  # noqa: ANN401  # as the driver's
        """A row."""
        return await self.send(query, values, lambda sent: self.real.fetchrow(query, *sent))

    async def fetchval(self, query: str, *values: Any) -> Any:  # noqa: ANN401  # as the driver's
        """A value."""
        return await self.send(query, values, lambda sent: self.real.fetchval(query, *sent))

    async def execute(self, query: str, *values: Any) -> Any:  # noqa: ANN401  # as the driver's
        """A status."""
        return await self.send(query, values, lambda sent: self.real.execute(query, *sent))

    def transaction(self) -> _Transaction:
        """A transaction."""
        return _Transaction(self)

    async def send(
        self, query: str, values: tuple[Any, ...], carry: Callable[[tuple[Any, ...]], Awaitable[T]]
    ) -> T:
        """Send a statement, unless it is struck."""
        place = place_of(query)

        async def carry_out() -> T:
            answer = await carry(values)
            self.process.note_answer(self, place, answer)
            return answer

        return await self.pass_through(place, carry_out)

    async def pass_through(self, place: str, carry_out: Callable[[], Awaitable[T]]) -> T:
        """Carry something out, as its fate has it."""
        fate = await self.process.reach(place, self)
        if fate is Fate.CUT_BEFORE:
            self.sever()
        if self._severed:
            self.process.expect_again()
            raise make_lost()
        try:
            answer = await self.process.stage.carry(carry_out())
        except asyncpg.PostgresError:
            self._strike(fate)
            raise
        self._strike(fate)
        return answer

    def _strike(self, fate: Fate | None) -> None:
        """What was carried out is not heard of."""
        if fate is Fate.DIES_AFTER:
            self.process.die()
            raise asyncio.CancelledError
        if fate is Fate.CUT_AFTER:
            self.sever()
            self.process.expect_again()
            raise make_lost()


class _Transaction:
    """A transaction over a connection, with its own places: begin and commit."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection
        self._real = connection.real.transaction()

    async def __aenter__(self) -> None:
        await self._connection.pass_through("begin", self._begin)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        connection = self._connection
        if error is None:
            await connection.pass_through("commit", self._commit)
        elif not connection.is_closed():
            await connection.process.stage.carry(connection.roll_back())
        connection.holds = False

    async def _begin(self) -> None:
        await self._real.start()
        self._connection.opened = self._real
        self._connection.holds = True

    async def _commit(self) -> None:
        self._connection.opened = None
        await self._real.commit()
        self._connection.holds = False
        self._connection.process.note_commit(self._connection)
