"""The composition root: settings in, a running application's parts out, wired by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import structlog

from catena.auth.callers import Callers
from catena.auth.ledgers import Ledgers
from catena.clock import Clock, system_clock
from catena.db.aging import keep_forgetting
from catena.db.embedded import is_data_directory, start_embedded
from catena.db.installation import read_secret
from catena.db.pool import Pool, open_pool
from catena.db.shared_reads import SharedReads
from catena.errors import SetupError
from catena.ids import IdSource, count_requests, new_id
from catena.journal import Journal
from catena.settings import Settings

__all__ = ["App", "Urls", "find_database", "open_app"]


_log = structlog.get_logger(__name__)


class Urls(NamedTuple):
    """Where the database is: for the schema's owner, and for the service."""

    owner: str
    service: str


class App(NamedTuple):
    """What the API and the commands are made of."""

    settings: Settings
    pool: Pool
    journal: Journal
    balances: SharedReads
    callers: Callers
    ledgers: Ledgers
    cursor_secret: bytes
    clock: Clock
    new_id: IdSource
    number_request: IdSource


@contextmanager
def find_database(
    settings: Settings, report: Callable[[str], None] = lambda _: None, *, create: bool = False
) -> Iterator[Urls]:
    """The database that is set, or the embedded one: started, or joined when it runs already.

    `create`: make an embedded one that is not there; else a wrong directory is told, and not taken
    for empty books. Raises SetupError or EmbeddedPostgresError. What was started here is stopped at
    the end.
    """
    if settings.database_url:
        yield Urls(settings.migration_url or settings.database_url, settings.database_url)
        return
    if not create and not is_data_directory(settings.data_dir):
        raise SetupError(
            f"There is no Catena in {settings.data_dir.absolute()}; name its directory with"
            " --data-dir, or let `catena up` make one."
        )
    with start_embedded(settings.data_dir, report=report) as server:
        yield Urls(server.owner_dsn, server.service_dsn)


@asynccontextmanager
async def open_app(
    settings: Settings,
    url: str,
    *,
    clock: Clock = system_clock,
    new_id: IdSource = new_id,
) -> AsyncIterator[App]:
    """Every part over a migrated database; at the end what waits is finished first."""
    pool = await open_pool(settings, url)
    try:
        async with pool.acquire() as connection:
            cursor_secret = await read_secret(connection, "cursor")
        journal = Journal(pool, settings, clock)
        balances = SharedReads(pool, settings)
        callers = Callers(pool, settings.credential_cache_seconds)
        ledgers = Ledgers(pool, settings.credential_cache_seconds)
        await ledgers.refresh()
        forgetting = asyncio.create_task(keep_forgetting(pool, settings), name="forget keys")
        try:
            yield App(
                settings,
                pool,
                journal,
                balances,
                callers,
                ledgers,
                cursor_secret,
                clock,
                new_id,
                count_requests(),
            )
        finally:
            forgetting.cancel()
            await balances.close()
            await _finish(journal.close(), settings.shutdown_seconds, "journal")
    finally:
        if not await _finish(pool.close(), settings.shutdown_seconds, "pool"):
            pool.terminate()


async def _finish(closing: Awaitable[None], seconds: float, what: str) -> bool:
    """Wait for something to close; False when it did not in time, as when the database is away."""
    try:
        await asyncio.wait_for(closing, seconds)
    except TimeoutError:
        _log.warning("not_closed_in_time", what=what)
        return False
    return True
