"""Idempotency keys over HTTP: one effect and one answer, whoever asks again and wherever."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.chain_bodies import keep, make_chain, pay, wait
from tests.contract import read_problem
from tests.server import Api, RunningApi

Story = Callable[[Api, str, str], tuple[str, dict[str, Any]]]
"""Given two funded wallets, a request that succeeds."""


def move(source: str, destination: str, amount: int = 5, **more: object) -> dict[str, Any]:
    """A transfer."""
    body = {"source_account_id": source, "destination_account_id": destination}
    return {**body, "amount": amount, "currency": "USD", **more}


def entry_of(service: Api, al: str, bo: str) -> str:
    """A transfer that was made; gives its path."""
    id: str = service.make("/v1/transfers", move(al, bo, 50))["id"]
    return f"/v1/entries/{id}"


def chain_of(service: Api) -> str:
    """A chain that waits; gives its path."""
    return f"/v1/chains/{make_chain(service, wait('w'))['id']}"


def five(account: str) -> dict[str, Any]:
    """Five cents of an account."""
    return {"account_id": account, "amount": 5, "currency": "USD"}


FEES = [{"type": "percentage", "name": "é", "rate": "0.1"}]
METADATA = {"z": 1, "order": "é:1", "aa": True}
STORIES: dict[str, Story] = {
    "account": lambda *_: ("/v1/accounts", {"currency": "USD", "metadata": METADATA}),
    "closing": lambda s, *_: (f"/v1/accounts/{s.open_account()}/close", {}),
    "deposit": lambda _, al, __: (
        "/v1/deposits",
        {"account_id": al, "amount": 5, "currency": "USD", "metadata": METADATA, "fees": FEES},
    ),
    "withdrawal": lambda _, al, __: (
        "/v1/withdrawals",
        {"account_id": al, "amount": 5, "currency": "USD", "reference": "w", "description": "d"},
    ),
    "transfer": lambda _, al, bo: ("/v1/transfers", move(al, bo)),
    "rich transfer": lambda _, al, bo: (
        "/v1/transfers",
        move(al, bo, 100, metadata=METADATA, fees=FEES, effective_at="2026-01-01T00:00:00+01:00"),
    ),
    "exchange": lambda s, al, _: (
        "/v1/exchanges",
        {
            "source_account_id": al,
            "destination_account_id": s.open_account("EUR"),
            "source_currency": "USD",
            "destination_currency": "EUR",
            "rate": "0.90",
            "source_amount": 100,
        },
    ),
    "entry": lambda _, al, bo: (
        "/v1/entries",
        {
            "lines": [
                {"account_id": al, "side": "debit", "amount": 1, "currency": "USD"},
                {"account_id": bo, "side": "credit", "amount": 1, "currency": "USD"},
            ]
        },
    ),
    "reversal": lambda s, al, bo: (f"{entry_of(s, al, bo)}/reverse", {}),
    "refund": lambda s, al, bo: (f"{entry_of(s, al, bo)}/refund", {"amount": 7}),
    "chain": lambda _, al, bo: (
        "/v1/chains",
        {
            "steps": [keep("k", al, 9), pay("p", al, bo, 5)],
            "metadata": METADATA,
            "description": "d",
        },
    ),
    "waiting chain": lambda _, al, bo: (
        "/v1/chains",
        {
            "steps": [
                keep("k", al, 9, expires_seconds=60.5),
                wait("w", timeout_seconds=7),
                pay("p", al, bo, {"cel": "1"}, retry={"attempts": 2, "never": ["x"]}),
            ],
            "timeout_seconds": 86400,
            "reference": "é",
        },
    ),
    "opened chain": lambda _, al, __: (
        "/v1/chains",
        {"steps": [keep("k", al, 9)], "start": False},
    ),
    "appended steps": lambda s, al, bo: (f"{chain_of(s)}/steps", {"steps": [pay("p", al, bo, 5)]}),
    "signal": lambda s, *_: (f"{chain_of(s)}/signals/w", {"payload": {"z": [1, None], "a": "é"}}),
    "cancelled chain": lambda s, *_: (f"{chain_of(s)}/cancel", {"reason": "é"}),
    "held chain": lambda s, *_: (
        f"{chain_of(s)}/hold",
        {"seconds": 60, "then": "reject", "reason": "r"},
    ),
    "lien": lambda s, al, _: (
        f"{chain_of(s)}/liens",
        {"account_id": al, "amount": 5, "expires_seconds": 9},
    ),
    "hold": lambda _, al, bo: (
        "/v1/holds",
        {**five(al), "destination_account_id": bo, "expires_seconds": 60, "metadata": METADATA},
    ),
    "capture": lambda s, al, bo: (
        f"/v1/holds/{s.make('/v1/holds', {**five(al), 'expires_seconds': 60})['id']}/capture",
        {"destination_account_id": bo, "amount": 2},
    ),
    "batch": lambda _, al, bo: (
        "/v1/batches",
        {"mode": "each", "operations": [{"operation": "transfer", **move(al, bo)}] * 3},
    ),
}


UNDESCRIBED = {
    "account",
    "closing",
    "batch",
    "appended steps",
    "signal",
    "cancelled chain",
    "held chain",
    "lien",
    "hold",
    "capture",
}
"""Stories whose requests take no description."""


@pytest.mark.parametrize("name", STORIES)
def test_a_success_is_replayed_byte_for_byte(
    service: Api, other_process: RunningApi, name: str
) -> None:
    """By any process, with the same headers, marked as a replay; and nothing moves again."""
    al, bo = service.open_account(funded=1000), service.open_account(funded=1000)
    path, body = STORIES[name](service, al, bo)
    first = service.post(path, body, key="k")
    assert first.status_code in {200, 201, 202}, first.text
    assert "idempotency-replayed" not in first.headers
    after = service.count_rows()
    for client in (service, service.speak(service.key.secret, api=other_process)):
        again = client.post(path, body, key="k")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        for header in ("location", "etag", "content-type"):
            assert again.headers.get(header) == first.headers.get(header)
    assert service.count_rows() == after


def test_an_answer_stays_the_first_whatever_happened_since(service: Api) -> None:
    """A replay shows the entry, or the account, as it was when it was made."""
    al, bo = service.open_account(funded=100), service.open_account()
    paid = service.post("/v1/transfers", move(al, bo), key="paid")
    service.make(f"/v1/entries/{paid.json()['id']}/reverse", {})
    assert service.post("/v1/transfers", move(al, bo), key="paid").content == paid.content
    opened = service.post("/v1/accounts", {"currency": "USD", "name": "a"}, key="opened")
    service.patch(opened.headers["location"], {"name": "b"})
    again = service.post("/v1/accounts", {"currency": "USD", "name": "a"}, key="opened")
    assert (again.content, again.headers["etag"]) == (opened.content, '"1"')


def test_a_refusal_is_replayed_though_its_cause_is_gone(
    service: Api, other_process: RunningApi
) -> None:
    """It is the answer of its key for good: all but the id of the request is the same."""
    al, bo = service.open_account(), service.open_account()
    first = service.post("/v1/transfers", move(al, bo), key="k")
    assert read_problem(first)["code"] == "insufficient_funds"
    service.make("/v1/deposits", {"account_id": al, "amount": 100, "currency": "USD"})
    before = service.count_rows()
    for client in (service, service.speak(service.key.secret, api=other_process)):
        again = client.post("/v1/transfers", move(al, bo), key="k")
        assert again.status_code == first.status_code
        assert again.headers["idempotency-replayed"] == "true"
        assert {**read_problem(again), "request_id": ""} == {**first.json(), "request_id": ""}
    assert service.count_rows() == before
    assert service.post("/v1/transfers", move(al, bo), key="k2").status_code == 201


@pytest.mark.parametrize("name", STORIES)
def test_another_payload_under_the_key_is_refused(service: Api, name: str) -> None:
    """Another body, or another operation: 422, and neither is run."""
    al, bo = service.open_account(funded=1000), service.open_account(funded=1000)
    path, body = STORIES[name](service, al, bo)
    service.post(path, body, key="k")
    before = service.count_rows()
    asked = [("/v1/accounts", {"currency": "EUR"})]
    if "description" not in body and name not in UNDESCRIBED:
        asked.append((path, {**body, "description": "another"}))
    if name != "transfer":
        asked.append(("/v1/transfers", move(al, bo)))
    for other_path, other_body in asked:
        answer = service.post(other_path, other_body, key="k")
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (422, "idempotency_key_reused")
        assert "idempotency-replayed" not in answer.headers
    assert service.count_rows() == before


def test_the_same_correction_of_another_entry_is_another_payload(service: Api) -> None:
    """What the path names belongs to the payload."""
    al, bo = service.open_account(funded=1000), service.open_account()
    first, second = entry_of(service, al, bo), entry_of(service, al, bo)
    assert service.post(f"{first}/reverse", {}, key="k").status_code == 201
    answer = service.post(f"{second}/reverse", {}, key="k")
    assert read_problem(answer)["code"] == "idempotency_key_reused"


def test_spacing_order_and_escapes_are_not_the_payload(service: Api) -> None:
    """What means the same is the same request; what means something else is not."""
    al, bo = service.open_account(funded=1000), service.open_account()
    body = move(
        al,
        bo,
        description="é/x",
        metadata={"a": "é", "bb": 2, "c": False},
        effective_at="2026-01-01T12:00:00Z",
        fees=[{"type": "fixed", "name": "f", "amount": 1}],
    )
    first = service.post("/v1/transfers", body, key="k")
    assert first.status_code == 201
    turned = {name: body[name] for name in reversed(body)}
    turned["metadata"] = {"c": False, "bb": 2, "a": "é"}
    turned["fees"] = [{"amount": 1, "name": "f", "type": "fixed"}]
    elsewhere = {**body, "effective_at": "2026-01-01T14:30:00.000+02:30"}
    for text in (
        json.dumps(turned),
        json.dumps(turned, indent=4),
        json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        json.dumps(body).replace("/", "\\/").replace("currency", "\\u0063urrency"),
        "\r\n\t " + json.dumps(elsewhere) + "\n",
    ):
        headers = {"Idempotency-Key": "k"}
        again = service.send("POST", "/v1/transfers", content=text.encode(), headers=headers)
        assert again.content == first.content, text
        assert again.headers["idempotency-replayed"] == "true"
    for other in (
        {**body, "effective_at": "2026-01-01T12:00:00.000001Z"},
        {**body, "metadata": {**body["metadata"], "bb": "2"}},
        {**body, "metadata": {**body["metadata"], "c": 0}},
        {**body, "description": "e/x"},
        {**body, "reference": None},
    ):
        answer = service.post("/v1/transfers", other, key="k")
        assert read_problem(answer)["code"] == "idempotency_key_reused", other
    assert service.read_posted(bo) == [5]


def test_quoted_and_bare_keys_are_the_same_key(service: Api) -> None:
    """As a structured header or as plain text."""
    al, bo = service.open_account(funded=1000), service.open_account()
    first = service.post("/v1/transfers", move(al, bo), key='"7f1c-2a3e"')
    for key in ("7f1c-2a3e", '"7f1c-2a3e"'):
        again = service.post("/v1/transfers", move(al, bo), key=key)
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
    assert service.post("/v1/transfers", move(al, bo), key="7F1C-2A3E").status_code == 201
    assert service.read_posted(bo) == [10]


@pytest.mark.parametrize("name", [*STORIES, "ledger"])
def test_every_post_needs_one_valid_key(service: Api, name: str) -> None:
    """1 to 255 printable ASCII characters, once; else 400 and nothing runs."""
    al, bo = service.open_account(funded=1000), service.open_account()
    path, body = ("/v1/ledgers", {"name": "x"})
    if name != "ledger":
        path, body = STORIES[name](service, al, bo)
    before = service.count_rows()
    for keys, code in (
        ([], "idempotency_key_required"),
        ([""], "invalid_idempotency_key"),
        (['""'], "invalid_idempotency_key"),
        (["x" * 256], "invalid_idempotency_key"),
        (['"' + "x" * 256 + '"'], "invalid_idempotency_key"),
        (["é"], "invalid_idempotency_key"),
        (["a\tb"], "invalid_idempotency_key"),
        (["one", "two"], "bad_request"),
        (["one", "one"], "bad_request"),
    ):
        headers = [("Idempotency-Key", key) for key in keys]
        answer = service.send("POST", path, body, headers=headers)
        assert (answer.status_code, read_problem(answer)["code"]) == (400, code), keys
    assert service.count_rows() == before


@pytest.mark.parametrize(
    "key", ["x", "x" * 255, '"' + "x" * 255 + '"', "a b", '"', '"a"b"', "~!{}"]
)
def test_what_a_key_may_be(service: Api, key: str) -> None:
    """Any printable ASCII, from one character to 255."""
    assert service.post("/v1/accounts", {"currency": "USD"}, key=key).status_code == 201


def test_nothing_is_remembered_of_what_never_ran(service: Api) -> None:
    """After 400, 401, 403, 404, 413, 415 and invalid 422 the key is as good as new."""
    al, bo = service.open_account(funded=1000), service.open_account()
    headers = {"Idempotency-Key": "k"}
    poor, nobody = service.client("accounts:read"), service.speak("nobody")
    elsewhere = service.speak(service.key.secret, "ldg_" + "0" * 32)
    good = move(al, bo)
    before = service.count_rows()
    for client, sent, status in (
        (service, {"content": b"{"}, 400),
        (nobody, {"body": good}, 401),
        (poor, {"body": good}, 403),
        (elsewhere, {"body": good}, 404),
        (service, {"content": b" " * 65_537}, 413),
        (service, {"content": b"{}", "headers": {**headers, "Content-Type": "text/plain"}}, 415),
        (service, {"body": {**good, "amount": 0}}, 422),
        (service, {"body": {**good, "currency": "ZZZ"}}, 422),
        (service, {"body": {**good, "destination_account_id": al}}, 422),
    ):
        answer = client.send("POST", "/v1/transfers", **{"headers": headers, **sent})  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
    assert service.count_rows() == before
    answer = service.post("/v1/transfers", good, key="k")
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


def test_a_key_belongs_to_its_caller(service: Api) -> None:
    """Two API keys may use the same Idempotency-Key for different things."""
    al, bo = service.open_account(funded=1000), service.open_account()
    other = service.client()
    assert service.post("/v1/transfers", move(al, bo, 1), key="k").status_code == 201
    assert other.post("/v1/transfers", move(al, bo, 2), key="k").status_code == 201
    assert service.read_posted(bo) == [3]


@pytest.mark.parametrize("name", ["transfer", "rich transfer", "batch", "account", "refund"])
def test_duplicates_at_the_same_moment_have_one_effect(
    service: Api, other_process: RunningApi, name: str
) -> None:
    """Sixteen at once through two processes: one runs, the others wait for its answer."""
    al, bo = service.open_account(funded=1000), service.open_account(funded=1000)
    path, body = STORIES[name](service, al, bo)
    clients = [
        service.speak(service.key.secret, api=api)
        for api in (service.api, other_process)
        for _ in range(8)
    ]
    for client in clients:
        client.get("/v1/accounts", limit=1)  # so that connections and keys are at hand
    before = service.count_rows()

    def send(number: int) -> httpx2.Response:
        return clients[number % 16].post(path, body, key=f"k{number // 16}")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16 * 5)))
    after = service.count_rows()
    assert after["keys"] - before["keys"] == 5
    steps = 3 if name == "batch" else 1
    opened = after["accounts"] - before["accounts"] if name != "account" else 0  # the fees' account
    assert after["position"] - before["position"] == 5 * steps + opened
    for start in range(0, 80, 16):
        same = answers[start : start + 16]
        assert len({(answer.status_code, answer.content) for answer in same}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in same) == 1


def test_a_ledger_asked_for_at_the_same_moment_is_made_once(
    service: Api, other_process: RunningApi
) -> None:
    """Through two processes, one ledger and equal answers."""
    key, before = uuid4().hex, len(service.list_ledgers())
    clients = [
        service.speak(service.key.secret, api=api)
        for api in (service.api, other_process)
        for _ in range(4)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda client: client.post("/v1/ledgers", {"name": "x"}, key=key), clients)
        )
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(service.list_ledgers()) == before + 1


def test_what_one_process_registers_the_other_knows(
    service: Api, other_process: RunningApi
) -> None:
    """A ledger and an asset are used elsewhere as soon as they are answered, on both roads."""
    there = service.speak(service.key.secret, api=other_process)
    al = there.open_account(funded=5)
    assert there.read_posted(al) == [5]
    path = f"/v1/ledgers/{service.ledger}/assets/PTS"
    assert service.send("PUT", path, {"exponent": 0}).status_code == 200
    points, more = service.open_account("PTS", 10), service.open_account("PTS")
    for code in ("PTS", "BTC", "ETH"):
        path = f"/v1/ledgers/{service.ledger}/assets/{code}"
        assert service.send("PUT", path, {"exponent": 0}).status_code == 200
        body = {**move(points, more, 1), "currency": code}
        answer = there.post("/v1/transfers", body)
        if code == "PTS":
            assert answer.status_code == 201
        else:
            assert read_problem(answer)["code"] == "currency_mismatch"
    unknown = there.post("/v1/transfers", {**move(points, more, 1), "currency": "ZZZ"})
    assert read_problem(unknown)["code"] == "unknown_currency"


def test_a_repeated_reference_is_replayed_as_it_was_answered(service: Api) -> None:
    """A key that was answered with an earlier entry is answered so again, byte for byte."""
    al, bo = service.open_account(funded=1000), service.open_account()
    body = move(al, bo, reference="r")
    paid = service.make("/v1/transfers", body)
    plain = service.post("/v1/transfers", body, key="plain")
    service.make(f"/v1/entries/{paid['id']}/reverse", {})
    undone = service.post("/v1/transfers", body, key="undone")
    assert undone.json()["reversed_by"] is not None
    for key, first in (("plain", plain), ("undone", undone)):
        again = service.post("/v1/transfers", body, key=key)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.content == first.content, key
