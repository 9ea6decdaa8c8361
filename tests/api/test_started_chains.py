"""Chains that start chains, over HTTP: in both ledgers or in none, and only where a caller may."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.contract import read_problem
from tests.flows.gateways import find_out
from tests.server import Api, Client, RunningApi


def transfer(source: str, target: str, amount: int) -> dict[str, Any]:
    """A step that moves dollars."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return {"name": "pay", "type": "transfer", "inputs": inputs}


def start(ledger: str, step: dict[str, Any], **told: Any) -> dict[str, Any]:  # noqa: ANN401
    """A step that starts a chain of one step in a ledger."""
    inputs = {"ledger_id": ledger, "chain": {"type": "far", "steps": [step]}}
    told = {"compensation": {"type": "cancel"}, **told}
    return {"name": "far", "type": "chain.start", "inputs": inputs, **told}


def post_and_wait(client: Client, body: object) -> dict[str, Any]:
    """Create a chain, and give it as it ended."""
    headers = {"Idempotency-Key": uuid4().hex, "Prefer": "wait=20"}
    answer = client.send("POST", "/v1/chains", body, headers=headers)
    assert answer.status_code in (201, 202), answer.text
    chain: dict[str, Any] = answer.json()
    return client.read(f"/v1/chains/{chain['id']}")  # type: ignore[no-any-return]


@pytest.mark.parametrize(("amount", "state"), [(60, "completed"), (600, "rolled_back")])
def test_money_moves_in_two_ledgers_or_in_none(service: Api, amount: int, state: str) -> None:
    """The far chain's end is this one's."""
    far = service.speak(service.key.secret, service.make_ledger())
    a, b = service.open_account(funded=100), service.open_account()
    c, d = far.open_account(funded=100), far.open_account()
    ledger = far.http.headers["Catena-Ledger"]
    steps = [{**transfer(a, b, 60), "name": "near"}, start(ledger, transfer(c, d, amount))]
    chain = post_and_wait(service, {"steps": steps})
    assert chain["state"] == state
    moved = 60 if state == "completed" else 0
    assert service.read_posted(a, b) == [100 - moved, moved]
    assert far.read_posted(c, d) == [100 - moved, moved]
    (started,) = far.read("/v1/chains", type="far")["items"]
    assert (started["state"], started["id"]) == (
        state,
        chain["steps"][1].get("result", {}).get("chain_id", started["id"]),
    )


def test_a_caller_needs_what_the_started_chain_needs(service: Api) -> None:
    """The scopes of its steps, and its ledger."""
    far = service.make_ledger()
    account = "acct_" + "0" * 32
    body = {"steps": [start(far, transfer(account, account[:-1] + "1", 1))]}
    timid = service.client("chains:write", "chains:call")
    assert timid.post("/v1/chains", body).json()["code"] == "forbidden"
    limited = service.client(ledgers=[service.ledger])
    assert limited.post("/v1/chains", body).json()["code"] == "forbidden"


def test_a_flaw_of_the_chain_to_start_is_told(service: Api) -> None:
    """At once, with its place."""
    body = {"steps": [start(service.ledger, {"name": "x", "type": "nothing"})]}
    answer = service.post("/v1/chains", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_chain")
    assert answer.json()["errors"][0]["pointer"] == "/steps/0/inputs/chain"


@pytest.mark.parametrize(
    "amount", ["(((", "steps.k.amount", "steps.far.result", "['a'].map(x, x)[0].matches('a')"]
)
def test_a_flaw_of_the_chain_that_would_undo_is_told(service: Api, amount: str) -> None:
    """Its expressions are its own: they see its own steps, and are judged when it is made."""
    a, b = service.open_account(funded=100), service.open_account()
    back = {**transfer(b, a, 1), "name": "back"}
    back["inputs"] = {**back["inputs"], "amount": {"cel": amount}}
    step = start(service.ledger, transfer(a, b, 1), compensation={"chain": {"steps": [back]}})
    answer = service.post("/v1/chains", {"steps": [step]})
    problem = read_problem(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid_chain"), problem
    assert problem["errors"][0]["pointer"] == "/steps/0/compensation/chain"


def test_who_waits_learns_of_an_end_that_another_process_has_brought(
    service: Api, other_process: RunningApi
) -> None:
    """Long before the time is over that it would wait."""
    other, reference = service.speak(service.key.secret, api=other_process), uuid4().hex
    headers = {
        "Authorization": f"Bearer {service.key.secret}",
        "Catena-Ledger": service.ledger,
        "Idempotency-Key": reference,
        "Prefer": "wait=60",
    }
    body = {"reference": reference, "steps": [{"name": "w", "type": "wait"}]}
    with ThreadPoolExecutor(1) as pool:
        url = f"{service.api.address}/v1/chains"
        waiting = pool.submit(httpx2.post, url, json=body, headers=headers, timeout=20)
        (made,) = find_out(lambda: other.read("/v1/chains", reference=reference)["items"], bool)
        assert other.post(f"/v1/chains/{made['id']}/signals/w", {}).status_code == 200
        answer = waiting.result()
    assert (answer.status_code, answer.json()["state"]) == (201, "completed")
