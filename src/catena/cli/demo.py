"""`catena demo`: small stories, played over HTTP on a running service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catena.cli.options import DataDir

__all__ = ["demo_command", "tell_story"]


def demo_command(
    url: Annotated[
        str | None,
        typer.Option(help="Where the service is; left out, the host and port that are set."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the API key; left out, the one of the first start."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Play small stories on a running service: money that moves, a purchase as a chain, a gateway.

    They post entries to the first ledger that the key may use.
    """
    from catena.cli.database import load_settings, read_first_key
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order
    from catena.errors import SetupError

    settings = load_settings(data_dir=data_dir)
    if key_file is not None:
        try:
            secret: str | None = key_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"The key cannot be read from {key_file}.") from error
    else:
        secret = read_first_key(settings)
    if not secret:
        raise SetupError("There is no API key here; name the file that holds one with --key-file.")
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
