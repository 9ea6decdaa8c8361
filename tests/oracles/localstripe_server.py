"""A program: localstripe on loopback alone, without the file in which it would keep its store.

It runs in the environment of the oracles, as a process of its own: localstripe is under the GPL.
Its own command would listen on every address, and read whatever lies in a folder that all share.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from localstripe import resources, server  # type: ignore[import-not-found]

__all__: list[str] = []


async def _run() -> None:
    resources.Store.dump_to_disk = lambda _: None
    runner = web.AppRunner(server.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201  # who started it reads this
    await asyncio.to_thread(sys.stdin.read)  # until who started it is gone
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_run())
