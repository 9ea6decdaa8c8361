"""The journal on PostgreSQL, written as by two processes at once, against the naive ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import uuid4

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from catena.clock import system_clock
from catena.db.installation import Ledger, create_ledger, list_ledgers
from catena.db.pool import Pool, open_pool
from catena.db.verify import verify
from catena.errors import CatenaError, IdempotencyKeyReused
from catena.ids import LEDGER, new_id
from catena.journal import Answer, Journal, LedgerOperation, Piece
from catena.ledger.accounts import SystemRole, system_account_id
from catena.ledger.entries import Entry
from catena.settings import Settings
from tests.postgres import Database
from tests.properties.comparison import check_answer, check_replay
from tests.properties.naive_ledger import NaiveLedger
from tests.properties.workload import (
    PIECES,
    WishedPiece,
    describe_opening,
    fund_accounts,
    to_operations,
)

# One remembers so little that it forgets all the time; the other remembers everything.
WRITERS = (
    Settings(database_connections=1, cached_accounts=3, commit_operations=4),
    Settings(database_connections=1),
)


class Request(NamedTuple):
    """A piece as it was submitted. `number` counts submissions."""

    number: int
    key: str
    payload: str
    operations: Sequence[LedgerOperation]
    atomic: bool


class Books(RuleBasedStateMachine):
    """Two journals over one database, a new ledger each time."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.pools: list[Pool] = []
        self.journals: list[Journal] = []
        self.requests: list[Request] = []
        self.first_answers: dict[str, tuple[Request, Answer]] = {}
        self.ids: dict[int, str] = {}

    @initialize(count=st.integers(5, 10))
    def open_accounts(self, count: int) -> None:
        """A ledger has accounts, and most of them have money."""
        self.ledger = self.run(self._create_ledger())
        self.naive = NaiveLedger(
            lambda role, currency: system_account_id(self.ledger.id, SystemRole(role), currency)
        )
        openings = [describe_opening(self.ledger.id, number) for number in range(count)]
        self._submit([(0, self._request(openings, atomic=False))])
        deposits = fund_accounts(self.naive, self.ledger.id)
        self._submit([(1, self._request(deposits, atomic=False))])

    @rule(writer=st.integers(0, 1), wished=PIECES)
    def take_turns(self, writer: int, wished: WishedPiece) -> None:
        """One journal writes while the other is idle."""
        self._submit([(writer, self._wish(wished, writer=0))])

    @rule(wished=st.lists(st.tuples(st.integers(0, 1), PIECES), min_size=2, max_size=8))
    def race(self, wished: Sequence[tuple[int, WishedPiece]]) -> None:
        """Both write at once."""
        self._submit([(writer, self._wish(piece, writer)) for writer, piece in wished])

    def teardown(self) -> None:
        """The books prove themselves."""
        if self.journals:
            self.run(self._close())
        self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # what it gives
        """Run it in this machine's loop, in which both journals live."""
        return self.runner.run(coroutine)

    def _wish(self, wished: WishedPiece, writer: int) -> Request:
        operations = to_operations(
            wished, self.naive, self.ledger.id, self.ids, system_clock(), writer
        )
        if wished.again is None or not self.requests:
            return self._request(operations, atomic=wished.atomic)
        earlier = self.requests[-1 - wished.again % len(self.requests)]
        if wished.other_payload:
            return self._request(operations, atomic=wished.atomic)._replace(key=earlier.key)
        self.requests.append(earlier._replace(number=len(self.requests)))
        return self.requests[-1]

    def _request(self, operations: Sequence[LedgerOperation], *, atomic: bool) -> Request:
        request = Request(len(self.requests), uuid4().hex, uuid4().hex, operations, atomic)
        self.requests.append(request)
        return request

    def _submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Submit at once, then ask the naive ledger in the order in which they were committed."""
        positions_before = {id: position for position, id in self.ids.items()}
        answers = self.run(self._gather(requests))
        done = []
        for (_, request), answer in zip(requests, answers, strict=True):
            if isinstance(answer, Answer) and not answer.replayed:
                assert request.key not in self.first_answers
                self.first_answers[request.key] = request, answer
                self.ids |= {e.position: e.id for e in answer.results if isinstance(e, Entry)}
                done.append(request)
        moments = self.run(self._read_moments(done))
        done.sort(key=lambda request: (moments[request.key], request.number))
        for moment, commit in groupby(done, key=lambda request: moments[request.key]):
            together = list(commit)
            expected = self.naive.commit(
                [(request.operations, request.atomic) for request in together],
                moment,
                positions_before.get,
            )
            for request, wanted in zip(together, expected, strict=True):
                self._check(wanted, self.first_answers[request.key][1])
        for (_, request), answer in zip(requests, answers, strict=True):
            self._check_repeated(request, answer)
        self.run(self._check_balances())

    def _check(self, wanted: Any, answer: Answer) -> None:  # noqa: ANN401  # as the naive one says
        if isinstance(wanted, tuple) and not hasattr(wanted, "_fields"):
            assert answer.refused == wanted[0], (wanted, answer)
            wanted = [wanted[1]]
        for expected, told in zip(wanted, answer.results, strict=True):
            check_answer(self.naive, expected, told)

    def _check_repeated(self, request: Request, answer: Answer | CatenaError) -> None:
        """A key answers what it answered first, or that it was used for something else."""
        first, told = self.first_answers[request.key]
        if first.payload != request.payload:
            assert isinstance(answer, IdempotencyKeyReused)
            return
        assert isinstance(answer, Answer)
        assert answer.refused == told.refused
        for result, again in zip(told.results, answer.results, strict=True):
            check_replay(result, again)

    # --- the two journals -----------------------------------------------------------------------

    async def _create_ledger(self) -> Ledger:
        for writer in WRITERS:
            self.pools.append(await open_pool(writer, self.database.service_dsn))
            self.journals.append(Journal(self.pools[-1], writer, system_clock))
        async with self.pools[0].acquire() as connection:
            id = new_id(LEDGER)
            await create_ledger(connection, id, "properties", {})
            return next(ledger for ledger in await list_ledgers(connection) if ledger.id == id)

    async def _gather(self, requests: Sequence[tuple[int, Request]]) -> Sequence[Any]:
        answered = []
        for writer, request in requests:
            answer = asyncio.get_running_loop().create_future()
            answered.append(answer)
            piece = Piece(
                request.operations,
                key=request.key,
                payload=request.payload,
                done=answer.set_result,
                atomic=request.atomic,
            )
            self.journals[writer].submit(self.ledger, piece)
        return await asyncio.gather(*answered)

    async def _read_moments(self, requests: Sequence[Request]) -> dict[str, Any]:
        rows = await self.pools[0].fetch(
            "SELECT key, created_at FROM idempotency"
            " WHERE ledger_id = $1 AND key = ANY($2::uuid[])",
            self.ledger.number,
            [request.key for request in requests],
        )
        return {row["key"].hex: row["created_at"] for row in rows}

    async def _check_balances(self) -> None:
        """Every balance is the naive one, and so is the ledger's position."""
        rows = await self.pools[0].fetch(
            "SELECT 'acct_' || replace(account_id::text, '-', '') AS id, debits, credits,"
            " line_count, status, floor, ceiling FROM balances WHERE ledger_id = $1",
            self.ledger.number,
        )
        assert {tuple(row) for row in rows} == {
            (id, *self.naive.totals(id), account.status, account.floor, account.ceiling)
            for id, account in self.naive.accounts.items()
        }
        position = await self.pools[0].fetchval(
            "SELECT position FROM positions WHERE ledger_id = $1", self.ledger.number
        )
        assert position == self.naive.position

    async def _close(self) -> None:
        for journal in self.journals:
            await journal.close()
        async with self.pools[0].acquire() as connection:
            findings = await verify(connection, self.ledger)
        for pool in self.pools:
            await pool.close()
        assert findings == []


def test_the_service_is_the_naive_ledger(database: Database) -> None:
    """Whatever two journals are asked, in turns or at once, they answer as if one at a time."""
    machine = type("OfThisTest", (Books,), {"database": database})
    examples = max(10, settings().max_examples // 5)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            # What two writers do is never the same twice, so there is nothing to shrink.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
