"""Accounts: on which side they grow, what they hold, and which ids the platform's own have."""

from __future__ import annotations

import re

import pytest

from catena.ids import LEDGER, derive_id
from catena.ledger.accounts import (
    SYSTEM_ACCOUNTS,
    Account,
    AccountStatus,
    AccountType,
    Side,
    SystemRole,
    clearing_of,
    open_system_account,
    parse_role,
    system_account_id,
)

LEDGER_ID = derive_id(LEDGER, "accounts")


@pytest.mark.parametrize(
    ("type", "side", "posted"),
    [
        (AccountType.ASSET, Side.DEBIT, 70),
        (AccountType.EXPENSE, Side.DEBIT, 70),
        (AccountType.LIABILITY, Side.CREDIT, -70),
        (AccountType.EQUITY, Side.CREDIT, -70),
        (AccountType.REVENUE, Side.CREDIT, -70),
    ],
)
def test_an_account_grows_on_its_normal_side(type: AccountType, side: Side, posted: int) -> None:
    """Assets and expenses grow by debits, the other three by credits."""
    account = Account("acct_1", type, "USD", debits=100, credits=30)
    assert (type.normal_side, account.normal_side, account.posted) == (side, side, posted)


def test_sides_are_opposites() -> None:
    """Each side's opposite is the other one."""
    assert [side.opposite for side in (Side.DEBIT, Side.CREDIT)] == [Side.CREDIT, Side.DEBIT]


@pytest.mark.parametrize(
    ("floor", "reserved", "available"),
    [(0, 0, 100), (-50, 0, 150), (20, 0, 80), (0, 30, 70), (-50, 30, 120), (None, 0, None)],
)
def test_available_is_what_lies_above_the_floor(
    floor: int | None, reserved: int, available: int | None
) -> None:
    """Available is posted - reserved - floor, and nothing bounds it where there is no floor."""
    account = Account(
        "acct_1", AccountType.LIABILITY, "USD", floor=floor, credits=100, reserved=reserved
    )
    assert account.available == available


@pytest.mark.parametrize(
    ("role", "type"),
    [
        (SystemRole.HOLDING, AccountType.LIABILITY),
        (SystemRole.CLEARING, AccountType.ASSET),
        (SystemRole.FEES, AccountType.REVENUE),
        (SystemRole.LOSSES, AccountType.EXPENSE),
        (SystemRole.FX, AccountType.EQUITY),
        (SystemRole.SUSPENSE, AccountType.LIABILITY),
        (SystemRole.GATEWAY_FEES, AccountType.EXPENSE),
        (clearing_of("stripe-eu"), AccountType.ASSET),
    ],
)
def test_a_system_account_has_no_floor(role: str, type: AccountType) -> None:
    """The platform's accounts begin empty and active, of their role's type, without a floor."""
    account = open_system_account(LEDGER_ID, role, "EUR")
    assert (account.id, account.role) == (system_account_id(LEDGER_ID, role, "EUR"), role)
    assert (account.account_type, account.currency) == (type, "EUR")
    assert (account.floor, account.ceiling, account.status) == (None, None, AccountStatus.ACTIVE)
    assert (account.posted, account.line_count, account.version) == (0, 0, 0)


@pytest.mark.parametrize(
    "text", ["holdings", "clearing.", "clearing.Stripe", "holding.stripe", "clearing.a.b", ""]
)
def test_a_role_is_of_the_list_or_a_gateways_clearing(text: str) -> None:
    """Nothing else is one."""
    with pytest.raises(ValueError, match=r"valid SystemRole|of a gateway each"):
        parse_role(text)


def test_every_role_has_a_type() -> None:
    """No role is without a type."""
    assert set(SYSTEM_ACCOUNTS) == set(SystemRole)


def test_a_system_accounts_id_is_known_before_it_is_stored() -> None:
    """The id follows from ledger, role and currency, and each of them changes it."""
    other = derive_id(LEDGER, "another")
    ids = [
        system_account_id(LEDGER_ID, SystemRole.FX, "USD"),
        system_account_id(LEDGER_ID, SystemRole.FX, "EUR"),
        system_account_id(LEDGER_ID, SystemRole.FEES, "USD"),
        system_account_id(other, SystemRole.FX, "USD"),
    ]
    assert len(set(ids)) == len(ids)
    assert ids[0] == system_account_id(LEDGER_ID, SystemRole.FX, "USD")
    assert all(re.fullmatch("acct_[0-9a-f]{32}", id) for id in ids)
