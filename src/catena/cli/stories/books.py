"""The story of the books: wallets, money that moves once, and money that may not move."""

from __future__ import annotations

from typing import NamedTuple

from catena.cli.stories.teller import Teller
from catena.ids import new_id

__all__ = ["Wallets", "tell_books"]


class Wallets(NamedTuple):
    """Two wallets in dollars: Alice has 500.00, Bob nothing."""

    alice: str
    bob: str


async def tell_books(teller: Teller) -> Wallets:
    """Play it and print it as it goes. Raises SetupError when it goes otherwise."""
    teller.say("Alice and Bob open wallets in dollars.")
    alice = await teller.open_wallet("alice", "USD")
    bob = await teller.open_wallet("bob", "USD")

    teller.say("Alice pays in 500 dollars. They lie at the bank: the clearing account.")
    await teller.post("/v1/deposits", {"account_id": alice, "amount": 50000, "currency": "USD"})

    teller.say("She sends Bob 120 dollars. One entry; a fee of 1 % is a line of it.")
    rent = {
        "source_account_id": alice,
        "destination_account_id": bob,
        "amount": 12000,
        "currency": "USD",
        "description": "Rent",
        "fees": [{"type": "percentage", "name": "transfer", "rate": "0.01"}],
    }
    key = new_id("demo_")
    paid = await teller.post("/v1/transfers", rent, key=key)

    teller.say("The answer got lost: her app sends the same request with the same key.")
    await teller.repeat("/v1/transfers", rent, key, paid)

    teller.say("Bob tries to send 1,000 dollars, which he does not have.")
    back = {"source_account_id": bob, "destination_account_id": alice}
    await teller.fail("/v1/transfers", {**back, "amount": 100000, "currency": "USD"})

    teller.say("The rent was paid twice: the entry is reversed, its fee with it.")
    await teller.post(f"/v1/entries/{paid['id']}/reverse", {"description": "Paid twice"})
    return Wallets(alice, bob)
