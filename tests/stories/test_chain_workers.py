"""Workers beside an API without one, or one with no hands left: stopped, woken by hints."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import pytest

from catena.clock import monotonic
from catena.settings import Settings
from tests.postgres import Database
from tests.stories.bank import Bank, open_bank
from tests.stories.chain_audit import check_chain_books, check_chains, end_chains, read_chains
from tests.stories.chain_orders import (
    ChainOrder,
    insist_on_chain,
    make_sender,
    order_call,
    order_calls_at_once,
)
from tests.stories.chain_partner import Partner, run_partner
from tests.stories.processes import ApiProcess, WorkerProcess, running

CALLS: Final = 10
END_SECONDS: Final = 60.0
LONG_POLL_SECONDS: Final = 30.0
HINT_SECONDS: Final = 10.0
"""Far less than the poll, and generous on a busy machine."""

_SETTINGS: Final = {"allow_private_addresses": 1}

_log = logging.getLogger(__name__)


async def test_a_worker_that_is_told_to_stop_finishes_its_calls(database: Database) -> None:
    """After SIGTERM a worker sees its calls to their commits, takes no more, and ends in time.

    What it left, another one does; no call was made twice, and the exit code is 0.
    """
    api = ApiProcess(database.service_dsn, _SETTINGS, "--no-work")
    first, second = (
        WorkerProcess(database.service_dsn, {**_SETTINGS, "worker_calls": CALLS}) for _ in range(2)
    )
    async with (
        run_partner() as partner,
        running(api, first),
        open_bank(database.owner_dsn, api, 4) as bank,
    ):
        orders = await _order_calls(bank, api, partner, "held", 2 * CALLS)
        await _until_came(partner, CALLS)
        first.send(signal.SIGTERM)
        told = monotonic()
        await partner.open()
        assert await first.ended() == 0
        stopped = monotonic() - told
        finished = (await partner.read_effects()).effects
        states = await _read_states(bank, api, orders)
        async with running(second):
            await end_chains(bank.speak_to(api), END_SECONDS)
            await _check(database, bank, api, partner, orders)
        came = (await partner.read_effects()).came
    assert all(len(moments) == 1 for moments in came.values())
    assert CALLS <= states.count("completed") == len(finished)
    assert stopped < Settings().shutdown_seconds
    _log.info("stopped %.2f s after SIGTERM, %d of %d done", stopped, len(finished), 2 * CALLS)


async def test_calls_that_outlive_a_stop_are_taken_over(database: Database) -> None:
    """A worker whose partners do not answer ends all the same; another asks them again, and each
    has acted once.
    """
    settings = {**_SETTINGS, "shutdown_seconds": 1, "lease_seconds": 3, "call_seconds": 2}
    api = ApiProcess(database.service_dsn, settings, "--no-work")
    first, second = (WorkerProcess(database.service_dsn, settings) for _ in range(2))
    async with (
        run_partner() as partner,
        running(api, first),
        open_bank(database.owner_dsn, api, 4) as bank,
    ):
        orders = await _order_calls(bank, api, partner, "held", CALLS)
        await _until_came(partner, CALLS)
        first.send(signal.SIGTERM)
        told = monotonic()
        assert await first.ended() == 0
        stopped = monotonic() - told
        await partner.open()
        async with running(second):
            await end_chains(bank.speak_to(api), END_SECONDS)
            await _check(database, bank, api, partner, orders)
    _log.info("stopped %.2f s after SIGTERM, with all calls open", stopped)


async def test_a_hint_wakes_a_worker_at_once(database: Database) -> None:
    """An API without a worker has the steps of its chains run long before any worker would look."""
    api = ApiProcess(database.service_dsn, _SETTINGS, "--no-work")
    slow = {**_SETTINGS, "poll_seconds": LONG_POLL_SECONDS}
    async with (
        run_partner() as partner,
        running(api, WorkerProcess(database.service_dsn, slow)),
        open_bank(database.owner_dsn, api, 4) as bank,
    ):
        times = []
        for number in range(CALLS):
            started = monotonic()
            orders = await _order_calls(bank, api, partner, "approve", 1, first=number)
            await end_chains(bank.speak_to(api), HINT_SECONDS)
            times.append(monotonic() - started)
            await _check(database, bank, api, partner, orders, books=False)
    assert max(times) < HINT_SECONDS < LONG_POLL_SECONDS
    _log.info("with hints from %.3f to %.3f s", min(times), max(times))


async def test_calls_beside_each_other_are_made_once(database: Database) -> None:
    """A worker that takes several calls of a chain at once makes each of them once."""
    api = ApiProcess(database.service_dsn, _SETTINGS, "--no-work")
    async with (
        run_partner() as partner,
        running(api, WorkerProcess(database.service_dsn, _SETTINGS)),
        open_bank(database.owner_dsn, api, 4) as bank,
    ):
        send = make_sender(bank, [bank.speak_to(api)], asyncio.Event())
        draw = random.Random(0)
        orders = [
            order_calls_at_once(number, bank.wallets, draw, partner.url, 4)
            for number in range(CALLS)
        ]
        for order in orders:
            await insist_on_chain(order, send)
        await end_chains(bank.speak_to(api), END_SECONDS)
        chains = await read_chains([bank.speak_to(api)], orders)
        effects = await partner.read_effects()
        check_chains(orders, chains, effects)
    assert len(effects.came) == 4 * CALLS
    assert {len(moments) for moments in effects.came.values()} == {1}


@pytest.mark.parametrize("kind", [WorkerProcess, ApiProcess])
async def test_who_has_full_hands_tells_others(
    database: Database, kind: type[WorkerProcess | ApiProcess]
) -> None:
    """An API whose own worker has no hands left has another worker, or another API's, do the rest
    long before that would look.
    """
    slow = {**_SETTINGS, "poll_seconds": LONG_POLL_SECONDS}
    api = ApiProcess(database.service_dsn, {**slow, "worker_calls": 1})
    async with (
        run_partner() as partner,
        running(api, kind(database.service_dsn, slow)),
        open_bank(database.owner_dsn, api, 4) as bank,
    ):
        orders = await _order_calls(bank, api, partner, "held", 1)
        await _until_came(partner, 1)
        started = monotonic()
        orders += await _order_calls(bank, api, partner, "approve", CALLS, first=1)
        async with asyncio.timeout(HINT_SECONDS):
            while (await _read_states(bank, api, orders)).count("completed") < CALLS:
                await _pass(0.02)
        found = monotonic() - started
        await partner.open()
        await end_chains(bank.speak_to(api), END_SECONDS)
        await _check(database, bank, api, partner, orders)
    _log.info("%d calls of others took %.2f s", CALLS, found)


async def _order_calls(
    bank: Bank, api: ApiProcess, partner: Partner, word: str, count: int, first: int = 0
) -> list[ChainOrder]:
    draw = random.Random(first)
    send = make_sender(bank, [bank.speak_to(api)], asyncio.Event())
    orders = [
        order_call(number, bank.wallets, draw, partner.url, word)
        for number in range(first, first + count)
    ]
    for order in orders:
        await insist_on_chain(order, send)
    return orders


async def _until_came(partner: Partner, keys: int) -> None:
    """Wait until the partner was asked for so many keys."""
    while len((await partner.read_effects()).came) < keys:
        await _pass(0.02)


async def _pass(seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def _read_states(bank: Bank, api: ApiProcess, orders: Sequence[ChainOrder]) -> list[str]:
    chains = await read_chains([bank.speak_to(api)], orders)
    return [chain["state"] for chain in chains.values()]


async def _check(
    database: Database,
    bank: Bank,
    api: ApiProcess,
    partner: Partner,
    orders: Sequence[ChainOrder],
    *,
    books: bool = True,
) -> None:
    """All of them are completed, and the partner has acted once for each."""
    chains = await read_chains([bank.speak_to(api)], orders)
    assert {chain["state"] for chain in chains.values()} == {"completed"}
    effects = await partner.read_effects()
    assert [effects.of(str(order.chain), "charge", "forward") for order in orders] == [1] * len(
        orders
    )
    if books:
        check_chains(orders, chains, effects)
        await check_chain_books(database.owner_dsn, bank, orders, chains)
