"""The sandbox, put together: its store, clock, books, and who sends its events.

Invariant: what is due by the sandbox's clock has been done before anything is asked of it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from catena.clock import Clock
from catena.ids import IdSource, random_bytes
from catena.outside.client import OutsideClient
from catena.sandbox.books import Books
from catena.sandbox.clock import Agenda, SandboxClock, Setting
from catena.sandbox.courier import Courier
from catena.sandbox.course import Course
from catena.sandbox.events import Announcer
from catena.sandbox.faults import Faults
from catena.sandbox.memory import Memory
from catena.sandbox.store import Store
from catena.settings import Settings

__all__ = ["FORGET_SECONDS", "Options", "World", "open_world"]

FORGET_SECONDS: Final = 86_400.0
"""How long an Idempotency-Key is remembered unless told otherwise, by the sandbox's clock."""

_KEY_BYTES: Final = 24
_IDLE_SECONDS: Final = 10.0


class Options(NamedTuple):
    """How to start. Without a folder nothing is kept; without a key the kept one or a new one is
    used. `webhook_secret` signs for `webhook_urls`. `stands`: the clock stands still at first.
    """

    folder: Path | None = None
    api_key: str = ""
    webhook_urls: tuple[str, ...] = ()
    webhook_secret: str = ""
    forget_seconds: float = FORGET_SECONDS
    stands: bool = False


class _Key(Struct, frozen=True):
    text: str


class World:
    """Everything, and how it goes on."""

    def __init__(
        self, options: Options, client: OutsideClient, pay_url: str, real: Clock, ids: IdSource
    ) -> None:
        """Raises SetupError."""
        self.store = Store(options.folder)
        self.clock = SandboxClock(real, next(self.store.read("clock", Setting), Setting()))
        if options.stands:
            self.clock.stop()
        self.agenda = Agenda()
        self.courier = Courier(client, self.store, self.agenda, self.clock, real=real, ids=ids)
        self.announcer = Announcer(self.store, self.agenda, self.courier, ids)
        self.books = Books(self.store)
        self.course = Course(self.books, self.agenda, self.announcer, ids, pay_url)
        self.memory = Memory(self.store, options.forget_seconds)
        self.faults = Faults()
        kept = next(self.store.read("api_key", _Key), _Key(f"sbx_{random_bytes(_KEY_BYTES).hex()}"))
        self.api_key = options.api_key or kept.text
        self.store.keep("api_key", "key", _Key(self.api_key))
        for url in options.webhook_urls:
            self._listen(url, options.webhook_secret)
        self.course.resume()
        self.announcer.resume()
        self.store.commit()

    def _listen(self, url: str, secret: str) -> None:
        """Send events there, as before unless another secret is to sign them."""
        for known in [one for one in self.courier.endpoints.values() if one.url == url]:
            if secret in ("", known.secret):
                return
            self.courier.remove_endpoint(known.id)
        self.courier.add_endpoint(url, secret or None)

    def catch_up(self) -> dt.datetime:
        """Do what is due; gives the time by the sandbox's clock."""
        now = self.clock.now()
        self.agenda.run_due(now)
        return now

    async def set_clock(self, act: str, seconds: float = 0.0) -> None:
        """Set it on, let it stand or go on; what is due then is done, and its events were sent."""
        match act:
            case "advance":
                self.clock.advance(seconds)
            case "stop":
                self.clock.stop()
            case _:
                self.clock.run()
        self.store.keep("clock", "clock", self.clock.setting)
        self.agenda.wake()
        self.catch_up()
        await self.wait_idle()
        self.store.commit()

    async def wait_idle(self) -> None:
        """Until every event that is due was sent, whatever was answered; not for ever."""
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self.courier.wait_idle()
        except TimeoutError:
            pass

    async def go_on(self) -> None:
        """Do what becomes due, until cancelled."""
        while True:
            self.catch_up()
            self.store.commit()
            await self.agenda.wait(self.clock)


@asynccontextmanager
async def open_world(
    options: Options, pay_url: str, real: Clock, ids: IdSource
) -> AsyncIterator[World]:
    """The sandbox at work, until the block ends. Raises SetupError."""
    settings = Settings(allow_private_addresses=True)
    async with OutsideClient(settings) as client:
        world = World(options, client, pay_url, real, ids)
        try:
            async with world.courier.working():
                going = asyncio.create_task(world.go_on())
                try:
                    yield world
                finally:
                    going.cancel()
        finally:
            world.store.close()
