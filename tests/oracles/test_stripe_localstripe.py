"""Our adapter drives localstripe through faults: no charge is made twice, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final
from uuid import uuid4

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.clock import system_clock
from catena.gateways.contract import Capability, Gateway, Notice, Order, Subject
from catena.gateways.stripe.limits import KEY_AGE_MAX
from tests.gateways.receiver import Receiver, run_receiver
from tests.gateways.stripe.running import connected
from tests.gateways.stripe.running import make_order as make_any_order
from tests.oracles.stripe_street import Localstripe, run_localstripe

pytestmark = [pytest.mark.oracle("localstripe"), pytest.mark.xdist_group("localstripe")]

CREATE: Final = "/v1/payment_intents"
CHARGE: Final = Capability.CHARGE
ALWAYS_3DS: Final = "4000002760003184"
CHARGE_FAILS: Final = "4000000000000341"
DECLINED_AFTER_3DS: Final = "4000008400001629"
DEBIT_FAILS: Final = "DE62370400440532013001"
DEBIT_SUCCEEDS: Final = "DE89370400440532013000"


@pytest.fixture(scope="module")
def street() -> Iterator[Localstripe]:
    """Localstripe and the proxy."""
    with run_localstripe() as street:
        yield street


@pytest.fixture
async def stripe(street: Localstripe) -> AsyncIterator[Gateway]:
    """Our gateway, which calls the proxy; every rule that a test makes must be for something."""
    street.proxy.reset()
    async with connected(street.proxy.url, system_clock) as gateway:
        yield gateway
    assert street.proxy.left() == []


@pytest.fixture
async def hooks(street: Localstripe) -> AsyncIterator[Receiver]:
    """Hears the webhooks."""
    async with run_receiver() as receiver:
        street.send_hooks_to(receiver.url)
        yield receiver


def make_order(**told: object) -> Order:
    """A fresh order of 10.99 EUR."""
    chain = f"cte_{uuid4().hex}"
    fresh = {"key": f"{chain}.pay.forward.1", "chain": chain, "first_at": system_clock()}
    return make_any_order(**{**fresh, **told})


def debit(street: Localstripe, iban: str) -> dict[str, str]:
    """A method that is a bank account, with a mandate."""
    method = street.make_debit(iban)
    return {"type": "sepa_debit", "payment_method": method, "mandate": "mandate_1"}


def count_charges(street: Localstripe, order: Order) -> int:
    """How often the order took money, by localstripe's own books."""
    found = street.list_intents(catena_key=order.key)
    return sum(one["status"] == "succeeded" for one in found)


async def decide(stripe: Gateway, order: Order) -> Answer:
    """Ask until it is decided."""
    async with asyncio.timeout(20):
        while True:
            answer = await stripe.look_ups[CHARGE](order)
            if answer.outcome is not Outcome.PENDING:
                return answer


async def hear(stripe: Gateway, hooks: Receiver, key: str) -> Notice:
    """The first webhook about this key."""
    read = stripe.read_webhook
    assert read is not None

    def find() -> list[Notice]:
        told = [read(hook.headers, hook.body, system_clock()) for hook in hooks.hooks]
        return [notice for notices in told for notice in notices if notice.key == key]

    await hooks.wait_for(lambda _: bool(find()))
    return find()[0]


async def test_a_card_is_charged(stripe: Gateway, street: Localstripe, hooks: Receiver) -> None:
    """It succeeds at once, is found by its key, and a signed webhook says the same."""
    order = make_order()
    answer = await stripe.acts[CHARGE](order)
    assert answer.outcome is Outcome.APPROVED
    assert (await stripe.look_ups[CHARGE](order)).result == answer.result
    notice = await hear(stripe, hooks, order.key)
    assert (notice.subject, notice.outcome) == (Subject.CHARGE, Outcome.APPROVED)
    assert (notice.reference, notice.amount) == (answer.result["reference"], 1099)
    assert count_charges(street, order) == 1


async def test_a_declined_card_leaves_nothing_behind(stripe: Gateway, street: Localstripe) -> None:
    """Its intent is canceled, so that nothing can be taken by it later."""
    order = make_order(method={"payment_method": street.make_card(CHARGE_FAILS)})
    answer = await stripe.acts[CHARGE](order)
    assert (answer.outcome, answer.code) == (Outcome.DECLINED, "card_declined")
    (left,) = street.list_intents(catena_key=order.key)
    assert left["status"] == "canceled"
    assert (await stripe.look_ups[CHARGE](order)).outcome is Outcome.DECLINED


@pytest.mark.parametrize(
    ("number", "success", "outcome", "code"),
    [
        (ALWAYS_3DS, True, Outcome.APPROVED, ""),
        (ALWAYS_3DS, False, Outcome.DECLINED, "payment_intent_authentication_failure"),
        (DECLINED_AFTER_3DS, True, Outcome.DECLINED, "card_declined"),
    ],
)
async def test_a_payer_is_asked_by_the_bank(
    stripe: Gateway,
    street: Localstripe,
    number: str,
    outcome: Outcome,
    code: str,
    *,
    success: bool,
) -> None:
    """3-D Secure: it is pending until the payer has said yes or no, and then decided."""
    order = make_order(method={"payment_method": street.make_card(number)})
    asked = await stripe.acts[CHARGE](order)
    assert asked.outcome is Outcome.PENDING
    assert asked.result["action"]["type"] == "use_stripe_sdk"
    assert "secret" not in repr(asked)
    street.authenticate(asked.result["reference"], success=success)
    answer = await stripe.look_ups[CHARGE](order)
    assert (answer.outcome, answer.code) == (outcome, code)
    assert count_charges(street, order) == (outcome is Outcome.APPROVED)


async def test_a_debit_fails_late(stripe: Gateway, street: Localstripe, hooks: Receiver) -> None:
    """It is pending; a webhook says that it is time to ask; asked, it is ended and declined."""
    order = make_order(method=debit(street, DEBIT_FAILS))
    assert (await stripe.acts[CHARGE](order)).outcome is Outcome.PENDING
    notice = await hear(stripe, hooks, order.key)
    assert (notice.outcome, notice.code) == (Outcome.UNKNOWN, "card_declined")
    answer = await stripe.look_ups[CHARGE](order)
    assert (answer.outcome, answer.code) == (Outcome.DECLINED, "card_declined")
    (left,) = street.list_intents(catena_key=order.key)
    assert left["status"] == "canceled"


async def test_a_debit_succeeds(stripe: Gateway, street: Localstripe) -> None:
    """A debit of an account in order is approved."""
    order = make_order(method=debit(street, DEBIT_SUCCEEDS))
    await stripe.acts[CHARGE](order)
    assert (await decide(stripe, order)).outcome is Outcome.APPROVED


@pytest.mark.parametrize("fault", ["drop", "lose"])
async def test_a_lost_call_is_looked_up(stripe: Gateway, street: Localstripe, fault: str) -> None:
    """Lost before or after it acted: unknown, until a look-up knows; and it acted once."""
    order = make_order()
    street.proxy.rule("POST", CREATE, fault)
    assert (await stripe.acts[CHARGE](order)).outcome is Outcome.UNKNOWN
    found = await stripe.look_ups[CHARGE](order._replace(repeats=True))
    assert found.outcome is Outcome.APPROVED
    again = await stripe.acts[CHARGE](order._replace(repeats=True))
    assert again.result == found.result
    assert again.outcome is Outcome.APPROVED
    assert count_charges(street, order) == 1


async def test_a_slow_call_is_not_made_twice(stripe: Gateway, street: Localstripe) -> None:
    """While the first call is at work another one says nothing; in the end there is one charge."""
    order = make_order(timeout_seconds=0.3)
    street.proxy.rule("POST", CREATE, "hold")
    assert (await stripe.acts[CHARGE](order)).outcome is Outcome.UNKNOWN
    again = order._replace(repeats=True, timeout_seconds=10.0)
    at_work = Answer(Outcome.UNKNOWN, code="idempotency_key_in_use")
    assert (await stripe.look_ups[CHARGE](again))._replace(detail="") == at_work
    assert (await stripe.acts[CHARGE](again))._replace(detail="") == at_work
    street.proxy.release()
    answer = at_work
    async with asyncio.timeout(10):
        while answer.outcome is Outcome.UNKNOWN:
            answer = await stripe.look_ups[CHARGE](again)
    assert answer.outcome is Outcome.APPROVED
    assert count_charges(street, order) == 1


@pytest.mark.parametrize(("status", "outcome"), [(429, Outcome.DECLINED), (500, Outcome.UNKNOWN)])
async def test_a_storm_passes(
    stripe: Gateway, street: Localstripe, status: int, outcome: Outcome
) -> None:
    """429 is a refusal for now, 500 is unknown; when the storm is over there is one charge."""
    order = make_order()
    error = {"error": {"type": "api_error", "code": "rate_limit", "message": "Storm."}}
    street.proxy.answers("POST", CREATE, error, status, times=2)
    answer = await stripe.acts[CHARGE](order)
    assert (answer.outcome, answer.permanent) == (outcome, outcome is Outcome.UNKNOWN)
    again = order._replace(repeats=True)
    assert (await stripe.look_ups[CHARGE](again)).outcome is Outcome.UNKNOWN
    assert (await stripe.look_ups[CHARGE](again)).outcome is Outcome.APPROVED
    assert count_charges(street, order) == 1


async def test_a_key_that_was_forgotten_is_not_sent_again(
    stripe: Gateway, street: Localstripe
) -> None:
    """After a day the key would charge again; what it has made is found in the list."""
    order = make_order()
    street.proxy.rule("POST", CREATE, "lose")
    assert (await stripe.acts[CHARGE](order)).outcome is Outcome.UNKNOWN
    street.proxy.forget()
    late = order._replace(repeats=True, first_at=order.first_at - KEY_AGE_MAX)
    assert (await stripe.acts[CHARGE](late)).outcome is Outcome.APPROVED
    assert (await stripe.look_ups[CHARGE](late)).outcome is Outcome.APPROVED
    assert count_charges(street, order) == 1


async def test_another_request_under_a_key_is_unknown(stripe: Gateway, street: Localstripe) -> None:
    """A key that stands for another amount was not refused: something was done under it."""
    order = make_order()
    assert (await stripe.acts[CHARGE](order)).outcome is Outcome.APPROVED
    answer = await stripe.acts[CHARGE](order._replace(amount=5))
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "idempotency_error")
    assert count_charges(street, order) == 1


async def test_a_part_is_captured_and_given_back(stripe: Gateway, street: Localstripe) -> None:
    """What was set aside is taken in part, and of that a part is refunded; each is found again."""
    held = await stripe.acts[Capability.AUTHORISE](make_order())
    about = held.result["reference"]
    capture = make_order(about=about, amount=600)
    street.proxy.rule("POST", f"{CREATE}/{about}/capture", "lose")
    assert (await stripe.acts[Capability.CAPTURE](capture)).outcome is Outcome.UNKNOWN
    found = await stripe.look_ups[Capability.CAPTURE](capture)
    assert (found.outcome, found.result["amount"]) == (Outcome.APPROVED, 600)
    refund = make_order(about=about, amount=250)
    street.proxy.rule("POST", "/v1/refunds", "lose")
    assert (await stripe.acts[Capability.REFUND](refund)).outcome is Outcome.UNKNOWN
    found = await stripe.look_ups[Capability.REFUND](refund)
    assert (found.outcome, found.result["amount"]) == (Outcome.APPROVED, 250)
    assert len(street.list_refunds(refund.key)) == 1


async def test_what_is_canceled_is_never_captured(stripe: Gateway, street: Localstripe) -> None:
    """Localstripe takes money by a canceled intent: what says so is not called a capture."""
    held = await stripe.acts[Capability.AUTHORISE](make_order())
    about = make_order(about=held.result["reference"])
    assert (await stripe.acts[Capability.CANCEL](about)).outcome is Outcome.APPROVED
    assert (await stripe.acts[Capability.CAPTURE](about)).outcome is Outcome.DECLINED
    del street


async def test_the_balance_is_read(stripe: Gateway, street: Localstripe) -> None:
    """A charge and its refund are lines of the statement, under our references."""
    del street
    charged = await stripe.acts[CHARGE](make_order())
    refund = make_order(about=charged.result["reference"], amount=250)
    refunded = await stripe.acts[Capability.REFUND](refund)
    assert stripe.read_statement is not None
    first = refund.first_at.replace(year=2000)
    wanted = {charged.result["reference"], refunded.result["reference"]}
    lines = [
        (line.subject, line.amount, line.reference)
        for line in await stripe.read_statement(first, system_clock())
        if line.reference in wanted
    ]
    assert sorted(lines) == [
        (Subject.CHARGE, 1099, charged.result["reference"]),
        (Subject.REFUND, -250, refunded.result["reference"]),
    ]
