"""What a method may say, and that a card number is never taken, wherever it is hidden."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import SetupError
from catena.gateways.contract import Capability
from catena.gateways.stripe import connect
from catena.gateways.stripe.declines import ADVICE, DECLINES, is_permanent
from catena.gateways.stripe.method import blame
from catena.outside.client import OutsideClient
from catena.settings import Settings
from tests.gateways.stripe.running import AT

IBAN = {"type": "sepa_debit", "iban": "DE89370400440532013000", "acceptance": "offline"}
HOLDER = {"name": "Jenny Rosen", "email": "jenny@example.com"}

GOOD: list[dict[str, Any]] = [
    {"payment_method": "pm_1N"},
    {"payment_method": "card_1N", "customer": "cus_1", "off_session": True},
    {"token": "tok_visa", "return_url": "https://shop.example/back?order=4242424242424242"},
    {"type": "sepa_debit", "payment_method": "pm_1N", "mandate": "mandate_1"},
    {**IBAN, **HOLDER},
    {**IBAN, **HOLDER, "acceptance": "online", "ip_address": "::1", "user_agent": "B/1 (X; Y)"},
]


@pytest.mark.parametrize("method", GOOD)
def test_a_method_is_good(method: dict[str, Any]) -> None:
    """Names of Stripe's own, and debits with a mandate, are taken."""
    assert list(blame(Capability.CHARGE, method)) == []


BAD: list[dict[str, Any]] = [
    {},
    {"payment_method": "4242"},
    {"payment_method": "pm_1", "token": "tok_1"},
    {"payment_method": "pm_1/../x"},
    {"payment_method": 7},
    {"payment_method": {"cel": "steps.a.b"}},
    {"payment_method": "pm_1", "type": "cash"},
    {"payment_method": "pm_1", "type": ["card"]},
    {"payment_method": "pm_1", "amount": 5},
    {"payment_method": "pm_1", "off_session": "true"},
    {"payment_method": "pm_1", "return_url": "javascript:alert()"},
    {"payment_method": "pm_1", "mandate": "mandate_1"},
    {"type": "sepa_debit", "payment_method": "pm_1"},
    {"type": "sepa_debit", "token": "tok_1", "mandate": "mandate_1"},
    {**IBAN},
    {**IBAN, **HOLDER, "iban": "DE89 3704 0044 0532 0130 00"},
    {**IBAN, **HOLDER, "acceptance": "online"},
    {**IBAN, **HOLDER, "name": "a\nb"},
]


@pytest.mark.parametrize("method", BAD)
def test_a_method_is_bad(method: dict[str, Any]) -> None:
    """What Stripe would not understand, or we do not, is refused before it is sent."""
    assert list(blame(Capability.CHARGE, method)) != []


def test_only_cards_are_authorised() -> None:
    """A debit cannot be set aside."""
    debit = {"type": "sepa_debit", "payment_method": "pm_1N", "mandate": "mandate_1"}
    assert list(blame(Capability.AUTHORISE, debit)) != []
    assert list(blame(Capability.AUTHORISE, {"payment_method": "pm_1N"})) == []


CARDS: list[dict[str, Any]] = [
    {"payment_method": "4242424242424242"},
    {"payment_method": "pm_1", "card": {"number": "4242 4242 4242 4242", "cvc": "123"}},
    {"payment_method": "pm_1", "name": "4000-0025-0000-3155"},
    {"payment_method": "pm_1", "extra": [["378282246310005"]]},
    {"payment_method": 4242424242424242},
    {"payment_method": "pm_1", "customer": "cus_4242424242424242"},
]


@pytest.mark.parametrize("capability", Capability)
@pytest.mark.parametrize("method", CARDS)
def test_a_card_number_is_refused(capability: Capability, method: dict[str, Any]) -> None:
    """Wherever it stands, for whatever it is; and it is not repeated."""
    said = list(blame(capability, method))
    assert said == [
        "A card number must never come here: name a payment method of Stripe's, pm_...."
    ]


@given(st.integers(10**11, 10**18 - 1))
def test_luhns_sum_finds_every_card_number(beginning: int) -> None:
    """Of the ten last digits that a number could have one makes it a card's, and only that one."""
    found = [
        digit
        for digit in range(10)
        if list(blame(Capability.REFUND, {"name": f"{beginning}{digit}"}))
    ]
    assert len(found) == 1


def test_every_decline_is_in_the_table_once() -> None:
    """What the issuer advises comes first, then the code; what is not known is for good."""
    assert is_permanent("insufficient_funds") is False
    assert is_permanent("a_new_code") is True
    for code, permanent in DECLINES.items():
        assert is_permanent(code) is permanent
        assert all(is_permanent(code, advice) is told for advice, told in ADVICE.items())


REFUSED: list[dict[str, Any]] = [
    {"api_key": "pk_test_12345"},
    {"api_key": "sk_test_1\n2345"},
    {"api_key": ""},
    {"webhook_secrets": ["short"]},
    {"webhook_secrets": ["whsec_ok_so_far", "whsec_ with a space"]},
    {"api_base": "https://api.example/v1"},
    {"api_base": "ftp://api.example"},
    {"api_base": "https://user@api.example"},
    {"api_version": "latest"},
]


@pytest.mark.parametrize("told", REFUSED)
async def test_a_connection_is_set_up_or_refused(told: dict[str, Any]) -> None:
    """What is set wrongly is refused at once, without repeating it."""
    good: dict[str, Any] = {
        "api_key": "rk_live_12345",
        "webhook_secrets": [],
        "api_base": "https://api.example",
        "api_version": "2026-08-26.dahlia",
    }
    async with OutsideClient(Settings()) as client:
        made = connect("stripe", client=client, clock=lambda: AT, **good)
        assert made.capabilities == {
            *(Capability.CHARGE, Capability.AUTHORISE, Capability.CAPTURE),
            *(Capability.CANCEL, Capability.REFUND, Capability.STATEMENT),
        }
        with pytest.raises(SetupError) as refused:
            connect("stripe", client=client, clock=lambda: AT, **{**good, **told})
    (value,) = told.values()
    for secret in value if isinstance(value, list) else [value]:
        assert not secret or secret not in str(refused.value)
