"""Deposits, withdrawals and transfers over HTTP, and what refuses them."""

from __future__ import annotations

import json

import pytest

from tests.api.lines import see_lines
from tests.contract import read_problem
from tests.server import Api


def test_a_transfer_is_one_entry_of_two_lines(service: Api) -> None:
    """What is sent comes back as an entry, which is found where Location says."""
    al, bo = service.open_account(funded=1000), service.open_account()
    answer = service.post(
        "/v1/transfers",
        {
            "source_account_id": al,
            "destination_account_id": bo,
            "amount": 250,
            "currency": "USD",
            "description": "Rent",
            "reference": "r-1",
            "effective_at": "2026-03-01T14:00:00.123456789+02:00",
            "metadata": {"z": 1, "a": "é"},
        },
    )
    entry = answer.json()
    assert answer.status_code == 201
    assert entry == {
        "id": entry["id"],
        "ledger_id": service.ledger,
        "position": 5,
        "type": "transfer",
        "description": "Rent",
        "reference": "r-1",
        "effective_at": "2026-03-01T12:00:00.123456Z",
        "recorded_at": entry["recorded_at"],
        "lines": [
            {"account_id": al, "side": "debit", "amount": 250, "currency": "USD"},
            {"account_id": bo, "side": "credit", "amount": 250, "currency": "USD"},
        ],
        "metadata": {"a": "é", "z": 1},
        "details": None,
        "corrects": None,
        "reversed_by": None,
    }
    assert answer.headers["location"] == f"/v1/entries/{entry['id']}"
    assert service.get(answer.headers["location"]).content == answer.content
    assert service.read_posted(al, bo) == [750, 250]


@pytest.mark.parametrize(
    "text",
    [
        "\x01\t\r\n\x1f\x7f",
        "\\ \" / ' ; -- %s {} $1 \\u0000",
        "\u2028\u2029\ufeff\u200b\u202e",
        "e\u0301 é ß \u017f İ \u0131",
        "\U0001f3f3\ufe0f\u200d\U0001f308\U0010ffff\ue000",
        " leading and trailing ",
    ],
)
def test_texts_come_back_as_they_were_sent(service: Api, text: str) -> None:
    """In descriptions, references, user ids and metadata; and they are found by them."""
    al = service.open_account(user_id=text, name=text, metadata={text: text})
    account = service.read(f"/v1/accounts/{al}")
    assert (account["user_id"], account["name"], account["metadata"]) == (text, text, {text: text})
    deposit = {"account_id": al, "amount": 5, "currency": "USD", "description": text}
    entry = service.make("/v1/deposits", {**deposit, "reference": text, "metadata": {text: text}})
    assert (entry["description"], entry["reference"]) == (text, text)
    assert entry["metadata"] == {text: text}
    wanted = json.dumps({text: text})
    for path, query in (
        ("/v1/accounts", {"user_id": text}),
        ("/v1/accounts", {"metadata": wanted}),
        ("/v1/entries", {"reference": text}),
        (f"/v1/accounts/{al}/entries", {"reference": text}),
        (f"/v1/accounts/{al}/entries", {"metadata": wanted}),
    ):
        assert len(service.read(path, **query)["items"]) == 1, (path, query)
    assert service.read("/v1/accounts", user_id=text + "x")["items"] == []


def test_whole_numbers_of_64_bits_are_kept_exactly(service: Api) -> None:
    """In metadata and in filters on it, to the last unit."""
    extremes = {"most": 2**63 - 1, "least": -(2**63), "odd": 2**53 + 1}
    al = service.open_account(metadata=extremes)
    assert service.read(f"/v1/accounts/{al}")["metadata"] == extremes
    for name, value in extremes.items():
        found = [
            service.read("/v1/accounts", metadata=json.dumps({name: value + step}))["items"]
            for step in ((0, -1) if value > 0 else (0, 1))
        ]
        assert [len(items) for items in found] == [1, 0], name


@pytest.mark.parametrize(
    ("path", "through", "lines"),
    [
        ("/v1/deposits", None, [("debit", "clearing", 400), ("credit", "al", 400)]),
        ("/v1/deposits", "holding", [("debit", "holding", 400), ("credit", "al", 400)]),
        ("/v1/withdrawals", None, [("debit", "al", 400), ("credit", "clearing", 400)]),
        ("/v1/withdrawals", "holding", [("debit", "al", 400), ("credit", "holding", 400)]),
    ],
)
def test_money_comes_and_goes_through_a_system_account(
    service: Api, path: str, through: str | None, lines: list[tuple[str, str, int]]
) -> None:
    """Clearing, or the holding account where that is asked for; the wallet is the other side."""
    al = service.open_account(funded=1000)
    body = {"account_id": al, "amount": 400, "currency": "USD"}
    entry = service.make(path, body if through is None else {**body, "through": through})
    assert entry["type"] == path[4:-1]
    assert see_lines(service, entry, al=al) == lines


@pytest.mark.parametrize(
    ("status", "out_of", "into"),
    [("frozen", "account_frozen", None), ("blocked", "account_blocked", "account_blocked")],
)
def test_what_a_status_forbids(
    service: Api, status: str, out_of: str | None, into: str | None
) -> None:
    """A frozen account may not decrease, a blocked one not move at all; active ones may."""
    al, bo = service.open_account(funded=1000), service.open_account(funded=1000)
    service.patch(f"/v1/accounts/{al}", {"status": status})
    move = {"amount": 1, "currency": "USD"}
    leaving = {"source_account_id": al, "destination_account_id": bo, **move}
    coming = {"source_account_id": bo, "destination_account_id": al, **move}
    for body, code in ((leaving, out_of), (coming, into)):
        answer = service.post("/v1/transfers", body)
        if code is None:
            assert answer.status_code == 201
        else:
            problem = read_problem(answer)
            assert (answer.status_code, problem["code"]) == (422, code)
            assert problem["account_id"] == al
    service.patch(f"/v1/accounts/{al}", {"status": "active"})
    service.make("/v1/transfers", leaving)


def test_floors_and_ceilings_bind(service: Api) -> None:
    """Down to the floor and up to the ceiling, and not a unit further."""
    al = service.open_account(funded=100, floor=-50)
    bo = service.open_account(ceiling=150)
    move = {"source_account_id": al, "destination_account_id": bo, "currency": "USD"}
    over = service.post("/v1/transfers", {**move, "amount": 151})
    assert (over.status_code, read_problem(over)["code"]) == (422, "insufficient_funds")
    assert read_problem(over)["account_id"] == al
    service.make("/v1/transfers", {**move, "amount": 150})
    assert service.read_posted(al, bo) == [-50, 150]
    service.make("/v1/deposits", {"account_id": al, "amount": 1, "currency": "USD"})
    above = service.post("/v1/transfers", {**move, "amount": 1})
    assert (above.status_code, read_problem(above)["code"]) == (422, "above_ceiling")
    assert read_problem(above)["account_id"] == bo


def test_totals_stay_within_half_of_64_bits(service: Api) -> None:
    """The largest total can be posted; another unit is refused, with nothing written."""
    al = service.open_account(funded=2**62 - 1)
    assert service.read_posted(al) == [2**62 - 1]
    answer = service.post("/v1/deposits", {"account_id": al, "amount": 1, "currency": "USD"})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "balance_out_of_range")
    assert service.read_posted(al) == [2**62 - 1]


def test_the_first_refusal_in_the_documented_order_is_the_answer(service: Api) -> None:
    """Of several reasons, the one that stands first in the errors' page is told."""
    al, euros = service.open_account(), service.open_account("EUR")
    missing = "acct_" + "0" * 32
    move = {"amount": 5, "currency": "USD", "effective_at": "2999-01-01T00:00:00Z"}
    service.patch(f"/v1/accounts/{al}", {"status": "frozen"})
    for destination, code, status in (
        (missing, "unknown_account", 404),
        (euros, "account_frozen", 422),
    ):
        body = {"source_account_id": al, "destination_account_id": destination, **move}
        answer = service.post("/v1/transfers", body)
        assert (answer.status_code, read_problem(answer)["code"]) == (status, code)
    service.patch(f"/v1/accounts/{al}", {"status": "active"})
    bo = service.open_account()
    for destination, code in ((euros, "currency_mismatch"), (bo, "effective_date_out_of_range")):
        body = {"source_account_id": al, "destination_account_id": destination, **move}
        assert read_problem(service.post("/v1/transfers", body))["code"] == code


def test_a_reference_is_used_once_for_ever(service: Api) -> None:
    """Again with the same content it answers with the first entry; other content is refused."""
    al = service.open_account(funded=10)
    deposit = {"account_id": al, "amount": 5, "currency": "USD", "reference": "wire-1"}
    first = service.make("/v1/deposits", deposit)
    again = service.post("/v1/deposits", deposit)
    assert (again.status_code, again.json()) == (201, first)
    assert "idempotency-replayed" not in again.headers
    other = service.post("/v1/deposits", {**deposit, "amount": 6})
    assert (other.status_code, read_problem(other)["code"]) == (409, "reference_conflict")
    service.make("/v1/withdrawals", {**deposit, "amount": 1})  # of another type: another reference
    assert service.read_posted(al) == [14]
    reversal = service.make(f"/v1/entries/{first['id']}/reverse", {})
    told = service.make("/v1/deposits", deposit)
    assert (told["id"], told["reversed_by"]) == (first["id"], reversal["id"])
