"""Whatever a caller sends, the answer is one that the document describes, and never our error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catena.api import chain_examples, examples
from tests.chain_bodies import make_chain
from tests.server import Api

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "\0", "\ud800", "USD", "XXX", "é" * 300, "1e5", "2026-01-01T00:00:00Z"])
    | st.sampled_from(["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "*", '"1"', "{}"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
texts = st.text(max_size=40) | scalars.map(str) | values.map(json.dumps)
# One function-scoped service serves every example: no two of them depend on each other.
each = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def list_places(node: Any, *path: Any) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  # any JSON
    """The path of every value in a body, and of one that is not there yet."""
    yield path
    if isinstance(node, dict):
        for name, value in node.items():
            yield from list_places(value, *path, name)
        yield (*path, "surprise")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from list_places(value, *path, index)


def put(node: Any, path: tuple[Any, ...], value: object) -> Any:  # noqa: ANN401  # any JSON
    """The same with another value at the path."""
    if not path:
        return value
    head, *rest = path
    if isinstance(node, list):
        return [put(v, tuple(rest), value) if i == head else v for i, v in enumerate(node)]
    return {**node, head: put(node.get(head), tuple(rest), value) if rest else value}


@pytest.fixture
def ids(service: Api) -> dict[str, str]:
    """The ids that the examples speak of, and those of accounts and an entry that are there."""
    move, exchange = examples.MOVEMENTS["transfer"], examples.MOVEMENTS["exchange"]
    alice, bob = service.open_account(funded=2**61), service.open_account()
    steps = chain_examples.CREATE["steps"]
    real = json.loads(json.dumps(steps).replace(move["source_account_id"], alice))
    chain = make_chain(service, *real[:2])
    hold = {"account_id": alice, "amount": 5, "currency": "USD", "expires_seconds": 600}
    paid = {"source_account_id": alice, "destination_account_id": bob, "amount": 9_000_000}
    return {
        move["source_account_id"]: alice,
        move["destination_account_id"]: bob,
        exchange["destination_account_id"]: service.open_account("EUR"),
        examples.ENTRY["id"]: service.make("/v1/transfers", {**paid, "currency": "USD"})["id"],
        examples.LEDGER["id"]: service.ledger,
        chain_examples.LIEN["id"]: chain["steps"][0]["lien_id"],
        chain_examples.RUNNING["id"]: chain["id"],
        chain_examples.HOLD["id"]: service.make("/v1/holds", hold)["id"],
    }


def put_chain(path: str, ids: dict[str, str]) -> str:
    """The path with a chain, lien or hold that is there."""
    path = path.replace("{chain_id}", ids[chain_examples.RUNNING["id"]])
    path = path.replace("{lien_id}", ids[chain_examples.LIEN["id"]])
    path = path.replace("{hold_id}", ids[chain_examples.HOLD["id"]])
    return path.replace("{step}", "keep").replace("{name}", "approval")


def localise(text: str, ids: dict[str, str]) -> str:
    """The text with ids that are there."""
    for shown, real in ids.items():
        text = text.replace(shown, real)
    return text


def shown_bodies(operation: Mapping[str, Any]) -> list[Any]:
    """The examples of an operation's body in JSON."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = [one["value"] for one in media.get("examples", {}).values()]
    return [media["example"], *examples] if "example" in media else examples


@each
@given(data=st.data())
def test_bodies(service: Api, ids: dict[str, str], data: st.DataObject) -> None:
    """Examples with any value in any place, on every operation that takes a body."""
    writes = [row for row in service.contract.operations if shown_bodies(row[3])]
    method, path, _, operation = data.draw(st.sampled_from(writes))
    good = data.draw(st.sampled_from(shown_bodies(operation)))
    body = json.loads(localise(json.dumps(good), ids))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(sorted(list_places(body), key=repr)))
        body = put(body, place, data.draw(values))
    path = path.replace("{ledger_id}", service.ledger).replace("{code}", "PTS")
    path = path.replace("{account_id}", data.draw(st.sampled_from(sorted(ids.values())[:3])))
    path = path.replace("{entry_id}", ids[examples.ENTRY["id"]])
    path = put_chain(path, ids)
    headers = {"Idempotency-Key": str(data.draw(st.integers())), "If-Match": "*"}
    answer = service.send(method, path, content=json.dumps(body).encode(), headers=headers)
    assert answer.status_code < 500


@each
@given(data=st.data())
def test_queries(service: Api, ids: dict[str, str], data: st.DataObject) -> None:
    """Any text as any parameter of every list, on an account that is there."""
    reads = [row for row in service.contract.operations if row[0] == "GET"]
    _, path, _, operation = data.draw(st.sampled_from(reads))
    names = [one["name"] for one in operation["parameters"] if one["in"] == "query"] or ["x"]
    asked = [
        (name, data.draw(texts)) for name in data.draw(st.lists(st.sampled_from(names), max_size=3))
    ]
    query = "&".join(f"{name}={quote(text, errors='surrogatepass')}" for name, text in asked)
    path = path.replace("{account_id}", data.draw(st.sampled_from(sorted(ids.values())[:3])))
    path = path.replace("{entry_id}", ids[examples.ENTRY["id"]])
    path = put_chain(path.replace("{ledger_id}", service.ledger), ids)
    if path.endswith("/progress"):
        return  # it goes on as long as its chain does
    answer = service.send("GET", f"{path}?{query}")
    assert answer.status_code < 500


@each
@given(data=st.data())
def test_paths_and_headers(service: Api, data: st.DataObject) -> None:
    """Any text as an id or a header's value."""
    method, path, _, operation = data.draw(st.sampled_from(service.contract.operations))
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", quote(data.draw(texts), safe="", errors="surrogatepass"))
    latin = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"))
    headers = {
        name: data.draw(latin)
        for name in data.draw(
            st.sets(
                st.sampled_from(
                    [
                        "Idempotency-Key",
                        "If-Match",
                        "Catena-Ledger",
                        "Content-Type",
                        "Content-Encoding",
                        "Accept",
                        "Host",
                        "Range",
                    ]
                )
            )
        )
    }
    content = b"{}" if "requestBody" in operation else None
    answer = service.send(method, path, content=content, headers=headers)
    assert answer.status_code < 500
