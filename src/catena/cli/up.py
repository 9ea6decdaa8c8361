"""`catena up`: everything, started in order, and stopped in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from catena.cli.options import DataDir, Host, Port

if TYPE_CHECKING:
    import socket

    from catena.app import Urls
    from catena.cli.database import FirstKey
    from catena.settings import Settings

__all__ = ["up_command"]


def up_command(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    demo: Annotated[
        bool | None,
        typer.Option(help="Play a small story once it is up; by default on the first start."),
    ] = None,
) -> None:
    """Start everything: the database, its schema, a ledger and a key, and the API.

    Stays in the foreground; Ctrl-C stops it.
    """
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.listen import open_listener
    from catena.cli.logs import configure_logs
    from catena.cli.signals import run_until_stopped, stopping_in_order

    settings = load_settings(host=host, port=port, data_dir=data_dir)
    configure_logs(settings.log_level, people=True)
    listener = open_listener(settings.host, settings.port)
    with stopping_in_order(), find_database(settings, report=typer.echo, create=True) as urls:
        run_until_stopped(_serve(settings, urls, listener, demo=demo))
    typer.echo("Stopped.")


async def _serve(
    settings: Settings, urls: Urls, listener: socket.socket, *, demo: bool | None
) -> None:
    from catena.api.server import serve
    from catena.app import open_app
    from catena.cli.database import ensure_first_key, guarding_database, migrate_plainly

    await migrate_plainly(settings, urls)
    stories: list[asyncio.Task[None]] = []
    async with guarding_database(settings), open_app(settings, urls.service) as app:
        key = await ensure_first_key(settings, app.pool)
        # A database that somebody set is not for playing in, unless they say so.
        wanted = (key.fresh and not settings.database_url) if demo is None else demo

        def greet(address: str) -> None:
            _greet(settings, key, address)
            if wanted:
                stories.append(asyncio.create_task(_tell(address, key.secret)))

        try:
            await serve(app, listener=listener, ready=greet)
        finally:
            for story in stories:
                story.cancel()
            await asyncio.gather(*stories, return_exceptions=True)
            typer.echo("Stopping.")


def _greet(settings: Settings, key: FirstKey, address: str) -> None:
    embedded = f"PostgreSQL, embedded, in {settings.data_dir}"
    typer.echo(
        f"Catena is up; Ctrl-C stops it.\n"
        f"\n"
        f"  address   {address}\n"
        f"  docs      {address}/docs\n"
        f"  key       {key.secret}\n"
        f"            (may do everything; kept in {key.file})\n"
        f"  database  {'the one in CATENA_DATABASE_URL' if settings.database_url else embedded}"
    )


async def _tell(address: str, secret: str) -> None:
    from catena.cli.demo import tell_story
    from catena.errors import CatenaError

    try:
        await tell_story(address, secret)
    except CatenaError as error:  # the service goes on without its story
        typer.echo(f"The story ended early: {error.detail}", err=True)
