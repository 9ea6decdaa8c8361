"""Ctrl-C and SIGTERM: the work ends in order, and putting things away is not interrupted.

Invariant: the first signal ends the block in `stopping_in_order`, and later ones change nothing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Never, TypeVar

import typer
import uvloop

__all__ = ["INTERRUPTED", "run_until_stopped", "stopping_in_order"]

INTERRUPTED: Final = 130
"""The exit code of what was stopped before it was done, as shells have it."""

Given = TypeVar("Given")

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_in_order(exit_code: int | None = None) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block quietly.

    Then the command goes on behind it, for one that runs until it is told to stop; with an
    `exit_code` it ends with that, for one that was not done yet.
    """
    before = {number: signal.signal(number, _stop) for number in _STOPPING}
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        if exit_code is not None:
            raise typer.Exit(exit_code) from None
    finally:
        for number, way in before.items():
            signal.signal(number, way)


def run_until_stopped(work: Coroutine[object, object, Given]) -> Given:
    """Run a coroutine in an event loop; a signal cancels it, unless it takes signals itself.

    After it no signal interrupts the rest of the block in `stopping_in_order`.
    """
    try:
        return uvloop.run(_cancel_on_signal(work))
    finally:
        _ignore()


async def _cancel_on_signal(work: Coroutine[object, object, Given]) -> Given:
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

    def stop() -> None:
        for number in _STOPPING:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in _STOPPING:
        loop.add_signal_handler(number, stop)
    return await task


def _stop(_number: int, _frame: FrameType | None) -> Never:
    _ignore()
    raise KeyboardInterrupt


def _ignore() -> None:
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
