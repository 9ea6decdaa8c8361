"""A step type of one's own, `shipping.book`: refused, undone, looked up when its answer is lost.

`step_plugin/README.md` says how it is installed and run.
"""

from __future__ import annotations

import sys
from typing import Any

from caller import Caller, connect


def main() -> None:
    """Play it."""
    catena = connect()
    print("A buyer with 50 dollars, and a seller.")
    buyer, seller = catena.open_wallet("buyer", 5000), catena.open_wallet("seller")

    print("The carrier does not go to Atlantis: the purchase is undone.")
    chain = catena.post("/v1/chains", plan(buyer, seller, "Atlantis"), wait=20)
    if "steps" not in chain:
        sys.exit("The service has no shipping.book: examples/step_plugin/README.md installs it.")
    tell(chain)

    print("Booked for Lisbon, but the seller has sold out: the booking is cancelled, too.")
    chain = catena.post("/v1/chains", plan(buyer, seller, "Lisbon"))
    wait_until(catena, chain["id"], "packed", "waiting")
    catena.post(f"/v1/chains/{chain['id']}/cancel", {"reason": "Sold out"})
    wait_until(catena, chain["id"], None, "rolled_back")
    tell(catena.get(f"/v1/chains/{chain['id']}"))

    print("Booked for Farway, and the answer is lost: it is looked up, not booked again.")
    chain = catena.post("/v1/chains", plan(buyer, seller, "Farway"))
    wait_until(catena, chain["id"], "packed", "waiting")
    chain = catena.post(f"/v1/chains/{chain['id']}/signals/packed", {})
    tell(chain)
    catena.show(buyer=buyer, seller=seller)


def wait_until(catena: Caller, chain: str, step: str | None, state: str) -> None:
    """Follow the chain until its step, or itself, has come to this."""
    for event in catena.follow(chain):
        if (event.get("step"), event["event"]) == (step, state):
            return


def tell(chain: dict[str, Any]) -> None:
    """Print what has become of each step."""
    for step in chain["steps"]:
        said = step.get("failure", {}).get("code") or step.get("result", {}).get("booking") or ""
        print(f"    {step['name']:<7} {step['state']:<12} {said}".rstrip())


def plan(buyer: str, seller: str, town: str) -> dict[str, Any]:
    """Paid under lien, booked, packed."""
    return {
        "type": "purchase",
        "steps": [
            {
                "name": "pay",
                "type": "transfer",
                "inputs": {
                    "source_account_id": buyer,
                    "destination_account_id": seller,
                    "amount": 2000,
                    "currency": "USD",
                },
            },
            {
                "name": "book",
                "type": "shipping.book",
                "inputs": {"parcel": "lamp", "town": town},
                "compensation": {"type": "cancel"},
                "retry": {"attempts": 3},
            },
            {"name": "packed", "type": "wait"},
        ],
    }


if __name__ == "__main__":
    main()
