"""The OpenAPI document is true: valid, committed as it is served, and its examples run.

That every answer is as it says is checked of every request that any test here sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import Struct
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from catena.api import examples
from catena.api.bodies import Body
from catena.api.documentation import describe
from catena.api.reference import render_document
from catena.clock import system_clock
from catena.db.embedded import EmbeddedPostgres
from catena.errors import SetupError
from catena.outside.signing import parse_secret, sign
from tests.api.bad_bodies import BAD_BODIES, INVALID
from tests.api.chain_states import place_of
from tests.contract import EVENTS, PROBLEM_JSON, Contract
from tests.flows.gateways import Shop, card, make_database, run_shop, to_bank
from tests.server import Api, RunningApi
from tests.street import run_street
from tests.tidy.rules import REPO

COMMITTED = REPO / "docs" / "reference" / "openapi.json"

FORMS = {
    "follow_chain": {EVENTS},
    "get_reconciliation_report": {"application/json", "text/csv", "text/html"},
}
"""Of answers that are no JSON, or not alone."""

BY_BANK = {
    "create_virtual_iban",
    "create_deposit_reference",
    "delete_virtual_iban",
    "delete_deposit_reference",
    "assign_suspense",
    "acknowledge_bank_alarm",
}
"""What needs a bank: tests/flows/bank sends their examples."""

BY_GATEWAY = {
    "get_deposit",
    "get_withdrawal",
    "get_refund",
    "list_refunds",
    "capture_deposit",
    "cancel_deposit",
    "cancel_withdrawal",
    "refund_deposit",
    "receive_webhook",
}
"""What can be done only where there is a gateway."""

# To JSON Schema 5.0 and 5e2 are whole, and years have no end; to Python's patterns so have lines.
BEYOND_SCHEMAS = {
    "a whole float",
    "an exponent",
    "5,000 decimals",
    "a currency with a newline",
    "an id with a newline",
    "not a number",
    "infinity",
    "before the calendar",
    "behind the calendar",
}


def walk(node: object, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every object in a document, with where it stands."""
    if isinstance(node, Mapping):
        yield path, node
        for name, value in node.items():
            yield from walk(value, *path, name)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, *path, str(index))


def test_the_committed_document_is_the_served_one(api_process: RunningApi) -> None:
    """Byte for byte, and the same each time it is drawn; `make docs` writes it."""
    served = httpx2.get(f"{api_process.address}/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.text == COMMITTED.read_text(encoding="utf-8"), "run `make docs`"
    assert render_document() == render_document() == served.text


def test_the_document_is_valid_openapi() -> None:
    """By somebody else's validator: its shape, its references, its schemas, its paths."""
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert document["openapi"] == "3.1.0"
    problems = [str(error.message) for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert problems == []
    for schema in document["components"]["schemas"].values():
        OAS31Validator.check_schema(schema)


def test_no_two_shapes_have_one_name() -> None:
    """A second model or answer of a name would take the place of the first: it stops the start."""

    class MessageRequest(Body):
        """Another one than that of the API."""

    class MessageView(Struct, frozen=True):
        """Another one, too."""

    before = render_document()
    with pytest.raises(SetupError, match="Two shapes of the API are called MessageRequest"):
        describe(answers={}, body=MessageRequest)
    for view in (MessageView, type("AccountRequest", (Struct,), {})):
        with pytest.raises(SetupError, match=view.__name__):
            describe(answers={200: ("An answer.", view, None)})
    assert render_document() == before


def test_every_operation_is_described_in_full(contract: Contract) -> None:
    """A summary, a description, an id of its own, a security, an example of its body and answer."""
    ids = [operation["operationId"] for *_, operation in contract.operations]
    assert len(set(ids)) == len(ids)
    for method, path, _, operation in contract.operations:
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["tags"], where
        for body in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in body or body["examples"], where
        for status in operation["responses"]:
            answer = contract.find_response(operation, int(status))
            assert answer is not None
            assert answer["description"], where
            usual = FORMS.get(operation["operationId"], {"application/json"})
            assert answer["content"].keys() == (usual if status < "400" else {PROBLEM_JSON}), where
            for content in answer["content"].values():
                assert "example" in content or content["examples"], where
        refused = {"401", "403"} if operation["security"] else {"403"}
        assert {*refused, "500", "503"} < operation["responses"].keys(), where


def test_every_example_is_one_of_its_schema(contract: Contract) -> None:
    """Of bodies, answers, parameters, headers and fields, and of every problem."""
    document = contract.document
    checked = 0
    for path, node in walk(document):
        if path[-1:] == ("properties",):
            continue
        schema = node.get("schema", node)
        given = [node["example"]] if "example" in node else []
        if isinstance(node.get("examples"), list):
            given += node["examples"]
        elif isinstance(node.get("examples"), dict) and "schema" in node:
            shown = document["components"]["examples"]
            given += [
                each["value"]
                if "value" in each
                else shown[each["$ref"].rpartition("/")[2]]["value"]
                for each in node["examples"].values()
            ]
        for example in given:
            if schema.get("contentMediaType") == "application/json":
                assert isinstance(json.loads(example), dict)
            contract.check_value(example, schema, "/".join(path))
            checked += 1
    assert checked > 400


def put_real_ids(node: Any, ids: Mapping[str, str]) -> Any:  # noqa: ANN401  # any JSON
    """The same with the ids of the examples exchanged for those of accounts that are there."""
    text = json.dumps(node)
    for shown, real in ids.items():
        text = text.replace(shown, real)
    return json.loads(text)


def show_body(body: Mapping[str, Any], name: str = "by_hand") -> Any:  # noqa: ANN401  # any JSON
    """The example of a body; the one of this name where there are several."""
    return body["examples"][name]["value"] if "examples" in body else body.get("example")


@pytest.fixture(scope="module")
def street() -> Iterator[str]:
    """Where a partner listens."""
    with run_street() as url:
        yield url


def test_the_examples_of_requests_work(service: Api, contract: Contract, street: str) -> None:
    """Sent as they stand, on the accounts and chains that they speak of, all of them succeed."""
    story = examples.MOVEMENTS
    shown = {
        "alice": story["transfer"]["source_account_id"],
        "bob": story["transfer"]["destination_account_id"],
        "euros": story["exchange"]["destination_account_id"],
        "entry": examples.ENTRY["id"],
        "ledger": examples.LEDGER["id"],
    }
    done = {*BY_GATEWAY, *BY_BANK}
    for method, path, _, operation in contract.operations:
        if operation["operationId"] in done:
            continue
        alice = service.open_account(funded=100_000)
        bob = service.open_account()
        move = {"source_account_id": alice, "destination_account_id": bob, "amount": 9000}
        entry = service.make("/v1/transfers", {**move, "currency": "USD"})["id"]
        real = {
            shown["alice"]: alice,
            shown["bob"]: bob,
            shown["euros"]: service.open_account("EUR"),
            shown["entry"]: entry,
            shown["ledger"]: service.ledger,
        }
        account = service.open_account() if path.endswith("close") else alice
        place = {
            "entry_id": entry,
            "ledger_id": service.ledger,
            "account_id": account,
            "code": "PTS",
        }
        if not place.keys() & set(re.findall(r"{(\w+)}", path)):
            place |= place_of(service, operation["operationId"], alice, bob, street)
        taken = operation.get("requestBody", {}).get("content", {})
        body, text = taken.get("application/json", {}), taken.get("text/csv", {}).get("example")
        headers = {
            each["name"]: each.get("example", service.ledger)
            for each in operation["parameters"]
            if each["in"] == "header"
        }
        if "Idempotency-Key" in headers:
            headers["Idempotency-Key"] += service.ledger + operation["operationId"]
        asked = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
        if text is not None:
            headers["Content-Type"] = "text/csv"
        answer = service.send(
            method,
            path.format(**place),
            put_real_ids(show_body(body), real),
            content=text and text.encode(),
            headers=headers,
            params={"gateway": "sandbox"} if "gateway" in asked else None,
        )
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        assert str(answer.status_code) in operation["responses"]
        done.add(operation["operationId"])
    assert len(done) == len(contract.operations)


UNKEYED = {"preview_chain", "receive_webhook"}


def test_every_post_takes_a_key(contract: Contract) -> None:
    """But webhooks and what only shows what would be."""
    keyless = {
        operation["operationId"]
        for method, _, __, operation in contract.operations
        if method == "POST"
        and "Idempotency-Key" not in {each["name"] for each in operation["parameters"]}
    }
    assert keyless == UNKEYED


@pytest.fixture
def shop(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    contract: Contract,
    tmp_path: Path,
) -> Iterator[Shop]:
    """A service whose gateway is a sandbox."""
    with (
        make_database(postgres_server, migrated_template) as database,
        run_shop(database, contract, tmp_path) as shop,
    ):
        yield shop


def test_the_examples_with_a_gateway_work(shop: Shop, contract: Contract) -> None:
    """Sent as they stand to a service that has the sandbox, all of them succeed."""
    operations = {
        operation["operationId"]: (method, path, operation)
        for method, path, _, operation in contract.operations
    }
    wallet = shop.funded(100_000)

    def send(name: str, place: str = "", **headers: str) -> Any:  # noqa: ANN401  # any JSON
        method, path, operation = operations[name]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        real = {examples.MOVEMENTS["deposit"]["account_id"]: wallet}
        answer = shop.service.send(
            method,
            re.sub(r"{\w+}", place, path),
            put_real_ids(show_body(body, "by_gateway"), real),
            headers={"Idempotency-Key": name, **headers},
        )
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        return answer.json()

    paid = shop.until(send("deposit"), "completed")
    send("get_deposit", paid["id"])
    refund = send("refund_deposit", paid["id"])
    send("get_refund", refund["id"])
    assert [one["id"] for one in send("list_refunds", paid["id"])["items"]] == [refund["id"]]
    held = shop.pay_in(wallet, 500, card(), capture="manual")
    send("capture_deposit", shop.until(held, "authorised")["id"])
    send("cancel_deposit", shop.pay_in(wallet, 500, card("tok_pending"))["id"])
    send("get_withdrawal", send("withdrawal")["id"])
    send("cancel_withdrawal", shop.pay_out(wallet, 500, to_bank("acct_pending"))["id"])
    body = operations["receive_webhook"][2]["requestBody"]["content"]["application/json"]["example"]
    sent = httpx2.Request("POST", shop.hooks, json=body).content
    signed = sign(parse_secret(shop.secret), body["id"], system_clock(), sent)
    heard = shop.service.http.post(
        shop.hooks, content=sent, headers={"Content-Type": "application/json", **signed}
    )
    assert (heard.status_code, heard.json()) == (200, {"taken": 1, "again": 0})


@pytest.mark.parametrize(
    "name",
    [name for name in BAD_BODIES if BAD_BODIES[name][1] == INVALID and name not in BEYOND_SCHEMAS],
)
def test_what_the_service_finds_invalid_so_does_the_document(contract: Contract, name: str) -> None:
    """A client that checks its requests by the document learns the same without asking."""
    operation = contract.find_operation("POST", "/v1/transfers")
    assert operation is not None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    good = operation["requestBody"]["content"]["application/json"]["example"]
    contract.check_value(good, schema, "the example")
    bad = json.loads(BAD_BODIES[name][0](json.dumps(good)))
    with pytest.raises(AssertionError):
        contract.check_value(bad, schema, name)
