"""`catena keys`: makes, lists and revokes API keys, and shows what calls are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from catena.auth.scopes import ALL_SCOPES, Scope
from catena.cli.options import DataDir
from catena.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from catena.app import Urls
    from catena.db.pool import Connection
    from catena.settings import Settings

__all__ = ["keys"]

keys = typer.Typer(
    help="Make, list and revoke API keys; show what calls to partners are signed with.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@keys.command("create")
def create_command(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        list[str], typer.Option(help="What it may do, once for each scope; `all` for every one.")
    ],
    ledger: Annotated[
        list[str] | None,
        typer.Option(help="A ledger that it is limited to, by id; left out, every ledger."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make an API key. Its secret is shown this once and kept nowhere."""
    from catena.auth.keys import hash_secret, new_secret
    from catena.db.installation import create_key, list_ledgers
    from catena.ids import KEY, new_id

    scopes = ALL_SCOPES if "all" in scope else _check_scopes(scope)
    secret, id = new_secret(), new_id(KEY)

    async def create(connection: Connection) -> None:
        known = {ledger.id for ledger in await list_ledgers(connection)}
        if not known.issuperset(ledger or ()):
            raise NotFound("There is no ledger with this id.")
        await create_key(connection, id, name, hash_secret(secret), scopes, ledger or None)
        typer.echo(f"id      {id}")
        typer.echo(f"secret  {secret}")

    _with_connection(data_dir, create)


@keys.command("list")
def list_command(data_dir: DataDir = None) -> None:
    """List the API keys, the oldest first: a line each, with tabs. Secrets are kept nowhere."""
    from catena.db.installation import list_keys

    async def show(connection: Connection) -> None:
        for key in await list_keys(connection):
            scopes = "all" if set(ALL_SCOPES) == set(key.scopes) else ",".join(sorted(key.scopes))
            ledgers = "every ledger" if key.ledgers is None else ",".join(key.ledgers)
            state = "revoked" if key.revoked_at else "in force"
            made = f"{key.created_at:%Y-%m-%d}"
            typer.echo(f"{key.id}\t{state}\t{made}\t{key.name}\t{scopes}\t{ledgers}")

    _with_connection(data_dir, show)


@keys.command("revoke")
def revoke_command(
    id: Annotated[str, typer.Argument(help="The key's id: key_...")], data_dir: DataDir = None
) -> None:
    """Revoke an API key. Within `credential_cache_seconds` every process refuses it."""
    from catena.db.installation import revoke_key
    from catena.ids import KEY, parse_id

    parse_id(KEY, id)

    async def revoke(connection: Connection) -> None:
        if not await revoke_key(connection, id):
            raise NotFound("No key with this id is in force.")
        typer.echo(f"Revoked {id}.")

    _with_connection(data_dir, revoke)


@keys.command("signing")
def signing_command(
    ledger: Annotated[str, typer.Argument(help="The ledger's id: ldg_...")],
    data_dir: DataDir = None,
) -> None:
    """Show the secret with which a ledger's calls to partners are signed; partners verify with it.

    Signatures are those of Standard Webhooks.
    """
    from catena.db.installation import list_ledgers, read_secret
    from catena.outside.signing import SIGNING, derive_secret, format_secret

    async def show(connection: Connection) -> None:
        if ledger not in {known.id for known in await list_ledgers(connection)}:
            raise NotFound("There is no ledger with this id.")
        root = await read_secret(connection, SIGNING)
        typer.echo(format_secret(derive_secret(root, ledger)))

    _with_connection(data_dir, show)


def _check_scopes(names: Sequence[str]) -> list[Scope]:
    unknown = [name for name in names if name not in set(ALL_SCOPES)]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of: all, {', '.join(ALL_SCOPES)}")
    return [Scope(name) for name in names]


def _with_connection(data_dir: Path | None, work: Callable[[Connection], Awaitable[None]]) -> None:
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    with stopping_in_order(INTERRUPTED), find_database(settings) as urls:
        run_until_stopped(_work(settings, urls, work))


async def _work(
    settings: Settings, urls: Urls, work: Callable[[Connection], Awaitable[None]]
) -> None:
    from catena.cli.database import open_checked_pool, prepare

    await prepare(settings, urls)
    pool = await open_checked_pool(settings, urls)
    try:
        async with pool.acquire() as connection:
            await work(connection)
    finally:
        await pool.close()
