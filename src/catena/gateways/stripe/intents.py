"""PaymentIntents: what one means for the order that made it, and its end when it has failed.

Source: "The Payment Intents API" (lifecycle), "Cancel a PaymentIntent". Invariant: an order is
called declined only when its intent is canceled: one that merely failed can still take the money,
if its payer tries again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import Order
from catena.gateways.stripe.amounts import from_stripe, to_stripe
from catena.gateways.stripe.api import Calls, Reply, Told
from catena.gateways.stripe.declines import is_permanent
from catena.gateways.stripe.keyed import KEY, unknown
from catena.gateways.stripe.method import DEBIT
from catena.gateways.stripe.objects import Object, number_of, part_of, reference_of, text_of

__all__ = [
    "EXPAND",
    "PATH",
    "describe",
    "describe_charge",
    "find_action",
    "find_reason",
    "judge_charge",
    "post_cancel",
    "sum_up",
]

PATH: Final = "/v1/payment_intents"

EXPAND: Final = ("latest_charge",)
"""What an intent is read with: its charge says what Stripe thinks of the risk."""

_FAILED: Final = frozenset({"requires_payment_method", "requires_confirmation"})
"""It has failed, or nobody will confirm it: we create and confirm in one."""

_RISK: Final = ("risk_level", "risk_score", "type", "reason", "network_status", "seller_message")
_CARD: Final = ("brand", "country", "fingerprint", "funding", "last4", "network")


async def judge_charge(calls: Calls, order: Order, intent: Object, *, holds: bool) -> Answer:
    """What the intent means for the order that made it. `holds`: it was only to be authorised."""
    if not _agrees(order, intent):
        return unknown("answer_mismatched")
    answer = _judge(order, intent, holds=holds)
    if answer is None:
        return await _end(calls, order, intent, holds=holds)
    return answer


def _judge(order: Order, intent: Object, *, holds: bool) -> Answer | None:
    """What it means; None: it has failed, and could still succeed."""
    status, result = text_of(intent, "status"), describe(intent)
    if status == "succeeded" or (holds and status == "requires_capture"):
        return Answer(Outcome.APPROVED, result)
    if status == "processing":
        return Answer(Outcome.PENDING, result)
    if status == "requires_action":
        return Answer(Outcome.PENDING, {**result, "action": find_action(intent)})
    if status == "canceled":
        return _decline(order, intent)
    return None if status in _FAILED else unknown("status_unrecognised", status)


async def post_cancel(calls: Calls, order: Order, id: str) -> Reply:
    """Ask for an intent to be canceled, for an order.

    The key is of this moment: a refusal that Stripe has saved would be repeated for a day, and a
    second cancellation does no harm.
    """
    key = f"{order.key}:cancel:{int(calls.api.clock().timestamp())}"
    return await calls.post(f"{PATH}/{id}/cancel", {"expand": EXPAND}, key)


async def _end(calls: Calls, order: Order, intent: Object, *, holds: bool) -> Answer:
    """Cancel an intent that has failed. If that does not do, it decides what it is by now."""
    id = text_of(intent, "id")
    reply = await post_cancel(calls, order, id)
    if reply.told is not Told.DONE or reply.body.get("status") != "canceled":
        reply = await calls.get(f"{PATH}/{id}", {"expand": EXPAND})
    if reply.told is not Told.DONE or not _agrees(order, reply.body):
        return unknown("failed_not_canceled")
    answer = _judge(order, reply.body, holds=holds)
    if answer is None:
        return unknown("failed_not_canceled")
    # A cancellation may clear why it had failed.
    return _decline(order, intent) if answer.outcome is Outcome.DECLINED else answer


def _agrees(order: Order, intent: Object) -> bool:
    """Whether this is what the order asked for."""
    return (
        text_of(part_of(intent, "metadata"), KEY) == order.key
        and number_of(intent, "amount") == to_stripe(order.amount, order.currency)
        and text_of(intent, "currency") == order.currency.lower()
    )


def _decline(order: Order, intent: Object) -> Answer:
    code, detail, advice = find_reason(intent)
    # A debit that has come back after days is not presented anew unless somebody asks for it.
    lasts = order.method.get("type") == DEBIT or is_permanent(code, advice)
    return Answer(Outcome.DECLINED, describe(intent), code, detail, lasts)


def find_reason(intent: Object) -> tuple[str, str, str]:
    """Why it failed or was canceled: a code, Stripe's words for the payer, the issuer's advice."""
    error, charge = part_of(intent, "last_payment_error"), part_of(intent, "latest_charge")
    code = (
        text_of(error, "decline_code", "code")
        or text_of(part_of(charge, "outcome"), "reason")
        or text_of(charge, "failure_code")
        or text_of(intent, "cancellation_reason")
        or "canceled"
    )
    detail = text_of(error, "message") or text_of(charge, "failure_message")
    return code, detail, text_of(error, "advice_code")


def describe(intent: Object) -> dict[str, Any]:
    """What is kept of an intent; never the secret with which its payer can confirm it."""
    currency = text_of(intent, "currency").upper()
    amount = number_of(intent, "amount")
    return {
        "reference": text_of(intent, "id"),
        "amount": None if amount is None else from_stripe(amount, currency),
        "currency": currency,
        "details": describe_charge(intent),
    }


def describe_charge(intent: Object) -> dict[str, Any]:
    """What its charge says of itself: whose card or account it was, and how risky Stripe held it.

    Only the last four digits of a card are in it, which anybody may keep (PCI DSS 3.4).
    """
    id, charge = reference_of(intent, "latest_charge"), part_of(intent, "latest_charge")
    parts = {
        "charge": id,
        "risk": sum_up(part_of(charge, "outcome"), _RISK),
        "card": sum_up(part_of(charge, "payment_method_details", "card"), _CARD),
    }
    return {name: part for name, part in parts.items() if part}


def sum_up(source: Object, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of these texts and whole numbers that it has."""
    found: dict[str, Any] = {}
    for name in names:
        value = text_of(source, name) or number_of(source, name)
        if value is not None and value != "":
            found[name] = value
    return found


def find_action(intent: Object) -> dict[str, Any]:
    """What the payer has to do: a `type`, and the `url` to go to or what the type needs to know."""
    action = part_of(intent, "next_action")
    type = text_of(action, "type")
    url = text_of(part_of(action, type), "url")
    if url:
        return {"type": type, "url": url}
    return {"type": type, "next_action": _without_secrets(part_of(action, type))}


def _without_secrets(source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_secrets(value) if isinstance(value, dict) else value
        for name, value in source.items()
        if "secret" not in name
    }
