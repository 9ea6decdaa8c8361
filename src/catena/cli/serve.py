"""`catena serve`: the API alone, in one process or in several that share a port.

Invariant: each process has a journal of its own; those that end are replaced, and all of them end
with the one that started them, however it ends.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import TYPE_CHECKING, Annotated, Final

import structlog
import typer

from catena.cli.options import DataDir, Host, Port
from catena.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catena.app import Urls
    from catena.settings import Settings

__all__ = ["serve_command"]

_PROCESSES_MAX: Final = 64
_LIFELINE: Final = 0
"""A worker's standard input: its end says that whoever started it is gone."""

_log = structlog.get_logger(__name__)


def serve_command(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    processes: Annotated[
        int, typer.Option(help="API processes that share the port.", min=1, max=_PROCESSES_MAX)
    ] = 1,
    *,
    works: Annotated[
        bool, typer.Option("--work/--no-work", help="Run the steps of chains in here, too.")
    ] = True,
    worker: Annotated[int | None, typer.Option(hidden=True, help="An inherited listener.")] = None,
) -> None:
    """Serve the API; logs are JSON lines on stderr. Ctrl-C stops it.

    A database that is set must have been migrated; the embedded one is started or joined.
    """
    from catena.app import find_database
    from catena.cli.database import load_settings
    from catena.cli.listen import open_listeners
    from catena.cli.logs import configure_logs
    from catena.cli.signals import run_until_stopped, stopping_in_order

    settings = load_settings(host=host, port=port, data_dir=data_dir)
    configure_logs(settings.log_level, people=False)
    if worker is not None:
        with stopping_in_order(), find_database(settings, create=True) as urls:
            run_until_stopped(_work(settings, urls, socket.socket(fileno=worker), works=works))
        return
    listeners = open_listeners(settings.host, settings.port, processes)
    with stopping_in_order(), find_database(settings, create=True) as urls:
        if processes == 1:
            run_until_stopped(_serve_here(settings, urls, listeners[0], works=works))
        else:
            run_until_stopped(_serve_there(settings, urls, listeners, works=works))


async def _serve_here(
    settings: Settings, urls: Urls, listener: socket.socket, *, works: bool
) -> None:
    from catena.api.server import serve
    from catena.app import open_app
    from catena.cli.database import guarding_database, prepare
    from catena.cli.own_sandbox import find_gateways

    gateways = find_gateways(settings)
    await prepare(settings, urls)
    async with (
        guarding_database(settings),
        open_app(settings, urls.service, works=works, listens=works, connections=gateways) as app,
    ):
        await serve(app, listener=listener, ready=lambda at: _log.info("serving", address=at))
    _log.info("stopped")


async def _work(settings: Settings, urls: Urls, listener: socket.socket, *, works: bool) -> None:
    """Be one of several: the schema is ready, and the one who started us waits for a word."""
    from catena.api.server import serve
    from catena.app import open_app
    from catena.cli.own_sandbox import find_gateways

    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(_LIFELINE)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(_LIFELINE, stop)
    gateways = find_gateways(settings)
    async with open_app(
        settings, urls.service, works=works, listens=works, connections=gateways
    ) as app:
        await serve(app, listener=listener, ready=typer.echo)


async def _serve_there(
    settings: Settings, urls: Urls, listeners: Sequence[socket.socket], *, works: bool
) -> None:
    """Start a worker for each listener, and another when one ends."""
    from catena.cli.database import guarding_database, prepare

    await prepare(settings, urls)
    workers = [_Worker(settings, listener, works=works) for listener in listeners]
    async with guarding_database(settings):
        try:
            addresses = await asyncio.gather(*(worker.start() for worker in workers))
            _log.info("serving", address=addresses[0], processes=len(workers))
            await asyncio.gather(*(worker.replace() for worker in workers))
        finally:
            await asyncio.gather(*(worker.stop() for worker in workers))
            _log.info("stopped")


class _Worker:
    """A process of ours on one listener, and those that take its place."""

    def __init__(self, settings: Settings, listener: socket.socket, *, works: bool) -> None:
        self._settings = settings
        self._listener = listener
        self._works = works
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it; gives the address once it serves. Raises SetupError if it does not."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "catena.cli", "serve"),
            *("--worker", str(self._listener.fileno())),
            *("--data-dir", str(self._settings.data_dir)),
            "--work" if self._works else "--no-work",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[self._listener.fileno()],
            # So that a Ctrl-C in the terminal reaches us alone, and we stop them.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101  # a pipe
        address = (await self._process.stdout.readline()).decode().strip()
        if not address:
            raise SetupError("A process of the API ended before it could serve.")
        _log.info("process_started", pid=self._process.pid)
        return address

    async def replace(self) -> None:
        """Start another whenever it ends. What connects meanwhile waits in the listener."""
        while True:
            assert self._process is not None  # noqa: S101  # started
            code = await self._process.wait()
            _log.error("process_ended", code=code, pid=self._process.pid)
            await self.start()

    async def stop(self) -> None:
        """Let it finish the requests under way; after a while, end it."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(2 * self._settings.shutdown_seconds):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
