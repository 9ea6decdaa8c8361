"""What is about a charge: captures, cancellations and refunds, done and looked up."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import ALREADY_CAPTURED, Capability, Gateway, Order
from catena.gateways.stripe.limits import KEY_AGE_MAX
from tests.gateways.stripe.running import AT, KEY, Proxy, make_order
from tests.gateways.stripe.shapes import ABOUT, INTENT_PATH, error, intent, listing, refund

LATE: Final = AT - KEY_AGE_MAX
OURS: Final = {"catena_key": "another", "catena_capture_key": KEY}
CAPTURE: Final = f"{INTENT_PATH}/capture"
CANCEL: Final = f"{INTENT_PATH}/cancel"
REFUNDS: Final = "/v1/refunds"


def about(**told: object) -> Order:
    """An order about the charge; its method is that of the charge, as the engine leaves it."""
    return make_order(about=ABOUT, **told)


async def test_a_part_is_captured(stripe: Gateway, proxy: Proxy) -> None:
    """So much is captured as was ordered, and the intent bears the key of the capture, too."""
    taken = intent(capture_method="manual", amount_received=600, metadata=OURS)
    proxy.answers("POST", CAPTURE, taken)
    answer = await stripe.acts[Capability.CAPTURE](about(amount=600))
    assert answer.outcome is Outcome.APPROVED
    assert (answer.result["reference"], answer.result["amount"]) == (ABOUT, 600)
    (heard,) = proxy.heard()
    assert heard["headers"]["idempotency-key"] == f"{KEY}:capture"
    assert heard["form"] == [
        ("amount_to_capture", "600"),
        ("metadata[catena_capture_key]", KEY),
        ("expand[]", "latest_charge"),
    ]


def refused(status: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """A refusal that shows the intent as it stands."""
    return error("payment_intent_unexpected_state", payment_intent=intent(status, **more))


CAPTURED: list[tuple[int, dict[str, Any], Outcome, str]] = [
    (200, intent("processing", metadata=OURS), Outcome.PENDING, ""),
    (200, intent(amount_received=5, metadata=OURS), Outcome.UNKNOWN, "answer_mismatched"),
    (400, refused("succeeded", metadata=OURS), Outcome.APPROVED, ""),
    (400, refused("succeeded"), Outcome.DECLINED, ALREADY_CAPTURED),
    (400, refused("canceled"), Outcome.DECLINED, "canceled"),
    (400, refused("requires_action"), Outcome.DECLINED, "not_authorised"),
    (400, error("amount_too_large"), Outcome.DECLINED, "amount_too_large"),
    (200, intent("a_new_status", metadata=OURS), Outcome.UNKNOWN, "status_unrecognised"),
    (500, error(), Outcome.UNKNOWN, "http_500"),
]


@pytest.mark.parametrize(("status", "body", "outcome", "code"), CAPTURED)
async def test_a_capture_means(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: dict[str, Any],
    outcome: Outcome,
    code: str,
) -> None:
    """A capture is ours where the intent bears its key; else somebody else's, or none."""
    proxy.answers("POST", CAPTURE, body, status)
    answer = await stripe.acts[Capability.CAPTURE](about())
    assert (answer.outcome, answer.code) == (outcome, code)


FOUND: list[tuple[dict[str, Any], Outcome]] = [
    (intent(metadata=OURS), Outcome.APPROVED),
    (intent("requires_capture"), Outcome.NOT_FOUND),
    (intent(), Outcome.DECLINED),
    (intent("canceled"), Outcome.DECLINED),
]


@pytest.mark.parametrize("first_at", [AT, LATE], ids=["soon", "late"])
@pytest.mark.parametrize(("now", "outcome"), FOUND)
async def test_a_capture_is_read_off_its_intent(
    stripe: Gateway,
    proxy: Proxy,
    now: dict[str, Any],
    outcome: Outcome,
    first_at: dt.datetime,
) -> None:
    """An intent that still waits shows that nothing was captured."""
    proxy.answers("GET", INTENT_PATH, now)
    answer = await stripe.look_ups[Capability.CAPTURE](about(first_at=first_at))
    assert answer.outcome is outcome
    assert proxy.heard("POST") == []


@pytest.mark.parametrize(("status", "outcome"), [(404, Outcome.NOT_FOUND), (500, Outcome.UNKNOWN)])
async def test_an_intent_that_cannot_be_read_shows_nothing(
    stripe: Gateway, proxy: Proxy, status: int, outcome: Outcome
) -> None:
    """Of an intent that is not there nothing was captured; of one that cannot be read who knows."""
    proxy.answers("GET", INTENT_PATH, error("resource_missing"), status)
    answer = await stripe.look_ups[Capability.CAPTURE](about(first_at=LATE))
    assert answer.outcome is outcome


async def test_an_intent_is_let_go(stripe: Gateway, proxy: Proxy) -> None:
    """It is canceled, as it says itself when it is read."""
    proxy.answers("POST", CANCEL, intent("canceled"))
    proxy.answers("GET", INTENT_PATH, intent("canceled"))
    answer = await stripe.acts[Capability.CANCEL](about())
    assert (answer.outcome, answer.result["reference"]) == (Outcome.APPROVED, ABOUT)
    assert KEY in proxy.heard("POST")[0]["headers"]["idempotency-key"]


LET_GO: list[tuple[int, str, Outcome, str, bool]] = [
    (400, "canceled", Outcome.APPROVED, "", True),
    (500, "canceled", Outcome.APPROVED, "", True),
    (400, "succeeded", Outcome.DECLINED, ALREADY_CAPTURED, True),
    (400, "processing", Outcome.DECLINED, "no_way", False),
    (500, "requires_capture", Outcome.UNKNOWN, "no_way", True),
    (409, "requires_capture", Outcome.UNKNOWN, "no_way", True),
]


@pytest.mark.parametrize(("status", "now", "outcome", "code", "permanent"), LET_GO)
async def test_how_it_stands_decides(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    now: str,
    outcome: Outcome,
    code: str,
    *,
    permanent: bool,
) -> None:
    """Whatever a cancellation is answered with, the intent says what became of it."""
    proxy.answers("POST", CANCEL, error("no_way"), status)
    proxy.answers("GET", INTENT_PATH, intent(now))
    answer = await stripe.acts[Capability.CANCEL](about())
    assert (answer.outcome, answer.code, answer.permanent) == (outcome, code, permanent)


GONE: list[tuple[int, Outcome, bool]] = [
    (404, Outcome.DECLINED, True),
    (429, Outcome.DECLINED, False),
    (401, Outcome.DECLINED, False),
]


@pytest.mark.parametrize(("status", "outcome", "permanent"), GONE)
async def test_a_cancellation_that_was_turned_away_did_nothing(
    stripe: Gateway, proxy: Proxy, status: int, outcome: Outcome, *, permanent: bool
) -> None:
    """There is no such intent, or the request was not looked at."""
    proxy.answers("POST", CANCEL, error("no_way"), status)
    answer = await stripe.acts[Capability.CANCEL](about())
    assert (answer.outcome, answer.permanent) == (outcome, permanent)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, error(), "http_500"),
        (200, {}, "answer_unreadable"),
        (200, intent("canceled", currency="isk"), "amount_not_representable"),
    ],
)
async def test_a_cancellation_that_cannot_be_read_is_unknown(
    stripe: Gateway, proxy: Proxy, status: int, body: dict[str, Any], code: str
) -> None:
    """An intent that cannot be read, or not in full, says nothing."""
    proxy.answers("GET", INTENT_PATH, body, status)
    answer = await stripe.look_ups[Capability.CANCEL](about())
    assert answer == Answer(Outcome.UNKNOWN, code=code)


STANDS: list[tuple[str, Outcome]] = [
    ("canceled", Outcome.APPROVED),
    ("succeeded", Outcome.DECLINED),
    ("processing", Outcome.NOT_FOUND),
    ("requires_capture", Outcome.NOT_FOUND),
]


@pytest.mark.parametrize(("status", "outcome"), STANDS)
async def test_a_cancellation_is_looked_up(
    stripe: Gateway, proxy: Proxy, status: str, outcome: Outcome
) -> None:
    """It is read off the intent, at any time, and nothing is sent."""
    proxy.answers("GET", INTENT_PATH, intent(status))
    assert (await stripe.look_ups[Capability.CANCEL](about())).outcome is outcome


async def test_a_refund_is_one_request(stripe: Gateway, proxy: Proxy) -> None:
    """It names the charge, the amount and our key; the charge's own method is no part of it."""
    proxy.answers("POST", REFUNDS, refund())
    answer = await stripe.acts[Capability.REFUND](about())
    assert answer == Answer(
        Outcome.APPROVED,
        {
            "reference": "re_3PayRefund",
            "amount": 1099,
            "currency": "EUR",
            "details": {"payment_intent": ABOUT, "charge": "ch_3PayCharge"},
        },
    )
    (heard,) = proxy.heard()
    assert heard["headers"]["idempotency-key"] == f"{KEY}:refund"
    assert heard["form"] == [
        ("payment_intent", ABOUT),
        ("amount", "1099"),
        ("metadata[catena_key]", KEY),
        ("metadata[catena_chain]", "cte_" + 32 * "a"),
        ("metadata[catena_step]", "pay"),
    ]


async def test_a_charge_can_be_named_by_itself(stripe: Gateway, proxy: Proxy) -> None:
    """A charge without an intent, as disputes and dashboards name it, is refunded, too."""
    proxy.answers("POST", REFUNDS, refund())
    await stripe.acts[Capability.REFUND](make_order(about="ch_3PayCharge"))
    assert ("charge", "ch_3PayCharge") in proxy.heard()[0]["form"]


REFUNDED: list[tuple[int, dict[str, Any], Outcome, str, bool]] = [
    (200, refund("pending", pending_reason="processing"), Outcome.PENDING, "", True),
    (200, refund("requires_action"), Outcome.PENDING, "", True),
    (200, refund("canceled"), Outcome.DECLINED, "canceled", True),
    (
        200,
        refund("failed", failure_reason="lost_or_stolen_card"),
        Outcome.DECLINED,
        "lost_or_stolen_card",
        True,
    ),
    (
        200,
        refund("failed", failure_reason="insufficient_funds"),
        Outcome.DECLINED,
        "insufficient_funds",
        False,
    ),
    (200, refund(amount=5), Outcome.UNKNOWN, "answer_mismatched", True),
    (200, refund("a_new_status"), Outcome.UNKNOWN, "status_unrecognised", True),
    (400, error("charge_already_refunded"), Outcome.DECLINED, "charge_already_refunded", True),
    (400, error(param="amount"), Outcome.DECLINED, "http_400", True),
    (401, error(), Outcome.DECLINED, "credentials_refused", False),
    (500, error(), Outcome.UNKNOWN, "http_500", True),
]


@pytest.mark.parametrize(("status", "body", "outcome", "code", "permanent"), REFUNDED)
async def test_a_refund_means(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: dict[str, Any],
    outcome: Outcome,
    code: str,
    *,
    permanent: bool,
) -> None:
    """A refund is as its status says."""
    proxy.answers("POST", REFUNDS, body, status)
    answer = await stripe.acts[Capability.REFUND](about())
    assert (answer.outcome, answer.code, answer.permanent) == (outcome, code, permanent)


async def test_a_refund_that_was_sent_before_is_read_anew(stripe: Gateway, proxy: Proxy) -> None:
    """It was pending when it was made, and has failed since."""
    proxy.answers("POST", REFUNDS, refund("pending"))
    proxy.answers("GET", f"{REFUNDS}/re_3PayRefund", refund("failed"))
    answer = await stripe.acts[Capability.REFUND](about(repeats=True))
    assert answer.outcome is Outcome.DECLINED


@pytest.mark.parametrize("first_at", [AT, LATE], ids=["soon", "late"])
@pytest.mark.parametrize(
    ("items", "outcome"), [([refund()], Outcome.APPROVED), ([], Outcome.NOT_FOUND)]
)
async def test_a_refund_is_sought_among_those_of_its_charge(
    stripe: Gateway,
    proxy: Proxy,
    items: list[dict[str, Any]],
    outcome: Outcome,
    first_at: dt.datetime,
) -> None:
    """All refunds of a charge are in one list, which shows whether there is one of ours."""
    other = refund(id="re_other", metadata={"catena_key": "cte_b.pay.undo.1"})
    proxy.answers("GET", REFUNDS, listing(other, *items))
    answer = await stripe.look_ups[Capability.REFUND](about(first_at=first_at))
    assert answer.outcome is outcome
    assert dict(proxy.heard()[0]["form"])["payment_intent"] == ABOUT


@pytest.mark.parametrize("capability", [Capability.CAPTURE, Capability.CANCEL, Capability.REFUND])
@pytest.mark.parametrize("name", [None, "", "pi_", "../v1/payouts", "pi_1/../x", "cus_1"])
async def test_only_a_charge_can_be_named(
    stripe: Gateway, proxy: Proxy, capability: Capability, name: str | None
) -> None:
    """What is no name of a charge is refused, and never becomes a part of a path."""
    for act in (stripe.acts[capability], stripe.look_ups[capability]):
        answer = await act(make_order(about=name, first_at=LATE))
        assert (answer.outcome, answer.code) == (Outcome.DECLINED, "reference_refused")
    assert proxy.heard() == []
