"""Orders as the engine makes them, for a gateway on a rig."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import Capability, ForgedWebhook, Notice, Order
from tests.gateways.contract import Rig, Wish

__all__ = [
    "act",
    "carry_out",
    "check_approved",
    "find_notice",
    "look_up",
    "make_order",
    "of",
    "read_notices",
]


def make_order(
    rig: Rig,
    capability: Capability,
    wish: Wish = Wish.APPROVES,
    *,
    amount: int = 25_00,
    about: str | None = None,
) -> Order:
    """A fresh order; skips the test where the gateway cannot do it, or cannot be made to."""
    if capability not in rig.gateway.acts:
        pytest.skip(f"{rig.gateway.kind} has no {capability}")
    method: Mapping[str, Any] = {}
    if about is None:
        found = rig.method(capability, wish)
        if found is None:
            pytest.skip(f"{rig.gateway.kind} has no {capability} that is {wish.value}")
        method = found
    chain = f"cte_{uuid4().hex}"
    return Order(
        key=f"{chain}.step.forward.1",
        amount=amount,
        currency=rig.currency,
        method=method,
        about=about,
        note="From a test.",
        chain=chain,
        step="step",
        first_at=rig.clock(),
        timeout_seconds=20.0,
    )


async def act(rig: Rig, capability: Capability, order: Order) -> Answer:
    """Ask for it."""
    return await rig.gateway.acts[capability](order)


async def look_up(rig: Rig, capability: Capability, order: Order) -> Answer:
    """Ask what has become of it."""
    return await rig.gateway.look_ups[capability](order)


def check_approved(answer: Answer, order: Order) -> str:
    """It was approved, of this amount; gives the reference."""
    assert answer.outcome is Outcome.APPROVED, answer
    assert answer.result["amount"] == order.amount
    assert answer.result["currency"] == order.currency
    assert answer.result["reference"]
    return str(answer.result["reference"])


async def carry_out(rig: Rig, capability: Capability, order: Order) -> str:
    """Have it done, at once or when its time has come; gives the reference."""
    answer = await act(rig, capability, order)
    if capability in rig.gateway.defers:
        assert answer.outcome is Outcome.PENDING, answer
        await rig.pass_time()
        answer = await look_up(rig, capability, order)
    return check_approved(answer, order)


def of(order: Order, **outcome: object) -> Callable[[Notice], bool]:
    """Whether a notice is about this order, and says this."""
    return lambda notice: (
        notice.key == order.key
        and all(getattr(notice, name) == value for name, value in outcome.items())
    )


def read_notices(rig: Rig, now: dt.datetime | None = None) -> list[Notice]:
    """What has come by webhook, forgeries left out."""
    read = rig.gateway.read_webhook
    if read is None:
        pytest.skip(f"{rig.gateway.kind} has no webhooks")
    notices: list[Notice] = []
    for hook in rig.hooks.hooks:
        try:
            notices += read(hook.headers, hook.body, now or rig.clock())
        except ForgedWebhook:
            continue
    return notices


async def find_notice(rig: Rig, fits: Callable[[Notice], bool]) -> Notice:
    """The first notice that fits, once it has come."""
    read_notices(rig)
    await rig.hooks.wait_for(lambda _: any(map(fits, read_notices(rig))))
    return next(filter(fits, read_notices(rig)))
