"""Two processes of the service over one database whose clock stands still until it is moved.

Invariant: everything is written by the real journal, in the service's role; a process that dies
takes its journal, its queue and its connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import Any

import asyncpg

from catena.chains.chain import Chain
from catena.chains.step_types import Call, Catalogue
from catena.clock import system_clock
from catena.db.installation import Ledger, create_ledger, list_ledgers
from catena.db.load_chains import load_chains
from catena.db.pool import Pool, open_pool
from catena.db.verify import verify
from catena.db.work import Work, claim_work
from catena.errors import CatenaError
from catena.ids import ACCOUNT, CHAIN, LEDGER, new_id
from catena.journal import Answer, Journal, Operation, Piece
from catena.journal.cards import Begun, Cards
from catena.settings import Settings
from simulation.clock import SEARCH_PATH, SimulatedClock, install_clock
from tests.postgres import Database
from tests.properties.chain_workload import Caller
from tests.properties.naive_calls import CALL_SECONDS
from tests.properties.naive_funds import Shown

__all__ = [
    "ChainWorld",
    "Process",
    "Read",
    "check_pivot",
    "describe",
    "find_differences",
    "open_world",
]

LEASE_SECONDS = 15.0
# One remembers so little that it forgets all the time; the other remembers everything.
SETTINGS = (
    Settings(database_connections=1, cached_accounts=2, lease_seconds=LEASE_SECONDS),
    Settings(database_connections=1, lease_seconds=LEASE_SECONDS),
)

Read = tuple[dict[str, tuple[int, int, str]], dict[str, Chain], list[asyncpg.Record]]
"""Accounts (posted on the credit side, reserved, status), chains by id, and every lien."""


class Hands:
    """Takes calls in the commits that make them due, as the worker of a process does."""

    def __init__(self) -> None:
        self.free = 0
        self.taken: list[tuple[Call, int]] = []

    def room(self) -> int:
        """How many calls it has hands for."""
        return self.free

    def knows(self, ledger_id: str, adapter: str) -> bool:
        """All that there is."""
        return bool(ledger_id) and adapter == "call"

    def take(self, ledger: Ledger, begun: Begun) -> None:
        """The call's intent is committed."""
        del ledger
        self.taken.append((begun.call, begun.fence))


class Process:
    """A journal with a pool of its own."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings = settings
        self.pool = pool
        self.hands = Hands()
        # Every random wait is as long as it can be.
        cards = Cards(Catalogue([Caller()]), lambda: 1.0, LEASE_SECONDS, CALL_SECONDS, self.hands)
        self.journal = Journal(pool, settings, system_clock, cards)

    @classmethod
    async def open(cls, settings: Settings, dsn: str) -> Process:
        """Start it."""
        pool = await open_pool(settings, dsn)
        async with pool.acquire() as connection:
            await connection.execute(SEARCH_PATH)
        return cls(settings, pool)

    async def die(self) -> None:
        """Be gone at once, whatever was under way."""
        self.pool.terminate()
        tasks = [lane._task for lane in self.journal._lanes.values()]
        while tasks:  # the driver may take a cancellation for its own time limit
            for task in tasks:
                task.cancel()
            _, left = await asyncio.wait(tasks, timeout=0.01)
            tasks = list(left)

    async def close(self) -> None:
        """End in order."""
        await self.journal.close()
        await self.pool.close()


class ChainWorld:
    """A ledger, two processes, and whoever looks at what they write."""

    def __init__(self, database: Database, clock: SimulatedClock, watcher: Pool) -> None:
        self.database = database
        self.clock = clock
        self.watcher = watcher
        self.processes: list[Process] = []
        self.ledger: Ledger

    async def begin(self) -> None:
        """A new ledger."""
        id = new_id(LEDGER)
        async with self.watcher.acquire() as connection:
            await create_ledger(connection, id, "properties", {})
            self.ledger = next(one for one in await list_ledgers(connection) if one.id == id)
        dsn = self.database.service_dsn
        self.processes = [await Process.open(settings, dsn) for settings in SETTINGS]

    async def end(self) -> None:
        """Close both."""
        for process in self.processes:
            await process.close()

    def send(
        self, process: int, operations: Sequence[Operation], key: str | None
    ) -> asyncio.Future[Answer | CatenaError]:
        """Submit a piece."""
        told: asyncio.Future[Answer | CatenaError] = asyncio.get_running_loop().create_future()

        def take(answer: Answer | CatenaError) -> None:
            if not told.done():
                told.set_result(answer)

        piece = Piece(operations, key=key, payload=key or "", done=take)
        self.processes[process].journal.submit(self.ledger, piece)
        return told

    async def crash(
        self, process: int, operations: Sequence[Operation], key: str | None, turns: int
    ) -> None:
        """Submit a piece, and die so many turns of the loop later; 0: when it is committed."""
        told = self.send(process, operations, key)
        if turns:
            for _ in range(turns):
                await asyncio.sleep(0)
        else:
            await told
        dead = self.processes[process]
        await dead.die()
        self.processes[process] = await Process.open(dead.settings, self.database.service_dsn)

    async def claim(self, count: int) -> list[Work]:
        """Take due work."""
        async with self.watcher.acquire() as connection:
            return await claim_work(connection, self.ledger.number, count, LEASE_SECONDS, ["call"])

    async def read(self) -> Read:
        """The ledger as it stands."""
        number = self.ledger.number
        async with self.watcher.acquire() as connection:
            rows = await connection.fetch(
                "SELECT account_id, credits - debits AS posted, reserved, status FROM balances"
                " WHERE ledger_id = $1",
                number,
            )
            accounts = {
                ACCOUNT + row["account_id"].hex: (row["posted"], row["reserved"], row["status"])
                for row in rows
            }
            ids = await connection.fetch("SELECT chain_id FROM chains WHERE ledger_id = $1", number)
            names = [CHAIN + row["chain_id"].hex for row in ids]
            loaded = await load_chains(connection, number, names)
            liens = await connection.fetch("SELECT * FROM liens WHERE ledger_id = $1", number)
        return accounts, {id: found.chain for id, found in loaded.items()}, liens

    async def read_fences(self) -> dict[tuple[str, str], int]:
        """The fence of every piece of work."""
        rows = await self.watcher.fetch(
            "SELECT chain_id, step, fence FROM work WHERE ledger_id = $1", self.ledger.number
        )
        return {(CHAIN + row["chain_id"].hex, row["step"]): row["fence"] for row in rows}

    async def read_nets(self) -> dict[str, dict[str, int]]:
        """What each chain's entries come to, by account, on the credit side."""
        rows = await self.watcher.fetch(
            "SELECT e.chain_id, l.account_id,"
            " sum(CASE WHEN l.is_debit THEN -l.amount ELSE l.amount END)::bigint AS net"
            " FROM entries e JOIN lines l USING (ledger_id, position)"
            " WHERE e.ledger_id = $1 AND e.chain_id IS NOT NULL GROUP BY 1, 2",
            self.ledger.number,
        )
        nets: dict[str, dict[str, int]] = {}
        for row in rows:
            if row["net"]:
                net = nets.setdefault(CHAIN + row["chain_id"].hex, {})
                net[ACCOUNT + row["account_id"].hex] = row["net"]
        return nets

    async def find_wrong(self) -> list[Any]:
        """What `catena verify` says."""
        async with self.watcher.acquire() as connection:
            return list(await verify(connection, self.ledger))


def describe(read: Read) -> object:
    """What is compared with the model."""
    accounts, chains, liens = read
    open_liens: dict[str, list[Shown]] = {id: [] for id in chains}
    for row in liens:
        if row["state"] in ("active", "utilized"):
            open_liens[CHAIN + row["chain_id"].hex].append(
                Shown(
                    row["step"],
                    ACCOUNT + row["account_id"].hex,
                    row["kind"],
                    row["amount"],
                    row["remaining"],
                    row["drawn"],
                )
            )
    told = {id: _describe_chain(chain, open_liens[id]) for id, chain in chains.items()}
    return accounts, told


def _describe_chain(chain: Chain, liens: list[Shown]) -> object:
    steps = {
        name: (
            str(run.state),
            run.parked,
            run.attempt,
            run.round,
            run.undo_attempt,
            run.undo_round,
            run.seq,
        )
        for name, run in chain.steps.items()
    }
    failures = [
        failure.code if failure is not None else None
        for failure in (chain.failure, chain.pending_failure)
    ]
    signals = sorted(name for name, _ in chain.signals)
    return str(chain.state), *failures, signals, steps, sorted(liens)


def find_differences(found: Any, wanted: Any, where: str = "") -> Iterator[str]:  # noqa: ANN401
    """Where the service (first) and the model differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {**found, **wanted}:
            yield from find_differences(found.get(name), wanted.get(name), f"{where}/{name}")
    elif isinstance(found, (list, tuple)) and type(found) is type(wanted):
        for place, pair in enumerate(zip_longest(found, wanted)):
            yield from find_differences(*pair, f"{where}/{place}")
    elif found != wanted:
        yield f"{where}: {found!r}, and the model has {wanted!r}"


def check_pivot(chain: Chain) -> None:
    """I13: nothing is undone past the pivot."""
    if chain.pivot_is_past:
        assert chain.state not in ("failed", "rolling_back", "rolled_back"), "I13 pivot"
        undone = ("compensating", "compensation_unknown", "compensated")
        assert all(run.state not in undone for run in chain.steps.values()), "I13 pivot"


@asynccontextmanager
async def open_world(database: Database) -> AsyncIterator[ChainWorld]:
    """A database that tells simulated time, and a connection that looks at it."""
    owner = await asyncpg.connect(database.owner_dsn, server_settings={"search_path": "catena"})
    clock = await install_clock(owner)
    watcher = await open_pool(Settings(database_connections=1), database.service_dsn)
    async with watcher.acquire() as connection:
        await connection.execute(SEARCH_PATH)
    try:
        yield ChainWorld(database, clock, watcher)
    finally:
        await watcher.close()
        await owner.close()
