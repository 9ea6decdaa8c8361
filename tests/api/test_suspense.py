"""Money in suspense, however it came there: listed as long as it is there, assigned, or lost."""

from __future__ import annotations

from typing import Any

import pytest

from catena.ledger.accounts import system_account_id
from tests.api.reconciled import make_run
from tests.contract import read_problem
from tests.server import Api

CREDIT = "t2,2026-03-01 10:00:00,credit,80.00,USD,0,bank_1,"
LOST = {"role": "losses", "reason": "Nobody has asked for it"}


def listed(service: Api) -> list[dict[str, Any]]:
    """What is nobody's, which is what the account has."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.read("/v1/suspense", limit=1, **cursor)
        found += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert sum(one["amount"] for one in found) == posted(service, "suspense")
    return found


def posted(service: Api, role: str) -> int:
    """What is posted on an account of the platform's own, credits less debits."""
    account = system_account_id(service.ledger, role, "USD")
    answer = service.get(f"/v1/accounts/{account}/balance")
    if answer.status_code == 404:
        return 0
    return int(answer.json()["credits"]) - int(answer.json()["debits"])


def park(service: Api, *rows: str) -> list[str]:
    """Discrepancies of these lines, each parked; gives the entries."""
    make_run(service, *rows)
    body = {"settling": "park", "reason": "Whose is it?"}
    items = service.read("/v1/reconciliation_items", state="open")["items"]
    return [
        service.make(f"/v1/reconciliation_items/{item['id']}/resolve", body)["id"] for item in items
    ]


def reverse(service: Api, entry: str) -> str:
    """The entry that reverses it."""
    id: str = service.make(f"/v1/entries/{entry}/reverse", {})["id"]
    return id


def test_what_is_parked_is_listed_and_assigned(service: Api) -> None:
    """With its discrepancy and why it was parked; and with more of them, page by page."""
    entries = park(service, CREDIT, CREDIT.replace("t2", "t3").replace("80.00", "-12.50"))
    found = listed(service)
    assert [one["entry_id"] for one in found] == entries
    assert sorted(one["amount"] for one in found) == [-1250, 8000]
    came = next(one for one in found if one["amount"] > 0)
    item = service.read(f"/v1/reconciliation_items/{came['item_id']}")
    assert item["state"] == "resolved"
    assert (came["gateway"], came["text"]) == ("sandbox", "Whose is it?")
    assert (came["chain_id"], came["gateway_reference"], came["payer_name"]) == (None, None, None)
    wallet = service.open_account("USD")
    body = {"account_id": wallet, "reason": "The payer has called"}
    service.make(f"/v1/suspense/{came['id']}/assign", body)
    assert service.read(f"/v1/accounts/{wallet}/balance")["posted"] == 8000
    (gone,) = listed(service)
    run = make_run(service)
    assert (run["counts"]["cleared"], run["figures"][0]["difference"]) == (2, 0)
    assert listed(service) == [gone]


@pytest.mark.parametrize("amount", [-1250, 8000])
def test_what_nobody_has_is_a_loss_or_makes_one_good(service: Api, amount: int) -> None:
    """With a reason, once; reversed, it is on the list again and is assigned anew."""
    park(service, CREDIT.replace("80.00", f"{amount / 100:.2f}"))
    (one,) = listed(service)
    before = posted(service, "losses")
    path = f"/v1/suspense/{one['id']}/assign"
    lost = service.make(path, LOST)
    assert (lost["description"], lost["type"]) == (LOST["reason"], "adjustment")
    assert listed(service) == []
    assert posted(service, "losses") == before + amount
    assert service.post(path, LOST).json()["id"] == lost["id"]
    wallet = service.open_account("USD", 2000)
    other = service.post(path, {"account_id": wallet, "reason": "It is hers"})
    assert read_problem(other)["code"] == "reference_conflict"
    reverse(service, lost["id"])
    assert listed(service) == [one]
    anew = service.make(path, {"account_id": wallet, "reason": "It is hers"})
    assert anew["reference"] == f"{one['id']}#2"
    assert (listed(service), posted(service, "losses")) == ([], before)


def test_an_account_is_named_once(service: Api) -> None:
    """By its id or as losses: not by both, by neither, nor by another role or that account's id."""
    park(service, CREDIT, CREDIT.replace("t2", "t3").replace("80.00", "1.00"))
    one, lost = sorted(listed(service), key=lambda one: -one["amount"])
    service.make(f"/v1/suspense/{lost['id']}/assign", LOST)
    path, wallet = f"/v1/suspense/{one['id']}/assign", service.open_account("USD")
    losses = system_account_id(service.ledger, "losses", "USD")
    for names in ({"account_id": wallet, "role": "losses"}, {}, {"role": "fees"}):
        answer = service.post(path, {**names, "reason": "a guess"})
        assert read_problem(answer)["code"] == "invalid_request"
    refused = service.post(path, {"account_id": losses, "reason": "a guess"})
    assert read_problem(refused)["code"] == "system_account"
    assert listed(service) == [one]


def test_what_put_it_there_is_reversed(service: Api) -> None:
    """Then nothing is there. Where it was assigned before, that is missing until it is undone."""
    (entry,) = park(service, CREDIT)
    (one,) = listed(service)
    path, wallet = f"/v1/suspense/{one['id']}/assign", service.open_account("USD")
    body = {"account_id": wallet, "reason": "The payer has called"}
    undone = reverse(service, entry)
    assert listed(service) == []
    assert read_problem(service.post(path, body))["code"] == "conflict"
    reverse(service, undone)
    assert listed(service) == [one]
    given = service.make(path, body)
    reverse(service, entry)
    (missing,) = listed(service)
    assert (missing["id"], missing["amount"]) == (one["id"], -8000)
    assert read_problem(service.post(path, LOST))["code"] == "conflict"
    reverse(service, given["id"])
    assert listed(service) == []


def test_what_callers_book_there_is_theirs(service: Api) -> None:
    """No entry and no chain of a caller's passes for what is listed, whatever it is called."""
    park(service, CREDIT)
    found = listed(service)
    lines = [
        {"role": role, "side": side, "amount": 5, "currency": "USD"}
        for role, side in (("losses", "debit"), ("suspense", "credit"))
    ]
    metadata = {"settling": "park", "reconciles": "nothing"}
    odd = [service.make("/v1/entries", {"lines": lines, "metadata": metadata})]
    plan = {"entry_type": "adjustment", "lines": lines}
    chain = {"steps": [{"name": "suspend", "type": "entry", "inputs": plan}]}
    for reference in ("cte_", "cte_" + "z" * 32, "4711"):
        service.make("/v1/chains", {**chain, "reference": reference})
    assert service.read("/v1/suspense")["items"] == found
    nowhere = found[0]["id"].replace(found[0]["entry_id"][4:], odd[0]["id"][4:])
    for id in (nowhere, "susp_" + "0" * 32, "susp_" + "f" * 32):
        assert service.post(f"/v1/suspense/{id}/assign", LOST).status_code == 404
