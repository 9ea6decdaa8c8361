"""The composition root: settings in, a running application's parts out, wired by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
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
from catena.flows.bank.connecting import Banks
from catena.flows.inbox import Inbox
from catena.flows.notices import Intake
from catena.flows.sweep import Sweep, keep_sweeping
from catena.gateways.bank.options import KIND as BANK
from catena.gateways.config import GatewayConfig, connect_gateway
from catena.gateways.registry import Connection, Gateways
from catena.gateways.steps import gateway_steps
from catena.ids import IdSource, count_requests, new_id, random_fraction
from catena.journal import Journal
from catena.journal.cards import Cards
from catena.outside.client import OutsideClient
from catena.outside.signing import SIGNING, derive_secret
from catena.reconciliation.reconciler import Reconciler
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
    gateways: Gateways
    connect: Callable[[GatewayConfig], Awaitable[Connection]]
    inbox: Inbox
    reconciler: Reconciler
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
    connections: Sequence[GatewayConfig] = (),
) -> AsyncIterator[App]:
    """Every part over a migrated database; at the end what waits is finished first.

    `works`: a worker runs inside, and takes what is due in any ledger; those of other processes are
    told of what it has no hands for. `listens`: it hears what other processes tell. `connections`:
    the gateways that there are, in ledgers that are there.
    """
    async with AsyncExitStack() as stack:
        pool, ledgers, cursor_secret, signing_secret = await _open_database(stack, settings, url)
        gateways = Gateways()
        http_step = await _open_http_step(stack, settings, signing_secret, clock)
        chain_step, stray_step, plugins = ChainStep(), StrayStep(), load_plugins()
        catalogue = make_catalogue(
            [http_step, chain_step, stray_step, *gateway_steps(gateways), *plugins]
        )
        if works:  # before the worker and the journal, so that they end first
            await stack.enter_async_context(opening(plugins, settings.shutdown_seconds))
        stray_step.attach(catalogue)
        cards = Cards(catalogue, random_fraction, settings.lease_seconds, settings.call_seconds)
        journal = Journal(pool, settings, clock, cards)
        stack.push_async_callback(_finish, journal.close, settings.shutdown_seconds, "journal")
        balances = SharedReads(pool, settings)
        stack.push_async_callback(balances.close)
        chain_step.attach(catalogue, pool, journal, ledgers.find_any)
        intake, inbox = _open_inbox(stack, settings, pool, journal, catalogue)
        connect = await _open_gateways(stack, settings, gateways, intake, clock, works=works)
        for config in connections:  # before anybody takes work that may name them
            await connect(ledgers, config)
        reconciler = Reconciler.open(pool, settings, clock, new_id, gateways, ledgers.find_any)
        teller = Teller(pool)
        stack.push_async_callback(teller.close)
        if works:
            find, names = ledgers.find_number, gateways.names
            worker = Worker(pool, journal, catalogue, find, names, settings, teller.tell)
            stack.push_async_callback(_finish, worker.close, settings.shutdown_seconds, "worker")
            sweep = Sweep(pool, intake.apply, settings.notice_sweep_items)
            theirs = partial(_list_ledgers, gateways)
            _keep(stack, keep_sweeping(sweep, theirs, ledgers.find_any, settings), "sweep notices")
            _keep(stack, reconciler.keep_turns(), "reconcile daily")
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
            Callers(pool, settings.credential_cache_seconds),
            ledgers,
            catalogue,
            gateways,
            partial(connect, ledgers),
            inbox,
            reconciler,
            cursor_secret,
            clock,
            new_id,
            count_requests(),
        )


class _Database(NamedTuple):
    """What is read of a database before anything else."""

    pool: Pool
    ledgers: Ledgers
    cursor_secret: bytes
    signing_secret: bytes


async def _open_database(stack: AsyncExitStack, settings: Settings, url: str) -> _Database:
    """A pool over a migrated database, and what the installation keeps there."""
    with telling_plainly():
        pool = await open_pool(settings, url)
        stack.push_async_callback(_close_pool, pool, settings.shutdown_seconds)
        async with pool.acquire() as connection:
            cursor_secret = await read_secret(connection, "cursor")
            signing_secret = await read_secret(connection, SIGNING)
        ledgers = Ledgers(pool, settings.credential_cache_seconds)
        await ledgers.refresh()
    return _Database(pool, ledgers, cursor_secret, signing_secret)


async def _open_http_step(
    stack: AsyncExitStack, settings: Settings, secret: bytes, clock: Clock
) -> HttpStep:
    """The step that calls partners, each with a secret of its own."""
    client = await stack.enter_async_context(OutsideClient(settings))
    private = settings.allow_private_addresses
    return HttpStep(client, partial(derive_secret, secret), clock, allows_private=private)


def _open_inbox(
    stack: AsyncExitStack, settings: Settings, pool: Pool, journal: Journal, catalogue: Catalogue
) -> tuple[Intake, Inbox]:
    """Who takes notices in, and who keeps them until then."""
    intake = Intake(pool, journal, catalogue)
    inbox = Inbox(journal, intake.apply, settings)
    stack.push_async_callback(inbox.close)
    return intake, inbox


async def _open_gateways(
    stack: AsyncExitStack,
    settings: Settings,
    gateways: Gateways,
    intake: Intake,
    clock: Clock,
    *,
    works: bool,
) -> Callable[[Ledgers, GatewayConfig], Awaitable[Connection]]:
    """What takes a gateway in. Who names its address is the operator: it may be a private one.

    `works`: of each bank that is taken in the rounds are made here, too.
    """
    theirs = replace(settings, allow_private_addresses=True)
    client = await stack.enter_async_context(OutsideClient(theirs))
    large = replace(theirs, outside_answer_bytes=settings.bank_file_bytes)
    files = await stack.enter_async_context(OutsideClient(large))
    banks = Banks(intake, settings, clock, files)
    if works:
        stack.push_async_callback(banks.work())
    return partial(_connect, gateways, banks, client, clock)


async def _connect(
    gateways: Gateways,
    banks: Banks,
    client: OutsideClient,
    clock: Clock,
    ledgers: Ledgers,
    config: GatewayConfig,
) -> Connection:
    """Take in a gateway. Raises SetupError."""
    known = {ledger.id: ledger for ledger in await ledgers.refresh()}
    if config.ledger is None and len(known) != 1:
        raise SetupError(f"The gateway {config.name}: say which `ledger` it is of.")
    ledger = config.ledger or next(iter(known))
    if ledger not in known:
        raise SetupError(f"The gateway {config.name}: there is no ledger {ledger}.")
    try:
        if config.kind == BANK:
            return gateways.add(ledger, banks.connect(known[ledger], config))
        return gateways.add(ledger, connect_gateway(config, client, clock))
    except ValueError as error:
        raise SetupError(str(error)) from error


def _list_ledgers(gateways: Gateways) -> set[str]:
    """Those that have gateways."""
    return {connection.ledger for connection in gateways}


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
