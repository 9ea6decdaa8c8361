"""stripe-stateful-mock has charges, refunds and keys as Stripe has them; ours are right there.

It has no PaymentIntents, so only refunds of charges are tried, and how its declines are read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import Capability, Gateway, Order
from catena.gateways.stripe.declines import is_permanent
from tests.gateways.stripe.running import API_KEY, AT, Proxy, connected, make_order, run_proxy
from tests.gateways.stripe.shapes import intent
from tests.oracles.stripe_street import run_stateful_mock

pytestmark = [pytest.mark.oracle("node", "stripe-stateful-mock"), pytest.mark.xdist_group("mock")]

REFUND = Capability.REFUND


@pytest.fixture(scope="module")
def mock() -> Iterator[httpx2.Client]:
    """The mock, as it is asked past our adapter."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    with (
        run_stateful_mock() as url,
        httpx2.Client(base_url=url, headers=headers, timeout=20, trust_env=False) as http,
    ):
        yield http


@pytest.fixture
async def stripe(mock: httpx2.Client) -> AsyncIterator[Gateway]:
    """Our gateway, which calls the mock."""
    async with connected(str(mock.base_url).rstrip("/")) as gateway:
        yield gateway


def charge(mock: httpx2.Client, source: str, amount: int = 1099) -> tuple[int, dict[str, Any]]:
    """Charge a card of the mock's; gives the status and what it says."""
    told = {"amount": str(amount), "currency": "eur", "source": source}
    answer = mock.post("/v1/charges", data=told, headers={"idempotency-key": uuid4().hex})
    return answer.status_code, answer.json()


def refund_of(about: str, **told: object) -> Order:
    """A fresh order that gives a charge back."""
    return make_order(key=f"cte_{uuid4().hex}.back.undo.1", about=about, **told)


async def test_a_refund_is_made_once_for_its_key(stripe: Gateway, mock: httpx2.Client) -> None:
    """A repeat is replayed, and read anew; a look-up finds it in the list."""
    _, charged = charge(mock, "tok_visa")
    order = refund_of(charged["id"], amount=600)
    first = await stripe.acts[REFUND](order)
    assert (first.outcome, first.result["amount"]) == (Outcome.APPROVED, 600)
    assert await stripe.acts[REFUND](order._replace(repeats=True)) == first
    assert await stripe.look_ups[REFUND](order) == first
    listed = mock.get("/v1/refunds", params={"charge": charged["id"]}).json()["data"]
    assert [one["id"] for one in listed] == [first.result["reference"]]


async def test_another_refund_under_a_key_is_unknown(stripe: Gateway, mock: httpx2.Client) -> None:
    """The mock says idempotency_error, as Stripe does."""
    _, charged = charge(mock, "tok_visa")
    order = refund_of(charged["id"], amount=600)
    await stripe.acts[REFUND](order)
    answer = await stripe.acts[REFUND](order._replace(amount=500))
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "idempotency_error")


async def test_more_than_was_charged_is_refused(stripe: Gateway, mock: httpx2.Client) -> None:
    """A refund beyond the rest, and one of what was given back, are refused for good."""
    _, charged = charge(mock, "tok_visa")
    too_much = await stripe.acts[REFUND](refund_of(charged["id"], amount=2000))
    assert (too_much.outcome, too_much.permanent) == (Outcome.DECLINED, True)
    assert (await stripe.acts[REFUND](refund_of(charged["id"]))).outcome is Outcome.APPROVED
    again = await stripe.acts[REFUND](refund_of(charged["id"]))
    assert (again.outcome, again.code) == (Outcome.DECLINED, "charge_already_refunded")


async def test_a_disputed_charge_is_not_refunded(stripe: Gateway, mock: httpx2.Client) -> None:
    """What the payer's bank has taken back cannot be given back once more."""
    _, charged = charge(mock, "tok_createDispute")
    answer = await stripe.acts[REFUND](refund_of(charged["id"]))
    assert (answer.outcome, answer.code) == (Outcome.DECLINED, "charge_disputed")


DECLINES = [
    ("tok_chargeDeclined", "generic_decline"),
    ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ("tok_chargeDeclinedFraudulent", "fraudulent"),
    ("tok_chargeDeclinedExpiredCard", "expired_card"),
    ("tok_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    ("tok_chargeDeclinedProcessingError", "processing_error"),
]


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """Passes the mock's words on."""
    with run_proxy() as proxy:
        yield proxy


@pytest.mark.parametrize(("source", "code"), DECLINES)
async def test_its_declines_are_read(
    mock: httpx2.Client, proxy: Proxy, source: str, code: str
) -> None:
    """The error that the mock answers a charge with is read as it is meant, in an intent, too."""
    status, told = charge(mock, source)
    assert status == 402
    order = make_order()
    left = intent("requires_payment_method", last_payment_error=told["error"])
    failed = {"error": {**told["error"], "payment_intent": left}}
    proxy.reset()
    proxy.answers("POST", "/v1/payment_intents", json.dumps(failed), status)
    proxy.answers("POST", f"/v1/payment_intents/{left['id']}/cancel", intent("canceled"))
    async with connected(proxy.url, lambda: AT) as stripe:
        answer = await stripe.acts[Capability.CHARGE](order)
    assert answer._replace(result={}) == Answer(
        Outcome.DECLINED, {}, code, told["error"]["message"], is_permanent(code)
    )
