"""Sends events: signed as Standard Webhooks says, many at once, again until somebody says 2xx.

Invariant: a delivery that is not answered with a 2xx is tried again by the sandbox's clock, and
given up after the last pause. A forgery is sent once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from catena.clock import Clock
from catena.ids import IdSource, random_bytes
from catena.outside.client import OutsideClient, Request, Response
from catena.outside.signing import format_secret, parse_secret, sign
from catena.sandbox.clock import Agenda, SandboxClock
from catena.sandbox.refusals import Refusal
from catena.sandbox.store import Store
from catena.sandbox.things import Delivery, Endpoint, Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["PAUSES_SECONDS", "Courier"]

PAUSES_SECONDS: Final = (5, 30, 120, 600, 3_600, 21_600, 86_400)
"""The pauses between the tries of one delivery, by the sandbox's clock."""

_AT_ONCE: Final = 32
_ANSWER_SECONDS: Final = 10.0
_SECRET_BYTES: Final = 32
_STALE: Final = dt.timedelta(hours=1)
_JSON: Final = msgspec.json.Encoder()


class Courier:
    """Knows where events go, and takes them there."""

    def __init__(
        self,
        client: OutsideClient,
        store: Store,
        agenda: Agenda,
        clock: SandboxClock,
        *,
        real: Clock,
        ids: IdSource,
    ) -> None:
        """`real`: the clock that signatures tell."""
        self._client = client
        self._store = store
        self._agenda = agenda
        self._clock = clock
        self._real = real
        self._ids = ids
        self._queue: asyncio.Queue[tuple[Delivery, Event]] = asyncio.Queue()
        self.endpoints = {one.id: one for one in store.read("endpoint", Endpoint)}
        self._secrets = {one.id: parse_secret(one.secret) for one in self.endpoints.values()}

    def add_endpoint(self, url: str, secret: str | None) -> Endpoint:
        """Send every event there from now on. Raises InvalidInput for a secret that is none."""
        secret = secret or format_secret(random_bytes(_SECRET_BYTES))
        endpoint = Endpoint(id=self._ids("we_"), url=url, secret=secret)
        self._secrets[endpoint.id] = parse_secret(secret)
        self.endpoints[endpoint.id] = endpoint
        self._store.keep("endpoint", endpoint.id, endpoint)
        return endpoint

    def remove_endpoint(self, id: str) -> None:
        """Send nothing there any more. Raises Refusal."""
        if self.endpoints.pop(id, None) is None:
            raise Refusal("not_found")
        self._store.keep("endpoint", id, None)

    def send(self, delivery: Delivery, event: Event) -> None:
        """Send it as soon as may be."""
        self._queue.put_nowait((delivery, event))

    async def wait_idle(self) -> None:
        """Until all that was to be sent by now has been tried."""
        await self._queue.join()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Send, until the block ends; what is under way then is tried again after a restart."""
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work()) for _ in range(_AT_ONCE)]
            yield
            for worker in workers:
                worker.cancel()

    async def _work(self) -> None:
        while True:
            delivery, event = await self._queue.get()
            try:
                await self._try(delivery, event)
            finally:
                self._queue.task_done()

    async def _try(self, delivery: Delivery, event: Event) -> None:
        endpoint = self.endpoints.get(delivery.endpoint)
        if endpoint is None:
            self._note(delivery, "given_up", "no_endpoint")
            return
        headers, body = self._form(delivery.disguise, event, endpoint)
        request = Request("POST", endpoint.url, body, headers, _ANSWER_SECONDS)
        outcome = await self._client.send(request)
        delivery.attempts += 1
        if isinstance(outcome, Response):
            answer, taken = str(outcome.status), 200 <= outcome.status < 300  # noqa: PLR2004
        else:
            answer, taken = outcome.reason, False
        if taken:
            self._note(delivery, "delivered", answer)
        elif delivery.disguise:
            self._note(delivery, "refused", answer)
        elif delivery.attempts > len(PAUSES_SECONDS):
            self._note(delivery, "given_up", answer)
        else:
            pause = dt.timedelta(seconds=PAUSES_SECONDS[delivery.attempts - 1])
            delivery.due = self._clock.now() + pause
            self._note(delivery, "waiting", answer)
            self._agenda.add(delivery.due, lambda _: self.send(delivery, event))

    def _note(self, delivery: Delivery, status: str, answer: str) -> None:
        delivery.status, delivery.answer = status, answer
        self._store.keep("delivery", delivery.id, delivery)

    def _form(
        self, disguise: str, event: Event, endpoint: Endpoint
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body: the true ones, or what the disguise makes of them."""
        secret, at, id = self._secrets[endpoint.id], self._real(), event.id
        if disguise == "stranger":
            secret, id = random_bytes(_SECRET_BYTES), self._ids("evt_")
            event = msgspec.structs.replace(event, id=id)
        elif disguise == "stale":
            at -= _STALE
        body = _JSON.encode(event)
        headers = {"content-type": "application/json", **sign(secret, id, at, body)}
        if disguise == "altered":
            body = body.replace(b'"amount":', b'"amount":9', 1)
        return headers, body
