"""The story of a purchase: a chain that fails late and nets to zero, and one that is completed."""

from __future__ import annotations

from typing import Any, NamedTuple

from catena.cli.stories.books import Wallets
from catena.cli.stories.teller import Teller

__all__ = ["tell_purchase"]


class _Cast(NamedTuple):
    """Everybody's accounts. Bob sells, Carol makes, Dave delivers; the points are Alice's."""

    alice: str
    bob: str
    carol: str
    dave: str
    points: str
    loyalty: str

    @property
    def wallets(self) -> tuple[str, ...]:
        """All that belong to somebody."""
        return self[:-1]


async def tell_purchase(teller: Teller, wallets: Wallets) -> None:
    """Play it and print it as it goes. Raises SetupError when it goes otherwise."""
    teller.say("Bob has a shop. Carol makes what he sells, Dave delivers it. We give points.")
    await teller.register_asset("PTS", 0)
    carol = await teller.open_wallet("carol", "USD")
    dave = await teller.open_wallet("dave", "USD")
    points = await teller.open_wallet("alice", "PTS")
    loyalty = await teller.open_account("loyalty", "PTS", "expense")
    cast = _Cast(*wallets, carol, dave, points, loyalty)
    await _tell_failure(teller, cast)
    await _tell_success(teller, cast)


async def _tell_failure(teller: Teller, cast: _Cast) -> None:
    teller.say("Alice buys a lamp: 100 dollars, and 2 for us. A lien keeps them for it.")
    chain = await teller.make_chain({"type": "purchase", "steps": _plan(cast)})
    await teller.show_virtual(chain, cast[:2])
    teller.note("available: what anyone may spend; virtual: what this purchase may.")

    teller.say("It is packed. At once: Bob is paid, we take our fee, Alice has her points.")
    await teller.tell_chain(chain, "signals/packed", {})
    await teller.show_virtual(chain, cast[:2])

    teller.say("Bob's 100 dollars can still be undone, so outside he cannot spend them.")
    await teller.fail("/v1/transfers", _pay(cast.bob, cast.carol, 6000))
    await teller.show_liens(cast.bob)

    teller.say("Inside the purchase he can: Carol gets 60 of them for making the lamp.")
    await teller.tell_chain(chain, "steps", {"steps": [_maker(cast)]})
    await teller.show_virtual(chain, cast[:3])

    teller.say("Dave asks 45 dollars for delivery, Bob has 40 left: all of it is undone.")
    await teller.tell_chain(chain, "signals/delivery", {"payload": {"price": 4500}})

    teller.say("The last step first. Nobody has more or less than before.")
    await teller.show_virtual(chain, cast.wallets)


async def _tell_success(teller: Teller, cast: _Cast) -> None:
    teller.say("The same again, all of it planned.")
    steps = [*_plan(cast), _maker(cast)]
    chain = await teller.make_chain({"type": "purchase", "steps": steps})
    await teller.show_virtual(chain, cast[:3])
    await teller.tell_chain(chain, "signals/packed", {})
    await teller.show_virtual(chain, cast[:3])

    teller.say("This time Dave asks 12 dollars. Its liens end with the purchase.")
    await teller.tell_chain(chain, "signals/delivery", {"payload": {"price": 1200}})
    await teller.show_virtual(chain, cast.wallets)


def _plan(cast: _Cast) -> list[dict[str, Any]]:
    """The steps of a purchase; each comes after the one before it, unless it says otherwise."""
    lien = {"lien": "keep", "pool_only": True}
    price = {"cel": "int(steps.delivery.payload.price)"}
    return [
        _step("keep", "lien.reserve", {"account_id": cast.alice, "amount": 10200}),
        _step("packed", "wait"),
        _step("pay", "transfer", {**_pay(cast.alice, cast.bob, 10000), **lien}, "packed"),
        _step(
            "fee",
            "fee",
            {"account_id": cast.alice, "amount": 200, "currency": "USD", **lien},
            "packed",
        ),
        _step("points", "transfer", _pay(cast.loyalty, cast.points, 100, "PTS"), "packed"),
        _step("delivery", "wait", None, "pay", "fee", "points"),
        _step("ship", "transfer", _pay(cast.bob, cast.dave, price)),
    ]


def _maker(cast: _Cast) -> dict[str, Any]:
    pay = _pay(cast.bob, cast.carol, 6000)
    return _step("maker", "transfer", {**pay, "pool_only": True}, "pay")


def _step(
    name: str, type: str, inputs: dict[str, Any] | None = None, *before: str
) -> dict[str, Any]:
    step: dict[str, Any] = {"name": name, "type": type}
    if inputs is not None:
        step["inputs"] = inputs
    if before:
        step["depends_on"] = before
    return step


def _pay(source: str, destination: str, amount: object, currency: str = "USD") -> dict[str, Any]:
    return {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": currency,
    }
