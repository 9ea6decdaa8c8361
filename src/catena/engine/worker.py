"""A worker: takes due work from every ledger, and sees each piece of it to its commit.

Invariant: between taking a piece of work and its last commit, at most its lease passes, else others
have it. A hint wakes it early; what is due is found without any.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from catena.chains.answers import answer
from catena.chains.calls import begin
from catena.chains.machine import run
from catena.chains.needs import name_adapter
from catena.chains.reasons import tidy_answer
from catena.chains.step_types import Answer, Call, Catalogue, Outcome
from catena.clock import monotonic
from catena.db.pool import is_lost
from catena.db.work import Work, claim_work, find_due_ledgers, find_left
from catena.engine.stray import define_stray, stray_id
from catena.errors import CatenaError
from catena.journal import ChainResult, RunChain

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Connection, Pool
    from catena.journal import Journal
    from catena.journal.cards import Begun
    from catena.settings import Settings

__all__ = ["Worker"]

_REST_SECONDS: Final = 0.5
"""Pause after the database was lost."""

_LOOK_SECONDS: Final = 10.0
"""How often it is looked for work that this process leaves to others, at most."""

_log = structlog.get_logger(__name__)


class Worker:
    """The worker of this process. `find_ledger` gives a ledger by its number, `find_gateways` the
    names of those that this process knows of a ledger, by its id; `tell` those of other processes
    that there is work here which this one has no hands for.
    """

    def __init__(
        self,
        pool: Pool,
        journal: Journal,
        catalogue: Catalogue,
        find_ledger: Callable[[int], Awaitable[Ledger | None]],
        find_gateways: Callable[[str], Sequence[str]],
        settings: Settings,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._journal = journal
        self._catalogue = catalogue
        self._find_ledger = find_ledger
        self._find_gateways = find_gateways
        self._settings = settings
        self._tell = tell
        self._wake = asyncio.Event()
        self._left = False
        self._closing = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._left_to_others: set[tuple[str, str]] = set()
        self._look_at: dict[str, float] = {}
        self._task = asyncio.create_task(self._run(), name="worker")
        journal.on_work(self._hear)
        journal.give_calls(self)

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def _hear(self) -> None:
        """A commit of this process has left work."""
        self._left = True
        self._wake.set()

    def room(self) -> int:
        """How many calls it has hands for now."""
        return 0 if self._closing else max(0, self._settings.worker_calls - len(self._under_way))

    def knows(self, ledger_id: str, adapter: str) -> bool:
        """Whether it can make the calls that this takes, in this ledger."""
        return adapter in self._list_adapters(ledger_id)

    def _list_adapters(self, ledger_id: str) -> list[str]:
        """What it has for a ledger's work."""
        return [*self._catalogue.outside, *map(name_adapter, self._find_gateways(ledger_id))]

    def take(self, ledger: Ledger, begun: Begun) -> None:
        """Make a call whose intent is committed; one that comes too late others look up."""
        if self._closing:
            return
        call = begun.call
        work = Work(call.chain, call.step, begun.fence)
        self._go(self._seeing_to(work, self._make(ledger, work, call, begun.since)))

    async def close(self) -> None:
        """Take nothing more, and finish what is under way: its callers wait for no lease."""
        self._closing = True
        self.wake()
        await self._task
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            left, self._left = self._left, False
            try:
                took = await self._take_all()
            except Exception as error:  # noqa: BLE001  # whatever it is, others wait
                if not is_lost(error):
                    _log.exception("work_not_taken")
                await self._rest(_REST_SECONDS)
                continue
            if left and not self.room():  # never passed on: what others told, others hear
                self._tell()
            if not took:
                await self._rest(self._settings.poll_seconds)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _take_all(self) -> int:
        """Take what fits from every ledger; gives how much it was."""
        took = 0
        if not self.room():
            return took
        async with self._pool.acquire() as connection:
            due = await find_due_ledgers(connection)
        for number in due:
            ledger = await self._find_ledger(number)
            room = self.room()
            if ledger is None or not room:
                continue
            adapters = self._list_adapters(ledger.id)
            async with self._pool.acquire() as connection:
                lease = self._settings.lease_seconds
                taken = await claim_work(connection, number, room, lease, adapters)
                if len(taken) < room:
                    await self._tell_left(connection, ledger, adapters)
            for work in taken:
                self._go(self._seeing_to(work, self._do(ledger, work)))
            took += len(taken)
        return took

    async def _tell_left(
        self, connection: Connection, ledger: Ledger, adapters: Sequence[str]
    ) -> None:
        """Say once that there is work of which this process knows nothing; look now and then."""
        now = monotonic()
        if now < self._look_at.get(ledger.id, now):
            return
        self._look_at[ledger.id] = now + _LOOK_SECONDS
        for adapter in await find_left(connection, ledger.number, adapters):
            if (ledger.id, adapter) not in self._left_to_others:
                self._left_to_others.add((ledger.id, adapter))
                _log.warning("work_left_to_others", ledger=ledger.id, adapter=adapter)

    def _go(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not self.room():  # there may be work that was left for want of hands
            self._wake.set()
        self._under_way.discard(task)

    async def _seeing_to(self, work: Work, doing: Coroutine[object, object, None]) -> None:
        """See a piece of work to its end. What fails here is due again when its lease ends."""
        try:
            await doing
        except (CatenaError, OSError) as error:
            _log.warning("work_failed", chain=work.chain, step=work.step, error=str(error))
        except Exception:  # noqa: BLE001  # it is due again when its lease ends
            _log.exception("work_failed", chain=work.chain, step=work.step)

    async def _do(self, ledger: Ledger, work: Work) -> None:
        """Do what is due: let the chain's clock decide, or begin a call and make it."""
        if not work.step:
            await self._journal.ask(ledger, RunChain(work.chain, run, (work.step, work.fence)))
            return
        began = monotonic()
        act = partial(begin, step=work.step)
        begun = RunChain(work.chain, act, (work.step, work.fence))
        result = await self._journal.ask(ledger, begun)
        if isinstance(result, ChainResult) and isinstance(result.value, Call):
            await self._make(ledger, work, result.value, began)

    async def _make(self, ledger: Ledger, work: Work, call: Call, began: float) -> None:
        """Make a call whose intent is committed, and commit its answer."""
        found = await self._call(call, began)
        act = partial(
            answer, step=call.step, direction=call.direction, attempt=call.attempt, found=found
        )
        undoes = found.outcome is not Outcome.APPROVED
        define = partial(define_stray, call=call, found=found, catalogue=self._catalogue)
        stray = (stray_id(call), define)
        operation = RunChain(call.chain, act, (work.step, work.fence), undoes=undoes, stray=stray)
        await self._journal.ask(ledger, operation)

    async def _call(self, call: Call, began: float) -> Answer:
        """Call the partner, with no transaction open. Whatever happens is an answer."""
        outside = self._catalogue.outside.get(call.type)
        if outside is None:
            return Answer(Outcome.UNKNOWN, code="unknown_step_type")  # another worker may know it
        left = call.timeout_seconds - (monotonic() - began)
        if left <= 0:  # no attempt of its policy is spent on our own being late
            return Answer(Outcome.UNKNOWN, code="not_sent")
        try:
            async with asyncio.timeout(left):
                return tidy_answer(await outside.call(call._replace(timeout_seconds=left)))
        except TimeoutError:
            return Answer(Outcome.UNKNOWN, code="timeout")
        except Exception:  # noqa: BLE001  # a plugin's defect is no answer of its partner's
            _log.exception("step_type_failed", type=call.type, chain=call.chain, step=call.step)
            return Answer(Outcome.UNKNOWN, code="step_type_failed")
