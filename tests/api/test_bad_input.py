"""Requests that cannot be: each a problem document with a code, and nothing written.

Transfers are sent on both roads: the protocol's own and, with some header twice, the ordinary one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.api.bad_bodies import BAD_BODIES, INVALID, MALFORMED, MARK
from tests.contract import read_problem
from tests.server import ORDINARY, Api, took_hot_road


def two_wallets(service: Api) -> str:
    """The text of a transfer that would succeed."""
    al, bo = service.open_account(funded=100), service.open_account()
    return json.dumps(
        {
            "source_account_id": al,
            "destination_account_id": bo,
            "amount": 5,
            "currency": "USD",
            "description": f"Rent, {MARK}",
        }
    )


def strip(answer: httpx2.Response) -> tuple[object, ...]:
    """What two answers to the same request have in common."""
    headers = {k: v for k, v in answer.headers.items() if k not in {"date", "request-id"}}
    body = {**answer.json(), "request_id": None}
    return answer.status_code, headers, body


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_a_problem_on_both_roads(service: Api, name: str) -> None:
    """The same code, status and pointers either way; nothing is written, nothing is repeated."""
    change, (status, code), pointer = BAD_BODIES[name]
    content = change(two_wallets(service))
    before = service.count_rows()
    headers = [("Idempotency-Key", "k")]
    hot = service.send("POST", "/v1/transfers", content=content, headers=headers)
    problem = read_problem(hot)
    assert (hot.status_code, problem["code"]) == (status, code), hot.text
    if pointer is not None:
        assert pointer in {error["pointer"] for error in problem["errors"]}
    assert MARK not in hot.text
    after = service.count_rows()
    ran = code in {"currency_mismatch", "unknown_account", "effective_date_out_of_range"}
    assert after == ({**before, "keys": before["keys"] + 1} if ran else before)

    ordinary = service.send("POST", "/v1/transfers", content=content, headers=[*headers, *ORDINARY])
    # With an unknown currency the ledger's assets are read anew: the protocol cannot wait for it.
    assert took_hot_road(hot) or code == "unknown_currency"
    assert not took_hot_road(ordinary)
    _, sent, told = strip(ordinary)
    if ran:
        assert isinstance(sent, dict)
        assert sent.pop("idempotency-replayed") == "true"
    assert (ordinary.status_code, sent, told) == strip(hot)
    assert service.count_rows() == after


def list_writes(service: Api) -> Iterator[tuple[str, str, Any]]:
    """Every other route that takes a body: method, path, and a body that it takes."""
    al = service.open_account(funded=100, name="al")
    empty = service.open_account()
    one_sided = {"account_id": al, "amount": 5, "currency": "USD", "description": MARK}
    entry = service.make("/v1/deposits", one_sided)["id"]
    yield "POST", "/v1/accounts", {"currency": "USD", "name": MARK}
    yield "PATCH", f"/v1/accounts/{al}", {"name": MARK}
    yield "POST", f"/v1/accounts/{empty}/close", {}
    yield "POST", "/v1/deposits", one_sided
    yield "POST", "/v1/withdrawals", one_sided
    yield "POST", f"/v1/entries/{entry}/reverse", {"description": MARK}
    yield "POST", f"/v1/entries/{entry}/refund", {"amount": 1, "description": MARK}
    yield "POST", "/v1/batches", {"mode": "each", "operations": [{"operation": MARK}]}
    yield "POST", "/v1/ledgers", {"name": MARK}
    yield "PUT", f"/v1/ledgers/{service.ledger}/assets/PTS", {"exponent": 0}


def test_every_route_refuses_what_is_no_json_of_ours(service: Api) -> None:
    """Each one as transfers do, and the state is as it was."""
    shapeless = [name for name in BAD_BODIES if BAD_BODIES[name][1] == MALFORMED]
    writes = list(list_writes(service))
    before, ledgers = service.count_rows(), len(service.list_ledgers())
    headers = {"Idempotency-Key": "k", "If-Match": "*"}
    for method, path, body in writes:
        text = json.dumps({**body, "description": f"Rent, {MARK}", "amount": 5})
        for name in shapeless:
            content = BAD_BODIES[name][0](text)
            answer = service.send(method, path, content=content, headers=headers)
            found = (answer.status_code, read_problem(answer)["code"])
            assert found == MALFORMED, (path, name)
            assert MARK not in answer.text
        for content in (b"[]", b'{"surprise": 1}', b'"x"'):
            answer = service.send(method, path, content=content, headers=headers)
            assert (answer.status_code, read_problem(answer)["code"]) == INVALID, path
    assert service.count_rows() == before
    assert len(service.list_ledgers()) == ledgers


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_have_a_size(service: Api, *, chunked: bool) -> None:
    """10 MB are refused on every route, whether their length is declared or not."""
    text = two_wallets(service)
    writes = [("POST", "/v1/transfers", {}), *list_writes(service)]
    before = service.count_rows()
    headers = {"Idempotency-Key": "k", "If-Match": "*", "Content-Type": "application/json"}
    block = b" " * 1_000_000
    for method, path, _ in writes:
        content = (block for _ in range(10)) if chunked else block * 10
        answer = service.http.request(method, path, content=content, headers=headers)
        service.contract.check_answer(answer)
        assert (answer.status_code, read_problem(answer)["code"]) == (413, "payload_too_large")
    assert service.count_rows() == before
    for size, status in ((65_536, 201), (65_537, 413)):
        body = text.encode().ljust(size)
        sent = iter([body[:9], body[9:]]) if chunked else body
        answer = service.http.post("/v1/transfers", content=sent, headers=headers)
        assert answer.status_code == status


def test_a_body_must_be_declared_as_json(service: Api) -> None:
    """Parameters and case do not matter; another type, none or a compressed body is 415."""
    text = two_wallets(service)
    for number, (declared, encoding, status) in enumerate(
        [
            ("application/json", None, 201),
            ("application/json; charset=utf-8", None, 201),
            ("Application/JSON", None, 201),
            ("application/json", "identity", 201),
            ("", None, 415),
            ("text/json", None, 415),
            ("text/plain", None, 415),
            ("application/x-www-form-urlencoded", None, 415),
            ("multipart/form-data; boundary=x", None, 415),
            ("application/problem+json", None, 415),
            ("application/jsonl", None, 415),
            ("application/json", "gzip", 415),
        ]
    ):
        headers = {"Idempotency-Key": f"k{number}", "Content-Type": declared}
        if encoding:
            headers["Content-Encoding"] = encoding
        answer = service.send("POST", "/v1/transfers", content=text.encode(), headers=headers)
        assert answer.status_code == status, declared
        if status == 415:
            assert read_problem(answer)["code"] == "unsupported_media_type"


def test_methods_that_a_path_does_not_take(service: Api) -> None:
    """405 names those that it takes; a path that is none is 404 by any method."""
    al = service.open_account()
    for path, allowed in {
        "/v1/transfers": "POST",
        "/v1/batches": "POST",
        "/v1/accounts": "GET, POST",
        f"/v1/accounts/{al}": "GET, PATCH",
        f"/v1/accounts/{al}/balance": "GET",
        f"/v1/accounts/{al}/entries": "GET",
        f"/v1/accounts/{al}/close": "POST",
        "/v1/entries": "GET, POST",
        "/v1/ledgers": "GET, POST",
        f"/v1/ledgers/{service.ledger}/assets/PTS": "PUT",
        "/livez": "GET",
        "/readyz": "GET",
        "/metrics": "GET",
        "/docs": "GET",
        "/openapi.json": "GET",
    }.items():
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            if method not in allowed:
                answer = service.send(method, path)
                assert (answer.status_code, answer.headers["allow"]) == (405, allowed), method
                assert answer.headers["content-type"] == "application/problem+json"
                if method != "HEAD":
                    assert read_problem(answer)["code"] == "method_not_allowed"
    for path in ("/v1", "/v2/transfers", "/v1/transfers/", "/v1//transfers", "/%00", "/%FF"):
        for method in ("GET", "POST", "DELETE"):
            answer = service.send(method, path)
            assert (answer.status_code, read_problem(answer)["code"]) == (404, "not_found"), path


def test_nothing_of_a_query_is_repeated(service: Api) -> None:
    """Whatever a parameter's value is, the answer points at the parameter alone."""
    al = service.open_account()
    for path in ("/v1/accounts", "/v1/entries", f"/v1/accounts/{al}/entries"):
        operation = service.contract.find_operation("GET", path)
        assert operation is not None
        names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
        for name in names:
            answer = service.get(path, **{name: f"{MARK}\0"})
            assert answer.status_code == 422, name
            assert MARK not in answer.text
