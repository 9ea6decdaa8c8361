"""A ledger for tests that write what they read: accounts, deposits, transfers, through the journal.

Invariant: everything is written by the real journal, in the service's role.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg

from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Step
from catena.clock import system_clock
from catena.db.installation import Ledger, create_ledger, list_ledgers
from catena.db.pool import Pool, open_pool
from catena.errors import CatenaError
from catena.ids import ACCOUNT, CHAIN, LEDGER, new_id
from catena.journal import (
    AccountState,
    Answer,
    ChainResult,
    ChangeAccount,
    CreateChain,
    Journal,
    OpenAccount,
    Operation,
    Piece,
    PostEntry,
    RefundEntry,
    ReverseEntry,
    RunChain,
)
from catena.journal.cards import Cards
from catena.ledger.accounts import AccountStatus, AccountType, Side, SystemRole, system_account_id
from catena.ledger.entries import Draft, Entry, EntryType, Line
from catena.ledger.terms import Profile, TermsChange
from catena.settings import Settings
from tests.postgres import Database

__all__ = ["Scribe", "connect_as_owner", "make_profile", "open_ledger", "write_at_random"]


LAGS = [
    dt.timedelta(**lag)
    for lag in (
        {"microseconds": 1},
        {"milliseconds": 20},
        {"seconds": 1},
        {"seconds": 30},
        {"minutes": 7},
        {"hours": 5},
        {"days": 1},
        {"days": 20},
        {"days": 400},
        {"days": 3000},
    )
]


def _chain_of(answer: Answer) -> Chain:
    result = answer.results[0]
    assert isinstance(result, ChainResult), answer
    assert result.chain is not None
    return result.chain


@dataclass(slots=True)
class Scribe:
    """Writes in one ledger. Everything is in USD."""

    pool: Pool
    journal: Journal
    ledger: Ledger

    @property
    def number(self) -> int:
        """What leads the ledger's rows."""
        return self.ledger.number

    @property
    def clearing(self) -> str:
        """The account that deposits come from."""
        return system_account_id(self.ledger.id, SystemRole.CLEARING, "USD")

    async def submit(
        self,
        operations: Sequence[Operation],
        *,
        atomic: bool = True,
        key: str | None = "",
    ) -> Answer:
        """One piece, answered; under a fresh key unless one is given, or None."""
        answered: asyncio.Future[Answer | CatenaError]
        answered = asyncio.get_running_loop().create_future()
        piece = Piece(
            operations,
            key=uuid4().hex if key == "" else key,
            payload=uuid4().hex if key == "" else "0" * 32,
            done=answered.set_result,
            atomic=atomic,
        )
        self.journal.submit(self.ledger, piece)
        answer = await answered
        assert isinstance(answer, Answer), answer
        return answer

    async def post(self, *operations: Operation) -> Entry:
        """Post these together; gives the last entry."""
        answer = await self.submit(operations)
        entry = answer.results[-1]
        assert isinstance(entry, Entry), entry
        return entry

    async def open(self, **terms: Any) -> str:  # noqa: ANN401  # fields of a profile
        """Open an account; a wallet unless the terms say otherwise."""
        profile = make_profile(**terms)
        answer = await self.submit([OpenAccount(profile)])
        assert isinstance(answer.results[0], AccountState), answer
        return profile.id

    async def change(self, account: str, **fields: object) -> AccountState:
        """Change an account's terms."""
        answer = await self.submit([ChangeAccount(account, TermsChange(None, fields))])
        state = answer.results[0]
        assert isinstance(state, AccountState), state
        return state

    def deposit(self, account: str, amount: int, **draft: Any) -> PostEntry:  # noqa: ANN401
        """A deposit from the clearing account; `draft`: more of its fields."""
        lines = [
            Line(self.clearing, Side.DEBIT, amount, "USD"),
            Line(account, Side.CREDIT, amount, "USD"),
        ]
        system = [(SystemRole.CLEARING, "USD")]
        return PostEntry(make_draft(EntryType.DEPOSIT, lines, system=system, **draft))

    def transfer(self, source: str, target: str, amount: int, **draft: Any) -> PostEntry:  # noqa: ANN401
        """A transfer between wallets; `draft`: more of its fields."""
        lines = [
            Line(source, Side.DEBIT, amount, "USD"),
            Line(target, Side.CREDIT, amount, "USD"),
        ]
        return PostEntry(make_draft(EntryType.TRANSFER, lines, **draft))

    async def chain(self, *steps: Step, **told: Any) -> Chain:  # noqa: ANN401  # of a definition
        """Make a chain of these steps; gives it after its first run."""
        definition = Definition(steps, **told)
        answer = await self.submit([CreateChain(new_id(CHAIN), definition, "test")])
        return _chain_of(answer)

    async def run(
        self,
        chain: str,
        act: Callable[[Chain, Books], Any],
        work: tuple[str, int] | None = None,
    ) -> ChainResult:
        """Do something to a chain; gives it as it is then."""
        answer = await self.submit([RunChain(chain, act, work)], key=None)
        result = answer.results[0]
        assert isinstance(result, ChainResult), answer
        return result

    async def reverse(self, entry: Entry) -> Entry:
        """Post the entry's reversal."""
        return await self.post(ReverseEntry(Draft(EntryType.REVERSAL, [], corrects=entry.id)))

    async def refund(self, entry: Entry, amount: int) -> Entry:
        """Post a refund of a part of the entry."""
        return await self.post(RefundEntry(Draft(EntryType.REFUND, [], corrects=entry.id), amount))


def make_profile(**terms: Any) -> Profile:  # noqa: ANN401  # fields of a profile
    """A wallet that is about to be opened, with these fields instead of the usual."""
    profile = Profile(
        id=new_id(ACCOUNT),
        type=AccountType.LIABILITY,
        currency="USD",
        role=None,
        user_id=None,
        name=None,
        metadata="{}",
        status=AccountStatus.ACTIVE,
        floor=0,
        ceiling=None,
        revision=1,
    )
    return profile._replace(**terms)


def make_draft(type: EntryType, lines: Sequence[Line], **draft: Any) -> Draft:  # noqa: ANN401
    """A draft; one with a reference gets a content of its own."""
    content = uuid4().hex if "reference" in draft else None
    return Draft(type, lines, content=content)._replace(**draft)


@asynccontextmanager
async def connect_as_owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection in the role of the schema's owner."""
    connection = await asyncpg.connect(
        database.owner_dsn, server_settings={"search_path": "catena"}
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_ledger(
    database: Database,
    name: str = "main",
    cards: Cards | None = None,
    ledger: Ledger | None = None,
) -> AsyncIterator[Scribe]:
    """A new ledger in the database, and who writes in it; or another who writes in this `ledger`.

    `cards`: what its chains can do.
    """
    settings = Settings(database_connections=2)
    pool = await open_pool(settings, database.service_dsn)
    journal = Journal(pool, settings, system_clock, cards)
    try:
        if ledger is not None:
            yield Scribe(pool, journal, ledger)
            return
        id = new_id(LEDGER)
        async with pool.acquire() as connection:
            await create_ledger(connection, id, name, {})
            ledgers = {ledger.id: ledger for ledger in await list_ledgers(connection)}
        yield Scribe(pool, journal, ledgers[id])
    finally:
        await journal.close()
        await pool.close()


async def write_at_random(scribe: Scribe, account: str, seed: int) -> None:
    """Some 120 lines in commits of a few entries, many dated back, some to the same moment."""
    rng = random.Random(seed)
    other = await scribe.open(floor=-(10**9))
    dates: list[dt.datetime] = []
    now = (await scribe.post(scribe.deposit(account, 10**6))).recorded_at
    for serial in range(40):
        operations = []
        for first in (True, *([False] * rng.randint(0, 4))):
            date = rng.choice(
                [None, now - rng.choice(LAGS) * rng.random(), rng.choice([now, *dates])]
            )
            draft: dict[str, Any] = {
                "effective_at": date,
                "metadata": f'{{"k": {rng.randrange(3)}}}',
            }
            if first and serial % 4 == 0:
                draft["reference"] = f"r{serial}"
            source, target = rng.sample([account, other], 2)
            amount = rng.randrange(1, 1000)
            if first or rng.random() < 0.7:
                operations.append(scribe.transfer(source, target, amount, **draft))
            if first or not operations:
                operations.append(scribe.deposit(account, amount, **draft))
            dates += [date] if date else []
        entry = await scribe.post(*operations)
        now = entry.recorded_at
        dates.append(now)
        if serial % 10 == 5:
            await scribe.reverse(entry)
