"""What a chain is told over HTTP: steps, signals, to wait and to go on; and what it cannot be."""

from __future__ import annotations

from typing import Any

from catena.settings import LIMITS
from tests.chain_bodies import balance, keep, make_chain, pay, states, wait
from tests.contract import read_problem
from tests.server import Api, RunningApi

NOBODY = "acct_" + "0" * 32
WHY = {"reason": "because"}


def test_an_opened_chain_takes_steps_and_starts(service: Api) -> None:
    """It does nothing until it is started; then it is as one that was made whole."""
    al, bo = service.open_account(funded=1000), service.open_account()
    opened = service.make("/v1/chains", {"start": False, "reference": "o"})
    assert (opened["state"], opened["steps"]) == ("created", [])
    path = f"/v1/chains/{opened['id']}"
    steps = [keep("hold", al, 100), pay("pay", al, bo, 60)]
    more = service.post(f"{path}/steps", {"steps": steps})
    assert (more.status_code, states(more.json())) == (200, {"hold": "pending", "pay": "pending"})
    assert balance(service, al) == (1000, 0)
    done = service.post(f"{path}/start", {})
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    assert balance(service, bo) == (60, 0)
    again = service.post(f"{path}/start", {})
    assert (again.status_code, read_problem(again)["code"]) == (409, "chain_ended")


def test_a_running_chain_takes_steps_under_its_lock(service: Api) -> None:
    """They depend on what is there; what cannot be is refused whole, with pointers."""
    al, bo = service.open_account(funded=1000), service.open_account()
    chain = make_chain(service, keep("hold", al, 100), wait("w"))
    path = f"/v1/chains/{chain['id']}/steps"
    fits = pay("pay", al, bo, {"cel": "steps.hold.amount"}, depends_on=["hold"])
    answer = service.post(path, {"steps": [fits]})
    assert (answer.status_code, states(answer.json())["pay"]) == (202, "completed")
    flaws: list[tuple[dict[str, Any], str]] = [
        (fits, "/steps/0/name"),
        (pay("x", al, bo, 1, depends_on=["nobody"]), "/steps/0/depends_on"),
        (pay("x", al, NOBODY, 1), "/steps/0/inputs"),
        (pay("x", al, bo, {"cel": "steps.w.payload"}), "/steps/0/inputs/amount"),
    ]
    for number, (bad, pointer) in enumerate(flaws):
        answer = service.post(path, {"steps": [bad]}, key=f"k{number}")
        problem = read_problem(answer)
        assert (answer.status_code, problem["code"]) == (422, "invalid_chain"), problem
        assert pointer in {error["pointer"] for error in problem["errors"]}
        again = service.post(path, {"steps": [bad]}, key=f"k{number}")
        assert read_problem(again)["errors"] == problem["errors"]
    assert len(service.read(f"/v1/chains/{chain['id']}")["steps"]) == 3


def test_a_held_chain_begins_nothing_until_it_is_told(service: Api) -> None:
    """Signals are kept; resuming lets them act; rejecting rolls back."""
    al, bo = service.open_account(funded=1000), service.open_account()
    for end, state in (("resume", "completed"), ("reject", "rolled_back")):
        chain = make_chain(service, pay("one", al, bo, 1), wait("w"), pay("two", al, bo, 2))
        path = f"/v1/chains/{chain['id']}"
        hold = {"seconds": 60, "then": "reject", "reason": "look"}
        held = service.post(f"{path}/hold", hold)
        assert (held.status_code, held.json()["state"]) == (200, "held")
        assert held.json()["hold"]["reason"] == "look"
        told = service.post(f"{path}/signals/w", {}).json()
        assert (told["state"], states(told)["two"]) == ("held", "pending")
        for wrong, code in (("hold", "chain_held"), ("start", "chain_started")):
            body = hold if wrong == "hold" else {}
            answer = service.post(f"{path}/{wrong}", body)
            problem = read_problem(answer)
            assert (answer.status_code, problem["code"]) == (409, code)
            assert problem["chain_id"] == chain["id"]
        assert service.post(f"{path}/{end}", WHY).json()["state"] == state
        again = service.post(f"{path}/{end}", WHY)
        assert read_problem(again)["code"] == "chain_ended"
    assert balance(service, bo) == (3, 0)


def test_what_a_chain_cannot_be_told_is_refused(service: Api, other_process: RunningApi) -> None:
    """409 with its own code, for each state; and the same again under the same key."""
    al, bo = service.open_account(funded=1000), service.open_account()
    opened = service.make("/v1/chains", {"start": False, "steps": [wait("w")]})
    running = make_chain(service, wait("w"))
    past = make_chain(service, pay("p", al, bo, 1, pivot=True), wait("w"))
    ended = make_chain(service, pay("p", al, bo, 1))
    hold = {"seconds": 60, "then": "resume", "reason": "r"}
    table: list[tuple[dict[str, Any], str, object, str]] = [
        (opened, "hold", hold, "chain_not_started"),
        (opened, "resume", WHY, "chain_not_started"),
        (opened, "compensate", WHY, "chain_not_started"),
        (running, "start", {}, "chain_started"),
        (running, "resume", WHY, "chain_not_held"),
        (running, "steps/x/retry", WHY, "unknown_step"),
        (running, "steps/w/retry", WHY, "step_not_parked"),
        (past, "cancel", WHY, "pivot_passed"),
        (past, "compensate", WHY, "pivot_passed"),
        (ended, "cancel", WHY, "chain_ended"),
        (ended, "signals/w", {}, "chain_ended"),
        (ended, "steps", {"steps": [wait("x")]}, "chain_ended"),
        ({"id": "cte_" + "0" * 32}, "cancel", WHY, "unknown_chain"),
    ]
    twin = service.speak(service.key.secret, api=other_process)
    for chain, verb, body, code in table:
        path = f"/v1/chains/{chain['id']}/{verb}"
        status = 404 if code.startswith("unknown") else 409
        first, again = (client.post(path, body, key=path + code) for client in (service, twin))
        for answer in (first, again):
            problem = read_problem(answer)
            assert (answer.status_code, problem["code"]) == (status, code), path
            assert problem["chain_id"] == chain["id"]
        assert again.headers["idempotency-replayed"] == "true"


def test_a_chain_keeps_no_end_of_signals(service: Api) -> None:
    """What nobody waits for is shown, and refused from some number on; never what ends a wait."""
    chain = make_chain(service, wait("w"))
    path = f"/v1/chains/{chain['id']}/signals"
    assert chain["signals"] == []
    for number in range(LIMITS.chain_signals):
        kept = service.post(f"{path}/other", {})
        assert (kept.status_code, kept.json()["signals"]) == (202, ["other"] * (number + 1))
    refused = service.post(f"{path}/other", {})
    assert (refused.status_code, read_problem(refused)["code"]) == (409, "too_many_signals")
    assert service.post(f"{path}/w", {}).json()["state"] == "completed"


def test_a_chain_is_not_held_for_ever_and_again(service: Api) -> None:
    """It is refused from some number on; the chain can be ended all the same."""
    path = f"/v1/chains/{make_chain(service, wait('w'))['id']}"
    body = {"seconds": 60, "then": "resume", "reason": "r"}
    for _ in range(LIMITS.chain_holds):
        assert service.post(f"{path}/hold", body).status_code == 200
        assert service.post(f"{path}/resume", {"reason": "r"}).status_code == 202
    refused = service.post(f"{path}/hold", body)
    assert (refused.status_code, read_problem(refused)["code"]) == (409, "too_many_holds")
    assert service.post(f"{path}/cancel", {"reason": "r"}).json()["state"] == "rolled_back"
