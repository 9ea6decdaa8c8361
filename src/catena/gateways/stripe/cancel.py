"""Cancellations: a PaymentIntent that has taken nothing yet never will.

Source: "Cancel a PaymentIntent". A cancellation needs no key to be done once: whether an intent is
canceled can be read at any time, and how it stands decides, whatever was answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import ALREADY_CAPTURED, Act
from catena.gateways.stripe.amounts import Unrepresentable
from catena.gateways.stripe.api import Told
from catena.gateways.stripe.capture import GONE, intent_of
from catena.gateways.stripe.intents import EXPAND, PATH, describe, post_cancel
from catena.gateways.stripe.keyed import UNJUDGED, Unsendable, put_off, refuse, unknown
from catena.gateways.stripe.objects import text_of

if TYPE_CHECKING:
    from catena.gateways.contract import Order
    from catena.gateways.stripe.api import Api, Calls

__all__ = ["canceling", "looking_up_cancel"]


def canceling(api: Api) -> Act:
    """Cancels an intent."""

    async def act(order: Order) -> Answer:
        try:
            id = intent_of(order)
        except Unsendable as refused:
            return refuse(refused)
        calls = api.begin(order.timeout_seconds)
        reply = await post_cancel(calls, order, id)
        if reply.told in UNJUDGED and not order.repeats:
            return put_off(reply)
        if reply.told is Told.REFUSED and reply.status == GONE:
            return Answer(Outcome.DECLINED, {}, reply.code, reply.detail)
        answer = await _read(calls, id)
        if answer.outcome is not Outcome.NOT_FOUND:
            return answer
        if reply.told is Told.REFUSED:  # it is with the bank: it will succeed, or fail by itself
            return Answer(Outcome.DECLINED, {}, reply.code, reply.detail, permanent=False)
        return unknown(reply.code or "not_canceled", reply.detail)

    return act


def looking_up_cancel(api: Api) -> Act:
    """Asks whether an intent is canceled."""

    async def look_up(order: Order) -> Answer:
        try:
            id = intent_of(order)
        except Unsendable as refused:
            return refuse(refused)
        return await _read(api.begin(order.timeout_seconds), id)

    return look_up


async def _read(calls: Calls, id: str) -> Answer:
    """What has become of an intent that was to be canceled. Not found: it stands as it stood."""
    reply = await calls.get(f"{PATH}/{id}", {"expand": EXPAND})
    status = text_of(reply.body, "status")
    if reply.told is not Told.DONE or not status:
        return unknown(reply.code or "answer_unreadable")
    if status == "succeeded":
        return Answer(Outcome.DECLINED, {}, ALREADY_CAPTURED)
    if status != "canceled":
        return Answer(Outcome.NOT_FOUND)
    try:
        return Answer(Outcome.APPROVED, describe(reply.body))
    except Unrepresentable as error:
        return unknown(error.reason)
