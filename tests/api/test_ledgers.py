"""Ledgers and their assets over HTTP, and that nothing of one is seen in another."""

from __future__ import annotations

from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from catena.settings import LIMITS
from tests.contract import Contract, read_problem
from tests.postgres import Database
from tests.server import Api, Client, RunningApi, make_key, run_api


def test_a_ledger_is_made_once_under_its_key(service: Api) -> None:
    """It comes back as it was made, is found where Location says, and is replayed as it was."""
    wanted = {"name": "Points", "assets": [{"code": "PTS", "exponent": 0}]}
    answer = service.post("/v1/ledgers", wanted, key="books-1" + service.ledger)
    ledger = answer.json()
    assert answer.status_code == 201
    assert ledger == {
        "id": ledger["id"],
        "name": "Points",
        "assets": [{"code": "PTS", "exponent": 0}],
        "created_at": ledger["created_at"],
    }
    assert answer.headers["location"] == f"/v1/ledgers/{ledger['id']}"
    assert service.get(answer.headers["location"]).content == answer.content
    assert ledger in service.list_ledgers()
    asset = service.send("PUT", f"/v1/ledgers/{ledger['id']}/assets/BTC", {"exponent": 8})
    assert (asset.status_code, asset.json()) == (200, {"code": "BTC", "exponent": 8})
    again = service.post("/v1/ledgers", wanted, key='"books-1' + service.ledger + '"')
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    assert again.headers["location"] == answer.headers["location"]
    other = service.post("/v1/ledgers", {**wanted, "name": "x"}, key="books-1" + service.ledger)
    assert (other.status_code, read_problem(other)["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": 7},
        {"name": "x" * 501},
        {"name": "x", "currency": "USD"},
        {"name": "x", "assets": {}},
        {"name": "x", "assets": [{"code": "PTS"}]},
        {"name": "x", "assets": [{"code": "PTS", "exponent": -1}]},
        {"name": "x", "assets": [{"code": "PTS", "exponent": 19}]},
        {"name": "x", "assets": [{"code": "PTS", "exponent": 0.0}]},
        {"name": "x", "assets": [{"code": "pts", "exponent": 0}]},
        {"name": "x", "assets": [{"code": "USD", "exponent": 2}]},
        {"name": "x", "assets": [{"code": "XAU", "exponent": 2}]},
        {"name": "x", "assets": [{"code": "PTS", "exponent": 0}] * 2},
        {"name": "x", "assets": [{"code": f"A{n:04}", "exponent": 0} for n in range(1001)]},
    ],
)
def test_a_ledger_that_cannot_be(service: Api, wrong: dict[str, Any]) -> None:
    """Names and assets are checked, and no ledger is made."""
    before = len(service.list_ledgers())
    answer = service.post("/v1/ledgers", wrong)
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_request")
    assert len(service.list_ledgers()) == before


def test_assets_have_the_exponent_they_were_registered_with(service: Api) -> None:
    """Registering again is the same; another exponent, a standard code or a bad one is refused."""
    path = f"/v1/ledgers/{service.ledger}/assets"
    refused = service.post("/v1/accounts", {"currency": "BTC"})
    assert read_problem(refused)["code"] == "unknown_currency"
    for _ in range(2):
        answer = service.send("PUT", f"{path}/BTC", {"exponent": 8})
        assert (answer.status_code, answer.json()) == (200, {"code": "BTC", "exponent": 8})
    al = service.open_account("BTC", 150_000_000)
    assert service.read_posted(al) == [150_000_000]
    for code, body, status, name in (
        ("BTC", {"exponent": 2}, 409, "conflict"),
        ("USD", {"exponent": 2}, 422, "invalid_request"),
        ("XAU", {"exponent": 2}, 422, "invalid_request"),
        ("btc", {"exponent": 8}, 422, "invalid_request"),
        ("TOOLONGANAME1", {"exponent": 8}, 422, "invalid_request"),
        ("%00", {"exponent": 8}, 422, "invalid_request"),
        ("ETH", {"exponent": 19}, 422, "invalid_request"),
        ("ETH", {"exponent": True}, 422, "invalid_request"),
        ("ETH", {}, 422, "invalid_request"),
        ("ETH", {"exponent": 18, "name": "Ether"}, 422, "invalid_request"),
    ):
        answer = service.send("PUT", f"{path}/{code}", body)
        assert (answer.status_code, read_problem(answer)["code"]) == (status, name), code
    assert service.read(f"/v1/ledgers/{service.ledger}")["assets"] == [
        {"code": "BTC", "exponent": 8}
    ]


def test_an_asset_of_another_process_is_noticed(service: Api, other_process: RunningApi) -> None:
    """What one process registers the other shows at once, takes, and counts."""
    path = f"/v1/ledgers/{service.ledger}"
    twin = service.speak(service.key.secret, api=other_process)
    assert twin.get(path).json()["assets"] == []
    service.send("PUT", f"{path}/assets/PTS", {"exponent": 0})
    assert twin.get(path).json()["assets"] == [{"code": "PTS", "exponent": 0}]
    service.send("PUT", f"{path}/assets/BTC", {"exponent": 8})
    assert twin.post("/v1/accounts", {"currency": "BTC"}).status_code == 201
    assets = [{"code": f"A{n:04}", "exponent": 0} for n in range(LIMITS.ledger_assets - 1)]
    full = f"/v1/ledgers/{service.make_ledger(assets=assets)}"
    assert len(twin.get(full).json()["assets"]) == LIMITS.ledger_assets - 1
    assert service.send("PUT", f"{full}/assets/PTS", {"exponent": 0}).status_code == 200
    refused = twin.send("PUT", f"{full}/assets/BTC", {"exponent": 8})
    assert (refused.status_code, read_problem(refused)["code"]) == (422, "invalid_request")


def test_an_asset_of_one_ledger_is_unknown_to_another(service: Api) -> None:
    """A ledger's assets are its own."""
    service.send("PUT", f"/v1/ledgers/{service.ledger}/assets/PTS", {"exponent": 0})
    other = service.client(ledger=service.make_ledger())
    answer = other.post("/v1/accounts", {"currency": "PTS"})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "unknown_currency")


def test_an_id_of_another_ledger_is_not_found(service: Api) -> None:
    """Reads and writes with another ledger's accounts and entries are as if these were not."""
    other = service.client(ledger=service.make_ledger())
    al, bo = service.open_account(funded=100), service.open_account()
    theirs = other.open_account(funded=100)
    move = {"source_account_id": al, "destination_account_id": bo, "amount": 5, "currency": "USD"}
    entry = service.make("/v1/transfers", move)["id"]
    before = service.count_rows()
    for answer, code in (
        (other.get(f"/v1/accounts/{al}"), "not_found"),
        (other.get(f"/v1/accounts/{al}/balance"), "not_found"),
        (other.get(f"/v1/accounts/{al}/balance", effective_at="2026-01-01T00:00:00Z"), "not_found"),
        (other.get(f"/v1/accounts/{al}/entries"), "not_found"),
        (other.get(f"/v1/accounts/{al}/entries", by="effective"), "not_found"),
        (other.get(f"/v1/entries/{entry}"), "not_found"),
        (other.patch(f"/v1/accounts/{al}", {"name": "x"}), "unknown_account"),
        (other.post(f"/v1/accounts/{bo}/close", {}), "unknown_account"),
        (other.post("/v1/transfers", move), "unknown_account"),
        (
            other.post("/v1/transfers", {**move, "source_account_id": theirs}),
            "unknown_account",
        ),
        (other.post(f"/v1/entries/{entry}/reverse", {}), "unknown_entry"),
        (other.post(f"/v1/entries/{entry}/refund", {}), "unknown_entry"),
    ):
        assert (answer.status_code, read_problem(answer)["code"]) == (404, code)
    assert service.count_rows() == before
    assert service.read_posted(al, bo) == [95, 5]
    assert [item["id"] for item in other.read("/v1/accounts", type="liability")["items"]] == [
        theirs
    ]
    assert entry not in {item["id"] for item in other.read("/v1/entries")["items"]}


def test_keys_and_references_of_one_ledger_are_free_in_another(service: Api) -> None:
    """The same Idempotency-Key and reference mean something else in another book."""
    other = service.client(ledger=service.make_ledger())
    for client in (service, other):
        al = client.open_account()
        body = {"account_id": al, "amount": 5, "currency": "USD", "reference": "r"}
        answer = client.post("/v1/deposits", body, key="the-key")
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers


def test_a_key_that_is_limited_to_ledgers_sees_no_others(service: Api) -> None:
    """It needs no header while it may use one alone; any other ledger is 404; it makes none."""
    al = service.open_account(funded=5)
    other = service.make_ledger()
    limited = service.client(ledgers=[service.ledger])
    del limited.http.headers["Catena-Ledger"]
    assert limited.read_posted(al) == [5]
    assert [item["id"] for item in limited.read("/v1/ledgers")["items"]] == [service.ledger]
    for ledger in (other, "ldg_" + "0" * 32, "nonsense", ""):
        limited.http.headers["Catena-Ledger"] = ledger
        answer = limited.get(f"/v1/accounts/{al}/balance")
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found"), ledger
    for answer in (
        limited.get(f"/v1/ledgers/{other}"),
        limited.send("PUT", f"/v1/ledgers/{other}/assets/PTS", {"exponent": 0}),
    ):
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")
    made = limited.post("/v1/ledgers", {"name": "x"})
    assert (made.status_code, read_problem(made)["code"]) == (403, "forbidden")


def test_ledgers_are_listed_in_pages(service: Api) -> None:
    """The oldest first, each once, whatever is made meanwhile; the cursor is of that list alone."""
    wanted = [service.ledger, *(service.make_ledger() for _ in range(4))]
    some = service.client(ledgers=wanted)
    page = some.get("/v1/ledgers", limit=2)
    seen = [ledger["id"] for ledger in page.json()["items"]]
    while "link" in page.headers:
        service.make_ledger()
        link = page.headers["link"]
        page = some.get(link[1 : link.index(">")])
        seen += [ledger["id"] for ledger in page.json()["items"]]
    assert seen == wanted
    assert page.json()["next"] is None
    for query in ({"limit": 0}, {"cursor": "x"}, {"name": "main"}):
        assert some.get("/v1/ledgers", **query).status_code == 422
    cursor = some.read("/v1/ledgers", limit=1)["next"]
    answer = some.get("/v1/accounts", cursor=cursor)
    assert read_problem(answer)["code"] == "invalid_cursor"


def test_a_key_of_several_ledgers_says_which(service: Api) -> None:
    """Without the header, or with two of them, reads and writes are 400."""
    several = service.client(ledgers=[service.ledger, service.make_ledger()])
    none = service.client(ledgers=[])
    for client in (several, none):
        del client.http.headers["Catena-Ledger"]
        for answer in (
            client.get("/v1/accounts"),
            client.post("/v1/accounts", {"currency": "USD"}),
        ):
            problem = read_problem(answer)
            assert (answer.status_code, problem["code"]) == (400, "ledger_required")
            assert (service.ledger in problem["detail"]) == (client is several)
    twice = [("Catena-Ledger", service.ledger), ("Catena-Ledger", service.ledger)]
    answer = several.send("GET", "/v1/accounts", headers=twice)
    assert (answer.status_code, read_problem(answer)["code"]) == (400, "bad_request")


def test_who_comes_before_the_first_ledger_is_told_to_make_one(
    database: Database, contract: Contract
) -> None:
    """And with more than a few, the first of them are named."""
    key = make_key(database.service_dsn)
    with run_api(database.service_dsn) as running:
        client = Client(running.address, key.secret, None, contract)
        answer = client.send("GET", "/v1/accounts")
        assert read_problem(answer)["detail"] == "There is no ledger yet: POST /v1/ledgers."
        for number in range(12):
            client.post("/v1/ledgers", {"name": f"book {number}"})
        detail = read_problem(client.send("GET", "/v1/accounts"))["detail"]
        assert "(book 9) and 2 more." in detail
        client.http.close()


def test_ledger_ids_that_are_none(service: Api) -> None:
    """Whatever is no ledger of the credential is not found."""
    for id in ("ldg_" + "0" * 32, "nonsense", "%00", uuid4().hex):
        answer = service.get(f"/v1/ledgers/{id}")
        assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found")


def test_a_second_ledger_of_another_process_is_noticed(
    database: Database, contract: Contract
) -> None:
    """A ledger may be left out while it is the only one: soon after another was made, no longer."""
    key = make_key(database.service_dsn)
    with (
        run_api(database.service_dsn, credential_cache_seconds=0.2) as running,
        run_api(database.service_dsn) as other,
    ):
        service = Api(running, database, key, contract)
        wallet = service.open_account()
        del service.http.headers["Catena-Ledger"]
        read = f"/v1/accounts/{wallet}/balance"
        assert service.send("GET", read).status_code == 200
        elsewhere = Api(other, database, key, contract)
        until = monotonic() + 10
        while (answer := service.send("GET", read)).status_code == 200:
            assert monotonic() < until
        assert (answer.status_code, answer.json()["code"]) == (400, "ledger_required")
        service.close()
        elsewhere.close()
