"""Crashes under load: API processes and PostgreSQL die at random instants, and nothing is lost.

The database is durable, as it is by default. CATENA_LONG=1 crashes fifty times.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Final

from catena.clock import monotonic
from catena.db.embedded import EmbeddedPostgres, start_embedded
from catena.db.migrate import migrate
from tests.stories.audit import check_books, check_replays
from tests.stories.bank import Bank, insist, open_bank
from tests.stories.processes import ApiProcess, serving
from tests.stories.wire import Wire

LONG: Final = os.environ.get("CATENA_LONG") == "1"
CRASHES: Final = 50 if LONG else 5
TELLERS: Final = 8
CARRY_ON_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


async def test_crashes_lose_nothing_and_repeat_nothing(data_dir: Path) -> None:
    """Whatever is killed, what was acknowledged is there once, and every key keeps its answer.

    An API process outlives its database and goes on by itself; one that is started again, at once.
    """
    draw = random.Random(4)
    server = await asyncio.to_thread(start_embedded, data_dir)
    await migrate(server.owner_dsn)
    async with (
        serving(server.service_dsn) as processes,
        open_bank(server.owner_dsn, processes[0], 16) as bank,
    ):
        town = _Town(data_dir, server, processes)
        async with asyncio.TaskGroup() as tellers:
            for _ in range(TELLERS):
                tellers.create_task(_order(bank, town, random.Random(draw.random())))
            crashes = [*_CRASHES] * (CRASHES // len(_CRASHES) + 1)
            for crash in draw.sample(crashes, CRASHES) if LONG else _CRASHES:
                await _reach_some_instant(bank, draw)
                town.whole.clear()
                await crash(town, draw)
                town.whole.set()
                await _carry_on(bank, town)
            town.closing.set()
        await check_replays(bank, processes, draw, keys=100)
    await check_books(server.owner_dsn, bank)
    await asyncio.to_thread(town.server.stop)
    assert sum(town.crashes.values()) == CRASHES
    _log.info("%s, %s, slowest %.2f s", dict(town.crashes), dict(bank.tally), town.slowest)


class _Town:
    """Where the bank is: two API processes, their database, and what has happened to them."""

    def __init__(
        self, data_dir: Path, server: EmbeddedPostgres, processes: list[ApiProcess]
    ) -> None:
        self.data_dir = data_dir
        self.server = server
        self.processes = processes
        self.closing = asyncio.Event()
        self.whole = asyncio.Event()
        self.whole.set()
        self.crashes: Counter[str] = Counter()
        self.slowest = 0.0


async def _order(bank: Bank, town: _Town, draw: random.Random) -> None:
    """Order one thing after the other, each until it is answered for good."""
    wires = [bank.speak_to(process) for process in town.processes]
    while not town.closing.is_set():
        await insist(bank, bank.draw(draw), draw.sample(wires, 2), town.whole)


async def _reach_some_instant(bank: Bank, draw: random.Random) -> None:
    """Let so many more orders be answered, and then some milliseconds pass."""
    await bank.reach(draw.randint(20, 200))
    instant = asyncio.Event()
    asyncio.get_running_loop().call_later(draw.uniform(0, 0.03), instant.set)
    await instant.wait()


async def _kill_process(town: _Town, draw: random.Random) -> None:
    """SIGKILL an API process, and start it again."""
    town.crashes["SIGKILL of an API process"] += 1
    victim = draw.choice(town.processes)
    await victim.kill()
    await victim.start()


async def _stop_postgres(town: _Town, _: random.Random) -> None:
    """Stop PostgreSQL without a checkpoint, and start it again."""
    town.crashes["immediate stop of PostgreSQL"] += 1
    await asyncio.to_thread(town.server.stop_immediately)
    town.server = await asyncio.to_thread(start_embedded, town.data_dir)


async def _restart_postgres(town: _Town, _: random.Random) -> None:
    """Stop PostgreSQL as for an upgrade, which ends every session, and start it again."""
    town.crashes["restart of PostgreSQL"] += 1
    assert await asyncio.to_thread(town.server.stop)
    town.server = await asyncio.to_thread(start_embedded, town.data_dir)


async def _kill_postmaster(town: _Town, _: random.Random) -> None:
    """SIGKILL PostgreSQL's first process, and start it again when the others have noticed."""
    town.crashes["SIGKILL of the postmaster"] += 1
    dead = town.server
    os.kill(dead.pid, signal.SIGKILL)
    town.server = await asyncio.to_thread(start_embedded, town.data_dir)
    assert not await asyncio.to_thread(dead.stop)


async def _kill_everything(town: _Town, _: random.Random) -> None:
    """SIGKILL both API processes and stop PostgreSQL at once; start all of them again."""
    town.crashes["everything at once"] += 1
    await asyncio.gather(
        asyncio.to_thread(town.server.stop_immediately),
        *(process.kill() for process in town.processes),
    )
    town.server = await asyncio.to_thread(start_embedded, town.data_dir)
    await asyncio.gather(*(process.start() for process in town.processes))


_CRASHES: Final = (
    _kill_process,
    _stop_postgres,
    _restart_postgres,
    _kill_postmaster,
    _kill_everything,
)


async def _carry_on(bank: Bank, town: _Town) -> None:
    """Everything is there again: each process does the first thing that it is asked for."""
    started = monotonic()
    source, destination = bank.wallets[:2]
    for process in town.processes:
        wire: Wire = bank.speak_to(process)
        order = bank.order(bank.move(source, destination, 1))
        async with asyncio.timeout(CARRY_ON_SECONDS):
            reply = await bank.send(order, wire)
        assert bank.record(order, reply), reply
    town.slowest = max(town.slowest, monotonic() - started)
