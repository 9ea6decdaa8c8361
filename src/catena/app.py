"""The composition root: settings in, a running application's parts out, wired by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import NamedTuple

import structlog

from catena.auth.callers import Callers
from catena.auth.ledgers import Ledgers
from catena.chains.step_types import Catalogue
from catena.clock import Clock, system_clock
from catena.db.aging import keep_forgetting
from catena.db.embedded import is_data_directory, start_embedded
from catena.db.installation import read_secret
from catena.db.pool import Pool, open_pool
from catena.db.reach import telling_plainly
from catena.db.shared_reads import SharedReads
from catena.db.tasks import stop_task
from catena.engine.chain_step import ChainStep
from catena.engine.hints import Teller, keep_listening
from catena.engine.http_step import HttpStep
from catena.engine.plugins import load_plugins, make_catalogue, opening
from catena.engine.stray import StrayStep
from catena.engine.worker import Worker
from catena.errors import SetupError
from catena.ids import IdSource, count_requests, new_id, random_fraction
from catena.journal import Journal
from catena.journal.cards import Cards
from catena.outside.client import OutsideClient
from catena.outside.signing import SIGNING, derive_secret
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
    catalogue: Catalogue
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
    works: bool = True,
    listens: bool = False,
) -> AsyncIterator[App]:
    """Every part over a migrated database; at the end what waits is finished first.

    `works`: a worker runs inside, and takes what is due in any ledger; those of other processes are
    told of what it has no hands for. `listens`: it hears what other processes tell.
    """
    async with AsyncExitStack() as stack:
        with telling_plainly():
            pool = await open_pool(settings, url)
            stack.push_async_callback(_close_pool, pool, settings.shutdown_seconds)
            async with pool.acquire() as connection:
                cursor_secret = await read_secret(connection, "cursor")
                signing_secret = await read_secret(connection, SIGNING)
            ledgers = Ledgers(pool, settings.credential_cache_seconds)
            await ledgers.refresh()
        client = await stack.enter_async_context(OutsideClient(settings))
        secret_of = partial(derive_secret, signing_secret)
        private = settings.allow_private_addresses
        http_step = HttpStep(client, secret_of, clock, allows_private=private)
        chain_step = ChainStep()
        stray_step = StrayStep()
        plugins = load_plugins()
        catalogue = make_catalogue([http_step, chain_step, stray_step, *plugins])
        if works:  # before the worker and the journal, so that they end first
            await stack.enter_async_context(opening(plugins, settings.shutdown_seconds))
        stray_step.attach(catalogue)
        seconds = settings.lease_seconds, settings.call_seconds
        cards = Cards(catalogue, random_fraction, *seconds)
        journal = Journal(pool, settings, clock, cards)
        stack.push_async_callback(_finish, journal.close, settings.shutdown_seconds, "journal")
        balances = SharedReads(pool, settings)
        stack.push_async_callback(balances.close)
        callers = Callers(pool, settings.credential_cache_seconds)
        chain_step.attach(catalogue, pool, journal, ledgers.find_any)
        teller = Teller(pool)
        stack.push_async_callback(teller.close)
        if works:
            find = ledgers.find_number
            worker = Worker(pool, journal, catalogue.outside, find, settings, teller.tell)
            stack.push_async_callback(_finish, worker.close, settings.shutdown_seconds, "worker")
            if listens and settings.database_connections > 1:  # it keeps one for itself
                _keep(stack, keep_listening(pool, worker.wake), "hear hints")
        else:
            journal.on_work(teller.tell)
        _keep(stack, keep_forgetting(pool, settings), "forget keys")
        yield App(
            settings,
            pool,
            journal,
            balances,
            callers,
            ledgers,
            catalogue,
            cursor_secret,
            clock,
            new_id,
            count_requests(),
        )


def _keep(stack: AsyncExitStack, work: Coroutine[object, object, None], name: str) -> None:
    """Have it run until the end."""
    stack.push_async_callback(stop_task, asyncio.create_task(work, name=name))


async def _close_pool(pool: Pool, seconds: float) -> None:
    if not await _finish(pool.close, seconds, "pool"):
        pool.terminate()


async def _finish(close: Callable[[], Awaitable[None]], seconds: float, what: str) -> bool:
    """Wait for something to close; False when it did not in time, as when the database is away."""
    try:
        await asyncio.wait_for(close(), seconds)
    except TimeoutError:
        _log.warning("not_closed_in_time", what=what)
        return False
    return True
