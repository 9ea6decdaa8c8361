"""Chains that call a partner, over HTTP: what its answers do, and what operators decide then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from catena.api.documentation import make_openapi
from catena.api.http import ROUTES
from catena.api.steps import MODELS
from catena.chains.step_types import HTTP
from catena.engine.http_step import HttpStep
from tests.api.chain_states import wait_until
from tests.chain_bodies import balance, keep, make_chain, pay, states, wait
from tests.contract import Contract, read_problem
from tests.postgres import Database
from tests.server import Api, Key, RunningApi
from tests.street import call, run_street

WHY = {"reason": "the bank has confirmed it"}


@pytest.fixture(scope="module")
def street() -> Iterator[str]:
    """Where the partner listens."""
    with run_street() as url:
        yield url


@pytest.fixture
def careful(
    other_process: RunningApi, api_database: Database, root_key: Key, contract: Contract
) -> Iterator[Api]:
    """A service that calls no partners at private addresses."""
    careful = Api(other_process, api_database, root_key, contract)
    yield careful
    careful.close()


def send(service: Api, *steps: object) -> dict[str, object]:
    """A chain of these steps, as it stands when it has ended, or after a while."""
    headers = {"Idempotency-Key": "k", "Prefer": "wait=30"}
    answer = service.send("POST", "/v1/chains", {"steps": list(steps)}, headers=headers)
    assert answer.status_code == 201, answer.text
    chain: dict[str, object] = answer.json()
    return chain


def test_an_approval_goes_on_and_its_result_is_used(service: Api, street: str) -> None:
    """What the partner said is there for the steps that follow."""
    al, bo = service.open_account(funded=100), service.open_account()
    last = pay("pay", al, bo, {"cel": "int(steps.ask.body.amount)"})
    chain = send(service, keep("k", al, 50), call("ask", f"{street}/approve"), last)
    assert chain["state"] == "completed"
    assert balance(service, bo) == (7, 0)


def test_a_refusal_rolls_everything_back(service: Api, street: str) -> None:
    """The chain says which step was refused and with which code; nothing is left under lien."""
    al, bo = service.open_account(funded=100), service.open_account()
    chain = send(service, pay("pay", al, bo, 50), call("ask", f"{street}/decline"))
    assert chain["state"] == "rolled_back"
    assert chain["failure"] == {"code": "card_expired", "step": "ask"}
    assert (balance(service, al), balance(service, bo)) == ((100, 0), (0, 0))


def test_what_is_accepted_lets_others_go_on(service: Api, street: str) -> None:
    """`accepted` is enough for a step that says so; the others wait for the outcome."""
    al, bo = service.open_account(funded=100), service.open_account()
    first = call("ask", f"{street}/pending")
    early = pay("early", al, bo, 5, depends_on=[{"step": "ask", "phase": "accepted"}])
    late = pay("late", al, bo, 6, depends_on=["ask"])
    chain = make_chain(service, first, early, late)
    path = f"/v1/chains/{chain['id']}"
    stood = states(wait_until(service, path, "early", "completed"))
    assert stood == {"ask": "waiting", "early": "completed", "late": "pending"}


@pytest.mark.parametrize(
    ("verb", "state"), [("mark-done", "completed"), ("mark-refused", "rolled_back")]
)
def test_an_unknown_outcome_is_said_by_hand(
    service: Api, street: str, verb: str, state: str
) -> None:
    """Until then nothing is undone, whatever is told; then the chain goes on, or back."""
    al, bo = service.open_account(funded=100), service.open_account()
    chain = make_chain(service, keep("k", al, 50), call("ask", f"{street}/silence"))
    path = f"/v1/chains/{chain['id']}"
    wait_until(service, path, "ask", "unknown")
    answer = service.post(f"{path}/compensate", WHY)
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (409, "step_outcome_unknown")
    assert (problem["step"], problem["attempt"]) == ("ask", 1)
    assert balance(service, al) == (100, 50)
    done = service.post(f"{path}/steps/ask/{verb}", WHY).json()
    assert done["state"] == state
    assert (balance(service, al), balance(service, bo)) == ((100, 0), (0, 0))


def test_an_undo_that_is_refused_is_parked(service: Api, street: str) -> None:
    """The books are undone all the same; an operator says that the rest was done."""
    al, bo = service.open_account(funded=100), service.open_account()
    undo = {"url": f"{street}/decline"}
    steps = [pay("p", al, bo, 5), call("ask", f"{street}/approve", compensation=undo), wait("w")]
    chain = make_chain(service, *steps)
    path = f"/v1/chains/{chain['id']}"
    wait_until(service, path, "ask", "completed")
    assert service.post(f"{path}/cancel", WHY).status_code == 202
    stuck = wait_until(service, path, "ask", "undo_refused")
    assert (stuck["state"], stuck["parked"]) == ("rolling_back", True)
    assert balance(service, al) == (100, 0)
    refused = service.post(f"{path}/cancel", WHY)
    assert read_problem(refused)["code"] == "chain_not_running"
    done = service.post(f"{path}/steps/ask/mark-done", WHY).json()
    assert (done["state"], states(done)["ask"]) == ("rolled_back", "compensated")


def test_a_cancelled_chain_waits_for_its_pivot_once(service: Api, street: str) -> None:
    """What is told while the pivot is out is recorded; told again there is nothing more to do."""
    pivot = call("ask", f"{street}/pending", pivot=True)
    chain = make_chain(service, pivot)
    path = f"/v1/chains/{chain['id']}"
    wait_until(service, path, "ask", "waiting")
    told = service.post(f"{path}/cancel", WHY)
    assert (told.status_code, told.json()["pending_failure"]["code"]) == (202, "cancelled")
    again = service.post(f"{path}/cancel", WHY)
    assert (again.status_code, read_problem(again)["code"]) == (409, "chain_not_running")


URL = "https://x.example"
NONE = {"type": "none"}


@pytest.mark.parametrize(
    ("inputs", "compensation", "pointer"),
    [
        ({}, NONE, "/inputs/url"),
        ({"url": 7}, NONE, "/inputs/url"),
        ({"url": ""}, NONE, "/inputs/url"),
        ({"url": URL, "uri": URL}, NONE, "/inputs/uri"),
        ({"url": URL, "method": "GET"}, NONE, "/inputs/method"),
        ({"url": URL, "method": {"cel": "'PUT'"}}, NONE, "/inputs/method"),
        ({"url": URL, "body": [1.5]}, NONE, "/inputs/body"),
        ({"url": URL, "look_up_url": {"cel": ""}}, NONE, "/inputs/look_up_url/cel"),
        ({"url": {"cel": "1"}}, NONE, "/inputs/url"),
        ({"url": URL}, None, "/compensation"),
        ({"url": URL}, {"type": "nothing"}, "/compensation/type"),
        ({"url": URL}, {"method": "POST"}, "/compensation/url"),
        ({"url": URL}, {"url": URL, "cancel_url": URL}, "/compensation/cancel_url"),
        ({"url": URL}, {"url": URL, "method": "post"}, "/compensation/method"),
        ({"url": URL}, {"url": {"cel": "steps.nobody.body"}}, "/compensation/url"),
        ({"url": URL}, {"url": URL, "body": {"cel": "steps.ask.state"}}, "/compensation/body"),
        ({"url": "ftp://x.example"}, NONE, "/inputs/url"),
        ({"url": "http://xn--/"}, NONE, "/inputs/url"),
        ({"url": "x.example/pay"}, NONE, "/inputs/url"),
        ({"url": "https://me:word@x.example"}, NONE, "/inputs/url"),
        ({"url": URL, "look_up_url": "file:///etc"}, NONE, "/inputs/look_up_url"),
        ({"url": URL, "cancel_url": "http:///"}, NONE, "/inputs/cancel_url"),
        ({"url": URL}, {"url": "gopher://x.example"}, "/compensation/url"),
        ({"url": URL}, {"url": URL, "look_up_url": "//x"}, "/compensation/look_up_url"),
        *(
            ({"url": f"http://{host}/"}, NONE, "/inputs/url")
            for host in ("127.0.0.1", "10.1.2.3:80", "[::1]", "169.254.169.254", "[::ffff:7f00:1]")
        ),
    ],
)
def test_what_cannot_be_asked_of_a_partner_is_told_where(
    careful: Api,
    inputs: dict[str, Any],
    compensation: Any,  # noqa: ANN401  # any JSON
    pointer: str,
) -> None:
    """At creation, with the very field; nothing is stored."""
    step = {"name": "ask", "type": "http", "inputs": inputs, "compensation": compensation}
    before = careful.count_rows()
    answer = careful.post("/v1/chains", {"steps": [step]})
    problem = read_problem(answer)
    assert answer.status_code == 422, problem
    assert [error["pointer"] for error in problem["errors"]] == [f"/steps/0{pointer}"]
    assert careful.count_rows() == before


def test_what_is_asked_of_a_partner_is_kept_as_it_was_said(service: Api) -> None:
    """Constants and expressions, in a body too, and nothing that was not said."""
    body: dict[str, Any] = {"a": None, "b": [{"cel": "chain.id"}], "c": {}}
    inputs = {"url": {"cel": f"'{URL}/' + chain.id"}, "method": "PUT", "body": body}
    undo = {"url": {"cel": f"'{URL}/' + string(steps.ask.status)"}, "body": body}
    step = {"name": "ask", "type": "http", "inputs": inputs, "compensation": undo}
    made = service.make("/v1/chains", {"steps": [step], "start": False})
    (kept,) = service.get(f"/v1/chains/{made['id']}").json()["steps"]
    assert (kept["inputs"], kept["compensation"]) == (inputs, undo)


def test_the_models_are_made_of_the_table() -> None:
    """What the document says of `http` is what its step type takes."""
    inputs = MODELS["http"].model_fields["inputs"].annotation
    assert inputs.model_fields.keys() == HTTP.inputs.keys() == HttpStep.type.inputs.keys()
    assert {name for name, field in inputs.model_fields.items() if field.is_required()} == {"url"}
    schemas = make_openapi(ROUTES)["components"]["schemas"]
    assert schemas["HttpUndo"]["properties"].keys() == HTTP.undo.keys()
    assert schemas["HttpInputs"]["properties"].keys() == HTTP.inputs.keys()
