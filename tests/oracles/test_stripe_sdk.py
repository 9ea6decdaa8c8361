"""Stripe's own SDK, making the same calls, gets the same objects, and takes the same webhooks."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from catena.chains.step_types import Outcome
from catena.clock import system_clock
from catena.gateways.contract import Capability, ForgedWebhook, Gateway, Order
from catena.gateways.stripe.signature import HEADER, check_signature
from catena.gateways.tolerance import TOLERANCE_SECONDS, read_tolerance
from tests.gateways.stripe.running import API_KEY, SECRET, connected
from tests.gateways.stripe.running import make_order as make_any_order
from tests.gateways.stripe.shapes import event, intent
from tests.gateways.stripe.signing import sign
from tests.oracles.stripe_street import Localstripe, Sdk, run_localstripe, run_sdk

pytestmark = [pytest.mark.oracle("localstripe"), pytest.mark.xdist_group("localstripe")]

BODY = json.dumps(event("payment_intent.succeeded", intent()), indent=2).encode()


@pytest.fixture(scope="module")
def street() -> Iterator[Localstripe]:
    """Localstripe and the proxy."""
    with run_localstripe() as street:
        yield street


@pytest.fixture(scope="module")
def sdk(street: Localstripe) -> Iterator[Sdk]:
    """The SDK, which calls the proxy, too."""
    with run_sdk(street.proxy.url) as sdk:
        yield sdk


@pytest.fixture
async def stripe(street: Localstripe) -> AsyncIterator[Gateway]:
    """Our gateway, which calls the proxy."""
    street.proxy.reset()
    async with connected(street.proxy.url, system_clock) as gateway:
        yield gateway


def make_order(**told: object) -> Order:
    """A fresh order of 10.99 EUR."""
    chain = f"cte_{uuid4().hex}"
    fresh = {"key": f"{chain}.pay.forward.1", "chain": chain, "first_at": system_clock()}
    return make_any_order(**{**fresh, **told})


def say(order: Order, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """What an order's metadata says, and other parameters."""
    labels = {"catena_key": order.key, "catena_chain": order.chain, "catena_step": order.step}
    return {"metadata": labels, **more}


async def test_our_requests_are_the_sdks(stripe: Gateway, street: Localstripe, sdk: Sdk) -> None:
    """The same calls by the SDK, under our keys, are taken for ours and answered with ours: charge,
    capture and refund have the same parameters, whoever writes them down.
    """
    held = make_order()
    charged = await stripe.acts[Capability.AUTHORISE](held)
    about = charged.result["reference"]
    again = sdk.call(
        "create_intent",
        amount=1099,
        currency="eur",
        confirm=True,
        capture_method="manual",
        payment_method="pm_card_visa",
        payment_method_types=["card"],
        expand=["latest_charge"],
        idempotency_key=f"{held.key}:authorise",
        **say(held),
    )
    assert again["found"]["id"] == about
    capture = make_order(about=about, amount=600)
    assert (await stripe.acts[Capability.CAPTURE](capture)).outcome is Outcome.APPROVED
    again = sdk.call(
        "capture_intent",
        id=about,
        amount_to_capture=600,
        metadata={"catena_capture_key": capture.key},
        expand=["latest_charge"],
        idempotency_key=f"{capture.key}:capture",
    )
    assert (again["found"]["id"], again["found"]["status"]) == (about, "succeeded")
    refund = make_order(about=about, amount=250)
    refunded = await stripe.acts[Capability.REFUND](refund)
    again = sdk.call(
        "create_refund",
        payment_intent=about,
        amount=250,
        idempotency_key=f"{refund.key}:refund",
        **say(refund),
    )
    assert again["found"]["id"] == refunded.result["reference"]
    assert len(street.list_refunds(refund.key)) == 1
    for heard in street.proxy.heard("POST"):
        assert heard["headers"]["authorization"] == f"Bearer {API_KEY}"
        assert heard["headers"]["content-type"] == "application/x-www-form-urlencoded"


async def test_the_sdk_reads_what_we_read(stripe: Gateway, sdk: Sdk) -> None:
    """What our answer says of a charge is what the SDK says of it."""
    order = make_order()
    result = (await stripe.acts[Capability.CHARGE](order)).result
    found = sdk.call("retrieve_intent", id=result["reference"])["found"]
    assert (found["amount"], found["currency"]) == (result["amount"], result["currency"].lower())
    assert found["latest_charge"]["id"] == result["details"]["charge"]
    assert found["metadata"]["catena_key"] == order.key
    assert found["status"] == "succeeded"


async def test_the_sdk_is_declined_as_we_are(
    stripe: Gateway, street: Localstripe, sdk: Sdk
) -> None:
    """A decline is the SDK's CardError with the same code; ours has left nothing behind."""
    card = street.make_card("4000000000000341")
    order = make_order(method={"payment_method": card})
    answer = await stripe.acts[Capability.CHARGE](order)
    told = sdk.call("create_intent", amount=1, currency="eur", confirm=True, payment_method=card)
    assert told == {"raised": "CardError", "code": answer.code, "http_status": 402}
    found = sdk.call("retrieve_intent", id=answer.result["reference"])["found"]
    assert found["status"] == "canceled"


async def test_the_sdk_is_told_of_a_misused_key_as_we_are(stripe: Gateway, sdk: Sdk) -> None:
    """Another amount under a key of ours: the SDK calls it misuse, and for us it is unknown."""
    order = make_order()
    await stripe.acts[Capability.CHARGE](order)
    key = f"{order.key}:charge"
    told = sdk.call("create_intent", amount=5, currency="eur", idempotency_key=key)
    assert (told["raised"], told["http_status"]) == ("IdempotencyError", 400)
    answer = await stripe.acts[Capability.CHARGE](order._replace(amount=5))
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "idempotency_error")


def is_taken(header: str, body: bytes = BODY) -> bool:
    """Whether we take a webhook for one of Stripe's."""
    try:
        tolerance = read_tolerance(TOLERANCE_SECONDS)
        check_signature([SECRET], {HEADER: header}, body, system_clock(), tolerance)
    except ForgedWebhook:
        return False
    return True


def now(seconds: float = 0.0) -> dt.datetime:
    """So many seconds from now."""
    return system_clock() + dt.timedelta(seconds=seconds)


def by_us(*secrets: str, seconds: float = 0.0, scheme: str = "v1") -> str:
    """A header of that time."""
    return sign(BODY, *secrets, at=now(seconds), scheme=scheme)


EDGE = TOLERANCE_SECONDS


@pytest.mark.parametrize(
    ("secrets", "seconds", "scheme", "taken"),
    [
        ((SECRET,), 0, "v1", True),
        (("whsec_other", SECRET), 0, "v1", True),
        ((SECRET,), -EDGE + 20, "v1", True),
        ((SECRET,), -EDGE - 1, "v1", False),
        (("whsec_other",), 0, "v1", False),
        ((SECRET,), 0, "v0", False),
    ],
)
def test_the_sdk_takes_what_we_take(
    sdk: Sdk, secrets: tuple[str, ...], seconds: float, scheme: str, *, taken: bool
) -> None:
    """A signed webhook is taken by both, or by neither."""
    header = by_us(*secrets, seconds=seconds, scheme=scheme)
    assert is_taken(header) is taken
    assert sdk.takes(BODY, header) is taken


@pytest.mark.parametrize(
    "header", ["", "t=", "abc", "t=1", "v1=00", "t=x,v1=00", "t=1,v1=", "t=1,t=2,v1=00"]
)
def test_the_sdk_refuses_what_we_refuse(sdk: Sdk, header: str) -> None:
    """A header that nobody signed is taken by neither, and nor are other bytes than were signed."""
    assert not is_taken(header)
    assert not sdk.takes(BODY, header)
    again = json.dumps(json.loads(BODY)).encode()
    assert not is_taken(by_us(SECRET), again)
    assert not sdk.takes(again, by_us(SECRET))


def test_we_refuse_more_than_the_sdk(sdk: Sdk) -> None:
    """The SDK takes a time to come, and reads the first of two; we refuse both."""
    for header in (by_us(SECRET, seconds=EDGE + 20), by_us(SECRET) + ",t=1"):
        assert sdk.takes(BODY, header)
        assert not is_taken(header)
