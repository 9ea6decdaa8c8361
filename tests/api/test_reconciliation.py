"""Reconciliation over HTTP: statements in, runs, reports, and the work list with its decisions."""

from __future__ import annotations

from typing import Any

import pytest

from catena.ledger.accounts import system_account_id
from tests.api.reconciled import make_run, send_statement
from tests.contract import read_problem
from tests.server import Api, RunningApi

CHARGE = "t1,2026-03-01 09:00:00,charge,125.50,USD,2.01,ch_1,Order 1001"
CREDIT = "t2,2026-03-01 10:00:00,credit,80.00,USD,0,bank_1,"


def post_charge(service: Api, amount: int = 12550, reference: str = "ch_1") -> str:
    """Our side of a charge; gives the entry's id."""
    lines = [
        {"role": "clearing.sandbox", "side": "debit", "amount": amount, "currency": "USD"},
        {"role": "holding", "side": "credit", "amount": amount, "currency": "USD"},
    ]
    body = {"type": "transfer", "lines": lines, "reference": reference}
    id: str = service.make("/v1/entries", {**body, "effective_at": "2026-03-01T09:00:01Z"})["id"]
    return id


def open_items(service: Api, state: str = "open") -> list[dict[str, Any]]:
    """The work list."""
    items: list[dict[str, Any]] = service.read("/v1/reconciliation_items", state=state)["items"]
    return items


def test_a_statement_is_taken_in_once(service: Api) -> None:
    """201, then 200 with the same one; a file that says something else of a line is refused."""
    first = send_statement(service, CHARGE)
    assert first.status_code == 201
    assert (first.json()["lines"], first.json()["repeated"]) == (1, 0)
    again = send_statement(service, CHARGE)
    assert (again.status_code, again.json()) == (200, first.json())
    changed = send_statement(service, CHARGE.replace("125.50", "125.51"))
    assert (changed.status_code, read_problem(changed)["code"]) == (409, "conflict")
    assert changed.json()["errors"][0]["pointer"] == "/rows/1/id"
    assert service.read("/v1/statements")["items"] == [first.json()]


def test_a_request_is_answered_once_for_all(service: Api, other_process: RunningApi) -> None:
    """Under its key, byte for byte, by any process; another one under it is refused."""
    other = service.speak(service.key.secret, api=other_process)
    sent = [send_statement(one, CHARGE, key="k1") for one in (service, other)]
    found = [send_statement(one, CHARGE, key="k2") for one in (service, other)]
    asked = {"gateway": "sandbox", "until": "2026-04-01T00:00:00Z"}
    post_charge(service, 5, "euro")
    runs = [one.post("/v1/reconciliations", asked, key="k3") for one in (service, other)]
    for status, (first, again) in ((201, sent), (200, found), (201, runs)):
        assert (first.status_code, "idempotency-replayed" in first.headers) == (status, False)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
    for answer in (
        *(send_statement(service, CREDIT, key=key) for key in ("k1", "k2", "k3")),
        send_statement(service, CHARGE, key="k1", covers_until="2026-04-01T00:00:00Z"),
        *(service.post("/v1/reconciliations", {"gateway": "sandbox"}, key=k) for k in ("k1", "k3")),
    ):
        assert read_problem(answer)["code"] == "idempotency_key_reused"
    assert len(service.read("/v1/statements")["items"]) == 1
    assert service.read("/v1/reconciliations")["items"] == [runs[0].json()]
    mine = service.client()
    assert mine.post("/v1/reconciliations", {"gateway": "sandbox"}, key="k3").status_code == 201


def test_a_request_needs_its_key(service: Api) -> None:
    """Without one it is 400, and nothing is taken in or run; what was refused leaves it free."""
    for path in ("/v1/statements?gateway=sandbox", "/v1/reconciliations"):
        for headers, code in (
            ({}, "idempotency_key_required"),
            ({"Idempotency-Key": ""}, "invalid_idempotency_key"),
        ):
            answer = service.send("POST", path, {"gateway": "sandbox"}, headers=headers)
            assert (answer.status_code, read_problem(answer)["code"]) == (400, code)
    nothing = service.post("/v1/reconciliations", {"gateway": "sandbox"}, key="k")
    assert (nothing.status_code, read_problem(nothing)["code"]) == (409, "conflict")
    assert send_statement(service, CHARGE, key="k").status_code == 201


def test_a_bad_file_is_refused_whole(service: Api) -> None:
    """With what is wrong in which row; nothing of it is kept."""
    bad = send_statement(service, CHARGE, CREDIT.replace("80.00", "8e1"))
    assert (bad.status_code, read_problem(bad)["code"]) == (422, "invalid_request")
    assert bad.json()["errors"] == [
        {
            "pointer": "/rows/3/amount",
            "detail": "An amount in USD is a plain decimal number with at most 2 places.",
        }
    ]
    for query in ({"shape": "other"}, {"gateway": "No"}, {"covers_until": "2026-02-01T00:00:00Z"}):
        answer = send_statement(service, CHARGE, **query)
        assert answer.status_code == 422, query
    as_json = service.send(
        "POST",
        "/v1/statements",
        {},
        headers={"Idempotency-Key": "k"},
        params={"gateway": "sandbox"},
    )
    assert read_problem(as_json)["code"] == "unsupported_media_type"
    empty = send_statement(service)
    assert empty.status_code == 422
    assert service.read("/v1/statements")["items"] == []


def test_a_run_finds_what_differs(service: Api) -> None:
    """What agrees is matched; what only they have is an item, which says what would settle it."""
    entry = post_charge(service)
    run = make_run(service, CHARGE, CREDIT)
    assert run["explained"] is True
    assert (run["counts"]["matched"], run["counts"]["opened"]) == (1, 1)
    (figures,) = run["figures"]
    assert (figures["open"], figures["fees_to_book"], figures["unexplained"]) == (8000, 201, 0)
    (item,) = open_items(service)
    assert item["differences"] == [{"amount": 8000, "currency": "USD"}]
    full = service.read(f"/v1/reconciliation_items/{item['id']}")
    assert [line["id"] for line in full["theirs"]] == ["t2"]
    assert [one["settling"] for one in full["proposals"]] == ["park"]
    assert service.read(f"/v1/reconciliations/{run['id']}") == run
    assert service.read("/v1/reconciliations", gateway="sandbox")["items"] == [run]
    assert service.read("/v1/reconciliations", gateway="other")["items"] == []
    assert service.read(f"/v1/entries/{entry}")["reference"] == "ch_1"


def test_settling_is_done_once_under_its_key(service: Api) -> None:
    """The key repeats the entry; the next run clears the item, and the key still does."""
    make_run(service, CREDIT)
    (item,) = open_items(service)
    path, body = f"/v1/reconciliation_items/{item['id']}", {"settling": "park", "reason": "whose?"}
    done = service.post(f"{path}/resolve", body, key="k1")
    assert done.status_code == 201, done.text
    assert (done.json()["type"], done.json()["reference"]) == ("adjustment", item["id"])
    assert service.read(path)["state"] == "resolved"
    other = service.post(f"{path}/accept", {"reason": "no"}, key="k2")
    assert (other.status_code, read_problem(other)["code"]) == (409, "item_not_open")
    run = make_run(service)
    assert (run["counts"]["cleared"], run["figures"][0]["difference"]) == (1, 0)
    for _ in range(2):
        again = service.post(f"{path}/resolve", body, key="k1")
        assert (again.status_code, again.json()) == (201, done.json())
    history = service.read(path)["changes"]
    assert [change["state"] for change in history] == ["open", "resolved", "cleared"]
    assert history[1]["entry_id"] == done.json()["id"]
    assert history[1]["by"] == service.key.id


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": "blocked"}, "account_blocked"),
        ({"ceiling": 0}, "above_ceiling"),
    ],
)
def test_what_refuses_the_entry_refuses_the_change(
    service: Api, change: dict[str, Any], code: str
) -> None:
    """The account that it would go to takes nothing: the item stays open."""
    make_run(service, CREDIT, CREDIT.replace("t2", "t3").replace("bank_1", "bank_2"))
    first, second = (f"/v1/reconciliation_items/{item['id']}" for item in open_items(service))
    body = {"settling": "park", "reason": "Whose is it?"}
    service.make(f"{first}/resolve", body)
    suspense = system_account_id(service.ledger, "suspense", "USD")
    assert service.patch(f"/v1/accounts/{suspense}", change).status_code == 200
    assert read_problem(service.post(f"{second}/resolve", body))["code"] == code
    assert service.read(second)["state"] == "open"


def test_accepted_and_reopened(service: Api) -> None:
    """Each with a reason, and told again under its key, whatever has become of it."""
    make_run(service, CREDIT)
    (item,) = open_items(service)
    path = f"/v1/reconciliation_items/{item['id']}"
    accepted = service.post(f"{path}/accept", {"reason": "agreed"}, key="k1")
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    reopened = service.post(f"{path}/reopen", {"reason": "not agreed"}, key="k2")
    assert (reopened.status_code, reopened.json()["state"]) == (200, "reopened")
    assert service.post(f"{path}/accept", {"reason": "agreed"}, key="k1").json() == accepted.json()
    assert service.read(path)["state"] == "reopened"
    for body in ({"reason": " . "}, {"reason": ""}, {}):
        assert service.post(f"{path}/accept", body).status_code == 422
    wrong = service.post(f"{path}/resolve", {"settling": "exchange", "reason": "why not"})
    assert read_problem(wrong)["errors"][0]["pointer"] == "/settling"
    nowhere = service.post(path.replace(item["id"], "rec_" + "0" * 32) + "/accept", {"reason": "x"})
    assert nowhere.status_code == 404


def test_fees_are_booked_from_a_run(service: Api) -> None:
    """Once, whatever the key; a run that has none says so."""
    post_charge(service)
    run = make_run(service, CHARGE)
    path = f"/v1/reconciliations/{run['id']}/book_fees"
    done = service.post(path, {}, key="k1")
    assert (done.status_code, done.json()["type"]) == (201, "fee")
    assert service.post(path, {}, key="k1").json() == done.json()
    assert service.post(path, {}, key="k2").json() == done.json()
    after = make_run(service)
    assert after["figures"][0]["difference"] == after["figures"][0]["fees_to_book"] == 0
    nothing = service.post(f"/v1/reconciliations/{after['id']}/book_fees", {})
    assert (nothing.status_code, read_problem(nothing)["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("text/csv", "text/csv"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_a_report_comes_in_the_form_that_is_wanted(service: Api, accept: str, media: str) -> None:
    """A page for people, a table for spreadsheets, data for programs; all say the same."""
    run = make_run(service, CREDIT)
    path = f"/v1/reconciliations/{run['id']}/report"
    answer = service.send("GET", path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    if media == "application/json":
        (sheet,) = answer.json()["sheets"]
        assert sheet["open"][0]["difference"] == 8000
    else:
        assert "80.00" in answer.text
    assert answer.text.startswith("<!doctype html>") is (media == "text/html")


def test_without_a_statement_nothing_is_reconciled(service: Api) -> None:
    """409; and a moment that cannot be is 422."""
    answer = service.post("/v1/reconciliations", {"gateway": "sandbox"})
    assert (answer.status_code, read_problem(answer)["code"]) == (409, "conflict")
    send_statement(service, CHARGE)
    for until in ("2026-02-01T00:00:00Z", "2126-02-01T00:00:00Z"):
        body = {"gateway": "sandbox", "until": until}
        assert service.post("/v1/reconciliations", body).status_code == 422


def test_lists_go_on_page_by_page(service: Api) -> None:
    """Every item once, with the filters of the first page."""
    rows = [CREDIT.replace("t2", f"t{n}").replace("bank_1", f"b{n}") for n in range(5)]
    make_run(service, *rows)
    seen, cursor = [], None
    while True:
        query: dict[str, Any] = {"limit": 2, "state": "open"}
        page = service.read(
            "/v1/reconciliation_items", **query, **({"cursor": cursor} if cursor else {})
        )
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert open_items(service, "cleared") == []
