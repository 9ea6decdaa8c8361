"""Waiting for chains to move: one poll for all who wait, and `Prefer: wait`.

Invariant: what is told is what the database says; a hint only has it asked sooner. Nobody waits
longer than a bound, and nobody once the process stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.requests import Request

from catena.api.chain_views import view_chain
from catena.api.requests import app_of, identify, run_write
from catena.api.views import encode
from catena.api.writes import Context, Reply, Write
from catena.chains.chain import Chain
from catena.db.pool import is_lost
from catena.db.read.chains import read_chain, read_numbers
from catena.ids import CHAIN, parse_id
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.app import App
    from catena.journal.attempt import Attempt

__all__ = ["Watchers", "close_watchers", "run_and_wait", "watchers_of"]

_log = structlog.get_logger(__name__)

_Place = tuple[int, str]
"""A ledger's number, and a chain's id."""


class Watch:
    """Somebody who waits for a chain. `for_end`: nothing before its end is of interest.

    It is there before the chain is read, so that no move is missed between. What comes before it is
    found by the next look.
    """

    __slots__ = ("_changed", "_for_end", "_reached")

    def __init__(self, *, for_end: bool) -> None:
        self._for_end = for_end
        self._reached = 0
        self._changed = asyncio.Event()

    def tell(self, number: int, *, ended: bool) -> None:
        """The chain has come to this event."""
        if number > self._reached and (ended or not self._for_end):
            self._reached = number
            self._changed.set()

    def wake(self) -> None:
        """Look again, whatever has happened."""
        self._changed.set()

    async def pass_by(self, number: int, seconds: float) -> bool:
        """Wait until the history is longer than `number` events; False when it is not after so many
        seconds.
        """
        if self._reached > number:
            return True
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        return self._changed.is_set()


class Watchers:
    """Who waits for chains in this process. Commits of this process tell them; those of others are
    looked for.
    """

    def __init__(self, app: App) -> None:
        self._pool = app.pool
        self._poll_seconds = app.settings.watch_seconds
        self._waiting: dict[_Place, list[Watch]] = {}
        self._task: asyncio.Task[None] | None = None
        self.streams = 0
        self.closing = False
        app.journal.on_moves(self._hear)

    @contextmanager
    def watch(self, ledger: int, chain: str, *, for_end: bool = False) -> Iterator[Watch]:
        """Watch a chain, until the block ends."""
        watch = Watch(for_end=for_end)
        waiting = self._waiting.setdefault((ledger, chain), [])
        waiting.append(watch)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="watch chains")
        try:
            yield watch
        finally:
            waiting.remove(watch)
            if not waiting and self._waiting.get((ledger, chain)) is waiting:
                del self._waiting[ledger, chain]

    def close(self) -> None:
        """Have everybody go: the process stops."""
        self.closing = True
        for waiting in self._waiting.values():
            for watch in waiting:
                watch.wake()

    def _hear(self, ledger: int, attempt: Attempt) -> None:
        """A commit of this process has landed."""
        if not self._waiting:
            return
        for chain, number, ended in attempt.moves():
            for watch in self._waiting.get((ledger, chain), ()):
                watch.tell(number, ended=ended)

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  # it is asked again, or the waits end
                if not is_lost(error):
                    _log.exception("chains_not_watched")

    async def _look(self) -> None:
        async with self._pool.acquire() as connection:
            for ledger in {ledger for ledger, _ in self._waiting}:
                ids = [chain for number, chain in self._waiting if number == ledger]
                found = await read_numbers(connection, ledger, ids)
                for chain, (reached, ended) in found.items():
                    for watch in self._waiting.get((ledger, chain), ()):
                        watch.tell(reached, ended=ended)


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


Show = Callable[[Chain, Context], Awaitable[object]]
"""What is answered about a chain, in place of the chain itself."""


async def _show_chain(chain: Chain, context: Context) -> object:
    return view_chain(chain, context.ledger.id)


async def run_and_wait(
    request: Request,
    write: Write,
    show: Show = _show_chain,
    *,
    made: int = 200,
    found_at: bytes | None = None,
) -> Reply:
    """Do what a route does to a chain; where asked to, answer when the chain has ended.

    What the key remembers is the first answer all the same, and without a wait that is repeated;
    who waits once more is answered as the chain stands then, be the request a repeated one or not.
    The first answer is given where waiting fails, too: what is committed is no error. `made`: the
    status of one that has ended; `found_at`: where those are that were there before, so that more
    may have become of them than their chain says.
    """
    reply = await run_write(request, write)
    seconds = _read_wait(request)
    if reply.status != HTTPStatus.ACCEPTED or not seconds:
        place = dict(reply.headers).get(b"location", b"")
        if reply.status != made or found_at is None or not place.startswith(found_at):
            return reply
        seconds = 0
    try:
        return await _wait_for_end(request, reply, seconds, show, made)
    except Exception as error:  # noqa: BLE001  # whatever it is, the effect is there
        if not is_lost(error):
            _log.exception("chain_not_waited_for")
        return reply


async def _wait_for_end(
    request: Request, reply: Reply, seconds: int, show: Show, made: int
) -> Reply:
    """The chain at its end, or as it stands when the time is over."""
    location = dict(reply.headers)[b"location"].decode()
    id = parse_id(CHAIN, CHAIN + location[-32:])
    context = await identify(request)
    app, number, watchers = app_of(request), context.ledger.number, watchers_of(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    reached = 0
    with watchers.watch(number, id, for_end=True) as watch:
        while True:
            if not watchers.closing:
                await watch.pass_by(reached, deadline - loop.time())
            async with app.pool.acquire() as connection:
                chain = await read_chain(connection, number, id)
            if chain is None or chain.is_ended or loop.time() >= deadline or watchers.closing:
                break
            reached = chain.number
    if chain is None:
        return reply
    headers = (*reply.headers, _APPLIED) if seconds else reply.headers
    status = made if chain.is_ended else 202
    return Reply(status, encode(await show(chain, context)), headers)
