"""Crashes while chains run: workers, the API and PostgreSQL die or freeze at random instants, and
nobody's money or partner notices.

The database is durable, as it is by default. CATENA_LONG=1: 100 faults while 1,000 chains run, and
1,000 chains are taken over from a worker that is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from catena.clock import monotonic
from catena.db.embedded import EmbeddedPostgres, start_embedded
from catena.db.migrate import migrate
from tests.postgres import Database
from tests.stories.bank import Bank, insist, open_bank
from tests.stories.chain_audit import check_chain_books, check_chains, end_chains, read_chains
from tests.stories.chain_orders import (
    SHAPES,
    ChainOrder,
    draw_order,
    insist_on_chain,
    make_sender,
    order_call,
)
from tests.stories.chain_partner import Partner, run_partner
from tests.stories.processes import ApiProcess, CatenaProcess, WorkerProcess, running

LONG: Final = os.environ.get("CATENA_LONG") == "1"
FAULTS: Final = 100 if LONG else 4
CHAINS: Final = 1_000 if LONG else 60
SEED: Final = int(os.environ.get("CATENA_SEED", "7"))
CLIENTS: Final = 8
OUTSIDERS: Final = 2
LEASE_SECONDS: Final = 1.0
WORKER_CALLS: Final = 16
"""As many as a busy machine sees to within one lease; with more, workers take from each other."""
END_SECONDS: Final = 60.0

TAKEN_OVER: Final = 1_000 if LONG else 50
TAKEOVER_LEASE_SECONDS: Final = 15.0 if LONG else 3.0
TAKEOVER_SECONDS: Final = 30.0
"""For what is slow on a busy machine, after the leases have ended."""

_log = logging.getLogger(__name__)


async def test_whatever_dies_chains_end_and_nothing_happens_twice(data_dir: Path) -> None:
    """Once faults stop, every chain ends; what it declared has moved, or nothing; and the partner
    did each part once, and undid once what belongs to a chain that was rolled back.
    """
    draw = random.Random(SEED)
    async with (
        run_partner() as partner,
        _running_town(data_dir) as town,
        open_bank(town.server.owner_dsn, town.api, 16) as bank,
    ):
        orders = await _live_through_faults(bank, town, partner, draw)
        wires = [bank.speak_to(town.api) for _ in range(CLIENTS)]
        waited = await end_chains(wires[0], END_SECONDS)
        await _check_same_answers(bank, town, draw.sample(orders, min(100, CHAINS)))
        chains = await read_chains(wires, orders)
        ends = check_chains(orders, chains, await partner.read_effects())
        await check_chain_books(town.server.owner_dsn, bank, orders, chains)
    assert len(orders) == CHAINS
    assert sum(town.faults.values()) == FAULTS
    completed = sum(chain["state"] == "completed" for chain in chains.values())
    assert completed > CHAINS // 3
    _log.info("%s, all ended %.2f s after the last", dict(town.faults), waited)
    _log.info("%s, %s", dict(sorted(ends.items())), dict(bank.tally))


async def test_the_work_of_a_killed_worker_is_taken_over(database: Database) -> None:
    """Calls whose worker is killed are asked about by another one as soon as their leases end.

    The partner, which was asked twice, acted once.
    """
    draw = random.Random(8)
    settings = {
        "allow_private_addresses": 1,
        "lease_seconds": TAKEOVER_LEASE_SECONDS,
        "call_seconds": TAKEOVER_LEASE_SECONDS * 0.9,
        "worker_calls": TAKEN_OVER,
        "outside_connections": TAKEN_OVER,
    }
    api = ApiProcess(database.service_dsn, settings, "--no-work")
    first, second = (WorkerProcess(database.service_dsn, settings) for _ in range(2))
    async with (
        run_partner() as partner,
        running(api, second),
        open_bank(database.owner_dsn, api, 16) as bank,
    ):
        # The other one has no part in it until its turn comes.
        second.send(signal.SIGSTOP)
        orders = [
            order_call(number, bank.wallets, draw, partner.url, "held")
            for number in range(TAKEN_OVER)
        ]
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(_create_all(bank, api, orders[number::CLIENTS]))
        async with running(first):
            began = monotonic()
            await _until_asked(partner, TAKEN_OVER, after=0)
            second.send(signal.SIGCONT)
            await first.kill()
            killed = monotonic()
        async with asyncio.timeout(TAKEOVER_LEASE_SECONDS + TAKEOVER_SECONDS):
            await _until_asked(partner, TAKEN_OVER, after=killed)
        came = (await partner.read_effects()).came
        last = max(min(moment for moment in times if moment > killed) for times in came.values())
        await partner.open()
        await end_chains(bank.speak_to(api), END_SECONDS)
        chains = await read_chains([bank.speak_to(api)], orders)
        check_chains(orders, chains, await partner.read_effects())
        await check_chain_books(database.owner_dsn, bank, orders, chains)
    assert {chain["state"] for chain in chains.values()} == {"completed"}
    _log.info("%d calls were out after %.2f s", TAKEN_OVER, killed - began)
    _log.info(
        "taken over %.2f s after the kill, leases %g s", last - killed, TAKEOVER_LEASE_SECONDS
    )


# --- the town ---------------------------------------------------------------------------------


@dataclass
class _Town:
    """Where the bank is: an API process that works too, two workers, and their database."""

    data_dir: Path
    server: EmbeddedPostgres
    api: ApiProcess
    workers: list[CatenaProcess]
    wanted: asyncio.Queue[ChainOrder | None] = field(default_factory=asyncio.Queue)
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    faults: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def _running_town(data_dir: Path) -> AsyncIterator[_Town]:
    server = await asyncio.to_thread(start_embedded, data_dir)
    await migrate(server.owner_dsn)
    settings = {
        "allow_private_addresses": 1,
        "lease_seconds": LEASE_SECONDS,
        "call_seconds": LEASE_SECONDS * 0.9,
        "worker_calls": WORKER_CALLS,
        "poll_seconds": 0.1,
    }
    api = ApiProcess(server.service_dsn, settings)
    workers: list[CatenaProcess] = [WorkerProcess(server.service_dsn, settings) for _ in range(2)]
    town = _Town(data_dir, server, api, workers)
    async with running(api, *workers):
        yield town
    await asyncio.to_thread(town.server.stop)


async def _live_through_faults(
    bank: Bank, town: _Town, partner: Partner, draw: random.Random
) -> list[ChainOrder]:
    """Want some chains before each fault, until all of both have been; gives the chains."""
    orders: list[ChainOrder] = []
    faults = [*_FAULTS, _kill_all] * (FAULTS // 5) if LONG else [*_FAULTS]
    draw.shuffle(faults)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(_create(bank, town))
        for _ in range(OUTSIDERS):
            group.create_task(_move(bank, town, random.Random(draw.random())))
        for number, fault in enumerate(faults, 1):
            for wanted in range(len(orders), CHAINS * number // FAULTS):
                order = draw_order(wanted, bank.wallets, draw, partner.url, SHAPES)
                orders.append(order)
                town.wanted.put_nowait(order)
            await _pass(asyncio.Event(), draw.uniform(0, 0.5))
            town.whole.clear()
            await fault(town, draw)
            town.whole.set()
        for _ in range(CLIENTS):
            town.wanted.put_nowait(None)
        town.closing.set()
    return orders


async def _create(bank: Bank, town: _Town) -> None:
    """Create one wanted chain after the other."""
    send = make_sender(bank, [bank.speak_to(town.api)], town.whole)
    while (order := await town.wanted.get()) is not None:
        await insist_on_chain(order, send)


async def _create_all(bank: Bank, api: ApiProcess, orders: list[ChainOrder]) -> None:
    send = make_sender(bank, [bank.speak_to(api)], asyncio.Event())
    for order in orders:
        await insist_on_chain(order, send)


async def _move(bank: Bank, town: _Town, draw: random.Random) -> None:
    """Move money on the same wallets, as somebody who knows of no chain."""
    wires = [bank.speak_to(town.api)]
    while not town.closing.is_set():
        await insist(bank, bank.draw(draw), wires, town.whole)
        await _pass(town.closing, 0.02)


async def _check_same_answers(bank: Bank, town: _Town, orders: list[ChainOrder]) -> None:
    """Each key still names the chain that it made."""
    send = make_sender(bank, [bank.speak_to(town.api)], asyncio.Event())
    for order in orders:
        reply = await send("/v1/chains", order.body, order.key)
        assert reply.replayed
        assert reply.content["id"] == order.chain


async def _until_asked(partner: Partner, keys: int, after: float) -> None:
    """Wait until the partner was asked after this moment for each of so many keys."""
    while True:
        came = (await partner.read_effects()).came
        if len(came) == keys and all(moments[-1] > after for moments in came.values()):
            break
        await _pass(asyncio.Event(), 0.2)


async def _pass(unless: asyncio.Event, seconds: float) -> None:
    """Let others go on for so long."""
    with suppress(TimeoutError):
        await asyncio.wait_for(unless.wait(), seconds)


# --- faults -----------------------------------------------------------------------------------

_Fault = Callable[[_Town, random.Random], Awaitable[None]]


async def _kill_worker(town: _Town, draw: random.Random) -> None:
    """SIGKILL a worker, and start it again."""
    town.faults["SIGKILL of a worker"] += 1
    victim = draw.choice(town.workers)
    await victim.kill()
    await victim.start()


async def _kill_api(town: _Town, _: random.Random) -> None:
    """SIGKILL the API process with the worker in it, and start it again."""
    town.faults["SIGKILL of the API"] += 1
    await town.api.kill()
    await town.api.start()


async def _freeze(town: _Town, draw: random.Random) -> None:
    """SIGSTOP any process until others have its work, and let it go on: a zombie."""
    town.faults["freeze beyond the lease"] += 1
    victim = draw.choice([town.api, *town.workers])
    victim.send(signal.SIGSTOP)
    await _pass(asyncio.Event(), LEASE_SECONDS * draw.uniform(1.2, 2.5))
    victim.send(signal.SIGCONT)


async def _stop_postgres(town: _Town, _: random.Random) -> None:
    """Stop PostgreSQL without a checkpoint, and start it again."""
    town.faults["immediate stop of PostgreSQL"] += 1
    await asyncio.to_thread(town.server.stop_immediately)
    town.server = await asyncio.to_thread(start_embedded, town.data_dir)


async def _kill_all(town: _Town, _: random.Random) -> None:
    """SIGKILL every process of ours, and start all of them again."""
    town.faults["SIGKILL of everybody"] += 1
    everybody = [town.api, *town.workers]
    await asyncio.gather(*(process.kill() for process in everybody))
    await asyncio.gather(*(process.start() for process in everybody))


_FAULTS: Final[Sequence[_Fault]] = (_kill_worker, _freeze, _stop_postgres, _kill_api)
