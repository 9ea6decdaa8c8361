"""Amounts as Stripe counts them, which is not always as ISO 4217 does; exact or refused.

Source: Stripe's page "Supported currencies" (minor units, zero-decimal, three-decimal, special
cases). HUF and TWD have a rule for payouts alone, of which there are none here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from catena.errors import UnknownCurrency
from catena.money import iso_currency

__all__ = ["REFUSED", "RULES", "Rule", "Unrepresentable", "from_stripe", "to_stripe"]


class Unrepresentable(Exception):
    """There is no such amount at Stripe, or none here. `reason` is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rule(NamedTuple):
    """How Stripe counts a currency. `exponent`: one major unit is 10**exponent of what its API is
    sent; `step`: what it is sent is a multiple of this.
    """

    exponent: int
    step: int = 1


RULES: Final[Mapping[str, Rule]] = {
    "MGA": Rule(0),  # zero-decimal at Stripe; ISO 4217 has its fifths in two places
    "ISK": Rule(2, 100),  # zero-decimal, sent with two places that are 00
    "UGX": Rule(2, 100),  # as ISK, though the list of zero-decimal currencies names it, too
    "BHD": Rule(3, 10),  # three-decimal: the last digit is 0
    "JOD": Rule(3, 10),
    "KWD": Rule(3, 10),
    "OMR": Rule(3, 10),
    "TND": Rule(3, 10),
}
"""Where Stripe differs from ISO 4217. Every other currency is counted as ISO 4217 counts it."""

REFUSED: Final = frozenset({"CLF", "IQD", "LYD", "UYI", "UYW"})
"""Of the currencies with other than two places, those of which Stripe's page says nothing."""


def to_stripe(amount: int, currency: str) -> int:
    """Our minor units as Stripe's. Raises Unrepresentable; nothing is ever rounded."""
    rule, ours = _find_rule(currency)
    sent = _rescale(amount, ours, rule.exponent)
    if sent is None or sent % rule.step:
        raise Unrepresentable("amount_not_representable")
    return sent


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's minor units as ours; `currency` in either case. Raises Unrepresentable."""
    rule, ours = _find_rule(currency.upper())
    read = _rescale(amount, rule.exponent, ours)
    if read is None:
        raise Unrepresentable("amount_not_representable")
    return read


def _find_rule(currency: str) -> tuple[Rule, int]:
    """How Stripe counts it, and the exponent by which we do."""
    try:
        ours = iso_currency(currency).exponent
    except UnknownCurrency:
        raise Unrepresentable("currency_not_supported") from None
    if currency in REFUSED:
        raise Unrepresentable("currency_not_supported")
    return RULES.get(currency, Rule(ours)), ours


def _rescale(amount: int, exponent: int, wanted: int) -> int | None:
    """The same in units of another exponent; None where it would not be whole."""
    whole, rest = divmod(amount * int(10**wanted), int(10**exponent))
    return None if rest else whole
