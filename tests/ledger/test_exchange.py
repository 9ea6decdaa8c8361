"""Exchange: known quotes, and the truth that rounding never costs the platform anything."""

from __future__ import annotations

import decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catena.errors import InvalidAmount, InvalidInput, InvalidRate
from catena.ledger.exchange import Quote, quote, quote_destination
from catena.money import (
    MAX_AMOUNT_MINOR,
    Currency,
    Rate,
    Rounding,
    define_asset,
    iso_currency,
    parse_rate,
)

USD = iso_currency("USD")
EUR = iso_currency("EUR")
JPY = iso_currency("JPY")
KWD = iso_currency("KWD")
BTC = define_asset("BTC", 8)

amounts = st.integers(1, 10**12)
rates = st.builds(
    lambda whole, places: parse_rate(f"{whole}.{places:018}"),
    st.integers(0, 10**6),
    st.integers(1, 10**18 - 1),
)
pairs = st.tuples(
    st.builds(Currency, st.just("SRC"), st.integers(0, 18)),
    st.builds(Currency, st.just("DST"), st.integers(0, 18)),
)


@pytest.mark.parametrize(
    ("amount", "source", "rate", "destination", "bought"),
    [
        (10_000, USD, "0.92", EUR, 9_200),
        (10_000, USD, "151.237", JPY, 15_123),  # 15123.7 yen
        (15_124, JPY, "0.00661213", USD, 10_000),  # 10000.18 cents
        (1_000, KWD, "3.2571", USD, 325),  # one dinar is 325.71 cents
        (100, USD, "0.00001035", BTC, 1_035),
        (1, BTC, "96618.35", USD, None),  # 0.0966 cents
        (100_000_000, BTC, "96618.35", USD, 9_661_835),
    ],
)
def test_quote_table(
    amount: int, source: Currency, rate: str, destination: Currency, bought: int | None
) -> None:
    """The rate is between major units, whatever places the two currencies have; what buys less
    than one minor unit buys nothing, so it is refused.
    """
    if bought is None:
        with pytest.raises(InvalidAmount):
            quote(amount, source, destination, parse_rate(rate))
    else:
        made = quote(amount, source, destination, parse_rate(rate))
        assert made == Quote(source, amount, destination, bought, parse_rate(rate))


def test_fx_keeps_the_remainder() -> None:
    """100 dollars at 151.237 buy 15123 yen, and the fx account keeps 0.7 yen, known exactly."""
    assert quote(10_000, USD, JPY, parse_rate("151.237")).remainder == Fraction(7, 10)


def test_a_fixed_destination_rounds_the_price_up() -> None:
    """10000 yen cost 66.13 dollars, not 66.12: the fx account keeps the rest of the last cent."""
    made = quote_destination(10_000, USD, JPY, parse_rate("151.237"))
    assert (made.source_amount, made.destination_amount) == (6_613, 10_000)
    assert made.remainder == Fraction(6_613 * 151_237, 100_000) - 10_000


def test_another_rounding_may_cost_fx() -> None:
    """A rule that rounds for the customer is kept, and the remainder says what it cost."""
    made = quote(10_000, USD, JPY, parse_rate("151.237"), Rounding.HALF_EVEN)
    assert (made.destination_amount, made.remainder) == (15_124, Fraction(-3, 10))
    made = quote_destination(10_000, USD, JPY, parse_rate("151.237"), Rounding.DOWN)
    assert made.source_amount == 6_612
    assert made.remainder < 0


@given(amounts, pairs, rates)
def test_quotes_agree_with_decimal(
    amount: int, pair: tuple[Currency, Currency], rate: Rate
) -> None:
    """`decimal`, in major units and with enough precision, buys the same."""
    source, destination = pair
    with decimal.localcontext(prec=120):
        price = decimal.Decimal(rate.numerator) / rate.denominator
        bought = decimal.Decimal(amount).scaleb(-source.exponent) * price
        expected = int(bought.scaleb(destination.exponent))
    assume(1 <= expected <= MAX_AMOUNT_MINOR)
    assert quote(amount, source, destination, rate).destination_amount == expected


@given(amounts, pairs, rates)
def test_the_platform_never_loses(amount: int, pair: tuple[Currency, Currency], rate: Rate) -> None:
    """In both directions fx keeps less than one minor unit of what was rounded; and the price of
    an amount buys at least that amount, while one minor unit less would not.
    """
    source, destination = pair
    try:
        sold = quote(amount, source, destination, rate)
        bought = quote_destination(amount, source, destination, rate)
        again = quote(bought.source_amount, source, destination, rate)
    except InvalidAmount:
        assume(False)  # noqa: FBT003  # out of 64 bits
    assert 0 <= sold.remainder < 1
    assert bought.remainder >= 0
    assert again.destination_amount >= amount
    assert Quote(source, bought.source_amount - 1, destination, amount, rate).remainder < 0


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MINOR + 1])
def test_amounts_to_exchange_are_amounts(amount: int) -> None:
    """Neither side can be fixed at what is no amount."""
    with pytest.raises(InvalidAmount):
        quote(amount, USD, EUR, parse_rate("1"))
    with pytest.raises(InvalidAmount):
        quote_destination(amount, USD, EUR, parse_rate("1"))


def test_the_other_side_fits_64_bits() -> None:
    """An exchange whose other side is no amount is refused, not wrapped or capped."""
    with pytest.raises(InvalidAmount):
        quote(MAX_AMOUNT_MINOR, USD, EUR, parse_rate("1.01"))
    with pytest.raises(InvalidAmount):
        quote_destination(MAX_AMOUNT_MINOR, USD, EUR, parse_rate("0.99"))


def test_a_rate_of_zero_exchanges_nothing() -> None:
    """Money is not given away for a missing rate."""
    with pytest.raises(InvalidRate):
        quote(100, USD, EUR, parse_rate("0"))
    with pytest.raises(InvalidRate):
        quote_destination(100, USD, EUR, parse_rate("0.0"))


def test_an_exchange_has_two_currencies() -> None:
    """Within one currency there is nothing to exchange."""
    with pytest.raises(InvalidInput):
        quote(100, USD, USD, parse_rate("1"))
