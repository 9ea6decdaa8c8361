"""Fees: tables worked out by hand, and tiers against charging one minor unit at a time."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import InvalidAmount, InvalidFee
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
from catena.money import MAX_AMOUNT_MINOR, Rate, Rounding, iso_currency, parse_rate

USD = iso_currency("USD")
JPY = iso_currency("JPY")

TIERS = (
    Tier(up_to=10_000, rate=parse_rate("0.03")),
    Tier(up_to=50_000, rate=parse_rate("0.02"), fixed=100),
    Tier(up_to=None, rate=parse_rate("0.0125")),
)


def fixed(amount: int, paid_by: PaidBy = PaidBy.SOURCE) -> FixedFee:
    """A fixed fee in dollars."""
    return FixedFee(name="fixed", currency=USD, amount=amount, paid_by=paid_by)


def percentage(
    rate: str,
    rounding: Rounding = Rounding.HALF_EVEN,
    minimum: int = 0,
    maximum: int | None = None,
) -> PercentageFee:
    """A percentage fee in dollars."""
    return PercentageFee(
        name="percentage",
        currency=USD,
        rate=parse_rate(rate),
        rounding=rounding,
        minimum=minimum,
        maximum=maximum,
    )


def tiered(
    mode: TierMode, tiers: tuple[Tier, ...] = TIERS, rounding: Rounding = Rounding.HALF_EVEN
) -> TieredFee:
    """A tiered fee in dollars."""
    return TieredFee(name="tiered", currency=USD, tiers=tiers, mode=mode, rounding=rounding)


def charge(fee: Fee, amount: int) -> int:
    """What one fee alone takes, in cents."""
    return sum(charged.amount for charged in compute_fees(amount, USD, [fee]))


@pytest.mark.parametrize(
    ("fee", "amount", "cents"),
    [
        (fixed(30), 12_550, 30),
        (fixed(0), 12_550, 0),
        (percentage("0.0275"), 10_000, 275),
        (percentage("0.0275"), 200, 6),  # 5.5
        (percentage("0.0225"), 200, 4),  # 4.5
        (percentage("0.0225", Rounding.HALF_UP), 200, 5),
        (percentage("0.0225", Rounding.DOWN), 200, 4),
        (percentage("0.0201", Rounding.UP), 200, 5),  # 4.02
        (percentage("0"), 200, 0),
        (percentage("0.001"), 100, 0),  # 0.1
        (percentage("0.01", minimum=50), 4_999, 50),
        (percentage("0.01", minimum=50), 5_100, 51),
        (percentage("0.01", maximum=500), 49_900, 499),
        (percentage("0.01", maximum=500), 60_000, 500),
        (percentage("0.01", minimum=7, maximum=7), 60_000, 7),
        (percentage("0.01", maximum=0), 60_000, 0),
        (percentage("1"), 60_000, 60_000),
    ],
)
def test_fee_table(fee: Fee, amount: int, cents: int) -> None:
    """Fixed fees stay, percentages are rounded by their rule and kept within their bounds."""
    assert charge(fee, amount) == cents


@pytest.mark.parametrize(
    ("amount", "graduated", "volume"),
    [
        (1, 0, 0),  # 0.03
        (10_000, 300, 300),
        (10_001, 400, 300),  # 300 + 0.02 + 100; 200.02 + 100
        (50_000, 1_200, 1_100),  # 300 + 800 + 100; 1000 + 100
        (50_001, 1_200, 625),  # 1200 + 0.0125; 625.0125
        (90_000, 1_700, 1_125),  # 1200 + 500; 1125
    ],
)
def test_tier_table(amount: int, graduated: int, volume: int) -> None:
    """Graduated tiers charge each slice, volume tiers the whole amount; ends are inclusive."""
    assert charge(tiered(TierMode.GRADUATED), amount) == graduated
    assert charge(tiered(TierMode.VOLUME), amount) == volume


@st.composite
def tier_lists(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Some ascending tiers, the last one without end."""
    ends = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    rates = st.builds(Rate, st.integers(0, 300), st.just(1000))
    return tuple(Tier(end, draw(rates), draw(st.integers(0, 5))) for end in [*ends, None])


@given(tier_lists(), st.integers(1, 80))
def test_tiers_equal_charging_unit_by_unit(tiers: tuple[Tier, ...], amount: int) -> None:
    """Each minor unit charged in its own tier, or all in the last one's, then rounded down once."""
    tier_of_unit = [
        next(tier for tier in tiers if tier.up_to is None or unit <= tier.up_to)
        for unit in range(1, amount + 1)
    ]
    shares = sum(Fraction(tier.rate.numerator, 1000) for tier in tier_of_unit)
    graduated = shares + sum(tier.fixed for tier in tiers if tier in tier_of_unit)
    last = tier_of_unit[-1]
    volume = Fraction(amount * last.rate.numerator, 1000) + last.fixed
    assert charge(tiered(TierMode.GRADUATED, tiers, Rounding.DOWN), amount) == int(graduated)
    assert charge(tiered(TierMode.VOLUME, tiers, Rounding.DOWN), amount) == int(volume)


def test_several_fees_make_several_lines() -> None:
    """Each fee is computed on the amount alone, keeps its order, names its account, and is left
    out where it is 0.
    """
    partner = PercentageFee(
        name="partner",
        currency=USD,
        rate=parse_rate("0.005"),
        account="acct_partner",
        paid_by=PaidBy.DESTINATION,
    )
    nothing = PercentageFee(name="nothing", currency=USD, rate=parse_rate("0"))
    assert compute_fees(10_000, USD, [fixed(30), nothing, partner]) == (
        ChargedFee("fixed", 30, None, PaidBy.SOURCE),
        ChargedFee("partner", 50, "acct_partner", PaidBy.DESTINATION),
    )
    assert compute_fees(10_000, USD, []) == ()


def test_receivers_fees_take_the_whole_amount_at_most() -> None:
    """The receiver may be left with nothing, never with less; the sender may pay more."""
    half = fixed(50, PaidBy.DESTINATION)
    assert sum(fee.amount for fee in compute_fees(100, USD, [half, half])) == 100
    with pytest.raises(InvalidFee):
        compute_fees(99, USD, [half, half])
    assert charge(fixed(200), 100) == 200


def test_what_the_sender_pays_fits_64_bits() -> None:
    """The sender's line is the amount with the fees on top, and it is an amount too."""
    assert charge(fixed(1), MAX_AMOUNT_MINOR - 1) == 1
    with pytest.raises(InvalidFee):
        compute_fees(MAX_AMOUNT_MINOR, USD, [fixed(1)])
    with pytest.raises(InvalidFee):
        compute_fees(MAX_AMOUNT_MINOR, USD, [percentage("2")])


def test_fees_are_of_the_entrys_currency() -> None:
    """30 cents never become 30 yen."""
    with pytest.raises(InvalidFee):
        compute_fees(10_000, JPY, [fixed(30)])


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MINOR + 1])
def test_fees_are_charged_on_amounts(amount: int) -> None:
    """What is no amount costs no fee: it is refused."""
    with pytest.raises(InvalidAmount):
        compute_fees(amount, USD, [fixed(30)])


FREE = parse_rate("0")
IMPOSSIBLE: dict[str, Callable[[], Fee]] = {
    "below zero": lambda: fixed(-1),
    "beyond 64 bits": lambda: fixed(MAX_AMOUNT_MINOR + 1),
    "minimum below zero": lambda: percentage("0.01", minimum=-1),
    "minimum above maximum": lambda: percentage("0.01", minimum=51, maximum=50),
    "tier below zero": lambda: tiered(TierMode.VOLUME, (Tier(None, FREE, fixed=-1),)),
    "empty tier": lambda: tiered(TierMode.VOLUME, (Tier(0, FREE), Tier(None, FREE))),
    "same tier twice": lambda: tiered(TierMode.VOLUME, (TIERS[0], TIERS[0], TIERS[2])),
    "tiers descend": lambda: tiered(TierMode.VOLUME, (TIERS[1], TIERS[0], TIERS[2])),
}


@pytest.mark.parametrize("declare", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_amounts_of_fees_are_checked(declare: Callable[[], Fee]) -> None:
    """No fee names an amount below zero, crossed bounds, or tiers that do not ascend."""
    with pytest.raises(InvalidAmount):
        declare()


@pytest.mark.parametrize("tiers", [(), TIERS[:2], TIERS[2:] * 2, (TIERS[2], TIERS[0])])
def test_tiers_cover_every_amount(tiers: tuple[Tier, ...]) -> None:
    """The last tier is without end, and it alone."""
    with pytest.raises(InvalidFee):
        tiered(TierMode.GRADUATED, tiers)
