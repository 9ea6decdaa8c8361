"""Balances as they are told: posted and available, now and at a moment of the past."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.ledger.accounts import Account, AccountStatus, AccountType, Side
from catena.ledger.balances import (
    Balance,
    PastBalance,
    Terms,
    compute_available,
    compute_posted,
)

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("type", "floor", "reserved"),
    [
        (AccountType.LIABILITY, 0, 0),
        (AccountType.LIABILITY, -50, 20),
        (AccountType.LIABILITY, None, 0),
        (AccountType.ASSET, 0, 5),
        (AccountType.REVENUE, None, 0),
        (AccountType.EXPENSE, -9, 0),
    ],
)
def test_what_is_told_is_what_decisions_read(
    type: AccountType, floor: int | None, reserved: int
) -> None:
    """A balance now or of the past, and the account that decisions read, agree on every figure."""
    account = Account(
        "acct_1", type, "USD", floor=floor, debits=300, credits=120, reserved=reserved
    )
    side = type.normal_side
    active = AccountStatus.ACTIVE
    now = Balance("acct_1", "USD", side, 300, 120, reserved, floor, None, active, 4, 9, 77, NOW)
    terms = Terms(reserved, floor, None, active)
    past = PastBalance("acct_1", "USD", side, 300, 120, 4, 77, terms)
    assert account.posted == now.posted == past.posted
    assert account.available == now.available == past.available


def test_by_effective_date_nothing_is_available() -> None:
    """Without the terms of that moment only posted is known."""
    past = PastBalance("acct_1", "USD", Side.CREDIT, 300, 120, 4, 77, None)
    assert (past.posted, past.available) == (-180, None)


@pytest.mark.parametrize(("side", "posted"), [(Side.DEBIT, 180), (Side.CREDIT, -180)])
def test_posted_is_counted_on_the_normal_side(side: Side, posted: int) -> None:
    """Debits less credits, or credits less debits."""
    assert compute_posted(side, debits=300, credits=120) == posted


@pytest.mark.parametrize(
    ("posted", "reserved", "floor", "available"),
    [
        (100, 30, 0, 70),
        (100, 30, -50, 120),
        (-20, 0, -50, 30),
        (100, 0, 60, 40),
        (5, 0, None, None),
    ],
)
def test_available(posted: int, reserved: int, floor: int | None, available: int | None) -> None:
    """What is posted, less what is reserved and the floor; or unbounded."""
    assert compute_available(posted, reserved, floor) == available
