"""Accounts over HTTP: opened, read, listed, changed, closed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2
import pytest

from tests.contract import read_problem
from tests.server import Api, Client, RunningApi


def test_an_account_is_answered_as_it_was_opened(service: Api) -> None:
    """What is sent comes back, with defaults filled in, and is read again as it was answered."""
    opened = service.post(
        "/v1/accounts",
        {"currency": "USD", "user_id": "al", "name": "Al's", "metadata": {"tier": 1, "a": True}},
    )
    account = opened.json()
    assert opened.status_code == 201
    assert account == {
        "id": account["id"],
        "ledger_id": service.ledger,
        "type": "liability",
        "currency": "USD",
        "role": None,
        "user_id": "al",
        "name": "Al's",
        "status": "active",
        "floor": 0,
        "ceiling": None,
        "metadata": {"a": True, "tier": 1},
        "revision": 1,
        "created_at": account["created_at"],
        "updated_at": account["created_at"],
    }
    assert opened.headers["location"] == f"/v1/accounts/{account['id']}"
    assert opened.headers["etag"] == '"1"'
    assert "idempotency-replayed" not in opened.headers
    read = service.get(opened.headers["location"])
    assert read.content == opened.content
    assert read.headers["etag"] == '"1"'


@pytest.mark.parametrize(
    ("terms", "floor"),
    [
        ({}, 0),
        ({"type": "asset"}, None),
        ({"type": "equity"}, None),
        ({"type": "revenue"}, None),
        ({"type": "expense"}, None),
        ({"floor": None}, None),
        ({"floor": -5000}, -5000),
        ({"type": "asset", "floor": 0}, 0),
        ({"floor": -(2**63 - 1)}, -(2**63 - 1)),
    ],
)
def test_a_wallet_has_a_floor_and_a_system_of_books_has_none(
    service: Api, terms: dict[str, object], floor: int | None
) -> None:
    """Left out, the floor is 0 for a liability and none for the others; null says none."""
    assert service.make("/v1/accounts", {"currency": "USD", **terms})["floor"] == floor


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"currency": None}, "/currency"),
        ({"currency": "US"}, "/currency"),
        ({"currency": "usd"}, "/currency"),
        ({"type": "wallet"}, "/type"),
        ({"user_id": ""}, "/user_id"),
        ({"user_id": "x" * 201}, "/user_id"),
        ({"user_id": "a\0b"}, "/user_id"),
        ({"user_id": 7}, "/user_id"),
        ({"name": "x" * 501}, "/name"),
        ({"floor": 1}, "/floor"),
        ({"floor": -(2**63)}, "/floor"),
        ({"floor": 1.5}, "/floor"),
        ({"ceiling": -1}, "/ceiling"),
        ({"ceiling": 2**63}, "/ceiling"),
        ({"metadata": {"a": 1.5}}, "/metadata/a"),
        ({"metadata": {"a/b~c": None}}, "/metadata/a~1b~0c"),
        ({"metadata": {"": 1}}, "/metadata/"),
        ({"metadata": {str(n): n for n in range(51)}}, "/metadata"),
        ({"metadata": {str(n): "x" * 300 for n in range(40)}}, "/metadata"),
        ({"role": "fees"}, "/role"),
        ({"id": "acct_" + "0" * 32}, "/id"),
    ],
)
def test_a_field_that_cannot_be_is_pointed_at(
    service: Api, wrong: dict[str, object], pointer: str
) -> None:
    """An invalid field is 422, with a pointer to it, and no account is opened."""
    before = service.count_rows()
    answer = service.post("/v1/accounts", {"currency": "USD", **wrong})
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert pointer in {error["pointer"] for error in problem["errors"]}
    assert service.count_rows() == before


def test_a_missing_field_is_pointed_at(service: Api) -> None:
    """A request without its currency says so."""
    problem = read_problem(service.post("/v1/accounts", {}))
    assert problem["errors"] == [{"pointer": "/currency", "detail": "Field required"}]


def test_currencies_have_the_exponents_of_the_standard_or_of_the_ledger(service: Api) -> None:
    """ISO 4217 is there, metals and unregistered codes are not."""
    for currency, status in {"JPY": 201, "BHD": 201, "CLF": 201, "XAU": 422, "PTS": 422}.items():
        answer = service.post("/v1/accounts", {"currency": currency})
        assert answer.status_code == status, currency
        if status == 422:
            assert read_problem(answer)["code"] == "unknown_currency"


def test_lists_are_filtered_by_everything_they_offer(service: Api) -> None:
    """User, currency, type, status, role and metadata select; together, all must hold."""
    al = service.open_account("USD", 5, user_id="al", metadata={"tier": "gold", "n": 1})
    al_euros = service.open_account("EUR", user_id="al", metadata={"tier": "gold"})
    bo = service.open_account("USD", user_id="bo", metadata={"tier": "tin"})
    bank = service.open_account("USD", type="asset")
    service.patch(f"/v1/accounts/{bo}", {"status": "frozen"})
    (clearing,) = service.read("/v1/accounts", role="clearing")["items"]
    assert clearing["type"] == "asset"
    expected: list[tuple[dict[str, str], set[str]]] = [
        ({}, {al, al_euros, bo, bank, clearing["id"]}),
        ({"user_id": "al"}, {al, al_euros}),
        ({"user_id": "al", "currency": "EUR"}, {al_euros}),
        ({"user_id": "nobody"}, set()),
        ({"currency": "USD", "type": "liability"}, {al, bo}),
        ({"type": "asset"}, {bank, clearing["id"]}),
        ({"status": "frozen"}, {bo}),
        ({"status": "active", "user_id": "bo"}, set()),
        ({"metadata": '{"tier":"gold"}'}, {al, al_euros}),
        ({"metadata": '{"n":1,"tier":"gold"}'}, {al}),
        ({"metadata": '{"tier":"gold"}', "currency": "USD"}, {al}),
        ({"metadata": "{}", "user_id": "bo"}, {bo}),
        ({"role": "clearing", "currency": "EUR"}, set()),
    ]
    for filters, ids in expected:
        found = service.read("/v1/accounts", **filters)["items"]
        assert {item["id"] for item in found} == ids, filters
        assert [item["id"] for item in found] == sorted(item["id"] for item in found)


def test_pages_follow_each_other_whatever_is_opened_meanwhile(service: Api) -> None:
    """The cursor, and the Link that carries it, continue the list; each account comes once."""
    first = [service.open_account(user_id="al") for _ in range(5)]
    page = service.get("/v1/accounts", user_id="al", limit=2)
    seen = [item["id"] for item in page.json()["items"]]
    later = service.open_account(user_id="al")
    while page.json()["next"]:
        link = page.headers["link"]
        assert link.startswith("</v1/accounts?")
        assert link.endswith('>; rel="next"')
        page = service.get(link[1 : link.index(">")])
        seen += [item["id"] for item in page.json()["items"]]
    assert "link" not in page.headers
    assert seen == sorted([*first, later])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": 0}, "invalid_request"),
        ({"limit": 201}, "invalid_request"),
        ({"limit": "ten"}, "invalid_request"),
        ({"limit": "9" * 5000}, "invalid_request"),
        ({"color": "red"}, "invalid_request"),
        ({"type": "wallet"}, "invalid_request"),
        ({"user_id": ""}, "invalid_request"),
        ({"user_id": "a\0"}, "invalid_request"),
        ({"metadata": "{"}, "invalid_request"),
        ({"metadata": '{"a":[1]}'}, "invalid_request"),
        ({"metadata": "[" * 3000}, "invalid_request"),
        ({"metadata": "9" * 5000}, "invalid_request"),
        ({"cursor": ""}, "invalid_cursor"),
        ({"cursor": "not-one"}, "invalid_cursor"),
        ({"cursor": "é"}, "invalid_cursor"),
        ({"cursor": "x" * 2001}, "invalid_request"),
    ],
)
def test_a_query_that_cannot_be_is_refused(
    service: Api, query: dict[str, object], code: str
) -> None:
    """Bad parameters are 422, pointed at, and nothing of their values is repeated."""
    answer = service.get("/v1/accounts", **query)
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, code)
    if code == "invalid_request":
        (error,) = problem["errors"]
        assert error["pointer"].startswith(f"/query/{next(iter(query))}")


def test_a_cursor_belongs_to_one_list(service: Api) -> None:
    """With other filters, of another list, or touched, it is refused."""
    for _ in range(3):
        service.open_account(user_id="al")
    cursor = service.read("/v1/accounts", user_id="al", limit=1)["next"]
    assert service.get("/v1/accounts", user_id="al", limit=2, cursor=cursor).status_code == 200
    touched = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for path, query in [
        ("/v1/accounts", {"user_id": "bo", "cursor": cursor}),
        ("/v1/accounts", {"cursor": cursor}),
        ("/v1/entries", {"cursor": cursor}),
        ("/v1/accounts", {"user_id": "al", "cursor": touched}),
    ]:
        answer = service.get(path, **query)
        assert (answer.status_code, read_problem(answer)["code"]) == (422, "invalid_cursor")
    other = service.client(ledger=service.make_ledger())
    answer = other.get("/v1/accounts", user_id="al", cursor=cursor)
    assert read_problem(answer)["code"] == "invalid_cursor"


def test_a_change_names_the_revision_that_was_read(service: Api) -> None:
    """If-Match is needed, must be the current ETag, and each change gives the next one."""
    id = service.open_account(name="old", metadata={"a": 1})
    path = f"/v1/accounts/{id}"
    changed = service.patch(path, {"name": "new"}, '"1"')
    account = changed.json()
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert (account["name"], account["metadata"], account["revision"]) == ("new", {"a": 1}, 2)
    assert account["updated_at"] > account["created_at"]
    assert service.get(path).content == changed.content

    before = service.count_rows()
    missing = service.send("PATCH", path, {"name": "newer"})
    assert (missing.status_code, read_problem(missing)["code"]) == (428, "precondition_required")
    for etag in ('"1"', '"3"', "2", 'W/"2"', '"2', "", '"²"', '"' + "9" * 5000 + '"', '"1", "2"'):
        stale = service.send("PATCH", path, {"name": "newer"}, headers={"If-Match": etag})
        assert (stale.status_code, read_problem(stale)["code"]) == (412, "stale_revision"), etag
    rows = service.count_rows()
    assert {**rows, "keys": 0} == {**before, "keys": 0}
    assert service.patch(path, {"name": "any"}, "*").headers["etag"] == '"3"'


def test_of_changes_at_the_same_moment_one_wins(service: Api, other_process: RunningApi) -> None:
    """Through two processes, each revision is given to one change, and the others are told."""
    id = service.open_account(name="0")
    clients = [
        service.speak(service.key.secret, api=api)
        for api in (service.api, other_process)
        for _ in range(4)
    ]
    for revision in range(1, 6):
        change = partial(_rename, id, f'"{revision}"')
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(change, clients, map(str, range(8))))
        (winner,) = [answer for answer in answers if answer.status_code == 200]
        codes = {read_problem(answer)["code"] for answer in answers if answer is not winner}
        assert codes == {"stale_revision"}
        assert service.get(f"/v1/accounts/{id}").content == winner.content
        assert winner.headers["etag"] == f'"{revision + 1}"'


def _rename(id: str, etag: str, client: Client, name: str) -> httpx2.Response:
    return client.patch(f"/v1/accounts/{id}", {"name": name}, etag)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"name": None}, "name", None),
        ({"metadata": {"b": 2}}, "metadata", {"b": 2}),
        ({"metadata": None}, "metadata", {}),
        ({"status": "frozen"}, "status", "frozen"),
        ({"status": "blocked"}, "status", "blocked"),
        ({"floor": -7}, "floor", -7),
        ({"floor": 100}, "floor", 100),
        ({"ceiling": 1}, "ceiling", 1),
        ({"ceiling": None}, "ceiling", None),
    ],
)
def test_what_is_left_out_of_a_change_stays(
    service: Api, change: dict[str, object], field: str, value: object
) -> None:
    """A change sets what it names, null clears, and nothing else moves."""
    id = service.open_account(funded=100, name="n", metadata={"a": 1}, ceiling=900)
    before = service.read(f"/v1/accounts/{id}")
    after = service.patch(f"/v1/accounts/{id}", change).json()
    moved = {"revision": 2, "updated_at": after["updated_at"], field: value}
    assert after == {**before, **moved}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "invalid_request"),
        ({"status": "closed"}, "invalid_request"),
        ({"currency": "EUR"}, "invalid_request"),
        ({"user_id": "bo"}, "invalid_request"),
        ({"floor": None}, "floor_not_changeable"),
        ({"floor": 101}, "floor_above_balance"),
        ({"ceiling": -1}, "invalid_request"),
        ({"metadata": {"a": []}}, "invalid_request"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    service: Api, change: dict[str, object], code: str
) -> None:
    """What an account was opened as never changes, and its floor stays below its balance."""
    id = service.open_account(funded=100)
    answer = service.patch(f"/v1/accounts/{id}", change)
    assert (answer.status_code, read_problem(answer)["code"]) == (422, code)
    assert service.read(f"/v1/accounts/{id}")["revision"] == 1


def test_an_empty_account_is_closed_for_ever(service: Api) -> None:
    """Closing needs a balance of zero; then nothing is posted, changed or closed again."""
    id = service.open_account(funded=100)
    path = f"/v1/accounts/{id}"
    refused = service.post(f"{path}/close", {})
    assert (refused.status_code, read_problem(refused)["code"]) == (422, "account_not_empty")
    service.make("/v1/withdrawals", {"account_id": id, "amount": 100, "currency": "USD"})
    closed = service.post(f"{path}/close", {}, key="close")
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    assert closed.headers["etag"] == '"2"'
    again = service.post(f"{path}/close", {}, key="close")
    assert (again.content, again.headers["idempotency-replayed"]) == (closed.content, "true")
    deposit = {"account_id": id, "amount": 1, "currency": "USD"}
    for answer in (
        service.post(f"{path}/close", {}),
        service.patch(path, {"status": "active"}),
        service.post("/v1/deposits", deposit),
    ):
        assert (answer.status_code, read_problem(answer)["code"]) == (422, "account_closed")


def test_ids_that_are_none_and_accounts_that_are_not_there(service: Api) -> None:
    """A malformed id is 422; one that nothing has is 404; on every route of an account."""
    for id, codes in {
        "acct_" + "0" * 32: {"not_found", "unknown_account"},
        "acct_" + "0" * 31 + "G": {"invalid_id"},
        "acct_" + "0" * 31 + "A": {"invalid_id"},
        "acct_1": {"invalid_id"},
        "ent_" + "0" * 32: {"invalid_id"},
        "%00": {"invalid_id"},
        "acct_%FF" + "0" * 31: {"invalid_id"},
    }.items():
        path = f"/v1/accounts/{id}"
        for answer in (
            service.get(path),
            service.get(f"{path}/balance"),
            service.get(f"{path}/entries"),
            service.patch(path, {"name": "x"}),
            service.post(f"{path}/close", {}),
        ):
            assert read_problem(answer)["code"] in codes
            assert answer.status_code == (422 if codes == {"invalid_id"} else 404)
