"""Refunds: a charge is given back, whole or in parts.

Source: "Refund and cancel payments", "Create a refund", "The Refund object". A refund that has
succeeded can fail days later; a webhook tells that (`refund.failed`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from catena.chains.step_types import Answer, Outcome
from catena.gateways.stripe.amounts import from_stripe, to_stripe
from catena.gateways.stripe.declines import REFUND_FAILURES
from catena.gateways.stripe.intents import find_action, sum_up
from catena.gateways.stripe.keyed import KEY, Found, Keyed, Post, Unsendable, label, seek, unknown
from catena.gateways.stripe.objects import number_of, part_of, reference_of, text_of

if TYPE_CHECKING:
    from catena.gateways.contract import Order
    from catena.gateways.stripe.api import Calls
    from catena.gateways.stripe.objects import Object

__all__ = ["FAILED", "REFUND", "describe_refund"]

FAILED: Final = frozenset({"canceled", "failed"})
"""The money stayed with us, or came back."""

_PATH: Final = "/v1/refunds"
_KINDS: Final = {"pi": "payment_intent", "ch": "charge", "py": "charge"}
"""What a refund gives back, by the beginning of its id."""

_ABOUT: Final = re.compile(r"(pi|ch|py)_[A-Za-z0-9_]{1,250}")


def _name_about(order: Order) -> dict[str, str]:
    found = _ABOUT.fullmatch(order.about or "")
    if found is None:
        raise Unsendable("reference_refused", "A refund is about a PaymentIntent or a charge.")
    return {_KINDS[found[1]]: found[0]}


def _form(order: Order) -> Post:
    labels = {**label(order), "catena_chain": order.chain, "catena_step": order.step}
    amount = to_stripe(order.amount, order.currency)
    about = _name_about(order)
    return Post(_PATH, {**about, "amount": amount, "metadata": labels})


async def _find(calls: Calls, order: Order, pages: int) -> Found:
    """All refunds of one charge are few, and listed whole."""
    try:
        return await seek(calls, _PATH, _name_about(order), order.key, pages)
    except Unsendable:
        return Found()


async def _judge(calls: Calls, order: Order, refund: Object) -> Answer:
    del calls
    if text_of(part_of(refund, "metadata"), KEY) != order.key or number_of(
        refund, "amount"
    ) != to_stripe(order.amount, order.currency):
        return unknown("answer_mismatched")
    result = describe_refund(refund)
    status = text_of(refund, "status")
    match status:
        case "succeeded":
            return Answer(Outcome.APPROVED, result)
        case "pending":
            return Answer(Outcome.PENDING, result)
        case "requires_action":
            return Answer(Outcome.PENDING, {**result, "action": find_action(refund)})
        case _ if status in FAILED:
            code = text_of(refund, "failure_reason") or status
            permanent = REFUND_FAILURES.get(code, True)
            return Answer(Outcome.DECLINED, result, code, permanent=permanent)
        case _:
            return unknown("status_unrecognised", status)


def describe_refund(refund: Object) -> dict[str, Any]:
    """What is kept of a refund. Raises Unrepresentable."""
    currency, amount = text_of(refund, "currency").upper(), number_of(refund, "amount")
    about = {name: reference_of(refund, name) for name in ("payment_intent", "charge")}
    return {
        "reference": text_of(refund, "id"),
        "amount": None if amount is None else from_stripe(amount, currency),
        "currency": currency,
        "details": {
            **{name: id for name, id in about.items() if id},
            **sum_up(refund, ("pending_reason", "failure_reason")),
        },
    }


REFUND = Keyed("refund", "refund", _PATH, (), _form, _find, _judge)
