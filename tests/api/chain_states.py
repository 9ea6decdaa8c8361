"""A chain, lien or hold in the state in which an operation's example can be sent."""

from __future__ import annotations

from typing import Any

from tests.api.reconciled import place_of_run
from tests.chain_bodies import keep, make_chain, pay, wait
from tests.server import Api
from tests.street import call

__all__ = ["place_of", "wait_until"]

_HOLD = {"seconds": 60, "then": "resume", "reason": "r"}


def wait_until(service: Api, path: str, name: str, state: str) -> dict[str, Any]:
    """The chain, once a step of it is in this state."""
    with service.http.stream("GET", f"{path}/progress") as answer:
        said = f'"event":"{state}","step":"{name}"'
        assert any(said in line for line in answer.iter_lines()), state
    chain: dict[str, Any] = service.read(path)
    return chain


def place_of(service: Api, operation: str, al: str, bo: str, street: str) -> dict[str, str]:
    """The parameters of a path that this operation can be done at."""
    if "reconcil" in operation or operation == "book_fees":
        return place_of_run(service, operation)
    if operation in {"capture_hold", "void_hold", "get_hold"}:
        body = {"account_id": al, "amount": 500, "currency": "USD", "expires_seconds": 60}
        hold = service.make("/v1/holds", {**body, "destination_account_id": bo})
        return {"hold_id": hold["id"]}
    steps = [keep("keep", al, 500), wait("approval")]
    if operation == "start_chain":
        chain = service.make("/v1/chains", {"start": False, "steps": steps})
    elif operation in {"retry_step", "mark_step_done", "skip_step"}:
        stuck = wait("stuck", when="int(steps.approval.payload.zero) / 0 == 1")
        chain = make_chain(service, pay("p", al, bo, 1, pivot=True), wait("approval"), stuck)
        signal = {"payload": {"zero": 0}}
        service.post(f"/v1/chains/{chain['id']}/signals/approval", signal)
    elif operation == "mark_step_refused":
        chain = make_chain(service, call("stuck", f"{street}/silence"))
        wait_until(service, f"/v1/chains/{chain['id']}", "stuck", "unknown")
    else:
        chain = make_chain(service, *steps)
    path = f"/v1/chains/{chain['id']}"
    if operation in {"resume_chain", "reject_chain"}:
        service.post(f"{path}/hold", _HOLD)
    if operation == "follow_chain":
        service.post(f"{path}/cancel", {"reason": "r"})
    lien = chain["steps"][0].get("lien_id", "")
    return {"chain_id": chain["id"], "lien_id": lien, "step": "stuck", "name": "approval"}
