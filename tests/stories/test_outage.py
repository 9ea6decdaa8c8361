"""An API process whose database is away: it says so, does nothing wrong, and goes on by itself."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Final

from catena.clock import monotonic
from catena.db.embedded import start_embedded
from catena.db.migrate import migrate
from tests.stories.audit import check_books, check_replays
from tests.stories.bank import Bank, insist, open_bank
from tests.stories.processes import serving
from tests.stories.wire import Wire

ORDERS: Final = 20
AWAY: Final = {"database_unavailable", "outcome_unknown"}
SHUTDOWN_SECONDS: Final = 2
# Each of what is put away waits so long at most: requests, journal, connections.
STOPPED_SECONDS: Final = 3 * SHUTDOWN_SECONDS + 3


async def test_an_outage_is_told_and_ends_by_itself(data_dir: Path) -> None:
    """Without its database a process lives and answers 503; once that is back, it serves again.

    What was answered 503 meanwhile takes effect when it is sent again, and not before.
    """
    draw = random.Random(9)
    server = await asyncio.to_thread(start_embedded, data_dir)
    await migrate(server.owner_dsn)
    settings = {
        "answer_seconds": 1.0,
        "credential_cache_seconds": 60.0,  # so that work gets as far as the journal
        "shutdown_seconds": SHUTDOWN_SECONDS,
    }
    async with (
        serving(server.service_dsn, count=1, **settings) as (process,),
        open_bank(server.owner_dsn, process, 4) as bank,
    ):
        wires = [bank.speak_to(process) for _ in range(ORDERS)]
        orders = [bank.draw(draw) for _ in wires]
        await asyncio.to_thread(server.stop_immediately)
        pairs = list(zip(orders, wires, strict=True))
        for reply in await asyncio.gather(*(bank.send(*pair) for pair in pairs)):
            assert reply.status == 503
            assert reply.content["code"] in AWAY
            assert int(reply.headers["retry-after"]) > 0
        away = [await _read_status(wires[0], path) for path in _paths(bank)]
        server = await asyncio.to_thread(start_embedded, data_dir)
        back = [await _read_status(wires[0], path) for path in _paths(bank)]
        assert (away, back) == ([200, 503, 503, 503], [200, 200, 200, 200])
        for order, wire in pairs:
            reply = await bank.send(order, wire)
            assert bank.record(order, reply), reply
            assert not reply.replayed

        last = bank.draw(draw)
        await asyncio.to_thread(server.stop_immediately)
        sending = asyncio.create_task(insist(bank, last, wires[:1]))
        process.send(signal.SIGTERM)
        told = monotonic()
        assert await process.ended() == 0
        assert monotonic() - told < STOPPED_SECONDS
        server = await asyncio.to_thread(start_embedded, data_dir)
        await process.start()
        await sending
        await check_replays(bank, [process], draw, keys=ORDERS)
    await check_books(server.owner_dsn, bank)
    await asyncio.to_thread(server.stop)


def _paths(bank: Bank) -> list[str]:
    wallet = bank.wallets[0]
    return ["/livez", "/readyz", f"/v1/accounts/{wallet}/balance", f"/v1/accounts/{wallet}"]


async def _read_status(wire: Wire, path: str) -> int:
    return (await wire.get(path)).status
