"""Partners are called on both loops: the one that the product runs on, and Python's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop

__all__ = ["pytest_asyncio_loop_factories"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test that awaits runs once on each."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
