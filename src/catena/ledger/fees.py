"""Fees: what an entry costs, who pays it, and which account earns it.

Invariant: each fee is computed on the entry's own amount, never on another fee, and rounded once.
Never decides whether the payer can afford it: that is the entry's own refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from catena.errors import InvalidFee
from catena.money import MAX_AMOUNT_MINOR, Currency, Rate, Rounding, check_amount, round_ratio

__all__ = [
    "ChargedFee",
    "Fee",
    "FixedFee",
    "PaidBy",
    "PercentageFee",
    "Tier",
    "TierMode",
    "TieredFee",
    "compute_fees",
]


def compute_fees(amount: int, currency: Currency, fees: Sequence[Fee]) -> tuple[ChargedFee, ...]:
    """What each fee charges on `amount` minor units of `currency`; a fee of 0 gives no line.

    Raises InvalidAmount for what is no amount, and InvalidFee for a fee in another currency, when
    the receiver's fees exceed the amount, or the amount with the sender's fees MAX_AMOUNT_MINOR.
    """
    check_amount(amount)
    if any(fee.currency != currency for fee in fees):
        raise InvalidFee("A fee is charged in the currency of its entry.")
    charged = tuple(
        ChargedFee(fee.name, charge, fee.account, fee.paid_by)
        for fee in fees
        if (charge := _price(fee, amount))
    )
    total = {payer: sum(fee.amount for fee in charged if fee.paid_by is payer) for payer in PaidBy}
    if total[PaidBy.DESTINATION] > amount:
        raise InvalidFee("The fees that the receiver pays exceed the amount.")
    if amount + total[PaidBy.SOURCE] > MAX_AMOUNT_MINOR:
        raise InvalidFee("The amount with the fees that the sender pays is too large.")
    return charged


def _price(fee: Fee, amount: int) -> int:
    if isinstance(fee, FixedFee):
        return fee.amount
    if isinstance(fee, PercentageFee):
        share = round_ratio(amount * fee.rate.numerator, fee.rate.denominator, fee.rounding)
        charge = max(share, fee.minimum)
        return charge if fee.maximum is None else min(charge, fee.maximum)
    slices = _slice(amount, fee.tiers)
    if fee.mode is TierMode.VOLUME:
        slices = [(amount, slices[-1][1])]
    exact = sum(
        part * Fraction(tier.rate.numerator, tier.rate.denominator) + tier.fixed
        for part, tier in slices
    )
    return round_ratio(*exact.as_integer_ratio(), fee.rounding)


def _slice(amount: int, tiers: Sequence[Tier]) -> list[tuple[int, Tier]]:
    """The tiers that `amount` reaches, each with the part of the amount that lies in it."""
    slices = []
    lower = 0
    for tier in tiers:
        upper = amount if tier.up_to is None else min(amount, tier.up_to)
        if upper > lower:
            slices.append((upper - lower, tier))
        lower = upper
    return slices


class PaidBy(StrEnum):
    """Who pays a fee."""

    SOURCE = "source"
    """The sender, on top of the amount."""
    DESTINATION = "destination"
    """The receiver, out of the amount."""


class TierMode(StrEnum):
    """What the tiers of a fee apply to."""

    GRADUATED = "graduated"
    """Each slice of the amount is charged by its own tier."""
    VOLUME = "volume"
    """The whole amount is charged by the tier in which it ends."""


class ChargedFee(NamedTuple):
    """One fee line to be. `amount` in minor units, greater than zero."""

    name: str
    amount: int
    account: str | None
    paid_by: PaidBy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What all fees have. `account` None: the ledger's system account `fees` in `currency`.

    All amounts of a fee are minor units of `currency`.
    """

    name: str
    currency: Currency
    account: str | None = None
    paid_by: PaidBy = PaidBy.SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFee(_Terms):
    """The same amount each time."""

    amount: int

    def __post_init__(self) -> None:
        """Raise InvalidAmount for a negative or too large amount."""
        check_amount(self.amount, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentageFee(_Terms):
    """A share of the amount (rate 0.0275 is 2.75 %), at least `minimum`, at most `maximum`."""

    rate: Rate
    rounding: Rounding = Rounding.HALF_EVEN
    minimum: int = 0
    maximum: int | None = None

    def __post_init__(self) -> None:
        """Raise InvalidAmount unless 0 <= minimum <= maximum."""
        check_amount(self.minimum, least=0)
        if self.maximum is not None:
            check_amount(self.maximum, least=self.minimum)


@dataclass(frozen=True, slots=True)
class Tier:
    """A share of what lies in the tier, plus `fixed` minor units once where it is reached.

    It ends with `up_to`, inclusive; None is without end.
    """

    up_to: int | None
    rate: Rate
    fixed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredFee(_Terms):
    """Shares that depend on the amount. The tiers ascend, and only the last one has no end."""

    tiers: tuple[Tier, ...]
    mode: TierMode = TierMode.GRADUATED
    rounding: Rounding = Rounding.HALF_EVEN

    def __post_init__(self) -> None:
        """Raise InvalidFee or InvalidAmount unless the tiers ascend and the last has no end."""
        ends = [tier.up_to for tier in self.tiers if tier.up_to is not None]
        if len(ends) != len(self.tiers) - 1 or self.tiers[-1].up_to is not None:
            raise InvalidFee("The last tier, and no other, is without end.")
        for tier in self.tiers:
            check_amount(tier.fixed, least=0)
        for end, following in pairwise([0, *ends]):
            check_amount(following, least=end + 1)


Fee: TypeAlias = FixedFee | PercentageFee | TieredFee
