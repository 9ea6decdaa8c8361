"""The rounds that a process makes for its banks: seal and deliver; fetch, store and take in.

Invariant: whatever goes wrong in a round, the next one begins anew from what is stored; one process
at a time fetches and reads of each bank, and another takes over when its lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Final

import structlog

from catena.db.bank_inbox import end_turn, extend_turn, take_turn
from catena.db.pool import is_lost
from catena.db.tasks import stop_task
from catena.errors import CatenaError
from catena.flows.bank.mailbox import fetch_files
from catena.flows.bank.rail import Rail
from catena.flows.bank.reading import read_files
from catena.flows.bank.sealing import deliver_due, seal_due

if TYPE_CHECKING:
    from catena.db.bank_inbox import Turn

__all__ = ["Rounds"]

_MAILBOX: Final = "mailbox"
_READING: Final = "reading"

_log = structlog.get_logger(__name__)


class Rounds:
    """The rounds of this process, for each bank that it is told of, until it is closed."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, rail: Rail) -> None:
        """Make them for this one, too."""
        for name, work in (("leave", _send), ("come", _receive)):
            task = asyncio.create_task(_keep(rail, work), name=f"bank {rail.name} {name}")
            self._tasks.append(task)

    async def close(self) -> None:
        """Stop: what was under way is begun anew by others."""
        await asyncio.gather(*(stop_task(task) for task in self._tasks))


async def _keep(rail: Rail, work: Callable[[Rail], Awaitable[None]]) -> None:
    """Make rounds until cancelled; a word that there is something to do begins one early."""
    while True:
        rail.wake.clear()
        try:
            await work(rail)
        except CatenaError as error:
            _log.warning("bank_round_failed", gateway=rail.name, error=error.code)
        except Exception as error:  # noqa: BLE001  # the next round tries again
            if not is_lost(error):
                _log.exception("bank_round_failed", gateway=rail.name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(rail.wake.wait(), rail.settings.bank_poll_seconds)


async def _send(rail: Rail) -> None:
    await seal_due(rail)
    await deliver_due(rail)


async def _receive(rail: Rail) -> None:
    await _in_turn(rail, _MAILBOX, fetch_files, rail.options.mailbox_seconds)
    await _in_turn(rail, _READING, read_files, 0.0)


async def _in_turn(
    rail: Rail,
    task: str,
    work: Callable[[Rail, Turn], Coroutine[object, object, int]],
    due_seconds: float,
) -> None:
    """Do it, unless somebody else is at it or it is not due yet; stop when somebody else is."""
    number, name = rail.ledger.number, rail.name
    async with rail.pool.acquire() as connection:
        turn = await take_turn(connection, number, name, task, rail.settings.bank_lease_seconds)
    if turn is None:
        return
    doing = asyncio.create_task(work(rail, turn))
    keeping = asyncio.create_task(_keep_turn(rail, turn))
    try:
        await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        await stop_task(keeping)
        await stop_task(doing)
        async with rail.pool.acquire() as connection:
            await end_turn(connection, number, name, turn, due_seconds)


async def _keep_turn(rail: Rail, turn: Turn) -> None:
    """Have the lease last as long as the work does; ends when the turn is somebody else's."""
    seconds, held = rail.settings.bank_lease_seconds, True
    while held:
        await asyncio.sleep(seconds / 3)
        async with rail.pool.acquire() as connection:
            held = await extend_turn(connection, rail.ledger.number, rail.name, turn, seconds)
