"""Steps of chains as requests name them, and what tests read of chains."""

from __future__ import annotations

from typing import Any

from tests.server import Client

__all__ = ["balance", "keep", "make_chain", "pay", "states", "wait"]


def pay(name: str, source: str, target: str, amount: Any, **more: object) -> dict[str, Any]:  # noqa: ANN401  # or an expression
    """A transfer as a step."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return {"name": name, "type": "transfer", "inputs": inputs, **more}


def keep(name: str, account: str, amount: int, **inputs: object) -> dict[str, Any]:
    """A reservation as a step."""
    told = {"account_id": account, "amount": amount, **inputs}
    return {"name": name, "type": "lien.reserve", "inputs": told}


def wait(name: str, **more: object) -> dict[str, Any]:
    """A wait for a signal as a step."""
    return {"name": name, "type": "wait", **more}


def make_chain(client: Client, *steps: dict[str, Any], **told: object) -> dict[str, Any]:
    """A chain of these steps; gives it after its first run."""
    answer = client.post("/v1/chains", {"steps": list(steps), **told})
    assert answer.status_code in {201, 202}, answer.text
    chain: dict[str, Any] = answer.json()
    return chain


def balance(client: Client, account: str) -> tuple[int, int]:
    """What is posted on an account, and what is reserved."""
    found = client.read(f"/v1/accounts/{account}/balance")
    return found["posted"], found["reserved"]


def states(chain: dict[str, Any]) -> dict[str, str]:
    """The states of a chain's steps."""
    return {step["name"]: step["state"] for step in chain["steps"]}
