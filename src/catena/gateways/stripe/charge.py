"""Charges and authorisations: one PaymentIntent, created and confirmed in one request.

Source: "Create a PaymentIntent", "Place a hold on a payment method". The key stands in the
intent's metadata, by which it is found again and webhooks are told apart.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from catena.gateways.contract import Capability
from catena.gateways.stripe.amounts import to_stripe
from catena.gateways.stripe.intents import EXPAND, PATH, judge_charge
from catena.gateways.stripe.keyed import Extent, Found, Keyed, Post, Unsendable, label, seek
from catena.gateways.stripe.limits import CLOCK_SKEW, PROMPTLY
from catena.gateways.stripe.method import blame, form_method

if TYPE_CHECKING:
    from catena.gateways.contract import Order
    from catena.gateways.stripe.api import Calls

__all__ = ["AUTHORISE", "CHARGE"]

_LISTED: dict[str, object] = {"expand": [f"data.{name}" for name in EXPAND]}


def _form(order: Order, *, capability: Capability) -> Post:
    said = next(iter(blame(capability, order.method)), None)
    if said is not None:
        raise Unsendable("method_refused", said)
    holds = capability is Capability.AUTHORISE
    params: dict[str, object] = {
        "amount": to_stripe(order.amount, order.currency),
        "currency": order.currency.lower(),
        "confirm": True,
        "capture_method": "manual" if holds else "automatic",
        "metadata": {**label(order), "catena_chain": order.chain, "catena_step": order.step},
        "expand": EXPAND,
        **form_method(order.method),
    }
    if order.note:
        params["description"] = order.note
    return Post(PATH, params)


async def _find(calls: Calls, order: Order, pages: int) -> Found:
    """Lists cannot be filtered by metadata, only by time ("List all PaymentIntents"). A search
    could be, but lags behind by minutes ("Search"): that it finds nothing would say nothing.
    """
    first = math.floor((order.first_at - CLOCK_SKEW).timestamp())
    soon = math.ceil((order.first_at + PROMPTLY + CLOCK_SKEW).timestamp())
    near = {**_LISTED, "created": {"gte": first, "lte": soon}}
    found = await seek(calls, PATH, near, order.key, pages)
    is_soon = (calls.api.clock() + CLOCK_SKEW).timestamp() <= soon
    if is_soon or found.object or found.extent is not Extent.WHOLE:
        return found
    return await seek(calls, PATH, {**_LISTED, "created": {"gt": soon}}, order.key, pages)


CHARGE = Keyed(
    "charge",
    "payment_intent",
    PATH,
    EXPAND,
    partial(_form, capability=Capability.CHARGE),
    _find,
    partial(judge_charge, holds=False),
)

AUTHORISE = Keyed(
    "authorise",
    "payment_intent",
    PATH,
    EXPAND,
    partial(_form, capability=Capability.AUTHORISE),
    _find,
    partial(judge_charge, holds=True),
)
