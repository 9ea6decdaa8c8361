"""Amounts as Stripe counts them: a table, held against the exponents of ISO 4217."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catena.gateways.stripe.amounts import REFUSED, RULES, Unrepresentable, from_stripe, to_stripe
from catena.money import ISO_CURRENCIES

# As the page "Supported currencies" lists them; UGX is in the first list and among the special
# cases, which count.
ZERO_DECIMAL = {
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
}
THREE_DECIMAL = {"BHD", "JOD", "KWD", "OMR", "TND"}
SENT_WITH_TWO = {"ISK", "UGX"}

AMOUNTS: list[tuple[str, int, int]] = [
    # currency, our minor units, Stripe's
    ("USD", 1099, 1099),
    ("JPY", 500, 500),
    ("ISK", 5, 500),
    ("UGX", 5, 500),
    ("MGA", 500, 5),
    ("KWD", 5120, 5120),
    ("HUF", 1045, 1045),
    ("TWD", 1045, 1045),
]


@pytest.mark.parametrize(("currency", "ours", "theirs"), AMOUNTS)
def test_an_amount_is_the_same_there(currency: str, ours: int, theirs: int) -> None:
    """Each amount has one form here and one there."""
    assert to_stripe(ours, currency) == theirs
    assert from_stripe(theirs, currency.lower()) == ours


NONE_THERE = [("MGA", 501), ("KWD", 5124), ("CLF", 1), ("UYI", 1), ("LYD", 10), ("XAU", 1), ("", 1)]


@pytest.mark.parametrize(("currency", "amount"), NONE_THERE)
def test_what_stripe_cannot_count_is_refused(currency: str, amount: int) -> None:
    """Nothing is rounded, and no currency is guessed."""
    with pytest.raises(Unrepresentable):
        to_stripe(amount, currency)


@pytest.mark.parametrize(("currency", "amount"), [("isk", 501), ("ugx", 1), ("zzz", 1)])
def test_what_we_cannot_count_is_refused(currency: str, amount: int) -> None:
    """Half a krona is no amount here."""
    with pytest.raises(Unrepresentable):
        from_stripe(amount, currency)


def test_the_table_is_what_differs_from_iso_4217() -> None:
    """Every currency has as many places there as ISO 4217 gives it, but for those in the table."""
    for code, currency in ISO_CURRENCIES.items():
        if code in REFUSED:
            assert currency.exponent != 2, f"{code}: what has two places needs no rule"
            continue
        places = 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2
        rule = RULES.get(code)
        assert (rule.exponent if rule else currency.exponent) == places, code
        if rule:
            differs = rule.exponent != currency.exponent or rule.step != 1
            assert differs, f"{code}: the rule says nothing"
    assert RULES.keys() | REFUSED <= ISO_CURRENCIES.keys()
    assert {code for code, rule in RULES.items() if rule.step == 100} == SENT_WITH_TWO


@given(st.sampled_from(sorted(ISO_CURRENCIES)), st.integers(1, 2**53))
def test_nothing_is_lost_on_the_way(currency: str, amount: int) -> None:
    """What can be sent comes back as it was."""
    try:
        sent = to_stripe(amount, currency)
    except Unrepresentable:
        assume(False)  # noqa: FBT003  # hypothesis's own word
    else:
        assert from_stripe(sent, currency) == amount
