"""`catena up`: everything, started in order, and stopped in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from catena.cli.options import DataDir, Host, Port

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from catena.app import Urls
    from catena.cli.database import FirstKey
    from catena.gateways.config import GatewayConfig
    from catena.settings import Settings

__all__ = ["up_command"]


def up_command(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    demo: Annotated[
        bool | None,
        typer.Option(help="Play small stories once it is up; by default on the first start."),
    ] = None,
    sandbox: Annotated[
        bool | None,
        typer.Option(
            help="Have a payment gateway to play with beside it; by default with the embedded"
            " PostgreSQL alone."
        ),
    ] = None,
) -> None:
    """Start everything: the database, its schema, a ledger and a key, a sandbox, and the API.

    Stays in the foreground; Ctrl-C stops it.
    """
    from catena.app import find_database
    from catena.cli.database import load_gateways, load_settings
    from catena.cli.listen import open_listener
    from catena.cli.logs import configure_logs
    from catena.cli.signals import run_until_stopped, stopping_in_order

    settings = load_settings(host=host, port=port, data_dir=data_dir)
    configure_logs(settings.log_level, people=True)
    gateways = load_gateways(settings)
    listener = open_listener(settings.host, settings.port)
    with stopping_in_order(), find_database(settings, report=typer.echo, create=True) as urls:
        run_until_stopped(_serve(settings, urls, listener, gateways, demo=demo, sandbox=sandbox))
    typer.echo("Stopped.")


async def _serve(
    settings: Settings,
    urls: Urls,
    listener: socket.socket,
    gateways: list[GatewayConfig],
    *,
    demo: bool | None,
    sandbox: bool | None,
) -> None:
    from catena.api.server import serve
    from catena.app import open_app
    from catena.cli.database import guarding_database
    from catena.cli.own_sandbox import SANDBOX, find_sandbox_file, running_sandbox

    key, ledger = await _prepare(settings, urls)
    # A database that somebody set is not for playing in, unless they say so.
    wanted = (key.fresh and not settings.database_url) if demo is None else demo
    plays = not settings.database_url if sandbox is None else sandbox
    stories: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(guarding_database(settings))
        beside = None
        if plays and not any(one.name == SANDBOX for one in gateways):
            place = _address_of(listener)
            config = await stack.enter_async_context(running_sandbox(settings, ledger, place))
            gateways = [*gateways, config]
            beside = config.options["url"], find_sandbox_file(settings)
        app = await stack.enter_async_context(
            open_app(settings, urls.service, connections=gateways)
        )

        def greet(address: str) -> None:
            _greet(settings, key, address, beside)
            if wanted:
                stories.append(asyncio.create_task(_tell(address, key.secret)))

        try:
            await serve(app, listener=listener, ready=greet)
        finally:
            for story in stories:
                story.cancel()
            await asyncio.gather(*stories, return_exceptions=True)
            typer.echo("Stopping.")


async def _prepare(settings: Settings, urls: Urls) -> tuple[FirstKey, str]:
    """Bring the schema up to date; gives the first key, and the id of the first ledger."""
    from catena.cli.database import ensure_first_key, migrate_plainly, open_checked_pool
    from catena.db.installation import list_ledgers

    await migrate_plainly(settings, urls)
    pool = await open_checked_pool(settings, urls)
    try:
        key = await ensure_first_key(settings, pool)
        async with pool.acquire() as connection:
            ledgers = await list_ledgers(connection)
    finally:
        await pool.close()
    return key, ledgers[0].id


def _address_of(listener: socket.socket) -> str:
    """Where this machine reaches the service."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not listened on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greet(
    settings: Settings, key: FirstKey, address: str, sandbox: tuple[str, Path] | None
) -> None:
    embedded = f"PostgreSQL, embedded, in {settings.data_dir}"
    lines = [
        "Catena is up; Ctrl-C stops it.",
        "",
        f"  address   {address}",
        f"  docs      {address}/docs",
        f"  key       {key.secret}",
        f"            (may do everything; kept in {key.file})",
    ]
    if sandbox is not None:
        url, file = sandbox
        lines += [
            f"  sandbox   {url}",
            f"            (a payment gateway to play with; its key is in {file})",
        ]
    database = "the one in CATENA_DATABASE_URL" if settings.database_url else embedded
    typer.echo("\n".join([*lines, f"  database  {database}"]))


async def _tell(address: str, secret: str) -> None:
    from catena.cli.demo import tell_story
    from catena.errors import CatenaError

    try:
        await tell_story(address, secret)
    except CatenaError as error:  # the service goes on without its story
        typer.echo(f"The story ended early: {error.detail}", err=True)
