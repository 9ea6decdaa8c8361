"""Chains that are no chains: what is wrong is told where it is, and nothing is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chain_bodies import keep, pay, wait
from tests.contract import read_problem
from tests.server import Api

NOBODY = "acct_" + "0" * 32


def test_an_expression_that_does_not_compile_is_explained(service: Api) -> None:
    """Where and what, and which names there are: they are the caller's own."""
    al, bo = service.open_account(), service.open_account()
    first, second = pay("one", al, bo, 1), pay("two", al, bo, 1, when="steps.one.amont > 0")
    answer = service.post("/v1/chains", {"steps": [first, second]})
    (error,) = read_problem(answer)["errors"]
    assert error["pointer"] == "/steps/1/when"
    said = "The expression does not compile: no such name at 1:10; before this step there are: "
    assert error["detail"].startswith(said + "steps.one.amount, ")


BAD_STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "no such step": ({"depends_on": ["x"]}, "/steps/1/depends_on"),
    "itself": ({"depends_on": ["two"]}, "/steps/1/depends_on"),
    "a name twice": ({"name": "one"}, "/steps/1/name"),
    "a word of CEL": ({"name": "while"}, "/steps/1/name"),
    "an expression of another type": (
        {"inputs": {"amount": {"cel": "'x'"}}},
        "/steps/1/inputs/amount",
    ),
    "an expression that does not compile": ({"when": "1 +"}, "/steps/1/when"),
    "a later step's result": (
        {"inputs": {"amount": {"cel": "steps.three.amount"}}},
        "/steps/1/inputs/amount",
    ),
    "the same account twice": ({"inputs": {"destination_account_id": None}}, "/steps/1/inputs"),
    "an unknown account": ({"inputs": {"source_account_id": NOBODY}}, "/steps/1/inputs"),
    "a lien of nobody's": ({"inputs": {"lien": "three"}}, "/steps/1/inputs/lien"),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_a_flaw_is_told_where_it_is(service: Api, name: str) -> None:
    """422 invalid_chain with a pointer to the step's part, in a group too; no chain is made."""
    al, bo = service.open_account(funded=100), service.open_account()
    change, pointer = BAD_STEPS[name]
    good = pay("two", al, bo, 1)
    inputs = {**good["inputs"], **change.get("inputs", {})}
    if inputs["destination_account_id"] is None:
        inputs["destination_account_id"] = al
    bad = {**good, **change, "inputs": inputs}
    last = pay("three", al, bo, 1, depends_on=[])
    before = service.count_rows()
    answer = service.post("/v1/chains", {"steps": [pay("one", al, bo, 1), bad, last]})
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_chain"), problem
    assert pointer in {error["pointer"] for error in problem["errors"]}, problem
    if name == "a name twice":
        return
    steps = [pay("one", al, bo, 1), {**bad, "depends_on": change.get("depends_on", [])}, last]
    answer = service.post("/v1/chains", {"steps": [{"name": "g", "type": "chain", "steps": steps}]})
    places = {error["pointer"] for error in read_problem(answer)["errors"]}
    assert pointer.replace("/steps", "/steps/0/steps") in places or name == "a lien of nobody's"
    after = service.count_rows()
    assert {**after, "keys": 0} == {**before, "keys": 0}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"steps": []}, "/steps"),
        ({"steps": [{"name": "w", "type": "wait"}] * 101}, "/steps"),
        ({"steps": [{"name": "W", "type": "wait"}]}, "/steps/0/name"),
        ({"steps": [{"name": "w", "type": "wait", "pivot": True}]}, "/steps/0/pivot"),
        ({"steps": [{"name": "w", "type": "transfer"}]}, "/steps/0/inputs"),
        (
            {"steps": [{"name": "w", "type": "wait", "inputs": {"seconds": 0}}]},
            "/steps/0/inputs/seconds",
        ),
        ({"steps": [keep("k", NOBODY, 0)]}, "/steps/0/inputs/amount"),
        ({"steps": [keep("k", "al", 5)]}, "/steps/0/inputs/account_id"),
        ({"steps": [pay("p", NOBODY, NOBODY, {"cel": 5})]}, "/steps/0/inputs/amount/cel"),
        (
            {"steps": [pay("p", NOBODY, NOBODY, 1, retry={"attempts": 101})]},
            "/steps/0/retry/attempts",
        ),
        (
            {"steps": [{"name": "h", "type": "http", "inputs": {"body": 1.5}}]},
            "/steps/0/inputs/body",
        ),
        ({"timeout_seconds": 10**9, "steps": [wait("w")]}, "/timeout_seconds"),
        ({"start": "no", "steps": [wait("w")]}, "/start"),
    ],
)
def test_a_body_that_cannot_be_is_told_where(service: Api, body: object, pointer: str) -> None:
    """422 invalid_request with a pointer, through groups and kinds of values; nothing is stored."""
    before = service.count_rows()
    answer = service.post("/v1/chains", body)
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_request"), problem
    assert pointer in {error["pointer"] for error in problem["errors"]}, problem
    assert service.count_rows() == before


def test_a_currency_that_the_ledger_lacks_is_unknown(service: Api) -> None:
    """Of a step, as of a transfer."""
    step = pay("p", NOBODY, NOBODY[:-1] + "1", 5)
    step["inputs"]["currency"] = "XXQ"
    answer = service.post("/v1/chains", {"steps": [step]})
    assert (answer.status_code, read_problem(answer)["code"]) == (422, "unknown_currency")


def test_a_caller_needs_the_scope_of_each_step(service: Api) -> None:
    """In groups too; without it nothing is stored, and the scope is named."""
    al, bo = service.open_account(funded=100), service.open_account()
    http = {"name": "h", "type": "http", "inputs": {"url": "https://x.example"}, "pivot": True}
    table: list[tuple[dict[str, Any], str]] = [
        (pay("p", al, bo, 1), "transfers:write"),
        (keep("k", al, 1), "liens:write"),
        (http, "chains:call"),
        ({"name": "g", "type": "chain", "steps": [pay("p", al, bo, 1)]}, "transfers:write"),
    ]
    writer = service.client("chains:write")
    before = service.count_rows()
    for step, scope in table:
        answer = writer.post("/v1/chains", {"steps": [step]})
        assert (answer.status_code, read_problem(answer)["code"]) == (403, "forbidden")
        assert scope in answer.json()["detail"]
    assert service.count_rows() == before
    assert writer.post("/v1/chains", {"steps": [wait("w")]}).status_code == 202
