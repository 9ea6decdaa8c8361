"""No answer, notice or log says our API key, a webhook's secret or the secret of an intent."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from catena.gateways.contract import Capability, Gateway
from tests.gateways.stripe.running import API_KEY, SECRET, Proxy, make_order
from tests.gateways.stripe.shapes import card_error, error, intent

CREATE = "/v1/payment_intents"
SECRETS = {"client_secret": "pi_secret_", "of": {"client_secret": "pi_secret_"}}
TOLD: list[tuple[int, Any]] = [
    (401, error(message=f"Invalid API Key provided: {API_KEY}")),
    (400, error(message=f"We know you: {API_KEY}")),
    (500, f"Traceback: {API_KEY}"),
    (200, intent("requires_action", next_action={"type": "x", "x": SECRETS})),
    (402, card_error("lost_card")),
]


@pytest.mark.parametrize(("status", "body"), TOLD)
async def test_no_secret_is_repeated(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: Any,  # noqa: ANN401  # any JSON
) -> None:
    """Whatever Stripe says, its words are not passed on where a secret is in them."""
    proxy.answers("POST", CREATE, body, status)
    if status == 402:
        proxy.answers("POST", f"{CREATE}/pi_3PayIntent/cancel", intent("canceled"))
    with structlog.testing.capture_logs() as logs:
        answer = await stripe.acts[Capability.CHARGE](make_order())
    for secret in (API_KEY, SECRET, "_secret_"):
        assert secret not in repr((answer, logs, stripe))
