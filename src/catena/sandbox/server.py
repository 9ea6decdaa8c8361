"""Runs the sandbox: uvicorn on the loop that is running, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import uvicorn

from catena.clock import system_clock
from catena.ids import new_id
from catena.sandbox.exchange import CuttingProtocol
from catena.sandbox.http import SandboxHttp
from catena.sandbox.world import Options, open_world

__all__ = ["Started", "serve_sandbox"]

_KEEP_ALIVE_SECONDS: Final = 30
_SHUTDOWN_SECONDS: Final = 1
"""How long a stop waits for answers: those that hang on purpose are not worth more."""
_COLLECTED_AFTER: Final = (20_000, 20, 20)


class Started(NamedTuple):
    """Where it is, and what it takes to speak to it: what is said once it runs."""

    address: str
    api_key: str
    webhook_secrets: dict[str, str]
    """By the URL that they sign for."""


async def serve_sandbox(
    options: Options,
    listener: socket.socket,
    ready: Callable[[Started], None],
    *,
    lifeline: int | None = None,
) -> None:
    """Serve on a socket that listens already. `lifeline`: a file whose end stops it, too.

    Raises SetupError.
    """
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    async with open_world(options, f"{address}/pay/", system_clock, new_id) as world:
        config = uvicorn.Config(
            SandboxHttp(world),
            http=CuttingProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        secrets = {one.url: one.secret for one in world.courier.endpoints.values()}
        started = Started(address, world.api_key, secrets)
        server = _Server(config, lambda: ready(started))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        if lifeline is not None:
            loop.add_reader(lifeline, server.stop)
        await server.serve([listener])
        if lifeline is not None:
            loop.remove_reader(lifeline)


class _Server(uvicorn.Server):
    """uvicorn's server; the signals are ours."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve_sandbox`."""
        yield

    def stop(self) -> None:
        """Take no new connections, and end."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            gc.freeze()
            gc.set_threshold(*_COLLECTED_AFTER)
            self._ready()
