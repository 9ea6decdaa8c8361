"""Callers that hang up, and more work than a process may take: nothing is half done.

CATENA_LONG=1 does ten times as much of each.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from typing import Final

from tests.postgres import Database
from tests.stories.audit import check_books, check_replays
from tests.stories.bank import Bank, Order, connected, insist, open_bank
from tests.stories.processes import serving
from tests.stories.wire import Reply, Wire

TIMES: Final = 10 if os.environ.get("CATENA_LONG") == "1" else 1
CALLERS: Final = 8
CALLS: Final = 15 * TIMES
FLOOD: Final = 100

_log = logging.getLogger(__name__)


async def test_a_caller_that_hangs_up_changes_nothing(database: Database) -> None:
    """What was sent by someone who left at once is done once or not at all; its key tells.

    What was not sent to its end is not done.
    """
    draw = random.Random(7)
    async with (
        serving(database.service_dsn) as processes,
        open_bank(database.owner_dsn, processes[0], 16) as bank,
    ):
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                pair = [bank.speak_to(process) for process in processes]
                callers.create_task(_call_and_leave(bank, pair, random.Random(draw.random())))
        await check_replays(bank, processes, draw, keys=100)
    await check_books(database.owner_dsn, bank)
    assert bank.tally["done for nobody"] > 0
    _log.info("%s", dict(bank.tally))


async def test_too_much_work_is_refused_whole_and_can_be_sent_again(database: Database) -> None:
    """While nothing can be committed a full queue, and a long wait, end in 503 and Retry-After.

    Then none of it was done: each key takes effect when it is sent again.
    """
    draw = random.Random(8)
    limits = {"queue_operations": 30, "answer_seconds": 2.0, "database_lock_seconds": 0.5}
    async with (
        serving(database.service_dsn, count=1, **limits) as (process,),
        open_bank(database.owner_dsn, process, 16) as bank,
    ):
        wires = [bank.speak_to(process) for _ in range(FLOOD)]
        for _ in range(TIMES):
            orders = [bank.draw(draw) for _ in wires]
            async with connected(database.owner_dsn) as owner, owner.transaction():
                await owner.execute("SELECT FROM positions FOR UPDATE")
                pairs = zip(orders, wires, strict=True)
                replies = await asyncio.gather(*(bank.send(*pair) for pair in pairs))
            assert [_reason(bank, reply) for reply in replies] == ["overloaded"] * FLOOD
            # With nobody in the way the same flood is answered in the end, though some wait long.
            async with asyncio.TaskGroup() as callers:
                for order, wire in zip(orders, wires, strict=True):
                    callers.create_task(_send_again(bank, order, wire))
        await check_replays(bank, [process], draw, keys=100)
    await check_books(database.owner_dsn, bank)
    _log.info("%s", dict(bank.tally))


async def _call_and_leave(bank: Bank, wires: list[Wire], draw: random.Random) -> None:
    """Send an order, or two, or a part of one, and hang up; then ask the other process."""
    for _ in range(CALLS):
        here, there = draw.sample(wires, 2)
        orders = [bank.draw(draw) for _ in range(draw.randint(1, 2))]
        data = b"".join(bank.take_to(order, here) for order in orders)
        whole = draw.random() < 0.7
        if not whole:
            cut = draw.randint(1, len(data) - 1 if len(orders) == 1 else 100)
            data = data[:cut]
        await here.send_and_leave(data, reset=draw.random() < 0.5)
        for order in orders:
            reply = await bank.send(order, there)
            assert bank.record(order, reply), reply
            assert whole or not reply.replayed
            bank.tally["done for nobody"] += reply.replayed


async def _send_again(bank: Bank, order: Order, wire: Wire) -> None:
    reply = await insist(bank, order, [wire])
    assert not reply.replayed, "it was refused, and done"


def _reason(bank: Bank, reply: Reply) -> object:
    assert reply.status == 503, reply
    bank.tally["turned away"] += 1
    assert int(reply.headers["retry-after"]) > 0
    return reply.content["code"]
