"""API processes that are frozen, or told to stop, in the middle of load.

CATENA_LONG=1 freezes and stops ten times as often.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Sequence
from typing import Final

import asyncpg

from catena.clock import monotonic
from catena.db.embedded import EmbeddedPostgres
from catena.db.embedded.cluster import ADMIN
from catena.settings import Settings
from tests.postgres import Database
from tests.stories.audit import check_books, check_replays
from tests.stories.bank import Bank, connected, insist, open_bank
from tests.stories.processes import ApiProcess, serving
from tests.stories.wire import Wire

TIMES: Final = 20 if os.environ.get("CATENA_LONG") == "1" else 2
TRIES: Final = 50 * TIMES
TELLERS: Final = 4
LOCK_SECONDS: Final = 1.0
A_LITTLE_SECONDS: Final = 3.0
"""For what is slow on a busy machine."""

_IDLE_WITH_LOCKS: Final = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND state = 'idle in transaction'
   AND backend_xid IS NOT NULL AND clock_timestamp() - state_change > interval '300 ms'"""

_log = logging.getLogger(__name__)


async def test_a_frozen_process_holds_nobody_up_for_long(
    postgres_server: EmbeddedPostgres, database: Database
) -> None:
    """While a process is frozen with locks in its hand, another waits for no longer than is set.

    When it is thawed it finishes what it had begun, and does nothing twice.
    """
    draw = random.Random(5)
    waits: list[float] = []
    async with (
        serving(database.service_dsn, database_lock_seconds=LOCK_SECONDS) as processes,
        open_bank(database.owner_dsn, processes[0], 4) as bank,
        connected(postgres_server.dsn(ADMIN, database.name)) as admin,
    ):
        closing = asyncio.Event()
        async with asyncio.TaskGroup() as tellers:
            for process in processes * TELLERS:
                wires = [bank.speak_to(process)]
                tellers.create_task(_order(bank, wires, random.Random(draw.random()), closing))
            for _ in range(TRIES):
                if len(waits) == TIMES:
                    break
                await bank.reach(draw.randint(1, 20))
                processes[0].send(signal.SIGSTOP)
                frozen = monotonic()
                others = asyncio.create_task(bank.reach(20))
                if await _holds_locks(admin, others):
                    async with asyncio.timeout(LOCK_SECONDS + A_LITTLE_SECONDS):
                        await others
                    waited = monotonic() - frozen
                    # Less, and it was a process that is merely slow on a busy machine.
                    if waited > LOCK_SECONDS / 2:
                        waits.append(waited)
                processes[0].send(signal.SIGCONT)
                # Whoever was frozen goes on too, and not only the others.
                await _order_once(bank, processes[0], draw)
            closing.set()
        await check_replays(bank, processes, draw, keys=100)
    await check_books(database.owner_dsn, bank)
    assert len(waits) == TIMES
    _log.info("longest wait %.2f s, %s", max(waits), dict(bank.tally))


async def test_a_process_that_is_told_to_stop_answers_what_it_took(database: Database) -> None:
    """After SIGTERM each request is answered or was never begun, and the process ends in time.

    Its exit code is 0.
    """
    draw = random.Random(6)
    async with (
        serving(database.service_dsn) as processes,
        open_bank(database.owner_dsn, processes[1], 8) as bank,
    ):
        stopped = processes[0]
        slowest = 0.0
        for _ in range(TIMES):
            async with asyncio.TaskGroup() as tellers:
                for _ in range(2 * TELLERS):
                    pair = [bank.speak_to(process) for process in processes]
                    tellers.create_task(_order_until_cut(bank, pair, random.Random(draw.random())))
                await bank.reach(draw.randint(20, 100))
                stopped.send(signal.SIGTERM)
                told = monotonic()
                assert await stopped.ended() == 0
                slowest = max(slowest, monotonic() - told)
            await stopped.start()
        await check_replays(bank, processes, draw, keys=100)
    assert slowest < Settings().shutdown_seconds
    await check_books(database.owner_dsn, bank)
    assert bank.tally["cut off"] > 0
    _log.info("slowest stop %.2f s, %s", slowest, dict(bank.tally))


async def _order(
    bank: Bank, wires: Sequence[Wire], draw: random.Random, closing: asyncio.Event
) -> None:
    while not closing.is_set():
        await insist(bank, bank.draw(draw), wires)


async def _order_once(bank: Bank, process: ApiProcess, draw: random.Random) -> None:
    wire = bank.speak_to(process)
    order = bank.draw(draw)
    await insist(bank, order, [wire])


async def _order_until_cut(bank: Bank, wires: Sequence[Wire], draw: random.Random) -> None:
    """Order of the first process until it goes; what it left unanswered, the second has not seen.

    A replay would mean that it took effect and nobody was told.
    """
    first, second = wires
    while True:
        order = bank.draw(draw)
        try:
            reply = await bank.send(order, first)
        except ConnectionError:
            bank.tally["cut off"] += 1
            reply = await bank.send(order, second)
            assert not reply.replayed, "it took effect, and was not answered"
            assert bank.record(order, reply), reply
            break
        assert bank.record(order, reply), reply


async def _holds_locks(
    admin: asyncpg.Connection[asyncpg.Record], others: asyncio.Task[None]
) -> bool:
    """Whether somebody who does not move holds locks; False when the others go on meanwhile."""
    while not others.done():
        if await admin.fetchval(_IDLE_WITH_LOCKS):
            return True
    return False
