"""Fees as requests name them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from catena.api.bodies import AccountId, Amount, Body, RateText, Text
from catena.ledger.fees import (
    ChargedFee,
    Fee,
    FixedFee,
    PaidBy,
    PercentageFee,
    Tier,
    TieredFee,
    TierMode,
    compute_fees,
)
from catena.money import Currency, Rounding, parse_rate
from catena.settings import LIMITS

__all__ = ["Fees", "charge_fees"]


class _FeeBody(Body):
    name: Text
    account_id: AccountId | None = Field(
        None, description="Who earns it; left out, the ledger's system account for fees."
    )
    paid_by: PaidBy | None = Field(
        None,
        description="source pays on top of the amount, destination out of it. Left out: the wallet"
        " of a deposit or withdrawal, the source of a transfer.",
    )


class FixedFeeBody(_FeeBody):
    """The same amount each time."""

    type: Literal["fixed"]
    amount: Amount


class PercentageFeeBody(_FeeBody):
    """A share of the amount: rate 0.0275 is 2.75 %."""

    type: Literal["percentage"]
    rate: RateText
    rounding: Rounding = Rounding.HALF_EVEN
    minimum: Amount | None = None
    maximum: Amount | None = None


class TierBody(Body):
    """What lies in the tier is charged by its rate, and `fixed` once where it is reached."""

    up_to: Amount | None = Field(None, description="Inclusive; the last tier leaves it out.")
    rate: RateText
    fixed: Annotated[int, Field(ge=0)] = 0


class TieredFeeBody(_FeeBody):
    """Shares that depend on the amount."""

    type: Literal["tiered"]
    tiers: Annotated[list[TierBody], Field(min_length=1, max_length=LIMITS.entry_fees)]
    mode: TierMode = TierMode.GRADUATED
    rounding: Rounding = Rounding.HALF_EVEN


Fees = Annotated[
    list[Annotated[FixedFeeBody | PercentageFeeBody | TieredFeeBody, Field(discriminator="type")]],
    Field(max_length=LIMITS.entry_fees, description="Charged as lines of the same entry."),
]


def charge_fees(
    fees: Fees | None, amount: int, currency: Currency, paid_by: PaidBy
) -> tuple[ChargedFee, ...]:
    """What the fees charge on an amount; `paid_by` where a fee does not say. Raises InvalidFee."""
    if not fees:
        return ()
    return compute_fees(amount, currency, [_define(fee, currency, paid_by) for fee in fees])


def _define(
    fee: FixedFeeBody | PercentageFeeBody | TieredFeeBody, currency: Currency, paid_by: PaidBy
) -> Fee:
    name, account, payer = fee.name, fee.account_id, fee.paid_by or paid_by
    match fee:
        case FixedFeeBody():
            return FixedFee(
                name=name, currency=currency, account=account, paid_by=payer, amount=fee.amount
            )
        case PercentageFeeBody():
            return PercentageFee(
                name=name,
                currency=currency,
                account=account,
                paid_by=payer,
                rate=parse_rate(fee.rate),
                rounding=fee.rounding,
                minimum=fee.minimum or 0,
                maximum=fee.maximum,
            )
        case TieredFeeBody():
            tiers = tuple(Tier(t.up_to, parse_rate(t.rate), t.fixed) for t in fee.tiers)
            return TieredFee(
                name=name,
                currency=currency,
                account=account,
                paid_by=payer,
                tiers=tiers,
                mode=fee.mode,
                rounding=fee.rounding,
            )
