"""Waiting for chains to move: one poll for all who wait, and `Prefer: wait`.

Invariant: what is told is what the database says; a hint only has it asked sooner. Nobody waits
longer than a bound, and nobody once the process stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.requests import Request

from catena.api.chain_views import view_chain
from catena.api.requests import app_of, identify, run_write
from catena.api.views import encode
from catena.api.writes import REPLAYED, Reply, Write
from catena.db.pool import is_lost
from catena.db.read.chains import read_chain, read_numbers
from catena.ids import CHAIN, parse_id
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.app import App

__all__ = ["Watchers", "close_watchers", "run_and_wait", "watchers_of"]

_log = structlog.get_logger(__name__)

_Place = tuple[int, str]
"""A ledger's number, and a chain's id."""


class Watchers:
    """Who waits for chains in this process, and the task that looks for all of them."""

    def __init__(self, app: App) -> None:
        self._pool = app.pool
        self._poll_seconds = app.settings.watch_seconds
        self._waiting: dict[_Place, list[tuple[int, asyncio.Future[None]]]] = {}
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.streams = 0
        self.closing = False
        app.journal.on_work(self._hint.set)

    async def wait(self, ledger: int, chain: str, number: int, seconds: float) -> bool:
        """Wait until the chain's history is longer than `number` events; False when it is not after
        so many seconds.
        """
        if self.closing:
            return True
        moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((ledger, chain), [])
        waiting.append((number, moved))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="watch chains")
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(moved, seconds)
        finally:
            waiting.remove((number, moved))
            if not waiting and self._waiting.get((ledger, chain)) is waiting:
                del self._waiting[ledger, chain]
        return moved.done() and not moved.cancelled()

    def close(self) -> None:
        """Have everybody go: the process stops."""
        self.closing = True
        for waiting in self._waiting.values():
            for _, moved in waiting:
                _wake(moved)

    async def _run(self) -> None:
        while self._waiting:
            self._hint.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  # it is asked again, or the waits end
                if not is_lost(error):
                    _log.exception("chains_not_watched")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hint.wait(), self._poll_seconds)

    async def _look(self) -> None:
        async with self._pool.acquire() as connection:
            for ledger in {ledger for ledger, _ in self._waiting}:
                ids = [chain for number, chain in self._waiting if number == ledger]
                for chain, reached in (await read_numbers(connection, ledger, ids)).items():
                    for number, moved in self._waiting.get((ledger, chain), ()):
                        if reached > number:
                            _wake(moved)


def _wake(moved: asyncio.Future[None]) -> None:
    if not moved.done():
        moved.set_result(None)


def watchers_of(request: Request) -> Watchers:
    """Those of the process that serves this request."""
    state = request.app.state
    if not hasattr(state, "watchers"):
        state.watchers = Watchers(app_of(request))
    watchers: Watchers = state.watchers
    return watchers


def close_watchers(state: Any) -> None:  # noqa: ANN401  # of an application
    """Have nobody wait any longer in the process whose state this is."""
    if hasattr(state, "watchers"):
        state.watchers.close()


_WAIT: Final = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)
_APPLIED: Final = (b"preference-applied", b"wait")


def _read_wait(request: Request) -> int:
    """The seconds that the request would wait; 0 when it does not say so in a way we know."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        found = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if found is not None:
            return min(int(found[1]), LIMITS.wait_seconds)
    return 0


async def run_and_wait(request: Request, write: Write) -> Reply:
    """Do what a route does to a chain; where asked to, answer when the chain has ended.

    What the key remembers is the first answer all the same, and it is repeated without a wait. It
    is the answer too where waiting fails: what is committed is no error.
    """
    reply = await run_write(request, write)
    seconds = _read_wait(request)
    if reply.status != 202 or not seconds or REPLAYED in reply.headers:  # noqa: PLR2004  # Accepted
        return reply
    try:
        return await _wait_for_end(request, write, reply, seconds)
    except Exception as error:  # noqa: BLE001  # whatever it is, the effect is there
        if not is_lost(error):
            _log.exception("chain_not_waited_for")
        return reply


async def _wait_for_end(request: Request, write: Write, reply: Reply, seconds: int) -> Reply:
    """The chain at its end, or as it stands when the time is over."""
    location = dict(reply.headers)[b"location"].decode()
    id = parse_id(CHAIN, location.rpartition("/")[2])
    context = await identify(request)
    app, number, watchers = app_of(request), context.ledger.number, watchers_of(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        async with app.pool.acquire() as connection:
            chain = await read_chain(connection, number, id)
        left = deadline - loop.time()
        if chain is None or chain.is_ended or left <= 0 or watchers.closing:
            break
        await watchers.wait(number, id, chain.number, left)
    if chain is None:
        return reply
    ended = 201 if write.name == "create_chain" else 200
    body = encode(view_chain(chain, context.ledger.id))
    headers = (*reply.headers, _APPLIED)
    return Reply(ended if chain.is_ended else 202, body, headers)
