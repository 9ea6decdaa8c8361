"""The story of a gateway: money that comes in by card, and money that is paid out."""

from __future__ import annotations

from typing import Any, Final

from catena.cli.stories.books import Wallets
from catena.cli.stories.teller import Teller

__all__ = ["tell_gateway"]

_CARD: Final = {"type": "card", "token": "tok_approved"}
_BANK: Final = {"type": "bank", "account": "acct_paid", "holder": "Alice"}


async def tell_gateway(teller: Teller, wallets: Wallets) -> None:
    """Play it and print it as it goes, where there is a sandbox. Raises SetupError."""
    deposit = _move(wallets.alice, 5000, _CARD)
    if not await teller.has_gateway(deposit):
        return
    teller.say("Alice pays in 50 dollars by card. The sandbox, a gateway, charges it.")
    accounts = await teller.order("/v1/deposits", deposit)
    await teller.show_posted(accounts)
    teller.note("clearing: what the gateway holds for us; holding: what is on its way.")

    teller.say("She has 20 dollars paid out to her bank.")
    await teller.order("/v1/withdrawals", _move(wallets.alice, 2000, _BANK))
    await teller.show_posted(accounts)


def _move(wallet: str, amount: int, method: dict[str, str]) -> dict[str, Any]:
    return {
        "gateway": "sandbox",
        "account_id": wallet,
        "amount": amount,
        "currency": "USD",
        "method": method,
    }
