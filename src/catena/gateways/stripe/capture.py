"""Captures: an authorised PaymentIntent is taken, whole or in part; the rest is let go.

Source: "Capture a PaymentIntent", "Place a hold on a payment method". An intent is captured once,
and bears the key of the capture in its metadata, beside that of the charge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import ALREADY_CAPTURED
from catena.gateways.stripe.amounts import to_stripe
from catena.gateways.stripe.api import Told
from catena.gateways.stripe.intents import EXPAND, PATH, describe, find_reason
from catena.gateways.stripe.keyed import Extent, Found, Keyed, Post, Unsendable, label, unknown
from catena.gateways.stripe.objects import number_of, part_of, text_of

if TYPE_CHECKING:
    from catena.gateways.contract import Order
    from catena.gateways.stripe.api import Calls
    from catena.gateways.stripe.objects import Object

__all__ = ["CAPTURE", "CAPTURE_KEY", "GONE", "intent_of"]

CAPTURE_KEY: Final = "catena_capture_key"

GONE: Final = 404
"""There is no such intent."""

_INTENT: Final = re.compile(r"pi_[A-Za-z0-9_]{1,250}")


def intent_of(order: Order) -> str:
    """The intent that an order is about. Raises Unsendable."""
    about = order.about or ""
    if not _INTENT.fullmatch(about):
        raise Unsendable("reference_refused", "It is about a PaymentIntent, pi_....")
    return about


def _form(order: Order) -> Post:
    path = f"{PATH}/{intent_of(order)}/capture"
    amount = to_stripe(order.amount, order.currency)
    labels = label(order, CAPTURE_KEY)
    return Post(path, {"amount_to_capture": amount, "metadata": labels, "expand": EXPAND})


async def _find(calls: Calls, order: Order, pages: int) -> Found:
    """The intent, once it is no longer waiting to be captured."""
    del pages
    try:
        path = f"{PATH}/{intent_of(order)}"
    except Unsendable:
        return Found()
    reply = await calls.get(path, {"expand": EXPAND})
    if reply.told is Told.REFUSED and reply.status == GONE:
        return Found()
    if reply.told is not Told.DONE:
        return Found(extent=Extent.BROKEN)
    waits = reply.body.get("status") == "requires_capture"
    return Found() if waits else Found(reply.body)


async def _judge(calls: Calls, order: Order, intent: Object) -> Answer:
    del calls
    ours = text_of(part_of(intent, "metadata"), CAPTURE_KEY) == order.key
    status = text_of(intent, "status")
    result = describe(intent) | {"amount": order.amount}
    match status:
        case "succeeded" | "processing" if not ours:
            return Answer(Outcome.DECLINED, {}, ALREADY_CAPTURED)
        case "succeeded":
            taken = number_of(intent, "amount_received")
            fits = taken in (None, to_stripe(order.amount, order.currency))
            return Answer(Outcome.APPROVED, result) if fits else unknown("answer_mismatched")
        case "processing":
            return Answer(Outcome.PENDING, result)
        case "canceled":
            return Answer(Outcome.DECLINED, {}, *find_reason(intent)[:2])
        case "requires_action" | "requires_payment_method" | "requires_confirmation":
            return Answer(Outcome.DECLINED, {}, "not_authorised")
        case _:
            return unknown("status_unrecognised", status)


CAPTURE = Keyed("capture", "payment_intent", PATH, EXPAND, _form, _find, _judge)
