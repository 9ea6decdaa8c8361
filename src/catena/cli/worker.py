"""`catena worker`: workers alone, beside API processes that have none, or more of them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import structlog

from catena.cli.options import DataDir

if TYPE_CHECKING:
    from catena.app import Urls
    from catena.settings import Settings

__all__ = ["worker_command"]

_log = structlog.get_logger(__name__)


def worker_command(data_dir: DataDir = None) -> None:
    """Run the steps of chains; logs are JSON lines on stderr. Ctrl-C finishes what is under way.

    As many as you like over one database: each takes over from any other that ends.
    """
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.logs import configure_logs
    from catena.cli.signals import run_until_stopped, stopping_in_order

    settings = load_settings(data_dir=data_dir)
    configure_logs(settings.log_level, people=False)
    with stopping_in_order(), find_database(settings) as urls:
        run_until_stopped(_work(settings, urls))


async def _work(settings: Settings, urls: Urls) -> None:
    from catena.app import open_app
    from catena.cli.database import guarding_database, prepare
    from catena.cli.own_sandbox import find_gateways

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopped.set)
    await prepare(settings, urls)
    async with (
        guarding_database(settings),
        open_app(settings, urls.service, listens=True, connections=find_gateways(settings)),
    ):
        _log.info("working")
        await stopped.wait()
    _log.info("stopped")
