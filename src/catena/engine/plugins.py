"""The step types of an installation: those that are built in, and plugins by entry point.

Invariant: a plugin's failure to open ends the start; its failure to close never delays a stop long.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points
from typing import Final

import structlog

from catena.chains.step_types import BUILT_IN, Catalogue, Outside
from catena.errors import SetupError

__all__ = ["GROUP", "load_plugins", "make_catalogue", "opening"]

GROUP: Final = "catena.steps"
"""The entry points of step types: each names a callable that gives an `Outside`."""

_log = structlog.get_logger(__name__)


def load_plugins() -> list[Outside]:
    """Every step type that is installed beside Catena. Raises SetupError for one that is broken."""
    found = []
    for entry in entry_points(group=GROUP):
        try:
            found.append(entry.load()())
        except Exception as error:
            raise SetupError(f"The step type {entry.name} cannot be loaded: {error}") from error
    return found


def make_catalogue(outside: Iterable[Outside]) -> Catalogue:
    """All types together. Raises SetupError where two have one name."""
    seen: set[str] = set(BUILT_IN)
    kept = list(outside)
    for one in kept:
        if one.type.name in seen:
            raise SetupError(f"Two step types are called {one.type.name}.")
        seen.add(one.type.name)
    return Catalogue(kept)


@asynccontextmanager
async def opening(outside: Iterable[Outside], close_seconds: float) -> AsyncIterator[None]:
    """Enter those that are async context managers, and leave them at the end, the last one first.

    Raises SetupError for one that cannot be entered. Leaving one takes `close_seconds` at most.
    """
    async with AsyncExitStack() as stack:
        for one in outside:
            if isinstance(one, AbstractAsyncContextManager):
                try:
                    await one.__aenter__()
                except Exception as error:
                    name = one.type.name
                    raise SetupError(f"The step type {name} cannot be opened: {error}") from error
                stack.push_async_callback(_close, one.type.name, one, close_seconds)
        yield


async def _close(name: str, one: AbstractAsyncContextManager[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await one.__aexit__(None, None, None)
    except Exception:  # noqa: BLE001  # whatever it is, the stop goes on
        _log.exception("step_type_not_closed", type=name)
