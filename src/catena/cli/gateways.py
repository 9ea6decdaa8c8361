"""`catena gateways`: which gateways there are, and where each sends its webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from catena.cli.options import DataDir

if TYPE_CHECKING:
    from catena.app import Urls
    from catena.db.work import Backlog
    from catena.settings import Settings

__all__ = ["gateways_command"]


def gateways_command(data_dir: DataDir = None) -> None:
    """List the gateways: a line each, with tabs. The last part is the path of its webhooks.

    It reads CATENA_GATEWAYS_FILE as the service does, so what is wrong there is told here, too. So
    is work that nobody takes, as when a gateway was taken out before its last step.
    """
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.logs import configure_logs
    from catena.cli.signals import INTERRUPTED, run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    configure_logs(settings.log_level, people=True)
    with stopping_in_order(INTERRUPTED), find_database(settings) as urls:
        run_until_stopped(_list(settings, urls))


async def _list(settings: Settings, urls: Urls) -> None:
    from catena.app import open_app
    from catena.cli.database import prepare
    from catena.cli.own_sandbox import find_gateways
    from catena.db.work import list_backlogs

    gateways = find_gateways(settings)
    await prepare(settings, urls)
    async with open_app(settings, urls.service, works=False, connections=gateways) as app:
        for id, ledger, gateway in app.gateways:
            can = ",".join(sorted(gateway.capabilities))
            hook = f"/v1/webhooks/{id}" if gateway.read_webhook else "-"
            typer.echo(f"{gateway.name}\t{gateway.kind}\t{ledger}\t{can}\t{hook}")
        async with app.pool.acquire() as connection:
            backlogs = await list_backlogs(connection, settings.overdue_seconds)
        for backlog in backlogs:
            typer.echo(_tell(backlog), err=True)


def _tell(found: Backlog) -> str:
    """What hangs, and what it takes to go on."""
    needs = f"one that knows {found.adapter}" if found.adapter else "a worker"
    return (
        f"{found.ledger}: {found.pieces} steps are overdue, the oldest since"
        f" {found.since:%Y-%m-%d %H:%M} UTC, and no process takes them."
        f" Start {needs}; GET /v1/chains?overdue=true lists them."
    )
