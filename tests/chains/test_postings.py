"""Ledger steps as entries: the same as the everyday operations make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from catena.chains.postings import build_draft, results_of, spending_of
from catena.errors import InvalidInput
from catena.ledger.accounts import Side, SystemRole, clearing_of, system_account_id
from catena.ledger.entries import EntryType
from catena.liens.pool import Spending
from tests.chains.books import LEDGER
from tests.chains.shapes import A, B

DEBIT, CREDIT = Side.DEBIT, Side.CREDIT
CLEARING = system_account_id(LEDGER, SystemRole.CLEARING, "USD")
HOLDING = system_account_id(LEDGER, SystemRole.HOLDING, "USD")
FEES = system_account_id(LEDGER, SystemRole.FEES, "USD")

MOVE = {"source_account_id": A, "destination_account_id": B, "amount": 100, "currency": "USD"}
ONE = {"account_id": A, "amount": 100, "currency": "USD"}
FIXED = {"name": "fixed", "type": "fixed", "amount": 3}
SHARE = {
    "name": "share",
    "type": "percentage",
    "rate": "0.05",
    "minimum": 1,
    "maximum": 4,
    "rounding": "down",
}
TIERS = {
    "name": "tiers",
    "type": "tiered",
    "tiers": [{"up_to": 50, "rate": "0.1"}, {"rate": "0.02", "fixed": 1}],
    "mode": "graduated",
}


def _sums(type: str, inputs: Mapping[str, Any]) -> dict[str, int]:
    """What each account's credits exceed its debits by."""
    draft = build_draft(type, inputs, LEDGER, {"PTS": 0})
    sums: dict[str, int] = {}
    for line in draft.lines:
        change = line.amount if line.side is CREDIT else -line.amount
        sums[line.account] = sums.get(line.account, 0) + change
    assert sum(sums.values()) == 0
    return sums


@pytest.mark.parametrize(
    ("type", "inputs", "sums"),
    [
        ("transfer", MOVE, {A: -100, B: 100}),
        ("transfer", MOVE | {"currency": "PTS"}, {A: -100, B: 100}),
        ("capture", MOVE, {A: -100, B: 100}),
        ("transfer", MOVE | {"fees": [FIXED]}, {A: -103, B: 100, FEES: 3}),
        (
            "transfer",
            MOVE | {"fees": [FIXED | {"paid_by": "destination"}]},
            {A: -100, B: 97, FEES: 3},
        ),
        ("deposit", ONE, {A: 100, CLEARING: -100}),
        ("deposit", ONE | {"fees": [SHARE]}, {A: 96, CLEARING: -100, FEES: 4}),
        ("withdrawal", ONE | {"through": "holding"}, {A: -100, HOLDING: 100}),
        ("withdrawal", ONE | {"fees": [TIERS]}, {A: -107, CLEARING: 100, FEES: 7}),
        ("fee", ONE, {A: -100, FEES: 100}),
        ("fee", ONE | {"fee_account_id": B}, {A: -100, B: 100}),
    ],
)
def test_what_a_step_posts(type: str, inputs: dict[str, Any], sums: dict[str, int]) -> None:
    """Who gives and who gets, with fees."""
    assert _sums(type, inputs) == sums


def test_what_a_step_says_of_itself() -> None:
    """Description, reference and metadata are the entry's."""
    said = {"description": "words", "reference": "r-1", "metadata": {"k": 1}}
    draft = build_draft("transfer", MOVE | said, LEDGER, {})
    assert (draft.description, draft.reference, draft.metadata) == ("words", "r-1", '{"k":1}')
    assert build_draft("transfer", MOVE, LEDGER, {}).metadata is None


EXCHANGE = {
    "source_account_id": A,
    "destination_account_id": B,
    "source_currency": "USD",
    "destination_currency": "EUR",
    "rate": "0.5",
}


@pytest.mark.parametrize("amount", [{"source_amount": 100}, {"destination_amount": 50}])
def test_an_exchange_fixes_one_amount(amount: dict[str, int]) -> None:
    """The other follows from the rate, and both are results."""
    inputs = EXCHANGE | amount
    draft = build_draft("exchange", inputs, LEDGER, {})
    found = results_of("exchange", inputs, draft)
    assert found == {"source_amount": 100, "destination_amount": 50}


def test_free_lines_and_reversals() -> None:
    """An entry's lines are the caller's; a reversal names the entry that it takes back."""
    lines = [
        {"account_id": A, "side": "debit", "amount": 1, "currency": "USD"},
        {"account_id": B, "side": "credit", "amount": 1, "currency": "USD"},
    ]
    draft = build_draft("entry", {"lines": lines, "entry_type": "refund"}, LEDGER, {})
    assert (draft.type, [line.side for line in draft.lines]) == (EntryType.REFUND, [DEBIT, CREDIT])
    assert build_draft("entry", {"lines": lines}, LEDGER, {}).type is EntryType.ADJUSTMENT
    assert results_of("entry", {"lines": lines}, draft) == {}
    assert build_draft("reversal", {"entry_id": "ent_1"}, LEDGER, {}).corrects == "ent_1"


def test_lines_name_the_platforms_accounts_by_role() -> None:
    """They are opened when they are first used; each gateway has a clearing account of its own."""
    role = clearing_of("sandbox")
    lines = [
        {"role": role, "side": "debit", "amount": 5, "currency": "USD"},
        {"role": "holding", "side": "credit", "amount": 3, "currency": "USD"},
        {"account_id": A, "side": "credit", "amount": 2, "currency": "USD"},
    ]
    draft = build_draft("entry", {"lines": lines, "entry_type": "transfer"}, LEDGER, {})
    own = system_account_id(LEDGER, role, "USD")
    assert [line.account for line in draft.lines] == [own, HOLDING, A]
    assert (list(draft.system), draft.free) == ([(role, "USD"), ("holding", "USD")], True)
    through = build_draft("deposit", ONE | {"through": role}, LEDGER, {})
    assert {line.account for line in through.lines} == {own, A}
    for bad in ("holding.sandbox", "nowhere", 7):
        with pytest.raises(InvalidInput):
            build_draft("entry", {"lines": [lines[0] | {"role": bad}]}, LEDGER, {})


def test_a_refund_says_of_what_and_how_much() -> None:
    """Its lines follow from the entry that it gives back."""
    inputs = {"entry_id": "ent_1", "amount": 5}
    draft = build_draft("refund", inputs, LEDGER, {})
    assert (draft.type, draft.corrects, draft.lines) == (EntryType.REFUND, "ent_1", ())
    assert results_of("refund", inputs, draft) == {"amount": 5}


@pytest.mark.parametrize(
    ("type", "inputs"),
    [
        ("transfer", MOVE | {"destination_account_id": A}),
        ("transfer", MOVE | {"currency": "XXY"}),
        ("transfer", MOVE | {"fees": [{"type": "fixed"}]}),
        ("transfer", MOVE | {"fees": 7}),
        ("deposit", ONE | {"through": "nowhere"}),
        ("exchange", EXCHANGE),
        ("exchange", EXCHANGE | {"source_amount": 1, "rate": "none"}),
        ("entry", {"lines": ["no line"]}),
        ("entry", {"lines": [{"account_id": 1, "side": "debit", "amount": 1, "currency": "USD"}]}),
        (
            "entry",
            {"lines": [{"account_id": A, "side": "debit", "amount": True, "currency": "USD"}]},
        ),
        ("entry", {"lines": [{"account_id": A, "side": "debit", "amount": 1, "currency": 1}]}),
        ("entry", {"lines": [{"account_id": A, "side": "left", "amount": 1, "currency": "USD"}]}),
    ],
)
def test_inputs_that_mean_nothing(type: str, inputs: dict[str, Any]) -> None:
    """Whatever an expression gave, it is an error of one kind."""
    with pytest.raises(InvalidInput):
        build_draft(type, inputs, LEDGER, {})


def test_how_a_step_spends() -> None:
    """A capture spends its lien alone and keeps nothing for the chain; others as they say."""
    assert spending_of("capture", {}, "lien") == Spending("lien", lien_only=True, keeps=False)
    assert spending_of("transfer", {"pool_only": True}, None) == Spending(None, pool_only=True)
    assert spending_of("transfer", {}, "lien") == Spending("lien")
