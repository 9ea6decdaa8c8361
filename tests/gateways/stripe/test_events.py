"""What each event says, and that no other says anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.contract import ForgedWebhook, Gateway, Notice, Subject, UnreadableWebhook
from catena.gateways.stripe.events import EVENTS, read_event
from tests.gateways.stripe.running import AT, KEY, Proxy, connected
from tests.gateways.stripe.shapes import ABOUT, charge, dispute, event, intent, refund
from tests.gateways.stripe.signing import signed

HELD = {"catena_key": "cte_b.hold.forward.1", "catena_capture_key": KEY}
FAILED = {
    "latest_charge": "ch_3PayCharge",
    "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
}


def hear(type: str, object: dict[str, Any]) -> Notice:  # noqa: A002  # Stripe's words
    """The one thing that an event says."""
    (notice,) = read_event(json.dumps(event(type, object)).encode(), is_live=False)
    assert (notice.id, notice.at) == ("evt_3PayEvent", AT)
    return notice


SAID: list[tuple[str, dict[str, Any], Subject, Outcome, str | None, str, str | None, str]] = [
    # type, object, subject, outcome, key, reference, about, code
    (
        *("payment_intent.succeeded", intent()),
        *(Subject.CHARGE, Outcome.APPROVED, KEY, ABOUT, None, ""),
    ),
    (
        *("payment_intent.succeeded", intent(capture_method="manual", metadata=HELD)),
        *(Subject.CAPTURE, Outcome.APPROVED, KEY, ABOUT, ABOUT, ""),
    ),
    (
        *("payment_intent.succeeded", intent("canceled", amount_received=1099)),
        *(Subject.CHARGE, Outcome.UNKNOWN, KEY, ABOUT, None, ""),
    ),
    (
        *("payment_intent.amount_capturable_updated", intent("requires_capture")),
        *(Subject.CHARGE, Outcome.APPROVED, KEY, ABOUT, None, ""),
    ),
    (
        *("payment_intent.processing", intent("processing")),
        *(Subject.CHARGE, Outcome.PENDING, KEY, ABOUT, None, ""),
    ),
    (
        *("payment_intent.requires_action", intent("requires_action")),
        *(Subject.CHARGE, Outcome.PENDING, KEY, ABOUT, None, ""),
    ),
    (
        *("payment_intent.payment_failed", intent("requires_payment_method", **FAILED)),
        *(Subject.CHARGE, Outcome.UNKNOWN, KEY, ABOUT, None, "insufficient_funds"),
    ),
    (
        *("payment_intent.canceled", intent("canceled", cancellation_reason="automatic")),
        *(Subject.CHARGE, Outcome.DECLINED, KEY, ABOUT, None, "automatic"),
    ),
    (
        *("payment_intent.succeeded", intent(metadata={})),
        *(Subject.CHARGE, Outcome.APPROVED, None, ABOUT, None, ""),
    ),
    (
        *("refund.created", refund("pending")),
        *(Subject.REFUND, Outcome.PENDING, KEY, "re_3PayRefund", ABOUT, ""),
    ),
    (
        *("refund.updated", refund()),
        *(Subject.REFUND, Outcome.APPROVED, KEY, "re_3PayRefund", ABOUT, ""),
    ),
    (
        *("refund.failed", refund("failed", failure_reason="expired_or_canceled_card")),
        *(Subject.REFUND, Outcome.DECLINED, KEY, "re_3PayRefund", ABOUT),
        "expired_or_canceled_card",
    ),
    (
        *("refund.created", refund(payment_intent=None, metadata={})),
        *(Subject.REFUND, Outcome.APPROVED, None, "re_3PayRefund", "ch_3PayCharge", ""),
    ),
    (
        *("charge.dispute.created", dispute()),
        *(Subject.DISPUTE, Outcome.PENDING, None, "du_3PayDispute", ABOUT, "fraudulent"),
    ),
    (
        *("charge.dispute.funds_withdrawn", dispute()),
        *(Subject.DISPUTE, Outcome.APPROVED, None, "du_3PayDispute", ABOUT, "fraudulent"),
    ),
    (
        *("charge.dispute.funds_reinstated", dispute(status="won")),
        *(Subject.DISPUTE, Outcome.DECLINED, None, "du_3PayDispute", ABOUT, "fraudulent"),
    ),
]


@pytest.mark.parametrize(
    ("type", "object", "subject", "outcome", "key", "reference", "about", "code"), SAID
)
def test_an_event_says(  # a row of the table
    type: str,  # Stripe's words
    object: dict[str, Any],  # noqa: A002  # as above
    subject: Subject,
    outcome: Outcome,
    key: str | None,
    reference: str,
    about: str | None,
    code: str,
) -> None:
    """An event says one thing; of a failed intent only that it is time to ask."""
    notice = hear(type, object)
    assert (notice.subject, notice.outcome, notice.key) == (subject, outcome, key)
    assert (notice.reference, notice.about, notice.code) == (reference, about, code)
    assert (notice.amount, notice.currency) == (1099, "EUR")
    assert "secret" not in repr(notice)


def test_every_type_is_tried() -> None:
    """The table above has each type that is listened to."""
    assert {case[0] for case in SAID} == EVENTS.keys()


OTHERS = [
    ("payment_intent.created", intent("requires_payment_method")),
    ("payment_intent.amount_capturable_updated", intent()),
    ("charge.succeeded", charge()),
    ("charge.refunded", charge(amount_refunded=600)),
    ("charge.dispute.closed", dispute(status="lost")),
    ("charge.dispute.updated", dispute()),
    ("payout.paid", {"id": "po_1", "object": "payout", "amount": 7, "currency": "eur"}),
    ("a.new.type", {}),
]


@pytest.mark.parametrize(("type", "object"), OTHERS)
def test_others_say_nothing(
    type: str,  # Stripe's words
    object: dict[str, Any],  # noqa: A002  # as above
) -> None:
    """What says the same again, or moves no money of ours, is no notice."""
    assert read_event(json.dumps(event(type, object)).encode(), is_live=False) == []


def test_a_capture_says_how_much_was_taken() -> None:
    """Of a hold that was captured in part, what was received counts."""
    part = intent(capture_method="manual", metadata=HELD, amount_received=600)
    assert hear("payment_intent.succeeded", part).amount == 600


def test_a_charge_tells_what_stripe_thinks_of_the_risk() -> None:
    """The risk that Stripe saw is kept for whoever looks for fraud later."""
    details = hear("payment_intent.succeeded", intent()).details
    assert details["risk"]["risk_level"] == "normal"
    assert details["risk"]["risk_score"] == 23
    assert details["charge"] == "ch_3PayCharge"


def test_a_payer_is_told_where_to_go() -> None:
    """What the payer has to do is in the details."""
    url = "https://hooks.example/3ds"
    told = {"type": "redirect_to_url", "redirect_to_url": {"url": url}}
    notice = hear("payment_intent.requires_action", intent("requires_action", next_action=told))
    assert notice.details["action"] == {"type": "redirect_to_url", "url": url}


def test_a_dispute_tells_its_fee_and_what_can_be_done() -> None:
    """What Stripe takes for a dispute, and until when it can be answered, is in the details."""
    details = hear("charge.dispute.funds_withdrawn", dispute()).details
    assert details == {
        "charge": "ch_3PayCharge",
        "status": "needs_response",
        "case_type": "chargeback",
        "network_reason_code": "10.4",
        "due_by": 1723679999,
        "fee": 1500,
    }


SUCCEEDED = event("payment_intent.succeeded", intent())


def succeeded(object: dict[str, Any]) -> dict[str, Any]:  # noqa: A002  # Stripe's words
    """The event that says that this object has succeeded."""
    return event("payment_intent.succeeded", object)


UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("of real money", {**SUCCEEDED, "livemode": True}),
    ("of no mode", {**SUCCEEDED, "livemode": None}),
    ("no event", {**SUCCEEDED, "object": "v2.core.event"}),
    ("of another kind", succeeded(refund())),
    ("without an amount", succeeded(intent(amount="7", amount_received=""))),
    ("without a currency", succeeded(intent(currency=None))),
    ("of no currency", succeeded(intent(currency="zzz"))),
    ("of half an ISK", succeeded(intent(currency="isk"))),
    ("of no time", {**SUCCEEDED, "created": 10**15}),
    ("of nothing", {**SUCCEEDED, "data": {}}),
]


@pytest.mark.parametrize(
    "told", [case[1] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE]
)
def test_what_stripe_would_not_say_is_unreadable(told: dict[str, Any]) -> None:
    """An event that is not as documented is refused, and not half understood."""
    with pytest.raises(UnreadableWebhook):
        read_event(json.dumps(told).encode(), is_live=False)


async def test_a_gateway_reads_its_webhooks(stripe: Gateway, proxy: Proxy) -> None:
    """What is signed is read; what is not is refused before anything is read of it."""
    assert stripe.read_webhook is not None
    headers, body = signed(event("payment_intent.succeeded", intent()))
    (notice,) = stripe.read_webhook(headers, body, AT)
    assert notice.reference == ABOUT
    with pytest.raises(ForgedWebhook):
        stripe.read_webhook(headers, body + b" ", AT)
    headers, body = signed({"object": "account"})
    with pytest.raises(UnreadableWebhook):
        stripe.read_webhook(headers, body, AT)
    live = event("payment_intent.succeeded", intent(), livemode=True)
    async with connected(proxy.url, api_key="sk_live_51NotAKey") as gateway:
        assert gateway.read_webhook is not None
        assert len(gateway.read_webhook(*signed(live), AT)) == 1
