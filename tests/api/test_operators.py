"""What operators decide by hand, over HTTP: steps that are parked, with a reason, on record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chain_bodies import balance, make_chain, pay, states, wait
from tests.contract import read_problem
from tests.server import Api

WHY = {"reason": "the bank has confirmed it"}
NEVER = "int(steps.go.payload.zero) / 0 == 1"


def park(service: Api, *more: dict[str, Any], source: str, target: str) -> str:
    """A chain past its pivot with a step that is parked; gives its path."""
    steps = [
        pay("pivot", source, target, 1, pivot=True),
        wait("go"),
        wait("stuck", when=NEVER),
        *more,
    ]
    chain = make_chain(service, *steps)
    path = f"/v1/chains/{chain['id']}"
    parked = service.post(f"{path}/signals/go", {"payload": {"zero": 0}}).json()
    assert (parked["state"], parked["parked"]) == ("executing", True)
    assert parked["steps"][2]["failure"]["code"] == "expression_failed"
    assert all("actions" not in step for step in parked["steps"][:2])
    return path


@pytest.mark.parametrize("verb", ["mark-done", "skip"])
def test_a_parked_step_is_decided_by_hand(service: Api, verb: str) -> None:
    """Done or skipped, the chain goes on; the history says who did it and why."""
    al, bo = service.open_account(funded=100), service.open_account()
    path = park(service, source=al, target=bo)
    assert [item["id"] for item in service.read("/v1/chains", parked=True)["items"]] == [
        path.rpartition("/")[2]
    ]
    again = service.post(f"{path}/steps/stuck/retry", WHY)
    assert (again.status_code, again.json()["parked"]) == (202, True)
    assert again.json()["steps"][2]["actions"] == ["retry", "mark-done", "skip"]
    done = service.post(f"{path}/steps/stuck/{verb}", WHY)
    assert (done.status_code, done.json()["state"]) == (200, "completed"), done.text
    expected = "completed" if verb == "mark-done" else "skipped"
    assert states(done.json())["stuck"] == expected
    told = [e for e in service.read(f"{path}/history")["items"] if e.get("reason") == WHY["reason"]]
    assert [event["event"] for event in told] == ["unparked", expected]
    assert {event["by"] for event in told} == {service.key.id}
    assert balance(service, bo) == (1, 0)


def test_what_others_need_is_not_skipped(service: Api) -> None:
    """409, with chain, step and attempt; said to be done with a result, it serves them."""
    al, bo = service.open_account(funded=100), service.open_account()
    need = wait("last", when="steps.stuck.payload.ok")
    path = park(service, need, source=al, target=bo)
    for verb, code in (("skip", "step_needed"), ("mark-refused", "decision_not_possible")):
        answer = service.post(f"{path}/steps/stuck/{verb}", WHY)
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (409, code)
        assert (problem["step"], problem["attempt"]) == ("stuck", 1)
        assert problem["detail"].endswith("; possible now: retry, mark-done.")
        again = service.post(f"{path}/steps/stuck/{verb}", WHY, key=f"stuck {verb}")
        replayed = service.post(f"{path}/steps/stuck/{verb}", WHY, key=f"stuck {verb}")
        first, second = again.json(), replayed.json()
        assert {**first, "request_id": ""} == {**second, "request_id": ""}
    result = {"payload": {"ok": False}}
    done = service.post(f"{path}/steps/stuck/mark-done", {"result": result, **WHY}).json()
    assert (done["state"], states(done)["last"]) == ("completed", "skipped")


def test_the_books_are_not_said_to_have_posted(service: Api) -> None:
    """A step that posts is tried again or skipped, and never marked as done."""
    al, bo = service.open_account(funded=100), service.open_account()
    deposit = {"account_id": bo, "amount": 1, "currency": "USD"}
    stuck = {"name": "stuck", "type": "deposit", "when": NEVER, "inputs": deposit}
    chain = make_chain(service, pay("pivot", al, bo, 1, pivot=True), wait("go"), stuck)
    path = f"/v1/chains/{chain['id']}"
    service.post(f"{path}/signals/go", {"payload": {"zero": 0}})
    answer = service.post(f"{path}/steps/stuck/mark-done", WHY)
    assert (answer.status_code, read_problem(answer)["code"]) == (409, "step_posts")
    assert service.post(f"{path}/steps/stuck/skip", WHY).json()["state"] == "completed"


def test_a_chain_before_its_pivot_is_compensated(service: Api) -> None:
    """It is rolled back, with the operator's reason as its failure."""
    al, bo = service.open_account(funded=100), service.open_account()
    chain = make_chain(service, pay("p", al, bo, 60), wait("w"))
    done = service.post(f"/v1/chains/{chain['id']}/compensate", WHY).json()
    assert (done["state"], done["failure"]["code"]) == ("rolled_back", "compensated_by_hand")
    assert balance(service, al) == (100, 0)


def test_a_reason_is_required(service: Api) -> None:
    """422 without one; and an operator's scope is no other's."""
    chain = make_chain(service, wait("w"))
    path = f"/v1/chains/{chain['id']}"
    for verb in ("steps/w/retry", "steps/w/mark-done", "compensate", "cancel", "resume", "reject"):
        answer = service.post(f"{path}/{verb}", {})
        assert read_problem(answer)["errors"][0]["pointer"] == "/reason"
    writer = service.client("chains:write", "chains:hold")
    assert writer.post(f"{path}/compensate", WHY).status_code == 403
    assert service.client("chains:operate").post(f"{path}/cancel", WHY).status_code == 403
