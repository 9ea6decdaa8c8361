"""The step type `shipping.book`: books a parcel with a carrier, and cancels it to undo that.

What it relies on in the carrier: a booking is made once for each Idempotency-Key, can be looked up
by that key, and cancelling it twice is cancelling it once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Self

import httpx2

from catena.chains.expressions import Kind
from catena.chains.step_types import Answer, Call, Direction, Fault, Input, Outcome, StepType

__all__ = ["ShippingStep", "make_step"]


def make_step() -> ShippingStep:
    """The entry point: called once when the service starts. What it raises ends the start."""
    url = os.environ.get("SHIPPING_URL", "")
    if not url:
        raise RuntimeError("SHIPPING_URL must say where the carrier is.")
    return ShippingStep(url.rstrip("/"))


class ShippingStep:
    """Calls the carrier at `url`, over connections that are kept from call to call."""

    type = StepType(
        "shipping.book",
        inputs={"parcel": Input(Kind.STRING), "town": Input(Kind.STRING)},
        results={"booking": Kind.STRING},
        undoes=True,
    )

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: httpx2.AsyncClient

    async def __aenter__(self) -> Self:
        """Left out where there is nothing to open: entered before this process makes any call."""
        self._client = httpx2.AsyncClient(base_url=self._url)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Left when the process stops, after the last call."""
        await self._client.aclose()

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterator[Fault]:
        """Asked when a chain is made: what is wrong with a step, and with which part of it."""
        del inputs, ledger_id  # their types have been checked already
        if compensation not in (None, {"type": "cancel"}):
            yield Fault("compensation", 'A booking is undone by {"type": "cancel"}.')

    async def call(self, call: Call) -> Answer:
        """Make one call. Never raises: whatever goes wrong is an answer, and a careful one."""
        if call.direction is Direction.CANCEL:
            return Answer(Outcome.PENDING)  # this carrier is never undecided
        method, path, body = _form(call)
        try:
            answer = await self._client.request(
                method,
                path,
                json=body,
                headers={"Idempotency-Key": call.key},
                timeout=call.timeout_seconds,
            )
            return _read(call.direction, answer.status_code, answer.json())
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            # No byte has left: certainly nothing was done, and it may be tried again.
            return Answer(Outcome.DECLINED, code="carrier_unreachable", permanent=False)
        except (httpx2.HTTPError, ValueError):
            # It may have acted. Catena looks it up by the key, and undoes nothing meanwhile.
            return Answer(Outcome.UNKNOWN, code="carrier_silent")


def _form(call: Call) -> tuple[str, str, dict[str, Any] | None]:
    match call.direction:
        case Direction.FORWARD:
            return "POST", "/bookings", dict(call.inputs)
        case Direction.LOOK_UP:
            return "GET", f"/bookings/by-key/{call.key}", None
        case Direction.UNDO:
            return "DELETE", f"/bookings/{call.result['booking']}", None
        case _:
            return "GET", f"/bookings/{call.result['booking']}", None


def _read(direction: Direction, status: int, body: Mapping[str, Any]) -> Answer:
    asking = direction in (Direction.LOOK_UP, Direction.UNDO_LOOK_UP)
    if asking and status == httpx2.codes.NOT_FOUND:
        return Answer(Outcome.NOT_FOUND)
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return Answer(Outcome.UNKNOWN, code=f"carrier_{status}")
    if status >= httpx2.codes.BAD_REQUEST:
        return Answer(Outcome.DECLINED, code=str(body.get("code", f"carrier_{status}")))
    if direction is Direction.UNDO_LOOK_UP and body["state"] != "cancelled":
        return Answer(Outcome.NOT_FOUND)  # the booking stands: the cancellation never came
    return Answer(Outcome.APPROVED, {"booking": body["id"]})
