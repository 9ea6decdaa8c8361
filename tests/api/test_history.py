"""An account's history and statement over HTTP, and the list of a ledger's entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract import read_problem
from tests.server import Api

JANUARY, FEBRUARY, MARCH = (f"2026-0{month}-01T00:00:00Z" for month in (1, 2, 3))


def deposit(service: Api, account: str, amount: int, **more: object) -> dict[str, Any]:
    """A deposit; gives its entry."""
    body = {"account_id": account, "amount": amount, "currency": "USD", **more}
    entry: dict[str, Any] = service.make("/v1/deposits", body)
    return entry


def withdraw(service: Api, account: str, amount: int, **more: object) -> dict[str, Any]:
    """A withdrawal; gives its entry."""
    body = {"account_id": account, "amount": amount, "currency": "USD", **more}
    entry: dict[str, Any] = service.make("/v1/withdrawals", body)
    return entry


def follow(service: Api, path: str, **query: object) -> Iterator[dict[str, Any]]:
    """Every page of a list, by its Link header alone."""
    page = service.get(path, **query)
    while True:
        assert page.status_code == 200, page.text
        yield page.json()
        link = page.headers.get("link")
        assert (link is None) is (page.json()["next"] is None)
        if link is None:
            return
        page = service.get(link[1 : link.index(">")])


def amounts(pages: Iterator[dict[str, Any]]) -> list[int]:
    """What each line of a history adds."""
    return [
        line["amount"] if line["side"] == "credit" else -line["amount"]
        for page in pages
        for line in page["items"]
    ]


def test_a_history_shows_lines_with_running_balances(service: Api) -> None:
    """The newest first unless asked otherwise; each line with its whole entry."""
    al = service.open_account()
    first, second = deposit(service, al, 100), withdraw(service, al, 30)
    history = service.read(f"/v1/accounts/{al}/entries")
    assert history == {
        "account_id": al,
        "currency": "USD",
        "opening_balance": 0,
        "closing_balance": 70,
        "items": [
            {"number": 2, "side": "debit", "amount": 30, "balance": 70, "entry": second},
            {"number": 1, "side": "credit", "amount": 100, "balance": 100, "entry": first},
        ],
        "next": None,
    }
    turned = service.read(f"/v1/accounts/{al}/entries", order="ascending")
    assert turned == {**history, "items": history["items"][::-1]}


def test_a_range_of_recorded_time_has_its_own_opening_and_closing(service: Api) -> None:
    """The start counts, the end does not; balances are those around the range."""
    al = service.open_account()
    entries = [deposit(service, al, amount) for amount in (1, 10, 100, 1000)]
    at = [entry["recorded_at"] for entry in entries]
    path = f"/v1/accounts/{al}/entries"
    for query, found, opening, closing in (
        ({"start": at[1], "end": at[3]}, [100, 10], 1, 111),
        ({"start": at[3]}, [1000], 111, 1111),
        ({"end": at[0]}, [], 0, 0),
        ({"end": at[1]}, [1], 0, 1),
        ({"start": at[1], "end": at[1]}, [], 1, 1),
        ({"start": "9999-01-01T00:00:00Z"}, [], 1111, 1111),
        ({"end": "0001-01-01T00:00:00Z"}, [], 0, 0),
    ):
        page = service.read(path, **query)
        assert [line["amount"] for line in page["items"]] == found
        assert (page["opening_balance"], page["closing_balance"]) == (opening, closing)


@pytest.mark.parametrize("by", ["recorded", "effective"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_pages_are_stable_under_inserts(service: Api, by: str, order: str) -> None:
    """What is posted while somebody pages neither moves a line nor comes into the list."""
    al = service.open_account()
    wanted = [1, 2, 3, 4, 5, 6, 7]
    for amount in wanted:
        deposit(service, al, amount)
    seen: list[int] = []
    numbers: list[int] = []
    pages = follow(service, f"/v1/accounts/{al}/entries", by=by, order=order, limit=3)
    for page in pages:
        seen += [line["amount"] for line in page["items"]]
        numbers += [line["number"] for line in page["items"]]
        assert (page["opening_balance"], page["closing_balance"]) == (0, 28)
        deposit(service, al, 500)
        deposit(service, al, 900, effective_at=JANUARY)
    assert seen == (wanted if order == "ascending" else wanted[::-1])
    assert numbers == seen


def test_a_statement_is_in_the_order_of_effective_dates(service: Api) -> None:
    """Backdated lines stand where they count; balances run in that order."""
    al = service.open_account()
    today = deposit(service, al, 1000)
    deposit(service, al, 10, effective_at=FEBRUARY)
    deposit(service, al, 1, effective_at=JANUARY)
    deposit(service, al, 100, effective_at=FEBRUARY)
    path = f"/v1/accounts/{al}/entries"
    page = service.read(path, by="effective", order="ascending")
    lines = [(line["number"], line["amount"], line["balance"]) for line in page["items"]]
    assert lines == [(3, 1, 1), (2, 10, 11), (4, 100, 111), (1, 1000, 1111)]
    for query, found, opening, closing in (
        ({"start": FEBRUARY, "end": MARCH}, [100, 10], 1, 111),
        ({"end": FEBRUARY}, [1], 0, 1),
        ({"start": MARCH}, [1000], 111, 1111),
        ({"known_at": today["recorded_at"]}, [1000], 0, 1000),
        ({"known_at": today["recorded_at"], "end": MARCH}, [], 0, 0),
    ):
        page = service.read(path, by="effective", **query)
        assert [line["amount"] for line in page["items"]] == found, query
        assert (page["opening_balance"], page["closing_balance"]) == (opening, closing), query


@pytest.mark.parametrize("by", ["recorded", "effective"])
def test_filters_select_and_balances_stay_true(service: Api, by: str) -> None:
    """Type, reference and metadata select lines; each shows the balance of the whole account."""
    al = service.open_account()
    deposit(service, al, 100, metadata={"order": "A", "n": 1})
    withdraw(service, al, 20, metadata={"order": "A", "n": 2}, reference="w-1")
    deposit(service, al, 3, metadata={"order": "B"}, reference="d-1")
    withdraw(service, al, 4)
    path = f"/v1/accounts/{al}/entries"
    for query, found in (
        ({"type": "deposit"}, [(100, 100), (3, 83)]),
        ({"type": ["deposit", "withdrawal"]}, [(100, 100), (20, 80), (3, 83), (4, 79)]),
        ({"type": "refund"}, []),
        ({"reference": "w-1"}, [(20, 80)]),
        ({"reference": "w-1", "type": "deposit"}, []),
        ({"reference": "nothing"}, []),
        ({"metadata": '{"order":"A"}'}, [(100, 100), (20, 80)]),
        ({"metadata": '{"n":2,"order":"A"}'}, [(20, 80)]),
        ({"metadata": '{"n":"2"}'}, []),
        ({"metadata": "{}"}, [(100, 100), (20, 80), (3, 83), (4, 79)]),
        ({"metadata": '{"order":"A"}', "type": "withdrawal"}, [(20, 80)]),
    ):
        page = service.read(path, by=by, order="ascending", **query)
        lines = [(line["amount"], line["balance"]) for line in page["items"]]
        assert lines == found, query
        assert (page["opening_balance"], page["closing_balance"]) == (0, 79)


def test_a_list_of_several_types_pages_to_its_end(service: Api) -> None:
    """The Link carries every value of a filter, and the filter as it was sent."""
    al = service.open_account()
    for amount in (1, 2, 3):
        deposit(service, al, amount + 10, metadata={"k": "a&b=c"})
        withdraw(service, al, amount, metadata={"k": "a&b=c"})
    query = {"type": ["deposit", "withdrawal"], "metadata": '{"k":"a&b=c"}', "limit": 1}
    path = f"/v1/accounts/{al}/entries"
    assert amounts(follow(service, path, **query)) == [-3, 13, -2, 12, -1, 11]
    found = [
        page["items"][0]["type"]
        for page in follow(service, "/v1/entries", type=["withdrawal", "refund"], limit=1)
    ]
    assert found == ["withdrawal"] * 3


@pytest.mark.parametrize(
    "query",
    [
        {"by": "position"},
        {"order": "up"},
        {"type": "wire"},
        {"type": ["deposit", "wire"]},
        {"start": "2026-01-01"},
        {"end": "0001-01-01T00:00:00+01:00"},
        {"known_at": "9999-12-31T23:59:59-01:00"},
        {"reference": ""},
        {"reference": "x" * 201},
        {"metadata": "[]"},
        {"metadata": '{"a":1e400}'},
        {"limit": "-1"},
        {"page": 2},
    ],
)
def test_a_history_that_cannot_be_asked_for(service: Api, query: dict[str, Any]) -> None:
    """Bad parameters are 422 and pointed at."""
    al = service.open_account()
    answer = service.get(f"/v1/accounts/{al}/entries", **query)
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert problem["errors"][0]["pointer"].startswith(f"/query/{next(iter(query))}")


@pytest.mark.parametrize("path", ["/v1/chains", "/v1/accounts/{}/entries"])
def test_a_span_does_not_start_after_its_end(service: Api, path: str) -> None:
    """It is 422; as far as time goes there is nothing else to refuse."""
    al = service.open_account(funded=5)
    span = {"start": "2030-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
    answer = service.get(path.format(al), **span)
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_request")
    same = {"start": span["end"], "end": span["end"]}
    assert service.read(path.format(al), **same, type="deposit")["items"] == []
    widest = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59.999999Z"}
    assert service.get(path.format(al), **widest).status_code == 200


def test_a_chains_type_is_asked_for_as_it_can_be(service: Api) -> None:
    """What no chain's type can be is 422."""
    answer = service.get("/v1/chains", type="\x00")
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_request")


def test_a_cursor_continues_its_own_history_only(service: Api) -> None:
    """Another account, order, range or filter is another list."""
    al, bo = service.open_account(), service.open_account()
    for amount in (1, 2, 3):
        deposit(service, al, amount)
        deposit(service, bo, amount)
    cursor = service.read(f"/v1/accounts/{al}/entries", limit=1)["next"]
    for id, query in (
        (bo, {}),
        (al, {"order": "ascending"}),
        (al, {"by": "effective"}),
        (al, {"end": MARCH}),
        (al, {"type": "deposit"}),
        (al, {"known_at": MARCH}),
    ):
        answer = service.get(f"/v1/accounts/{id}/entries", cursor=cursor, **query)
        assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_cursor")


def test_the_entries_of_a_ledger_are_listed_by_position(service: Api) -> None:
    """The newest first, or the oldest; by type and reference; pages are stable."""
    al = service.open_account()
    made = [
        deposit(service, al, 5),
        withdraw(service, al, 1, reference="w"),
        deposit(service, al, 9),
    ]
    assert service.read("/v1/entries") == {"items": made[::-1], "next": None}
    assert service.read("/v1/entries", order="ascending")["items"] == made
    assert service.read("/v1/entries", type="withdrawal")["items"] == [made[1]]
    assert service.read("/v1/entries", reference="w")["items"] == [made[1]]
    assert service.read("/v1/entries", reference="w", type="deposit")["items"] == []
    seen: list[dict[str, Any]] = []
    for page in follow(service, "/v1/entries", limit=1):
        seen += page["items"]
        deposit(service, al, 100)
    assert seen == made[::-1]


def test_an_entry_is_read_by_its_own_id_only(service: Api) -> None:
    """An id that only carries the position of an entry is not its id."""
    al = service.open_account()
    id = deposit(service, al, 5)["id"]
    forged = id[:4] + ("0" if id[4] != "0" else "1") + id[5:]
    for wrong, status, code in (
        (forged, 404, "not_found"),
        ("ent_" + "f" * 32, 404, "not_found"),
        (al, 422, "invalid_id"),
        ("ent_%20", 422, "invalid_id"),
    ):
        answer = service.get(f"/v1/entries/{wrong}")
        assert (answer.status_code, read_problem(answer)["code"]) == (status, code)
