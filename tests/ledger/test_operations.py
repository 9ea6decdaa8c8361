"""The everyday operations as entries: their lines, worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.ids import LEDGER, derive_id
from catena.ledger.accounts import Side, SystemRole, system_account_id
from catena.ledger.entries import Draft, EntryType, Line, balance_by_currency
from catena.ledger.exchange import quote
from catena.ledger.fees import ChargedFee, PaidBy
from catena.ledger.operations import (
    draft_deposit,
    draft_exchange,
    draft_transfer,
    draft_withdrawal,
)
from catena.money import iso_currency, parse_rate

LEDGER_ID = derive_id(LEDGER, "operations")
USD, EUR = iso_currency("USD"), iso_currency("EUR")


def own(role: SystemRole, currency: str = "USD") -> str:
    """The id of the platform's account."""
    return system_account_id(LEDGER_ID, role, currency)


CLEARING, HOLDING, FEES = (
    own(role) for role in (SystemRole.CLEARING, SystemRole.HOLDING, SystemRole.FEES)
)
FX_USD, FX_EUR = own(SystemRole.FX), own(SystemRole.FX, "EUR")


def fee(amount: int, paid_by: PaidBy, account: str | None = None) -> ChargedFee:
    """A fee that was computed."""
    return ChargedFee("fee", amount, account, paid_by)


SOURCE_PAYS, TARGET_PAYS = PaidBy.SOURCE, PaidBy.DESTINATION
Plain = Sequence[tuple[str, str, int]]


def plain(draft: Draft) -> Plain:
    """The lines in dollars, without their currency."""
    assert {line.currency for line in draft.lines} == {"USD"}
    return [(line.account, str(line.side), line.amount) for line in draft.lines]


@pytest.mark.parametrize(
    ("fees", "lines"),
    [
        ([], [("a", "debit", 100), ("b", "credit", 100)]),
        (
            [fee(3, SOURCE_PAYS)],
            [("a", "debit", 103), ("b", "credit", 100), (FEES, "credit", 3)],
        ),
        (
            [fee(3, TARGET_PAYS)],
            [("a", "debit", 100), ("b", "credit", 97), (FEES, "credit", 3)],
        ),
        (
            [fee(3, SOURCE_PAYS), fee(4, TARGET_PAYS, "partner"), fee(5, SOURCE_PAYS)],
            [
                ("a", "debit", 108),
                ("b", "credit", 96),
                (FEES, "credit", 3),
                ("partner", "credit", 4),
                (FEES, "credit", 5),
            ],
        ),
        (
            [fee(60, TARGET_PAYS), fee(40, TARGET_PAYS, "partner")],
            [("a", "debit", 100), (FEES, "credit", 60), ("partner", "credit", 40)],
        ),
    ],
)
def test_a_transfer(fees: Sequence[ChargedFee], lines: Plain) -> None:
    """The source pays the amount and its fees; the destination gets the amount less its fees."""
    draft = draft_transfer(LEDGER_ID, "a", "b", 100, "USD", fees)
    assert (draft.type, plain(draft)) == (EntryType.TRANSFER, lines)


@pytest.mark.parametrize(("through", "there"), [("clearing", CLEARING), ("holding", HOLDING)])
def test_a_deposit_and_a_withdrawal(through: str, there: str) -> None:
    """Money comes from the system account that it is said to come through, and leaves by it."""
    role = SystemRole(through)
    deposit = draft_deposit(LEDGER_ID, "a", 100, "USD", through=role)
    assert deposit.type is EntryType.DEPOSIT
    assert plain(deposit) == [(there, "debit", 100), ("a", "credit", 100)]
    withdrawal = draft_withdrawal(LEDGER_ID, "a", 100, "USD", through=role)
    assert withdrawal.type is EntryType.WITHDRAWAL
    assert plain(withdrawal) == [("a", "debit", 100), (there, "credit", 100)]
    assert list(deposit.system) == list(withdrawal.system) == [(role, "USD")]


def test_a_deposit_with_a_fee() -> None:
    """The fee of a deposit is taken out of what comes in."""
    draft = draft_deposit(LEDGER_ID, "a", 100, "USD", [fee(2, TARGET_PAYS)])
    assert plain(draft) == [(CLEARING, "debit", 100), ("a", "credit", 98), (FEES, "credit", 2)]
    assert set(draft.system) == {(SystemRole.CLEARING, "USD"), (SystemRole.FEES, "USD")}


def test_a_withdrawal_with_a_fee() -> None:
    """The fee of a withdrawal is paid on top of what leaves."""
    draft = draft_withdrawal(LEDGER_ID, "a", 100, "USD", [fee(2, SOURCE_PAYS)])
    assert plain(draft) == [("a", "debit", 102), (CLEARING, "credit", 100), (FEES, "credit", 2)]


def test_fees_are_told_in_the_details() -> None:
    """The details name each fee, who earned it and who paid it; without fees there are none."""
    draft = draft_transfer(
        LEDGER_ID, "a", "b", 100, "USD", [fee(3, SOURCE_PAYS), fee(4, TARGET_PAYS, "partner")]
    )
    assert json.loads(draft.details or "")["fees"] == [
        {"name": "fee", "amount": 3, "currency": "USD", "account_id": FEES, "paid_by": "source"},
        {
            "name": "fee",
            "amount": 4,
            "currency": "USD",
            "account_id": "partner",
            "paid_by": "destination",
        },
    ]
    assert draft_transfer(LEDGER_ID, "a", "b", 100, "USD").details is None


def test_an_exchange() -> None:
    """Both sides pass through the fx accounts, and the rate is recorded as it was given."""
    quoted = quote(1000, USD, EUR, parse_rate("0.9250"))
    draft = draft_exchange(LEDGER_ID, "a", "b", quoted)
    assert draft.type is EntryType.EXCHANGE
    assert list(draft.lines) == [
        Line("a", Side.DEBIT, 1000, "USD"),
        Line(FX_USD, Side.CREDIT, 1000, "USD"),
        Line(FX_EUR, Side.DEBIT, 925, "EUR"),
        Line("b", Side.CREDIT, 925, "EUR"),
    ]
    assert json.loads(draft.details or "") == {
        "exchange": {
            "rate": "0.925",
            "source": {"amount": 1000, "currency": "USD"},
            "destination": {"amount": 925, "currency": "EUR"},
        }
    }
    assert set(draft.system) == {(SystemRole.FX, "USD"), (SystemRole.FX, "EUR")}


FX = quote(1000, USD, EUR, parse_rate("0.9"))
ON_TOP = [fee(3, SOURCE_PAYS)]


@pytest.mark.parametrize(
    ("mine", "draft"),
    [
        (FEES, lambda: draft_transfer(LEDGER_ID, FEES, "b", 100, "USD", ON_TOP)),
        (FEES, lambda: draft_transfer(LEDGER_ID, "a", FEES, 100, "USD", ON_TOP)),
        (FEES, lambda: draft_withdrawal(LEDGER_ID, FEES, 100, "USD", ON_TOP)),
        (CLEARING, lambda: draft_deposit(LEDGER_ID, CLEARING, 100, "USD")),
        (CLEARING, lambda: draft_withdrawal(LEDGER_ID, CLEARING, 100, "USD")),
        (FX_USD, lambda: draft_exchange(LEDGER_ID, FX_USD, "b", FX)),
        (FX_EUR, lambda: draft_exchange(LEDGER_ID, "a", FX_EUR, FX)),
    ],
    ids=[
        "transfer from fees",
        "transfer to fees",
        "withdrawal of fees",
        "deposit to clearing",
        "withdrawal from clearing",
        "exchange of what fx has",
        "exchange for fx",
    ],
)
def test_a_caller_cannot_act_for_the_platform(mine: str, draft: Callable[[], Draft]) -> None:
    """A side that the caller names is never allowed to be a system account: that makes money."""
    allowed = {system_account_id(LEDGER_ID, *pair) for pair in draft().system}
    assert mine not in allowed


@given(
    amount=st.integers(1, 10**12),
    fees=st.lists(
        st.builds(
            ChargedFee,
            st.just("fee"),
            st.integers(1, 10**6),
            st.sampled_from([None, "partner"]),
            st.sampled_from(PaidBy),
        ),
        max_size=5,
    ),
)
def test_every_draft_balances(amount: int, fees: list[ChargedFee]) -> None:
    """Whatever the fees, debits equal credits, and no line is empty."""
    deducted = sum(fee.amount for fee in fees if fee.paid_by is TARGET_PAYS)
    amount += deducted
    for draft in (
        draft_transfer(LEDGER_ID, "a", "b", amount, "USD", fees),
        draft_deposit(LEDGER_ID, "a", amount, "USD", fees),
        draft_withdrawal(LEDGER_ID, "a", amount, "USD", fees),
    ):
        assert balance_by_currency(draft.lines) == {"USD": 0}
        assert all(line.amount > 0 for line in draft.lines)
