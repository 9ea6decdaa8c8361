"""The bank: tellers write through two API processes while others read, and no cent goes astray.

CATENA_LONG=1 sends fifty times as many orders.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from typing import Final

import pytest

from tests.postgres import Database
from tests.stories.audit import check_books, check_replays, watch_snapshots
from tests.stories.bank import Bank, open_bank
from tests.stories.processes import serving
from tests.stories.wire import Wire

LONG: Final = os.environ.get("CATENA_LONG") == "1"
TELLERS: Final = 16
ORDERS: Final = 2000 if LONG else 40
READS: Final = 1000 if LONG else 30

_log = logging.getLogger(__name__)


@pytest.mark.parametrize(
    ("wallets", "hot", "seed"),
    [
        pytest.param(8, False, 1, id="8 wallets"),
        pytest.param(64, False, 2, id="64 wallets", marks=pytest.mark.long),
        pytest.param(64, True, 3, id="64 wallets, one of them hot"),
    ],
)
async def test_the_bank_keeps_its_money(
    database: Database, wallets: int, *, hot: bool, seed: int
) -> None:
    """Whatever 16 tellers order of two processes, each snapshot has all the money, no overdraft.

    Each order that was acknowledged is in the books once, each refused one never was.
    """
    draw = random.Random(seed)
    async with (
        serving(database.service_dsn) as processes,
        open_bank(database.owner_dsn, processes[0], wallets, private=4, hot=hot) as bank,
    ):
        wires = [[bank.speak_to(process) for process in processes] for _ in range(TELLERS + 2)]
        closing = asyncio.Event()
        async with asyncio.TaskGroup() as readers:
            read = [
                readers.create_task(watch_snapshots(database.owner_dsn, bank, closing))
                for _ in range(2)
            ]
            async with asyncio.TaskGroup() as tellers:
                for pair in wires[:TELLERS]:
                    tellers.create_task(_order(bank, pair, random.Random(draw.random())))
                tellers.create_task(_read_own_writes(bank, wires[-1], bank.private[:2]))
                tellers.create_task(_read_own_writes(bank, wires[-2][::-1], bank.private[2:]))
            closing.set()
        snapshots = [task.result() for task in read]
        assert min(snapshots) > 0
        await check_replays(bank, processes, draw, keys=200)
    await check_books(database.owner_dsn, bank)
    assert bank.tally["refused"] > 0
    _log.info("%d snapshots, %s", sum(snapshots), dict(bank.tally))


async def _order(bank: Bank, wires: list[Wire], draw: random.Random) -> None:
    """Order once, or twice one after the other, or twice at the same moment, here and there."""
    for _ in range(ORDERS):
        order = bank.draw(draw)
        here, there = draw.sample(wires, 2)
        (manner,) = draw.choices(("once", "again", "twins"), (8, 1, 1))
        if manner == "twins":
            replies = [*await asyncio.gather(bank.send(order, here), bank.send(order, there))]
            assert sorted(reply.replayed for reply in replies) == [False, True]
        else:
            replies = [await bank.send(order, here)]
            assert not replies[0].replayed
        if manner == "again":
            replies.append(await bank.send(order, there))
            assert replies[1].replayed
        for reply in replies:
            assert bank.record(order, reply), reply


async def _read_own_writes(bank: Bank, wires: list[Wire], pair: list[str]) -> None:
    """After a transfer is acknowledged by one process, a balance read from the other has it."""
    here, there = wires
    source, destination = pair
    for _ in range(READS):
        order = bank.order(bank.move(source, destination, 7))
        reply = await bank.send(order, here)
        assert bank.record(order, reply), reply
        balances = [await there.get(f"/v1/accounts/{id}/balance") for id in pair]
        moved = 7 * sum(move.source == pair[0] for move, _ in bank.posted if move.source in pair)
        back = 7 * sum(move.source == pair[1] for move, _ in bank.posted if move.source in pair)
        assert [balance.content["posted"] for balance in balances] == [
            bank.opening[pair[0]] - moved + back,
            bank.opening[pair[1]] + moved - back,
        ]
        assert all(balance.content["position"] >= reply.content["position"] for balance in balances)
        source, destination = destination, source
