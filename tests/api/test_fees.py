"""What fees add to a movement over HTTP, and who pays and earns them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.lines import see_lines
from tests.contract import read_problem
from tests.server import Api

FIXED = {"type": "fixed", "name": "flat", "amount": 30}
PERCENT = {"type": "percentage", "name": "share", "rate": "0.029"}
TIERED = {
    "type": "tiered",
    "name": "steps",
    "tiers": [{"up_to": 5000, "rate": "0.01"}, {"rate": "0.02", "fixed": 7}],
}


@pytest.mark.parametrize(
    ("fee", "charged"),
    [
        (FIXED, 30),
        (PERCENT, 290),  # 10,000 * 0.029
        ({**PERCENT, "rate": "0.00005"}, 0),  # 0.5, to the even 0
        ({**PERCENT, "rate": "0.00015"}, 2),  # 1.5, to the even 2
        ({**PERCENT, "rate": "0.00005", "rounding": "half_up"}, 1),
        ({**PERCENT, "rate": "0.00001", "rounding": "up"}, 1),
        ({**PERCENT, "rate": "0.00019", "rounding": "down"}, 1),
        ({**PERCENT, "minimum": 300}, 300),
        ({**PERCENT, "maximum": 100}, 100),
        ({**PERCENT, "minimum": 50, "maximum": 5000}, 290),
        (TIERED, 50 + 100 + 7),
        ({**TIERED, "mode": "volume"}, 200 + 7),
        ({**TIERED, "tiers": [{"rate": "0.015"}]}, 150),
        ({**TIERED, "tiers": [{"up_to": 10_000, "rate": "0.01"}, {"rate": "1"}]}, 100),
    ],
)
def test_fees_are_lines_of_the_same_entry(service: Api, fee: dict[str, Any], charged: int) -> None:
    """The sender of a transfer pays on top of the amount; a fee of nothing is no line."""
    al, bo = service.open_account(funded=50_000), service.open_account()
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 10_000}
    entry = service.make("/v1/transfers", {**move, "currency": "USD", "fees": [fee]})
    lines = see_lines(service, entry, al=al, bo=bo)
    assert lines[:2] == [("debit", "al", 10_000 + charged), ("credit", "bo", 10_000)]
    assert lines[2:] == ([("credit", "fees", charged)] if charged else [])
    if charged:
        (told,) = entry["details"]["fees"]
        assert told == {
            "name": fee["name"],
            "amount": charged,
            "currency": "USD",
            "account_id": entry["lines"][2]["account_id"],
            "paid_by": "source",
        }
    assert service.read_posted(al, bo) == [40_000 - charged, 10_000]


@pytest.mark.parametrize(
    ("path", "paid_by", "lines"),
    [
        ("deposits", None, [("debit", "clearing", 1000), ("credit", "al", 970)]),
        ("deposits", "destination", [("debit", "clearing", 1000), ("credit", "al", 970)]),
        ("deposits", "source", [("debit", "clearing", 1030), ("credit", "al", 1000)]),
        ("withdrawals", None, [("debit", "al", 1030), ("credit", "clearing", 1000)]),
        ("withdrawals", "destination", [("debit", "al", 1000), ("credit", "clearing", 970)]),
        ("transfers", None, [("debit", "al", 1030), ("credit", "bo", 1000)]),
        ("transfers", "destination", [("debit", "al", 1000), ("credit", "bo", 970)]),
    ],
)
def test_who_pays_a_fee(
    service: Api, path: str, paid_by: str | None, lines: list[tuple[str, str, int]]
) -> None:
    """The wallet of a deposit or withdrawal, the sender of a transfer, or whoever is named."""
    al, bo = service.open_account(funded=5000), service.open_account()
    fee = {**FIXED, "paid_by": paid_by} if paid_by else FIXED
    body: dict[str, Any] = {"amount": 1000, "currency": "USD", "fees": [fee]}
    body |= (
        {"source_account_id": al, "destination_account_id": bo}
        if path == "transfers"
        else {"account_id": al}
    )
    entry = service.make(f"/v1/{path}", body)
    assert see_lines(service, entry, al=al, bo=bo) == [*lines, ("credit", "fees", 30)]


def test_several_fees_and_whoever_earns_them(service: Api) -> None:
    """Each fee is computed on the amount alone, and may go to an account that is named."""
    al, bo = service.open_account(funded=50_000), service.open_account()
    partner = service.open_account(type="revenue")
    fees = [FIXED, {**PERCENT, "account_id": partner}, {**TIERED, "paid_by": "destination"}]
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 10_000}
    entry = service.make("/v1/transfers", {**move, "currency": "USD", "fees": fees})
    assert see_lines(service, entry, al=al, bo=bo, partner=partner) == [
        ("debit", "al", 10_320),
        ("credit", "bo", 9843),
        ("credit", "fees", 30),
        ("credit", "partner", 290),
        ("credit", "fees", 157),
    ]
    assert service.read_posted(al, bo, partner) == [39_680, 9843, 290]


@pytest.mark.parametrize(
    ("fees", "code"),
    [
        ([{**FIXED, "amount": 0}], "invalid_request"),
        ([{**FIXED, "amount": 1.5}], "invalid_request"),
        ([{**FIXED, "type": "magic"}], "invalid_request"),
        ([{**FIXED, "name": ""}], "invalid_request"),
        ([{**FIXED, "currency": "USD"}], "invalid_request"),
        ([FIXED] * 21, "invalid_request"),
        ([{**PERCENT, "rate": 0.029}], "invalid_request"),
        ([{**PERCENT, "rate": "-0.1"}], "invalid_request"),
        ([{**PERCENT, "rate": "1e-3"}], "invalid_request"),
        ([{**PERCENT, "rate": "0." + "1" * 19}], "invalid_request"),
        ([{**PERCENT, "rounding": "ceil"}], "invalid_request"),
        ([{**PERCENT, "minimum": 9, "maximum": 8}], "invalid_amount"),
        ([{**TIERED, "tiers": []}], "invalid_request"),
        ([{**TIERED, "tiers": [{"up_to": 5, "rate": "0.1"}]}], "invalid_fee"),
        ([{**TIERED, "tiers": [{"rate": "0.1"}, {"rate": "0.2"}]}], "invalid_fee"),
        (
            [{**TIERED, "tiers": [{"up_to": n, "rate": "0"} for n in (9, 8)] + [{"rate": "0"}]}],
            "invalid_amount",
        ),
        ([{**FIXED, "amount": 1001, "paid_by": "destination"}], "invalid_fee"),
        ([{**FIXED, "amount": 2**63 - 1}], "invalid_fee"),
        ([{**PERCENT, "rate": "9" * 19}], "invalid_fee"),
    ],
)
def test_a_fee_that_cannot_be_charged(service: Api, fees: list[dict[str, Any]], code: str) -> None:
    """A fee that is no fee is refused before anything runs."""
    al, bo = service.open_account(funded=5000), service.open_account()
    before = service.count_rows()
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 1000}
    answer = service.post("/v1/transfers", {**move, "currency": "USD", "fees": fees})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, code)
    assert service.count_rows() == before
