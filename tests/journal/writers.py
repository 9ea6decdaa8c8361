"""Journals as several processes have them: each with a pool and settings of its own, one ledger.

Invariant: what is sent is sent at once; its answer is waited for apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from catena.clock import Clock, system_clock
from catena.db.installation import Ledger, create_ledger, list_ledgers
from catena.db.pool import open_pool
from catena.db.verify import verify
from catena.errors import CatenaError
from catena.ids import LEDGER, new_id
from catena.journal import Answer, Journal, OpenAccount, Operation, Piece
from catena.journal.commit import LaneCounts
from catena.journal.lane import Lane
from catena.ledger.entries import Entry
from catena.ledger.refusals import Refusal
from catena.settings import Settings
from tests.postgres import Database
from tests.scribe import Scribe, connect_as_owner, make_profile

__all__ = ["UNPOSTABLE", "Told", "Writer", "make_unpostable", "open_writer", "prove", "tell"]

UNPOSTABLE = "boom"
"""The description of an entry that the database does not take, after `make_unpostable`."""

Told = Answer | CatenaError


@dataclass(slots=True)
class Writer(Scribe):
    """A scribe that can send many pieces before it waits for an answer."""

    def send(
        self,
        operations: Sequence[Operation],
        *,
        key: str | None = None,
        payload: str = "0" * 32,
        atomic: bool = True,
        done: Callable[[Told], None] | None = None,
    ) -> asyncio.Future[Told]:
        """Submit a piece; its answer, or its error, is the future's result."""
        answered: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        piece = Piece(
            operations,
            key=key or uuid4().hex,
            payload=payload,
            done=done or answered.set_result,
            atomic=atomic,
        )
        self.journal.submit(self.ledger, piece)
        return answered

    async def send_all(self, pieces: Sequence[Sequence[Operation]]) -> list[Told]:
        """Submit pieces at once and wait for their answers, in order."""
        return list(await asyncio.gather(*[self.send(piece) for piece in pieces]))

    def opening(self, id: str) -> OpenAccount:
        """The opening of a wallet with this id."""
        return OpenAccount(make_profile(id=id))

    async def open_wallets(self, count: int, balance: int = 0) -> list[str]:
        """Open wallets, each with so much in it."""
        ids = [profile.id for profile in (make_profile() for _ in range(count))]
        await self.send([self.opening(id) for id in ids], atomic=False)
        if balance:
            await self.submit([self.deposit(id, balance) for id in ids])
        return ids

    @property
    def lane(self) -> Lane:
        """The ledger's lane of this journal."""
        return self.journal._lanes[self.number]

    @property
    def counts(self) -> LaneCounts:
        """What the lane has done."""
        return self.lane.counts

    async def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """Rows of a query whose first parameter is the ledger."""
        rows = await self.pool.fetch(query, self.number, *values)
        return [tuple(row) for row in rows]

    async def posted(self, account: str) -> int:
        """What a wallet has."""
        query = "SELECT credits - debits FROM balances WHERE ledger_id = $1 AND account_id = $2"
        [[posted]] = await self.read(query, account[5:])
        assert isinstance(posted, int)
        return posted


@asynccontextmanager
async def open_writer(
    dsn: str,
    ledger: Ledger | None = None,
    *,
    clock: Clock = system_clock,
    **settings: Any,  # noqa: ANN401  # fields of Settings
) -> AsyncIterator[Writer]:
    """A process's journal for the ledger, or for a new one."""
    known = Settings(**{"database_connections": 2, **settings})
    pool = await open_pool(known, dsn)
    journal = Journal(pool, known, clock)
    try:
        if ledger is None:
            async with pool.acquire() as connection:
                id = new_id(LEDGER)
                await create_ledger(connection, id, "main", {})
                [ledger] = [one for one in await list_ledgers(connection) if one.id == id]
        yield Writer(pool, journal, ledger)
    finally:
        await journal.close()
        await pool.close()


async def make_unpostable(database: Database) -> None:
    """Have the database raise for some entries: a thing that nobody foresaw."""
    async with connect_as_owner(database) as owner:
        await owner.execute(f"ALTER TABLE entries ADD CHECK (description <> '{UNPOSTABLE}')")


def tell(told: Told) -> str:
    """An answer in a word: posted or done, the refusal's code, or the error's code."""
    if isinstance(told, CatenaError):
        return told.code
    result = told.results[-1]
    if isinstance(result, Refusal):
        return result.code.code
    return "posted" if isinstance(result, Entry) else "done"


async def prove(database: Database, ledger: Ledger) -> None:
    """The books prove themselves: `catena verify` finds nothing."""
    pool = await open_pool(Settings(database_connections=1), database.service_dsn)
    try:
        async with pool.acquire() as connection:
            assert await verify(connection, ledger) == []
    finally:
        await pool.close()
