"""What has become of a deposit since: refunded, taken back by the payer's bank, and what is left.

Pure: over the deposit's chain, what corrects its entry, and the chains that followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from catena.chains.chain import Chain
from catena.flows.deposit import DepositState, captured_of, state_of_deposit
from catena.flows.reactions import CAME_BACK, GIVEN_BACK, TAKEN_BACK, WON_BACK

__all__ = ["FOLLOWING", "Sums", "sum_up"]

FOLLOWING: Final = (GIVEN_BACK, CAME_BACK, TAKEN_BACK, WON_BACK)
"""The types of the chains that follow a deposit without our having asked for it."""


class Sums(NamedTuple):
    """Minor units of the deposit's currency. `left`: what may still be refunded."""

    refunded: int
    disputed: int
    left: int


def sum_up(
    chain: Chain, refunded: int = 0, followers: Iterable[Chain] = (), *, is_reversed: bool = False
) -> Sums:
    """The sums of a deposit. `refunded` and `is_reversed`: of its entry; `followers`: the chains of
    the types `FOLLOWING` that are about it, or about a refund of it. A refund counts from when the
    wallet has paid it until it is undone, or comes back; that is not refunded anew even so.
    """
    if state_of_deposit(chain) is not DepositState.COMPLETED:
        return Sums(0, 0, 0)
    currency = chain.steps["charge"].definition.inputs["currency"]
    moved, came_back = dict.fromkeys(FOLLOWING, 0), 0
    for follower in followers:
        amount = _amount_of(follower, currency)
        if follower.definition.reference == chain.id:
            moved[follower.definition.type] += amount
        else:
            came_back += amount
    refunded += moved[GIVEN_BACK] - moved[CAME_BACK]
    disputed = moved[TAKEN_BACK] - moved[WON_BACK]
    left = (captured_of(chain) or 0) - refunded - disputed
    return Sums(refunded - came_back, disputed, 0 if is_reversed else max(0, left))


def _amount_of(chain: Chain, currency: str) -> int:
    """What the gateway has moved of this currency, by the entry of its clearing account."""
    run = chain.steps.get("sent") or chain.steps["received"]
    line = run.definition.inputs["lines"][0]
    if chain.failure is not None or line["currency"] != currency:
        return 0
    amount: int = line["amount"]
    return amount
