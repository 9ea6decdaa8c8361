"""Exchange: what an amount of one currency is worth in another, at a given exact rate.

Invariant: what rounding leaves over belongs to the platform's fx account of the destination.
Never finds a rate and never posts. The entry: debit source, credit fx in the source's currency;
debit fx in the destination's currency, credit destination.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from catena.errors import InvalidInput, InvalidRate
from catena.money import Currency, Rate, Rounding, check_amount, round_ratio

__all__ = ["Quote", "quote", "quote_destination"]


def quote(
    source_amount: int,
    source: Currency,
    destination: Currency,
    rate: Rate,
    rounding: Rounding = Rounding.DOWN,
) -> Quote:
    """What `source_amount` buys. Rounded down unless told, so that the platform never loses.

    `rate` is major units of `destination` for one major unit of `source`; amounts are minor
    units. Raises InvalidInput for one currency, InvalidRate for 0, InvalidAmount out of range.
    """
    check_amount(source_amount)
    exact = source_amount * _convert(source, destination, rate)
    destination_amount = check_amount(round_ratio(*exact.as_integer_ratio(), rounding))
    return Quote(source, source_amount, destination, destination_amount, rate)


def quote_destination(
    destination_amount: int,
    source: Currency,
    destination: Currency,
    rate: Rate,
    rounding: Rounding = Rounding.UP,
) -> Quote:
    """What buys `destination_amount`. Rounded up unless told; else like `quote`."""
    check_amount(destination_amount)
    exact = destination_amount / _convert(source, destination, rate)
    source_amount = check_amount(round_ratio(*exact.as_integer_ratio(), rounding))
    return Quote(source, source_amount, destination, destination_amount, rate)


def _convert(source: Currency, destination: Currency, rate: Rate) -> Fraction:
    """Minor units of `destination` for one minor unit of `source`."""
    if source == destination:
        raise InvalidInput("An exchange is between two currencies.")
    if rate.numerator == 0:
        raise InvalidRate("An exchange needs a rate above 0.")
    return Fraction(
        rate.numerator * 10**destination.exponent, rate.denominator * 10**source.exponent
    )


@dataclass(frozen=True, slots=True)
class Quote:
    """Both sides of an exchange in minor units, and the exact rate between them."""

    source: Currency
    source_amount: int
    destination: Currency
    destination_amount: int
    rate: Rate

    @property
    def remainder(self) -> Fraction:
        """What fx keeps, in minor units of `destination`; below 0 where fx pays for rounding."""
        factor = _convert(self.source, self.destination, self.rate)
        return self.source_amount * factor - self.destination_amount
