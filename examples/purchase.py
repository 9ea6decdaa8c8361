"""A marketplace purchase: played dry, begun and cancelled, begun again and completed.

Run it beside `catena up`: `python examples/purchase.py`.
"""

from __future__ import annotations

from typing import Any

from caller import Caller, connect, dollars


def main() -> None:
    """Play it."""
    catena = connect()
    print("A buyer with 50 dollars, a seller, and who delivers.")
    buyer = catena.open_wallet("buyer", 5000)
    seller, courier = catena.open_wallet("seller"), catena.open_wallet("courier")
    steps = plan(buyer, seller, courier)

    print("Played dry: what it needs from outside, and whether it would be refused.")
    preview = catena.post("/v1/chains/preview", {"type": "purchase", "steps": steps})
    names = {buyer: "buyer", seller: "seller", courier: "courier"}
    for need in preview["funding"]:
        needed, available = dollars(need["needed"]), dollars(need["available"])
        print(f"    {names[need['account_id']]}: {needed} of {available}")

    print("Begun: the seller is paid inside the chain, and pays the courier out of it.")
    chain = catena.post("/v1/chains", {"type": "purchase", "steps": steps})
    show_virtual(catena, chain["id"], buyer=buyer, seller=seller, courier=courier)

    print("The buyer changes her mind: everything is undone, the last step first.")
    catena.post(f"/v1/chains/{chain['id']}/cancel", {"reason": "Changed her mind"})
    for event in catena.follow(chain["id"]):
        if event["event"] == "compensated":
            print(f"    {event['step']} undone")
    catena.show(buyer=buyer, seller=seller, courier=courier)

    print("Begun again, and delivered: the money is everybody's own.")
    chain = catena.post("/v1/chains", {"type": "purchase", "steps": steps})
    catena.post(f"/v1/chains/{chain['id']}/signals/delivered", {"payload": {"by": "courier"}})
    catena.show(buyer=buyer, seller=seller, courier=courier)


def plan(buyer: str, seller: str, courier: str) -> list[dict[str, Any]]:
    """The purchase; each step comes after the one before it."""
    return [
        {
            "name": "keep",
            "type": "lien.reserve",
            "inputs": {"account_id": buyer, "amount": 4000, "expires_seconds": 86400},
        },
        {
            "name": "pay",
            "type": "transfer",
            "inputs": {
                "source_account_id": buyer,
                "destination_account_id": seller,
                "amount": 4000,
                "currency": "USD",
                "lien": "keep",
            },
        },
        {
            "name": "ship",
            "type": "transfer",
            "inputs": {
                "source_account_id": seller,
                "destination_account_id": courier,
                "amount": 500,
                "currency": "USD",
                "pool_only": True,
            },
        },
        {"name": "delivered", "type": "wait", "timeout_seconds": 1209600},
    ]


def show_virtual(catena: Caller, chain: str, **accounts: str) -> None:
    """Print what anyone may spend of each account, and what the chain may."""
    found = catena.get(f"/v1/chains/{chain}/virtual-balances")["items"]
    rows = {row["account_id"]: row for row in found}
    for name, account in accounts.items():
        row = rows[account]
        available, virtual = dollars(row["available"]), dollars(row["virtual"])
        print(f"    {name:<8} available {available:>7}   virtual {virtual:>7}")


if __name__ == "__main__":
    main()
