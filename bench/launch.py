"""Serves the API over CATENA_DATABASE_URL in this process, and prints its address."""

from __future__ import annotations

import os

import uvloop

from catena.api.server import serve
from catena.app import open_app
from catena.settings import read_settings

__all__: list[str] = []


async def _main() -> None:
    settings = read_settings(os.environ)
    async with open_app(settings, settings.database_url) as app:
        await serve(app, ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    uvloop.run(_main())
