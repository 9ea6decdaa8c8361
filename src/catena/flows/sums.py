"""What has become of a deposit since: refunded, taken back by the payer's bank, and what is left.

Pure: over the deposit's chain, what corrects its entry, and the chains that followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from catena.chains.chain import Chain
from catena.flows.deposit import DepositState, charge_of, state_of_deposit
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
    """The sums of a deposit. `refunded` and `is_reversed`: of its entry; `followers`: its chains of
    the types `FOLLOWING`. A refund counts from when the wallet has paid it until it is undone.
    """
    if state_of_deposit(chain) is not DepositState.COMPLETED:
        return Sums(0, 0, 0)
    moved = dict.fromkeys(FOLLOWING, 0)
    for follower in followers:
        moved[follower.definition.type] += _amount_of(follower)
    refunded += moved[GIVEN_BACK] - moved[CAME_BACK]
    disputed = moved[TAKEN_BACK] - moved[WON_BACK]
    captured: int = charge_of(chain).result["amount"]
    return Sums(refunded, disputed, 0 if is_reversed else max(0, captured - refunded - disputed))


def _amount_of(chain: Chain) -> int:
    """What the gateway has moved, by the entry of its clearing account."""
    if chain.failure is not None:
        return 0
    run = chain.steps.get("sent") or chain.steps["received"]
    amount: int = run.definition.inputs["lines"][0]["amount"]
    return amount
