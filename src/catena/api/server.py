"""Serves the API: uvicorn on uvloop, with the hot routes in the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import uvicorn

from catena.api.hot import HotProtocol
from catena.api.http import create_http
from catena.api.watching import close_watchers

if TYPE_CHECKING:
    from catena.app import App

__all__ = ["serve"]

_COLLECTED_AFTER: Final = (20_000, 20, 20)
"""Allocations until a collection, of which one in 20 looks at older objects. A request leaves no
cycles; with Python's own figures each batch is looked through ten times while it is under way."""


async def serve(
    app: App,
    *,
    listener: socket.socket | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM; then finish the requests under way.

    `listener` is a socket that listens already; left out, one is opened on the port that is set.
    `ready` is told the address once connections are taken.
    """
    settings = app.settings
    http = create_http(app)
    config = uvicorn.Config(
        http,
        host=settings.host,
        port=settings.port,
        http=HotProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        backlog=settings.requests_at_once,
    )
    server = _Server(config, ready, lambda: close_watchers(http.state))
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, server.stop)
    await server.serve([listener] if listener else None)


class _Server(uvicorn.Server):
    """uvicorn's server; the signals are ours, so that what runs beside it stops in order."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[str], None],
        stopping: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield

    def stop(self) -> None:
        """Take no new connections and finish; nobody waits for what may never come."""
        self.should_exit = True
        self._stopping()

    async def startup(self, sockets: object = None) -> None:
        """Start, and say where."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            # What is there now stays: a collection that looked at it all would hold up requests
            # for some 80 ms.
            gc.freeze()
            gc.set_threshold(*_COLLECTED_AFTER)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._ready(f"http://{host}:{port}")
