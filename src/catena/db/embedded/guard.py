"""Starts the embedded PostgreSQL again when it dies under those who use it.

Invariant: it is looked for under the lock by which starts and stops take turns, so no guard takes a
server that is being stopped for a dead one. Never touches a server that lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from catena.db.embedded.directory import DataDirectory, holding, opening_lock, try_lock
from catena.db.embedded.postmaster import read_postmaster
from catena.db.embedded.server import EmbeddedPostgres, start_embedded
from catena.errors import EmbeddedPostgresError

__all__ = ["guarding"]

_LOOK_SECONDS: Final = 1.0
"""Pause between two looks."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def guarding(data_dir: Path) -> AsyncIterator[None]:
    """Within, the running server of `data_dir` is started again at its address whenever it dies."""
    place = DataDirectory(data_dir)
    running = read_postmaster(place.cluster)
    port = None if running is None or running.address.is_socket else running.address.port
    started: list[EmbeddedPostgres] = []
    guard = asyncio.create_task(_guard(place, port, started), name="guard of PostgreSQL")
    try:
        yield
    finally:
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)
        for server in started:
            await asyncio.to_thread(server.stop)


async def _guard(place: DataDirectory, port: int | None, started: list[EmbeddedPostgres]) -> None:
    told = ""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        # Whoever cancels us waits for the look that is under way: it may just be starting a server.
        look = asyncio.create_task(asyncio.to_thread(_revive, place, port, started))
        try:
            await asyncio.shield(look)
        except asyncio.CancelledError:
            await asyncio.gather(look, return_exceptions=True)
            raise
        except EmbeddedPostgresError as error:
            if error.detail != told:
                told = error.detail
                _log.error("database_not_restarted", why=told)


def _revive(place: DataDirectory, port: int | None, started: list[EmbeddedPostgres]) -> None:
    with holding(place.turn_lock), opening_lock(place.server_lock) as lock:
        if not try_lock(lock):
            return
    _log.warning("database_died")
    started.append(start_embedded(place.root, port=port))
    _log.info("database_restarted")
