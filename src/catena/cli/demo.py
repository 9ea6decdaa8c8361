"""`catena demo`: small stories, played over HTTP on a running service."""

from __future__ import annotations

from typing import Annotated

import typer

from catena.cli.options import DataDir, KeyFile

__all__ = ["demo_command", "tell_story"]


def demo_command(
    url: Annotated[
        str | None,
        typer.Option(help="Where the service is; left out, the host and port that are set."),
    ] = None,
    key_file: KeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Play small stories on a running service: money that moves, a purchase as a chain, a gateway.

    They post entries to the first ledger that the key may use.
    """
    from catena.cli.database import load_settings, read_key
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    secret = read_key(settings, key_file)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    with stopping_in_order(INTERRUPTED):
        run_until_stopped(tell_story(url or f"http://{host}:{settings.port}", secret))


async def tell_story(address: str, secret: str) -> None:
    """Play the stories on the service at `address`, and print them. Raises SetupError."""
    from httpx2 import AsyncClient
    from rich.console import Console

    from catena.cli.stories.books import tell_books
    from catena.cli.stories.gateway import tell_gateway
    from catena.cli.stories.purchase import tell_purchase
    from catena.cli.stories.teller import Teller

    headers = {"Authorization": f"Bearer {secret}"}
    async with AsyncClient(base_url=address, headers=headers, timeout=30.0) as client:
        teller = Teller(client, Console(highlight=False))
        await teller.choose_ledger()
        wallets = await tell_books(teller)
        await tell_purchase(teller, wallets)
        await tell_gateway(teller, wallets)
