"""Free entries over HTTP: any balanced lines, by whoever may."""

from __future__ import annotations

import pytest

from tests.contract import read_problem
from tests.server import Api


def test_a_free_entry_posts_any_balanced_lines(service: Api) -> None:
    """Several lines, several currencies: each balances by itself, the type is the caller's."""
    cash, debt = service.open_account(type="asset"), service.open_account(type="liability")
    euro_cash, gain = service.open_account("EUR", type="asset"), service.open_account("EUR")
    lines = [
        {"account_id": cash, "side": "debit", "amount": 70, "currency": "USD"},
        {"account_id": debt, "side": "credit", "amount": 50, "currency": "USD"},
        {"account_id": debt, "side": "credit", "amount": 20, "currency": "USD"},
        {"account_id": euro_cash, "side": "debit", "amount": 9, "currency": "EUR"},
        {"account_id": gain, "side": "credit", "amount": 9, "currency": "EUR"},
    ]
    entry = service.make("/v1/entries", {"lines": lines})
    assert (entry["type"], entry["lines"]) == ("adjustment", lines)
    assert service.read_posted(cash, debt, euro_cash, gain) == [70, 70, 9, 9]
    assert service.make("/v1/entries", {"type": "fee", "lines": lines})["type"] == "fee"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([("al", "debit", 5)], "invalid_request"),
        ([("al", "debit", 5), ("bo", "credit", 4)], "unbalanced"),
        ([("al", "debit", 5), ("bo", "debit", 5)], "unbalanced"),
        ([("al", "left", 5), ("bo", "credit", 5)], "invalid_request"),
        ([("al", "debit", 0), ("bo", "credit", 0)], "invalid_request"),
        ([("al", "debit", 5), ("euros", "credit", 5)], "currency_mismatch"),
        ([("al", "debit", 1), ("bo", "credit", 1)] * 101, "invalid_request"),
    ],
)
def test_a_free_entry_that_does_not_stand(
    service: Api, lines: list[tuple[str, str, int]], code: str
) -> None:
    """Debits and credits must be equal, lines at least two and at most 200."""
    ids = {
        "al": service.open_account(funded=1000),
        "bo": service.open_account(),
        "euros": service.open_account("EUR"),
    }
    before = service.count_rows()
    body = [
        {"account_id": ids[name], "side": side, "amount": amount, "currency": "USD"}
        for name, side, amount in lines
    ]
    answer = service.post("/v1/entries", {"lines": body})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, code)
    after = service.count_rows()
    assert (after["position"], after["lines"]) == (before["position"], before["lines"])


def test_only_a_free_entry_touches_a_system_account(service: Api) -> None:
    """A transfer from or to clearing would make money; the entry that may is a scope of its own."""
    al = service.open_account(funded=1000)
    (clearing,) = service.read("/v1/accounts", role="clearing")["items"]
    for source, destination in ((clearing["id"], al), (al, clearing["id"])):
        answer = service.post(
            "/v1/transfers",
            {
                "source_account_id": source,
                "destination_account_id": destination,
                "amount": 1,
                "currency": "USD",
            },
        )
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (422, "system_account")
        assert problem["account_id"] == clearing["id"]
    lines = [
        {"account_id": clearing["id"], "side": "debit", "amount": 1, "currency": "USD"},
        {"account_id": al, "side": "credit", "amount": 1, "currency": "USD"},
    ]
    service.make("/v1/entries", {"lines": lines})
    assert service.read_posted(al) == [1001]


@pytest.mark.parametrize("prefix", ["susp_", "rec_", "run_"])
def test_a_free_entry_has_no_reference_of_the_services_own(service: Api, prefix: str) -> None:
    """By these money is assigned and discrepancies are settled; who merely begins so may."""
    al, bo = service.open_account(funded=10), service.open_account()
    lines = [
        {"account_id": id, "side": side, "amount": 5, "currency": "USD"}
        for id, side in ((al, "debit"), (bo, "credit"))
    ]
    body = {"lines": lines}
    for own in (prefix + "0" * 32, f"{prefix}{'0' * 32}#2"):
        refused = service.post("/v1/entries", {**body, "reference": own})
        assert refused.status_code == 422
        (error,) = read_problem(refused)["errors"]
        assert error["pointer"] == "/reference"
    service.make("/v1/entries", {**body, "reference": f"{prefix}2026-03"})
