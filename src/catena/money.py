"""Money as whole numbers of minor units: currencies, exact rates, and the only place that rounds.

Invariant: nothing is made or lost; every rounding names its rule, every split its remainder.
Never uses floats or decimal contexts, and never reads a currency's exponent from CLDR.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from sys import intern
from types import MappingProxyType
from typing import Final

from catena.errors import InvalidAmount, InvalidInput, InvalidRate, UnknownCurrency

__all__ = [
    "ASSET_EXPONENT_MAX",
    "ISO_CURRENCIES",
    "ISO_WITHOUT_MINOR_UNITS",
    "MAX_AMOUNT_MINOR",
    "Currency",
    "Rate",
    "Rounding",
    "allot",
    "check_amount",
    "define_asset",
    "format_amount",
    "format_rate",
    "iso_currency",
    "parse_amount",
    "parse_rate",
    "round_ratio",
]

MAX_AMOUNT_MINOR: Final = 2**63 - 1
"""The largest amount, in minor units of any currency: a signed 64-bit integer holds it."""

ASSET_EXPONENT_MAX: Final = 18
"""Most decimal places that an amount or a rate may have."""


def iso_currency(code: str) -> Currency:
    """The one `Currency` of an active ISO 4217 code. Raises UnknownCurrency."""
    try:
        return ISO_CURRENCIES[code]
    except KeyError:
        raise UnknownCurrency from None


def define_asset(code: str, exponent: int) -> Currency:
    """An asset that a ledger registers for itself, such as PTS/0 or BTC/8.

    The code has 3 to 12 characters A-Z and 0-9, a letter first, and is no ISO 4217 code; the
    exponent is 0 to ASSET_EXPONENT_MAX. Raises InvalidInput.
    """
    if not _ASSET_CODE.fullmatch(code):
        raise InvalidInput("An asset code has 3 to 12 characters A-Z and 0-9, a letter first.")
    if code in ISO_CURRENCIES or code in ISO_WITHOUT_MINOR_UNITS:
        raise InvalidInput("An asset cannot take a code of ISO 4217.")
    if type(exponent) is not int or not 0 <= exponent <= ASSET_EXPONENT_MAX:
        raise InvalidInput(f"An asset's exponent is a whole number, 0 to {ASSET_EXPONENT_MAX}.")
    return Currency(intern(code), exponent)


def check_amount(amount: int, least: int = 1) -> int:
    """`amount` itself, when it is an int from `least` to MAX_AMOUNT_MINOR; else InvalidAmount."""
    if type(amount) is not int or not least <= amount <= MAX_AMOUNT_MINOR:
        raise InvalidAmount(
            f"An amount here is a whole number of minor units, {least} to {MAX_AMOUNT_MINOR}."
        )
    return amount


def round_ratio(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Make numerator / denominator a whole number, by exact integer arithmetic.

    Raises ZeroDivisionError.
    """
    quotient, rest = divmod(abs(numerator), abs(denominator))
    past_half = 2 * rest - abs(denominator)
    away_from_zero = {
        Rounding.DOWN: False,
        Rounding.UP: rest > 0,
        Rounding.HALF_UP: past_half >= 0,
        Rounding.HALF_EVEN: past_half > 0 or (past_half == 0 and quotient % 2 == 1),
    }[rounding]
    magnitude = quotient + away_from_zero
    return magnitude if (numerator < 0) == (denominator < 0) else -magnitude


def allot(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` minor units by `weights`, to the last unit, as Webster's divisor method does.

    Unit k of part i ranks by (k - 1/2) / weight_i, ties to the earlier part, and the first
    `amount` units are handed out. So no share ever shrinks as `amount` grows, and at
    amount == sum(weights) the shares are the weights: refunds in parts, each allot(refunded so
    far) less allot(refunded before), add up to every line exactly. Largest remainders cannot do
    that (Alabama paradox). The price: a share may miss its exact value by more than a unit among
    four parts or more, though never by more than 1/2 + parts / 2 * weight_i / sum(weights).

    Source: Balinski and Young, Fair Representation (1982). Raises InvalidAmount for a negative
    amount or weight, or when all weights are 0.
    """
    whole = sum(weights)
    if amount < 0 or whole == 0 or min(weights) < 0:
        raise InvalidAmount(
            "Only an amount of 0 or more is split, by weights of which one is not 0."
        )
    # Every unit that ranks up to (amount - parts / 2) / whole is among the first `amount`,
    # since rounding moves each share by half a unit at most; so at most `parts` units are left.
    twice_sure = max(0, 2 * amount - len(weights))
    shares = [(weight * twice_sure + whole) // (2 * whole) for weight in weights]
    queue = [
        (Fraction(2 * share + 1, weight), part)
        for part, (share, weight) in enumerate(zip(shares, weights, strict=True))
        if weight
    ]
    heapq.heapify(queue)
    for _ in range(amount - sum(shares)):
        part = queue[0][1]
        shares[part] += 1
        heapq.heapreplace(queue, (Fraction(2 * shares[part] + 1, weights[part]), part))
    return shares


def parse_rate(text: str) -> Rate:
    """The exact rate that a plain decimal such as "0.0275" names: no sign, no exponent.

    At most 19 digits stand before the point and ASSET_EXPONENT_MAX after it. Raises InvalidRate.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise InvalidRate
    places = (match[2] or "").rstrip("0")
    return Rate(int(match[1] + places), 10 ** len(places))


def format_rate(rate: Rate) -> str:
    """The plain decimal that `parse_rate` reads back: the shortest one."""
    return _place_point(rate.numerator, len(str(rate.denominator)) - 1)


def parse_amount(text: str, currency: Currency) -> int:
    """Minor units of a plain decimal in major units: "125.5" USD is 12550. Raises InvalidAmount."""
    match = _DECIMAL.fullmatch(text)
    places = (match[2] or "") if match else ""
    if match is None or len(places) > currency.exponent:
        raise InvalidAmount(
            f"An amount in {currency.code} is a plain decimal number with at most "
            f"{currency.exponent} places."
        )
    return check_amount(int(match[1] + places.ljust(currency.exponent, "0")), least=0)


def format_amount(amount: int, currency: Currency) -> str:
    """Minor units as people write them, without grouping: 12550 USD is "125.50"."""
    return _place_point(amount, currency.exponent)


def _place_point(digits: int, places: int) -> str:
    text = str(abs(digits)).zfill(places + 1)
    point = len(text) - places
    sign = "-" if digits < 0 else ""
    return sign + text[:point] + ("." + text[point:] if places else "")


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency or asset; one major unit is 10**exponent minor units."""

    code: str
    exponent: int


@dataclass(frozen=True, slots=True)
class Rate:
    """An exact decimal, 0 or more, over the least power of ten that holds it. See `parse_rate`."""

    numerator: int
    denominator: int


class Rounding(StrEnum):
    """How a fraction of a minor unit becomes whole; the names are those of `decimal`."""

    HALF_EVEN = "half_even"
    """To the nearest; a half to the even neighbour."""
    HALF_UP = "half_up"
    """To the nearest; a half away from zero."""
    DOWN = "down"
    """Toward zero."""
    UP = "up"
    """Away from zero."""


_DECIMAL: Final = re.compile(
    rf"(0|[1-9][0-9]{{0,{len(str(MAX_AMOUNT_MINOR)) - 1}}})(?:\.([0-9]{{1,{ASSET_EXPONENT_MAX}}}))?"
)
_ASSET_CODE: Final = re.compile(r"[A-Z][A-Z0-9]{2,11}")

# ISO 4217, list one, as published on 2026-01-01: the codes by their exponent. Fund codes such
# as CLF and USN have one, so they are currencies like any other.
_ISO_CODES_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
        CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
        GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
        LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
        PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
        SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
        ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

ISO_CURRENCIES: Final[Mapping[str, Currency]] = MappingProxyType(
    {
        code: Currency(intern(code), exponent)
        for exponent, codes in _ISO_CODES_BY_EXPONENT.items()
        for code in codes.split()
    }
)
"""Every active ISO 4217 code that has minor units."""

ISO_WITHOUT_MINOR_UNITS: Final = frozenset(
    {"XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"}
)
"""Refused as currencies, and as codes of assets: ISO 4217 gives no exponent for metals, bond
units, drawing rights, tests and "no currency"."""
