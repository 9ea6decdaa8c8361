"""A payout with a pivot: undone while the bank may refuse, and only forward once it has paid.

Run it beside `CATENA_ALLOW_PRIVATE_ADDRESSES=true catena up`, since the bank that it pretends is on
this machine: `python examples/payout.py`.
"""

from __future__ import annotations

from typing import Any

from caller import connect
from pretend_bank import CLOSED_ACCOUNT, open_bank


def main() -> None:
    """Play it."""
    catena = connect()
    print("A seller with 80 dollars wants 60 of them at her bank.")
    seller = catena.open_wallet("seller", 8000)

    with open_bank() as bank:
        print("The bank declines: the money is hers again.")
        chain = catena.post("/v1/chains", plan(seller, bank, CLOSED_ACCOUNT), wait=20)
        print(f"    {chain['failure']['step']}: {chain['failure']['code']}")
        catena.show(seller=seller)

        print("To the right account: the bank pays, and nothing is undone any more.")
        chain = catena.post("/v1/chains", plan(seller, bank, "XX12"))
        for event in catena.follow(chain["id"]):
            if event["event"] == "waiting":
                print(f"    {event['step']} is waited for")
                break
        catena.show(seller=seller)
        catena.post(f"/v1/chains/{chain['id']}/cancel", {"reason": "Too late"})

    print("The statement says so, too.")
    catena.post(f"/v1/chains/{chain['id']}/signals/statement", {"payload": {"line": 81}})
    catena.show(seller=seller)


def plan(seller: str, bank: str, iban: str) -> dict[str, Any]:
    """The payout. What comes after the pivot is paid out of what was reserved before it."""
    return {
        "type": "payout",
        "steps": [
            {
                "name": "keep",
                "type": "lien.reserve",
                "inputs": {"account_id": seller, "amount": 6000},
            },
            {
                "name": "bank",
                "type": "http",
                "pivot": True,
                "inputs": {
                    "url": bank,
                    "body": {"iban": iban, "amount": 6000, "currency": "USD"},
                },
                "retry": {"attempts": 3},
            },
            {
                "name": "book",
                "type": "withdrawal",
                "inputs": {
                    "account_id": seller,
                    "amount": 6000,
                    "currency": "USD",
                    "lien": "keep",
                    "pool_only": True,
                },
            },
            {"name": "statement", "type": "wait"},
        ],
    }


if __name__ == "__main__":
    main()
