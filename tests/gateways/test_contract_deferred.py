"""What is promised by a gateway that stores an order at once, and does it later: a bank, by file.

Whatever happens on the way to it, an order that was taken is pending until it is decided.
"""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.contract import Capability, Subject
from tests.gateways.contract import Rig, Wish
from tests.gateways.orders import act, carry_out, check_approved, look_up, make_order

pytestmark = pytest.mark.promise(at_once=False)

DEFERRED = [Capability.PAYOUT]
EVER = [dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2000, 2999)]


@pytest.mark.parametrize("capability", DEFERRED)
@pytest.mark.parametrize(
    "wish", [Wish.LOSES_ANSWER, Wish.LOSES_REQUEST, Wish.COMES_LATER, Wish.BREAKS]
)
async def test_what_is_taken_is_done_once_in_the_end(
    rig: Rig, capability: Capability, wish: Wish
) -> None:
    """It is found from the first moment on, and what fails on the way is tried until it is done."""
    order = make_order(rig, capability, wish)
    taken = await act(rig, capability, order)
    again = await act(rig, capability, order._replace(repeats=True))
    found = await look_up(rig, capability, order)
    assert {taken.outcome, again.outcome, found.outcome} == {Outcome.PENDING}
    assert taken.result == again.result == found.result
    await rig.pass_time()
    reference = check_approved(await look_up(rig, capability, order), order)
    assert reference == taken.result["reference"]
    assert await rig.count_effects(order.key) == 1


@pytest.mark.parametrize("capability", DEFERRED)
@pytest.mark.parametrize("reached", ["nobody", "who does not know us"])
async def test_who_is_not_reached_is_waited_for(
    rig: Rig, capability: Capability, reached: str
) -> None:
    """Nothing fails by it, and nothing is done until somebody who is known gets there."""
    order = make_order(rig, capability)
    gateway = rig.unreachable() if reached == "nobody" else rig.stranger()
    assert (await gateway.acts[capability](order)).outcome is Outcome.PENDING
    assert (await gateway.look_ups[capability](order)).outcome is Outcome.PENDING
    assert await rig.count_effects(order.key) == 0
    await rig.pass_time()
    check_approved(await look_up(rig, capability, order), order)
    assert await rig.count_effects(order.key) == 1


@pytest.mark.parametrize("capability", DEFERRED)
async def test_a_decline_is_final(rig: Rig, capability: Capability) -> None:
    """It has a code; another try does not send it again, and is told the same."""
    order = make_order(rig, capability, Wish.PENDS_DECLINES)
    await act(rig, capability, order)
    await rig.pass_time()
    found = await look_up(rig, capability, order)
    again = await act(rig, capability, order._replace(repeats=True))
    assert (found.outcome, found.permanent) == (Outcome.DECLINED, True)
    assert found.code
    assert again == found
    await rig.pass_time()
    assert await rig.count_effects(order.key) == 0


@pytest.mark.parametrize("capability", DEFERRED)
async def test_what_comes_back_was_done(rig: Rig, capability: Capability) -> None:
    """It stays approved, for it was paid; the statement has it going out and coming in."""
    order = make_order(rig, capability, Wish.FAILS)
    reference = await carry_out(rig, capability, order)
    await rig.pass_time()
    check_approved(await look_up(rig, capability, order), order)
    read = rig.gateway.read_statement
    assert read is not None
    lines = [line for line in await read(*EVER) if line.reference == reference]
    assert [(line.subject, line.amount) for line in lines] == [
        (Subject.PAYOUT, -order.amount),
        (Subject.PAYOUT, order.amount),
    ]
