"""A program: Stripe's own SDK does what each line asks for, and says what it got.

It runs in the environment of the oracles: what we test imports nothing of Stripe's.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import stripe  # type: ignore[import-not-found]

__all__: list[str] = []

_CALLS = {
    "create_intent": lambda told: stripe.PaymentIntent.create(**told),
    "retrieve_intent": lambda told: stripe.PaymentIntent.retrieve(told["id"]),
    "capture_intent": lambda told: stripe.PaymentIntent.capture(told.pop("id"), **told),
    "cancel_intent": lambda told: stripe.PaymentIntent.cancel(told["id"]),
    "create_refund": lambda told: stripe.Refund.create(**told),
    "list_balance": lambda told: stripe.BalanceTransaction.list(**told),
    "construct_event": lambda told: stripe.Webhook.construct_event(
        base64.b64decode(told["body"]), told["header"], told["secret"]
    ),
}


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    """What a call gave, as JSON; else the name of what it raised, and what that says."""
    try:
        found = _CALLS[question["call"]](question["told"])
    except Exception as error:  # noqa: BLE001  # whatever it raises is its answer
        said = {name: getattr(error, name, None) for name in ("code", "http_status")}
        return {"raised": type(error).__name__, **said}
    return {"found": json.loads(str(found))}


if __name__ == "__main__":
    stripe.api_key, stripe.api_base = sys.argv[1:]
    stripe.max_network_retries = 0
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)  # noqa: T201  # its answer
