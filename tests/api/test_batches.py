"""Batches over HTTP: many operations under one key, in one commit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract import read_problem
from tests.server import Api


def move(source: str, destination: str, amount: object, **more: object) -> dict[str, Any]:
    """A transfer as it stands in a batch."""
    return {
        "operation": "transfer",
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": "USD",
        **more,
    }


def test_every_operation_can_stand_in_a_batch(service: Api) -> None:
    """One commit, positions in order, each result names its entry."""
    al, bo, euros = service.open_account(), service.open_account(), service.open_account("EUR")
    operations = [
        {"operation": "deposit", "account_id": al, "amount": 1000, "currency": "USD"},
        move(al, bo, 300),
        {"operation": "withdrawal", "account_id": bo, "amount": 100, "currency": "USD"},
        {
            "operation": "exchange",
            "source_account_id": al,
            "destination_account_id": euros,
            "source_currency": "USD",
            "destination_currency": "EUR",
            "rate": "0.5",
            "source_amount": 200,
        },
        {
            "operation": "entry",
            "lines": [
                {"account_id": al, "side": "debit", "amount": 1, "currency": "USD"},
                {"account_id": bo, "side": "credit", "amount": 1, "currency": "USD"},
            ],
        },
    ]
    answer = service.post("/v1/batches", {"mode": "atomic", "operations": operations})
    batch = answer.json()
    assert answer.status_code == 201
    assert (batch["ledger_id"], batch["posted"], batch["refused"]) == (service.ledger, 5, 0)
    entries = [service.read(f"/v1/entries/{result['entry_id']}") for result in batch["results"]]
    assert [entry["type"] for entry in entries] == [
        "deposit",
        "transfer",
        "withdrawal",
        "exchange",
        "adjustment",
    ]
    positions = [result["position"] for result in batch["results"]]
    assert positions == [entry["position"] for entry in entries]
    assert positions == list(range(positions[0], positions[0] + 5))
    assert len({entry["recorded_at"] for entry in entries}) == 1
    assert service.read_posted(al, bo, euros) == [499, 201, 100]


def test_atomic_means_all_or_none(service: Api) -> None:
    """The first refusal is the answer, says which operation it was, and nothing is posted."""
    al, bo = service.open_account(funded=100), service.open_account()
    before = service.count_rows()
    operations = [move(al, bo, 60), move(al, bo, 30), move(al, bo, 11), move(bo, al, 1)]
    answer = service.post("/v1/batches", {"mode": "atomic", "operations": operations})
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "insufficient_funds")
    assert (problem["operation"], problem["account_id"]) == (2, al)
    after = service.count_rows()
    assert after == {**before, "keys": before["keys"] + 1}
    assert service.read_posted(al, bo) == [100, 0]


def test_each_stands_for_itself(service: Api) -> None:
    """Refused ones harm no neighbour; each has its own result, in order, and decides on what came
    before it.
    """
    al, bo = service.open_account(funded=100), service.open_account()
    missing = "acct_" + "0" * 32
    operations = [
        move(bo, al, 1),
        move(al, bo, 60),
        move(bo, al, 60),
        move(al, missing, 1),
        move(al, bo, 100),
        move(al, bo, 1),
    ]
    answer = service.post("/v1/batches", {"mode": "each", "operations": operations})
    batch = answer.json()
    assert (answer.status_code, batch["posted"], batch["refused"]) == (200, 3, 3)
    codes = [result.get("problem", {}).get("code") for result in batch["results"]]
    short, unknown = "insufficient_funds", "unknown_account"
    assert codes == [short, None, None, unknown, None, short]
    for result in batch["results"]:
        assert result.keys() in ({"entry_id", "position"}, {"problem"})
    assert batch["results"][0]["problem"] == {
        "type": "/errors/insufficient_funds",
        "code": "insufficient_funds",
        "title": "The account has not enough available",
        "status": 422,
        "detail": "Fund the account or lower the amount; its balance says what is available.",
        "retryable": False,
        "account_id": bo,
    }
    assert service.read_posted(al, bo) == [0, 100]


@pytest.mark.parametrize("mode", ["atomic", "each"])
@pytest.mark.parametrize("amounts", [(60, 30, 10), (60, 30, 11), (101, 102, 103)])
def test_a_batch_is_replayed_as_it_was_answered(
    service: Api, mode: str, amounts: tuple[int, ...]
) -> None:
    """Under one key, results and refusals come again byte for byte, and nothing moves twice."""
    al, bo = service.open_account(funded=100), service.open_account()
    batch = {"mode": mode, "operations": [move(al, bo, amount) for amount in amounts]}
    first = service.post("/v1/batches", batch, key="k")
    after = service.count_rows()
    again = service.post("/v1/batches", batch, key="k")
    assert again.status_code == first.status_code
    assert again.headers["idempotency-replayed"] == "true"
    if first.status_code == 422:
        assert {**first.json(), "request_id": ""} == {**again.json(), "request_id": ""}
    else:
        assert again.content == first.content
    assert service.count_rows() == after
    other = service.post("/v1/batches", {**batch, "operations": batch["operations"][:2]}, key="k")
    assert (other.status_code, read_problem(other)["code"]) == (422, "idempotency_key_reused")


def test_a_reference_counts_within_a_batch_and_before_it(service: Api) -> None:
    """The same content under one reference is one entry, other content is refused."""
    al, bo = service.open_account(funded=100), service.open_account()
    paid = service.make(
        "/v1/transfers",
        {k: v for k, v in move(al, bo, 5, reference="a").items() if k != "operation"},
    )
    operations = [
        move(al, bo, 7, reference="b"),
        move(al, bo, 7, reference="b"),
        move(al, bo, 8, reference="b"),
    ]
    batch = service.post("/v1/batches", {"mode": "each", "operations": operations}).json()
    first, second, third = batch["results"]
    assert first == second
    assert third["problem"]["code"] == "reference_conflict"
    assert service.read_posted(al, bo) == [88, 12]
    assert service.read("/v1/entries", reference="a")["items"] == [paid]


def test_a_batch_says_which_operation_is_malformed(service: Api) -> None:
    """Nothing runs when one operation is no operation, whatever the mode."""
    al, bo = service.open_account(funded=100), service.open_account()
    before = service.count_rows()
    for wrong, pointer in [
        (move(al, bo, 1.5), "/operations/1/amount"),
        (move(al, bo, 1, metadata={"a": []}), "/operations/1/metadata"),
        ({"operation": "steal"}, "/operations/1"),
        ({}, "/operations/1"),
        (7, "/operations/1"),
    ]:
        batch = {"mode": "each", "operations": [move(al, bo, 1), wrong]}
        answer = service.post("/v1/batches", batch)
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (422, "invalid_request")
        assert all(error["pointer"].startswith(pointer) for error in problem["errors"])
    shapeless: list[dict[str, Any]] = [
        {"mode": "each", "operations": []},
        {"mode": "both", "operations": [move(al, bo, 1)]},
        {"operations": [move(al, bo, 1)]},
        {"mode": "each"},
    ]
    for batch in shapeless:
        assert service.post("/v1/batches", batch).status_code == 422
    unknown = {"mode": "each", "operations": [move(al, bo, 1), move(al, bo, 1, currency="ZZZ")]}
    assert read_problem(service.post("/v1/batches", unknown))["code"] == "unknown_currency"
    assert service.count_rows() == before


def test_ten_thousand_operations_and_not_one_more(service: Api) -> None:
    """The largest batch is one commit; one more operation is refused before anything runs."""
    al, bo = service.open_account(funded=10_000), service.open_account()
    batch = {"mode": "atomic", "operations": [move(al, bo, 1)] * 10_000}
    # Not through the contract: to hold so much against a schema takes longer than to do it.
    headers = {"Idempotency-Key": "k"}
    answer, again = (service.http.post("/v1/batches", json=batch, headers=headers) for _ in "12")
    assert (answer.status_code, answer.json()["posted"]) == (201, 10_000)
    assert len({result["entry_id"] for result in answer.json()["results"]}) == 10_000
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    assert service.read_posted(al, bo) == [0, 10_000]
    batch["operations"] = [move(bo, al, 1)] * 10_001
    over = service.http.post("/v1/batches", json=batch, headers={"Idempotency-Key": "k2"})
    assert (over.status_code, read_problem(over)["code"]) == (422, "invalid_request")
    assert service.read_posted(al, bo) == [0, 10_000]
