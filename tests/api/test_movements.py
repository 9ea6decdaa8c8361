"""Deposits, withdrawals, transfers, exchanges and free entries over HTTP, and what fees add."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract import read_problem
from tests.server import Api

FIXED = {"type": "fixed", "name": "flat", "amount": 30}
PERCENT = {"type": "percentage", "name": "share", "rate": "0.029"}
TIERED = {
    "type": "tiered",
    "name": "steps",
    "tiers": [{"up_to": 5000, "rate": "0.01"}, {"rate": "0.02", "fixed": 7}],
}


def see_lines(service: Api, entry: dict[str, Any], **names: str) -> list[tuple[str, str, int]]:
    """The entry's lines as (side, whose, amount); system accounts by their role."""
    called = {id: name for name, id in names.items()}
    for line in entry["lines"]:
        if line["account_id"] not in called:
            role = service.read(f"/v1/accounts/{line['account_id']}")["role"]
            called[line["account_id"]] = role
    return [(line["side"], called[line["account_id"]], line["amount"]) for line in entry["lines"]]


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


@pytest.mark.parametrize(
    ("currencies", "rate", "fixed", "sold", "bought"),
    [
        (("USD", "EUR"), "0.9215", {"source_amount": 10_000}, 10_000, 9215),
        (("USD", "EUR"), "0.9215", {"source_amount": 10_001}, 10_001, 9215),  # 9,215.9 down
        (("USD", "EUR"), "0.9215", {"destination_amount": 9215}, 10_000, 9215),
        (("USD", "EUR"), "0.9215", {"destination_amount": 9216}, 10_002, 9216),  # 10,001.08 up
        (("USD", "JPY"), "151.5", {"source_amount": 1000}, 1000, 1515),
        (("JPY", "USD"), "0.0066", {"source_amount": 1000}, 1000, 660),
        (("USD", "BHD"), "0.376", {"source_amount": 100}, 100, 376),
        (("BTC", "PTS"), "1000000", {"source_amount": 1}, 1, 0),
        (("BTC", "PTS"), "1000000", {"source_amount": 250}, 250, 2),  # 2.5 points down
    ],
)
def test_an_exchange_rounds_in_favour_of_the_fx_account(
    service: Api,
    currencies: tuple[str, str],
    rate: str,
    fixed: dict[str, int],
    sold: int,
    bought: int,
) -> None:
    """Four lines through fx; the rate counts in major units, whatever the exponents."""
    for code, exponent in (("BTC", 8), ("PTS", 0)):
        path = f"/v1/ledgers/{service.ledger}/assets/{code}"
        assert service.send("PUT", path, {"exponent": exponent}).status_code == 200
    source, destination = currencies
    al, euros = service.open_account(source, 20_000), service.open_account(destination)
    answer = service.post(
        "/v1/exchanges",
        {
            "source_account_id": al,
            "destination_account_id": euros,
            "source_currency": source,
            "destination_currency": destination,
            "rate": rate,
            **fixed,
        },
    )
    if not bought:
        assert read_problem(answer)["code"] == "invalid_amount"
        return
    entry = answer.json()
    assert answer.status_code == 201, entry
    assert see_lines(service, entry, al=al, euros=euros) == [
        ("debit", "al", sold),
        ("credit", "fx", sold),
        ("debit", "fx", bought),
        ("credit", "euros", bought),
    ]
    assert entry["details"]["exchange"] == {
        "rate": rate,
        "source": {"amount": sold, "currency": source},
        "destination": {"amount": bought, "currency": destination},
    }
    assert service.read_posted(al, euros) == [20_000 - sold, bought]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"source_amount": None}, "invalid_request"),
        ({"destination_amount": 1}, "invalid_request"),
        ({"rate": "0"}, "invalid_rate"),
        ({"rate": "0.0000"}, "invalid_rate"),
        ({"rate": 0.9}, "invalid_request"),
        ({"rate": "01.5"}, "invalid_request"),
        ({"destination_currency": "USD"}, "invalid_request"),
        ({"rate": "9" * 19, "source_amount": 2**62}, "invalid_amount"),
        ({"fees": []}, "invalid_request"),
    ],
)
def test_an_exchange_that_cannot_be(service: Api, wrong: dict[str, Any], code: str) -> None:
    """One amount, two currencies and a rate above 0, or nothing runs."""
    al, euros = service.open_account(funded=1000), service.open_account("EUR")
    before = service.count_rows()
    body = {
        "source_account_id": al,
        "destination_account_id": euros,
        "source_currency": "USD",
        "destination_currency": "EUR",
        "rate": "0.9",
        "source_amount": 100,
    }
    answer = service.post("/v1/exchanges", {**body, **wrong})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, code)
    assert service.count_rows() == before


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
