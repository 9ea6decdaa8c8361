"""`catena sandbox`: a payment gateway to play with, as a process of its own."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from catena.sandbox.server import Started

__all__ = ["sandbox_command"]

_LIFELINE: Final = 0
"""Standard input: its end says that whoever started us is gone."""


def sandbox_command(  # noqa: PLR0913  # each is an option
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on, 0 for a free one.", min=0, max=65535)
    ] = 8090,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where it keeps its state; left out, it keeps none.")
    ] = None,
    api_key: Annotated[
        str,
        typer.Option(
            help="The key that callers send; left out, one is made.", envvar="CATENA_SANDBOX_KEY"
        ),
    ] = "",
    webhook: Annotated[
        list[str] | None, typer.Option(help="A URL that events are sent to; once for each.")
    ] = None,
    webhook_secret: Annotated[
        str,
        typer.Option(
            help="What signs them (whsec_...); left out, one is made for each.",
            envvar="CATENA_SANDBOX_WEBHOOK_SECRET",
        ),
    ] = "",
    forget_seconds: Annotated[
        float, typer.Option(help="How long an Idempotency-Key is remembered, by its clock.")
    ] = 86_400.0,
    *,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Let its clock stand still until it is set on.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it is, and its secrets, in one line of JSON.")
    ] = False,
    lifeline: Annotated[
        bool, typer.Option("--lifeline", hidden=True, help="Stop when standard input ends.")
    ] = False,
    inherited: Annotated[
        int | None, typer.Option("--listener", hidden=True, help="An inherited listener.")
    ] = None,
) -> None:
    """Run a payment gateway to play with: charges, payouts, webhooks, and all that goes wrong.

    What it can be made to do is in docs/reference/sandbox.md. Ctrl-C stops it.
    """
    from catena.cli.listen import open_listener
    from catena.cli.logs import configure_logs
    from catena.cli.signals import run_until_stopped, stopping_in_order
    from catena.sandbox.server import serve_sandbox
    from catena.sandbox.world import Options

    configure_logs("info", people=not as_json)
    options = Options(
        folder=data_dir,
        api_key=api_key,
        webhook_urls=tuple(webhook or ()),
        webhook_secret=webhook_secret,
        forget_seconds=forget_seconds,
        stands=stopped,
    )
    listener = open_listener(host, port) if inherited is None else socket.socket(fileno=inherited)

    def ready(started: Started) -> None:
        typer.echo(json.dumps(started._asdict()) if as_json else _greet(started, data_dir))

    ends_with = _LIFELINE if lifeline else None
    with stopping_in_order():
        run_until_stopped(serve_sandbox(options, listener, ready, lifeline=ends_with))
    if not as_json:
        typer.echo("Stopped.")


def _greet(started: Started, data_dir: Path | None) -> str:
    lines = [
        "The sandbox is up; Ctrl-C stops it.",
        "",
        f"  address   {started.address}",
        f"  key       {started.api_key}",
        *(f"  webhook   {url}  {secret}" for url, secret in started.webhook_secrets.items()),
        f"  state     {f'kept in {data_dir}' if data_dir else 'forgotten at the end'}",
    ]
    return "\n".join(lines)
