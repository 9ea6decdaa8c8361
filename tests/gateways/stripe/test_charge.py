"""Charges and authorisations: what is sent, and what each status and refusal is taken for."""

from __future__ import annotations

from typing import Any

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import Capability, Gateway
from tests.gateways.stripe.running import API_KEY, KEY, VERSION, Proxy, make_order
from tests.gateways.stripe.shapes import ABOUT, INTENT_PATH, card_error, error, intent

CREATE = "/v1/payment_intents"
CANCEL = f"{INTENT_PATH}/cancel"


async def charge(stripe: Gateway, **told: object) -> Answer:
    """Charge an order."""
    return await stripe.acts[Capability.CHARGE](make_order(**told))


async def test_a_charge_is_one_request(stripe: Gateway, proxy: Proxy) -> None:
    """An intent is created and confirmed at once, under our key, which it bears."""
    proxy.answers("POST", CREATE, intent())
    answer = await charge(stripe, note="Order 7")
    assert answer == Answer(
        Outcome.APPROVED,
        {
            "reference": ABOUT,
            "amount": 1099,
            "currency": "EUR",
            "details": {
                "charge": "ch_3PayCharge",
                "risk": {
                    "risk_level": "normal",
                    "risk_score": 23,
                    "type": "authorized",
                    "network_status": "approved_by_network",
                    "seller_message": "Payment complete.",
                },
                "card": {"brand": "visa", "country": "US", "funding": "credit", "last4": "4242"},
            },
        },
    )
    (heard,) = proxy.heard()
    assert heard["headers"]["authorization"] == f"Bearer {API_KEY}"
    assert heard["headers"]["stripe-version"] == VERSION
    assert heard["headers"]["idempotency-key"] == f"{KEY}:charge"
    assert heard["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert heard["form"] == [
        ("amount", "1099"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("capture_method", "automatic"),
        ("metadata[catena_key]", KEY),
        ("metadata[catena_chain]", "cte_" + 32 * "a"),
        ("metadata[catena_step]", "pay"),
        ("expand[]", "latest_charge"),
        ("payment_method_types[]", "card"),
        ("payment_method", "pm_card_visa"),
        ("description", "Order 7"),
    ]


async def test_a_debit_carries_its_mandate(stripe: Gateway, proxy: Proxy) -> None:
    """A SEPA debit of an account is sent with its holder and how the mandate was accepted."""
    proxy.answers("POST", CREATE, intent("processing"))
    method = {
        "type": "sepa_debit",
        "iban": "DE89370400440532013000",
        "name": "Jenny Rosen",
        "email": "jenny@example.com",
        "acceptance": "online",
        "ip_address": "203.0.113.7",
        "user_agent": "Browser/1.0",
    }
    assert (await charge(stripe, method=method)).outcome is Outcome.PENDING
    (heard,) = proxy.heard()
    assert [pair for pair in heard["form"] if pair[0].startswith(("pay", "mandate"))] == [
        ("payment_method_types[]", "sepa_debit"),
        ("payment_method_data[type]", "sepa_debit"),
        ("payment_method_data[sepa_debit][iban]", "DE89370400440532013000"),
        ("payment_method_data[billing_details][name]", "Jenny Rosen"),
        ("payment_method_data[billing_details][email]", "jenny@example.com"),
        ("mandate_data[customer_acceptance][type]", "online"),
        ("mandate_data[customer_acceptance][online][ip_address]", "203.0.113.7"),
        ("mandate_data[customer_acceptance][online][user_agent]", "Browser/1.0"),
    ]


STATUSES: list[tuple[Capability, str, Outcome, str]] = [
    (Capability.CHARGE, "succeeded", Outcome.APPROVED, ""),
    (Capability.CHARGE, "processing", Outcome.PENDING, ""),
    (Capability.CHARGE, "requires_action", Outcome.PENDING, ""),
    (Capability.CHARGE, "canceled", Outcome.DECLINED, "canceled"),
    (Capability.CHARGE, "requires_capture", Outcome.UNKNOWN, "status_unrecognised"),
    (Capability.CHARGE, "a_new_status", Outcome.UNKNOWN, "status_unrecognised"),
    (Capability.AUTHORISE, "requires_capture", Outcome.APPROVED, ""),
    (Capability.AUTHORISE, "succeeded", Outcome.APPROVED, ""),
    (Capability.AUTHORISE, "requires_action", Outcome.PENDING, ""),
]


@pytest.mark.parametrize(("capability", "status", "outcome", "code"), STATUSES)
async def test_a_status_means(
    stripe: Gateway,
    proxy: Proxy,
    capability: Capability,
    status: str,
    outcome: Outcome,
    code: str,
) -> None:
    """A status means one outcome, and one that we do not know means none."""
    proxy.answers("POST", CREATE, intent(status))
    answer = await stripe.acts[capability](make_order())
    assert (answer.outcome, answer.code) == (outcome, code)
    (heard,) = proxy.heard()
    held = "manual" if capability is Capability.AUTHORISE else "automatic"
    assert ("capture_method", held) in heard["form"]
    assert heard["headers"]["idempotency-key"] == f"{KEY}:{capability}"


ACTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks.example/3ds"}},
        {"type": "redirect_to_url", "url": "https://hooks.example/3ds"},
    ),
    (
        {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "client_secret": "x"},
        },
        {"type": "use_stripe_sdk", "next_action": {"type": "three_d_secure_redirect"}},
    ),
]


@pytest.mark.parametrize(("told", "action"), ACTIONS)
async def test_what_the_payer_has_to_do_is_told(
    stripe: Gateway, proxy: Proxy, told: dict[str, Any], action: dict[str, Any]
) -> None:
    """A charge that waits for its payer says where to go, and no secret with it."""
    proxy.answers("POST", CREATE, intent("requires_action", next_action=told))
    answer = await charge(stripe)
    assert answer.outcome is Outcome.PENDING
    assert answer.result["reference"] == ABOUT
    assert answer.result["action"] == action
    assert "secret" not in repr(answer)


DECLINES: list[tuple[str, str, bool]] = [
    ("insufficient_funds", "", False),
    ("processing_error", "", False),
    ("generic_decline", "", True),
    ("stolen_card", "", True),
    ("a_new_code", "", True),
    ("generic_decline", "try_again_later", False),
    ("insufficient_funds", "do_not_try_again", True),
]


@pytest.mark.parametrize(("code", "advice", "permanent"), DECLINES)
async def test_a_decline_ends_the_intent(
    stripe: Gateway, proxy: Proxy, code: str, advice: str, *, permanent: bool
) -> None:
    """A charge is declined once its intent is canceled, so that it can never succeed later."""
    proxy.answers("POST", CREATE, card_error(code, advice), 402)
    proxy.answers("POST", CANCEL, intent("canceled"))
    answer = await charge(stripe)
    assert (answer.outcome, answer.code, answer.permanent) == (Outcome.DECLINED, code, permanent)
    assert answer.detail == "Your card was declined."
    assert answer.result["reference"] == ABOUT
    first, second = proxy.heard()
    assert second["headers"]["idempotency-key"] not in ("", first["headers"]["idempotency-key"])


ENDS: list[tuple[str, dict[str, Any], int, Any, Outcome, str]] = [
    ("it was paid meanwhile", error(), 400, intent(), Outcome.APPROVED, ""),
    ("its bank has it now", error(), 400, intent("processing"), Outcome.PENDING, ""),
    ("it is canceled already", error(), 400, intent("canceled"), Outcome.DECLINED, "lost_card"),
    (
        "it stands as before",
        error(),
        400,
        intent("requires_payment_method"),
        Outcome.UNKNOWN,
        "failed_not_canceled",
    ),
    ("nobody can say", error(), 500, None, Outcome.UNKNOWN, "failed_not_canceled"),
    (
        "it was not canceled, it says",
        intent("requires_payment_method"),
        200,
        intent("canceled"),
        Outcome.DECLINED,
        "lost_card",
    ),
]


@pytest.mark.parametrize(
    ("cancelled", "status", "now", "outcome", "code"),
    [case[1:] for case in ENDS],
    ids=[case[0] for case in ENDS],
)
async def test_what_cannot_be_ended_is_not_declined(
    stripe: Gateway,
    proxy: Proxy,
    cancelled: dict[str, Any],
    status: int,
    now: Any,  # noqa: ANN401  # an intent, or nothing
    outcome: Outcome,
    code: str,
) -> None:
    """Where the cancellation is refused, the intent as it is by then decides."""
    proxy.answers("POST", CREATE, card_error("lost_card"), 402)
    proxy.answers("POST", CANCEL, cancelled, status)
    proxy.answers("GET", INTENT_PATH, now or error(), 200 if now else 500)
    answer = await charge(stripe)
    assert (answer.outcome, answer.code) == (outcome, code)


async def test_a_decline_whose_end_is_lost_is_unknown(stripe: Gateway, proxy: Proxy) -> None:
    """Whether an intent was canceled is not known, so the order is not declined."""
    proxy.answers("POST", CREATE, card_error("lost_card"), 402)
    proxy.rule("POST", CANCEL, "drop")
    proxy.rule("GET", INTENT_PATH, "drop")
    assert (await charge(stripe)).outcome is Outcome.UNKNOWN


REFUSALS: list[tuple[int, Any, dict[str, str], Outcome, str, bool]] = [
    (400, error("parameter_missing"), {}, Outcome.DECLINED, "parameter_missing", True),
    (400, error("amount_too_small"), {}, Outcome.DECLINED, "amount_too_small", True),
    (404, error("resource_missing"), {}, Outcome.DECLINED, "resource_missing", True),
    (401, error("api_key_expired"), {}, Outcome.DECLINED, "credentials_refused", False),
    (403, error(), {}, Outcome.DECLINED, "credentials_refused", False),
    (429, error("rate_limit"), {}, Outcome.DECLINED, "rate_limit", False),
    (429, error("lock_timeout"), {}, Outcome.UNKNOWN, "lock_timeout", True),
    (409, error("idempotency_key_in_use"), {}, Outcome.UNKNOWN, "idempotency_key_in_use", True),
    (424, error(), {}, Outcome.UNKNOWN, "http_424", True),
    (400, error(type="idempotency_error"), {}, Outcome.UNKNOWN, "idempotency_error", True),
    (400, error(), {"stripe-should-retry": "true"}, Outcome.UNKNOWN, "http_400", True),
    (500, error(type="api_error"), {}, Outcome.UNKNOWN, "http_500", True),
    (500, error(), {"stripe-should-retry": "false"}, Outcome.UNKNOWN, "http_500", True),
    (503, "<html>", {}, Outcome.UNKNOWN, "http_503", True),
    (302, {}, {"location": "/"}, Outcome.UNKNOWN, "http_302", True),
    (200, "not JSON", {}, Outcome.UNKNOWN, "answer_unreadable", True),
    (200, [], {}, Outcome.UNKNOWN, "answer_unreadable", True),
    (200, {"object": "charge", "id": "ch_1"}, {}, Outcome.UNKNOWN, "answer_unreadable", True),
    (200, intent(amount=1098), {}, Outcome.UNKNOWN, "answer_mismatched", True),
    (200, intent(currency="usd"), {}, Outcome.UNKNOWN, "answer_mismatched", True),
    (200, intent(metadata={}), {}, Outcome.UNKNOWN, "answer_mismatched", True),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "outcome", "code", "permanent"),
    REFUSALS,
)
async def test_an_answer_means(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: Any,  # noqa: ANN401  # any JSON
    headers: dict[str, str],
    outcome: Outcome,
    code: str,
    *,
    permanent: bool,
) -> None:
    """Only what says so for certain is a refusal, and ours alone is none of the payment."""
    proxy.answers("POST", CREATE, body, status, headers=headers)
    answer = await charge(stripe)
    assert (answer.outcome, answer.code, answer.permanent) == (outcome, code, permanent)


UNJUDGED = [(401, "credentials_refused"), (403, "credentials_refused"), (429, "rate_limit")]


@pytest.mark.parametrize(("status", "code"), UNJUDGED)
async def test_a_repeat_that_was_turned_away_says_nothing(
    stripe: Gateway, proxy: Proxy, status: int, code: str
) -> None:
    """What was sent before may have been done, though this request was not even looked at."""
    proxy.answers("POST", CREATE, error(code), status)
    assert (await charge(stripe, repeats=True)).outcome is Outcome.UNKNOWN


async def test_a_lost_answer_is_unknown(stripe: Gateway, proxy: Proxy) -> None:
    """A connection that ends under a request says nothing of it."""
    proxy.rule("POST", CREATE, "drop")
    assert await charge(stripe) == Answer(Outcome.UNKNOWN, code="connection_lost")


async def test_a_late_answer_is_unknown(stripe: Gateway, proxy: Proxy) -> None:
    """An order's time is that of all its requests together."""
    proxy.rule("POST", CREATE, "hold")
    assert await charge(stripe, timeout_seconds=1.0) == Answer(Outcome.UNKNOWN, code="timeout")
    proxy.release()


async def test_what_never_left_is_declined_for_now(stripe: Gateway, proxy: Proxy) -> None:
    """Nobody was reached: nothing was done, and it may be tried again."""
    del proxy
    answer = await charge(stripe, timeout_seconds=0.0)
    assert (answer.outcome, answer.permanent) == (Outcome.DECLINED, False)


CANNOT: list[tuple[dict[str, object], str]] = [
    ({"amount": 1, "currency": "KWD"}, "amount_not_representable"),
    ({"amount": 1, "currency": "CLF"}, "currency_not_supported"),
    ({"amount": 1, "currency": "PTS"}, "currency_not_supported"),
    ({"method": {"payment_method": "4242424242424242"}}, "method_refused"),
    ({"method": {}}, "method_refused"),
]


@pytest.mark.parametrize(("told", "code"), CANNOT)
async def test_what_cannot_be_sent_is_declined(
    stripe: Gateway, proxy: Proxy, told: dict[str, object], code: str
) -> None:
    """An order that Stripe has no words for is refused before anything is sent."""
    answer = await charge(stripe, **told)
    assert (answer.outcome, answer.code, answer.permanent) == (Outcome.DECLINED, code, True)
    assert proxy.heard() == []
