"""The OpenAPI document is true: valid, committed as it is served, and its examples run.

That every answer is as it says is checked of every request that any test here sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
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
from catena.errors import SetupError
from tests.api.bad_bodies import BAD_BODIES, INVALID
from tests.api.chain_states import place_of
from tests.contract import EVENTS, PROBLEM_JSON, Contract
from tests.server import Api, RunningApi
from tests.street import run_street
from tests.tidy.rules import REPO

COMMITTED = REPO / "docs" / "reference" / "openapi.json"

STREAMS = {"follow_chain"}

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
            assert "example" in body, where
        for status in operation["responses"]:
            answer = contract.find_response(operation, int(status))
            assert answer is not None
            assert answer["description"], where
            ((media, content),) = answer["content"].items()
            usual = EVENTS if operation["operationId"] in STREAMS else "application/json"
            assert media == (usual if status < "400" else PROBLEM_JSON), where
            assert "example" in content or content["examples"], where
        assert {"401", "403", "500", "503"} < operation["responses"].keys(), where


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
            assert all("$ref" in each for each in node["examples"].values()), path
            shown = document["components"]["examples"]
            given += [
                shown[each["$ref"].rpartition("/")[2]]["value"]
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
    done = set()
    for method, path, _, operation in contract.operations:
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
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        headers = {
            each["name"]: each.get("example", service.ledger)
            for each in operation["parameters"]
            if each["in"] == "header"
        }
        if "Idempotency-Key" in headers:
            headers["Idempotency-Key"] += service.ledger + operation["operationId"]
        answer = service.send(
            method, path.format(**place), put_real_ids(body.get("example"), real), headers=headers
        )
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        assert str(answer.status_code) in operation["responses"]
        done.add(operation["operationId"])
    assert len(done) == len(contract.operations)


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
