"""Stripe's objects and errors in the shapes that its documentation and recorded answers have.

Made anew with figures of these tests; only what is read, and what could mislead, is in them.
"""

from __future__ import annotations

from typing import Any, Final

from tests.gateways.stripe.running import AT, KEY

__all__ = [
    "ABOUT",
    "INTENT_PATH",
    "balance_line",
    "card_error",
    "charge",
    "dispute",
    "error",
    "event",
    "intent",
    "listing",
    "refund",
]

ABOUT: Final = "pi_3PayIntent"
INTENT_PATH: Final = f"/v1/payment_intents/{ABOUT}"
_CREATED: Final = int(AT.timestamp())


def charge(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """A charge behind an intent, as it stands in it when it is expanded."""
    return {
        "id": "ch_3PayCharge",
        "object": "charge",
        "payment_intent": ABOUT,
        "outcome": {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 23,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "country": "US", "funding": "credit", "last4": "4242"},
        },
        **more,
    }


def intent(status: str = "succeeded", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """A PaymentIntent that `make_order` made."""
    return {
        "id": ABOUT,
        "object": "payment_intent",
        "amount": 1099,
        "amount_capturable": 1099 if status == "requires_capture" else 0,
        "amount_received": 1099 if status == "succeeded" else 0,
        "capture_method": "automatic",
        "client_secret": f"{ABOUT}_secret_never",
        "created": _CREATED,
        "currency": "eur",
        "last_payment_error": None,
        "latest_charge": charge(),
        "livemode": False,
        "metadata": {"catena_key": KEY, "catena_chain": "cte_", "catena_step": "pay"},
        "next_action": None,
        "status": status,
        **more,
    }


def refund(status: str = "succeeded", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """A refund that an order of 10.99 EUR made."""
    return {
        "id": "re_3PayRefund",
        "object": "refund",
        "amount": 1099,
        "charge": "ch_3PayCharge",
        "created": _CREATED,
        "currency": "eur",
        "metadata": {"catena_key": KEY},
        "payment_intent": ABOUT,
        "reason": None,
        "status": status,
        **more,
    }


def dispute(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """A dispute of that charge."""
    return {
        "id": "du_3PayDispute",
        "object": "dispute",
        "amount": 1099,
        "balance_transactions": [{"id": "txn_1", "amount": -1099, "fee": 1500, "net": -2599}],
        "charge": "ch_3PayCharge",
        "currency": "eur",
        "evidence_details": {"due_by": 1723679999, "has_evidence": False},
        "is_charge_refundable": False,
        "livemode": False,
        "payment_intent": ABOUT,
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
        },
        "reason": "fraudulent",
        "status": "needs_response",
        **more,
    }


def error(code: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """A refusal to do what was asked."""
    codes = {"code": code} if code else {}
    return {"error": {"type": "invalid_request_error", "message": "No.", **codes, **more}}


def card_error(code: str, advice: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A decline: the intent that it has left behind stands in it."""
    advised = {"advice_code": advice} if advice else {}
    said = {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": code,
        "message": "Your card was declined.",
        "charge": "ch_3PayCharge",
        **advised,
    }
    failed = intent("requires_payment_method", last_payment_error=said, **more)
    return {"error": {**said, "payment_intent": failed}}


def listing(*items: dict[str, Any], more: bool = False) -> dict[str, Any]:
    """A page of a list."""
    return {"object": "list", "data": list(items), "has_more": more, "url": "/v1/these"}


def event(type: str, object: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: A002, ANN401
    """What a webhook holds."""
    return {
        "id": "evt_3PayEvent",
        "object": "event",
        "api_version": "2026-08-26.dahlia",
        "created": _CREATED,
        "data": {"object": object},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": f"{KEY}:charge"},
        "type": type,
        **more,
    }


def balance_line(id: str, type: str, amount: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A movement on the balance."""
    line = {
        "id": id,
        "object": "balance_transaction",
        "amount": amount,
        "created": _CREATED,
        "currency": "eur",
        "description": None,
        "fee": 0,
        "reporting_category": type,
        "source": None,
        "type": type,
        **more,
    }
    return {**line, "net": line["amount"] - line["fee"]}
