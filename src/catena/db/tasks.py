"""Tasks that run for as long as something is open, and how they are brought to their end.

Invariant: one cancellation can be lost on a task's way out, as when a connection that died under it
is given back and says so; whoever stops a task cancels it until it has ended.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["stop_task"]

_AGAIN_SECONDS: Final = 0.1
"""Pause until a task that has not ended is cancelled again."""


async def stop_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; how it ends nobody asks any more."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_SECONDS)
    await asyncio.gather(task, return_exceptions=True)
