"""Every adapter keeps the contract of gateways: what one is asked, and what its answers mean."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.contract import Capability
from tests.gateways.contract import Rig, Wish
from tests.gateways.orders import act, carry_out, check_approved, look_up, make_order

pytestmark = pytest.mark.promise

MONEY = [Capability.CHARGE, Capability.AUTHORISE, Capability.PAYOUT]
DAY = dt.timedelta(hours=25)


async def test_it_can_look_up_what_it_can_do(rig: Rig) -> None:
    """Whatever can be asked for can be asked about."""
    assert rig.gateway.look_ups.keys() == rig.gateway.acts.keys()


@pytest.mark.parametrize("capability", MONEY)
async def test_an_approved_key_acts_once(rig: Rig, capability: Capability) -> None:
    """Every try with a key, and every look-up by it, gives the one thing that was done."""
    order = make_order(rig, capability)
    assert (await look_up(rig, capability, order)).outcome is Outcome.NOT_FOUND
    reference = await carry_out(rig, capability, order)
    again = order._replace(repeats=True)
    assert check_approved(await act(rig, capability, again), order) == reference
    assert check_approved(await look_up(rig, capability, order), order) == reference
    assert await rig.count_effects(order.key) == 1


@pytest.mark.parametrize("capability", MONEY)
async def test_tries_at_once_act_once(rig: Rig, capability: Capability) -> None:
    """Many tries at the same moment do one thing; who does not know says so."""
    order = make_order(rig, capability)
    answers = await asyncio.gather(
        *(act(rig, capability, order._replace(repeats=number > 0)) for number in range(8))
    )
    told = Outcome.PENDING if capability in rig.gateway.defers else Outcome.APPROVED
    assert {answer.outcome for answer in answers} <= {told, Outcome.UNKNOWN}
    await rig.pass_time()
    check_approved(await look_up(rig, capability, order), order)
    assert await rig.count_effects(order.key) == 1


@pytest.mark.promise(at_once=True)
@pytest.mark.parametrize("capability", MONEY)
@pytest.mark.parametrize("wish", [Wish.DECLINES, Wish.DECLINES_NOW])
async def test_a_decline_is_certain(rig: Rig, capability: Capability, wish: Wish) -> None:
    """A decline has a code, says whether it lasts, and nothing was done; found, it is the same."""
    order = make_order(rig, capability, wish)
    answer = await act(rig, capability, order)
    assert (answer.outcome, answer.permanent) == (Outcome.DECLINED, wish is Wish.DECLINES)
    assert answer.code
    assert await rig.count_effects(order.key) == 0
    found = await look_up(rig, capability, order)
    assert found.of_the_call
    assert (found.outcome, found.code, found.permanent) == (
        Outcome.DECLINED,
        answer.code,
        answer.permanent,
    )


@pytest.mark.parametrize("capability", MONEY)
@pytest.mark.parametrize(
    ("wish", "outcome", "effects"),
    [(Wish.PENDS, Outcome.APPROVED, 1), (Wish.PENDS_DECLINES, Outcome.DECLINED, 0)],
)
async def test_what_is_pending_is_decided(
    rig: Rig, capability: Capability, wish: Wish, outcome: Outcome, effects: int
) -> None:
    """Pending is said when it is taken and when it is asked about, until it is decided."""
    order = make_order(rig, capability, wish)
    taken = await act(rig, capability, order)
    assert taken.outcome is Outcome.PENDING
    assert taken.result["reference"]
    assert (await look_up(rig, capability, order)).outcome is Outcome.PENDING
    await rig.pass_time()
    decided = await look_up(rig, capability, order)
    assert decided.outcome is outcome
    assert decided.result.get("reference", taken.result["reference"]) == taken.result["reference"]
    assert await rig.count_effects(order.key) == effects


@pytest.mark.parametrize("capability", [Capability.CHARGE, Capability.AUTHORISE])
async def test_a_payer_who_must_act(rig: Rig, capability: Capability) -> None:
    """A payer who must act is told where, and it is pending until then."""
    order = make_order(rig, capability, Wish.ACTS)
    taken = await act(rig, capability, order)
    assert taken.outcome is Outcome.PENDING
    assert taken.result["action"]["url"].startswith("http")
    await rig.finish_action(taken.result["reference"])
    check_approved(await look_up(rig, capability, order), order)


@pytest.mark.promise(at_once=True)
@pytest.mark.parametrize("capability", MONEY)
async def test_a_lost_answer_is_unknown(rig: Rig, capability: Capability) -> None:
    """It acted and nobody was told: that is unknown, a look-up knows, and another try does not
    act again.
    """
    order = make_order(rig, capability, Wish.LOSES_ANSWER)
    assert (await act(rig, capability, order)).outcome is Outcome.UNKNOWN
    reference = check_approved(await look_up(rig, capability, order), order)
    again = order._replace(repeats=True)
    assert check_approved(await act(rig, capability, again), order) == reference
    assert await rig.count_effects(order.key) == 1


@pytest.mark.promise(at_once=True)
@pytest.mark.parametrize("capability", MONEY)
@pytest.mark.parametrize("wish", [Wish.LOSES_REQUEST, Wish.BREAKS])
async def test_a_lost_request_is_unknown(rig: Rig, capability: Capability, wish: Wish) -> None:
    """It never acted and nobody was told: that is unknown, too; it is not found, and is done by
    another try.
    """
    order = make_order(rig, capability, wish)
    assert (await act(rig, capability, order)).outcome is Outcome.UNKNOWN
    assert (await look_up(rig, capability, order)).outcome is Outcome.NOT_FOUND
    again = order._replace(repeats=True)
    async with asyncio.timeout(30):
        while (answer := await act(rig, capability, again)).outcome is Outcome.UNKNOWN:
            continue
    check_approved(answer, order)
    assert await rig.count_effects(order.key) == 1


@pytest.mark.promise(at_once=True)
@pytest.mark.parametrize("capability", MONEY)
async def test_come_later_is_a_refusal_for_now(rig: Rig, capability: Capability) -> None:
    """Told to come later, nothing was done; of a request that was sent before it says nothing."""
    order = make_order(rig, capability, Wish.COMES_LATER)
    answer = await act(rig, capability, order)
    assert (answer.outcome, answer.permanent) == (Outcome.DECLINED, False)
    repeated = await act(rig, capability, order._replace(repeats=True))
    assert repeated.outcome in (Outcome.UNKNOWN, Outcome.APPROVED)
    assert await rig.count_effects(order.key) == (repeated.outcome is Outcome.APPROVED)


@pytest.mark.parametrize("capability", MONEY)
async def test_a_forgotten_key_does_not_act_again(rig: Rig, capability: Capability) -> None:
    """However late an order is repeated, it is not done again."""
    order = make_order(rig, capability)
    order = order._replace(first_at=order.first_at - DAY)
    reference = await carry_out(rig, capability, order)
    await rig.forget_keys()
    again = order._replace(repeats=True)
    assert check_approved(await act(rig, capability, again), order) == reference
    assert await rig.count_effects(order.key) == 1


@pytest.mark.promise(at_once=True)
@pytest.mark.parametrize("capability", MONEY)
async def test_who_is_not_reached_has_done_nothing(rig: Rig, capability: Capability) -> None:
    """Where nobody listens nothing was done, unless it was sent before; a look-up tells nothing."""
    order, gateway = make_order(rig, capability), rig.unreachable()
    answer = await gateway.acts[capability](order)
    assert (answer.outcome, answer.permanent) == (Outcome.DECLINED, False)
    repeated = await gateway.acts[capability](order._replace(repeats=True))
    assert repeated.outcome is Outcome.UNKNOWN
    assert (await gateway.look_ups[capability](order)).outcome is Outcome.UNKNOWN


@pytest.mark.promise(at_once=True)
@pytest.mark.parametrize("capability", MONEY)
async def test_a_stranger_is_refused_for_now(rig: Rig, capability: Capability) -> None:
    """A key that the gateway does not know is ours to put right: nothing fails for good by it."""
    order, gateway = make_order(rig, capability), rig.stranger()
    answer = await gateway.acts[capability](order)
    assert (answer.outcome, answer.permanent) == (Outcome.DECLINED, False)
    assert (await gateway.look_ups[capability](order)).outcome is Outcome.UNKNOWN
    assert await rig.count_effects(order.key) == 0


@pytest.mark.promise(Capability.AUTHORISE, Capability.CAPTURE)
async def test_a_part_is_captured_once(rig: Rig) -> None:
    """Of what was authorised a part can be taken, once for the key and once at all."""
    authorised = make_order(rig, Capability.AUTHORISE)
    charge = check_approved(await act(rig, Capability.AUTHORISE, authorised), authorised)
    capture = make_order(rig, Capability.CAPTURE, amount=10_00, about=charge)
    assert (await look_up(rig, Capability.CAPTURE, capture)).outcome is Outcome.NOT_FOUND
    reference = check_approved(await act(rig, Capability.CAPTURE, capture), capture)
    again = capture._replace(repeats=True)
    assert check_approved(await act(rig, Capability.CAPTURE, again), capture) == reference
    assert check_approved(await look_up(rig, Capability.CAPTURE, capture), capture) == reference
    other = make_order(rig, Capability.CAPTURE, amount=15_00, about=charge)
    refused = await act(rig, Capability.CAPTURE, other)
    assert (refused.outcome, refused.permanent) == (Outcome.DECLINED, True)
    assert await rig.count_effects(capture.key) == 1


@pytest.mark.promise(Capability.AUTHORISE, Capability.CANCEL, Capability.CAPTURE)
async def test_what_is_authorised_can_be_let_go(rig: Rig) -> None:
    """A cancelled authorisation cannot be captured; the cancellation is found by its key."""
    authorised = make_order(rig, Capability.AUTHORISE)
    charge = check_approved(await act(rig, Capability.AUTHORISE, authorised), authorised)
    cancel = make_order(rig, Capability.CANCEL, about=charge)
    assert (await look_up(rig, Capability.CANCEL, cancel)).outcome is Outcome.NOT_FOUND
    assert (await act(rig, Capability.CANCEL, cancel)).outcome is Outcome.APPROVED
    assert (await look_up(rig, Capability.CANCEL, cancel)).outcome is Outcome.APPROVED
    capture = make_order(rig, Capability.CAPTURE, about=charge)
    assert (await act(rig, Capability.CAPTURE, capture)).outcome is Outcome.DECLINED


@pytest.mark.promise(Capability.CANCEL)
@pytest.mark.parametrize("capability", [Capability.CHARGE, Capability.PAYOUT])
async def test_what_is_on_its_way_can_be_stopped(rig: Rig, capability: Capability) -> None:
    """A pending order that was cancelled is declined for good, and never done."""
    order = make_order(rig, capability, Wish.WAITS)
    taken = await act(rig, capability, order)
    cancel = make_order(rig, Capability.CANCEL, about=taken.result["reference"])
    assert (await act(rig, Capability.CANCEL, cancel)).outcome is Outcome.APPROVED
    await rig.pass_time()
    found = await look_up(rig, capability, order)
    assert (found.outcome, found.permanent) == (Outcome.DECLINED, True)
    assert await rig.count_effects(order.key) == 0


@pytest.mark.promise(Capability.CANCEL)
@pytest.mark.parametrize("capability", [Capability.CHARGE, Capability.PAYOUT])
async def test_what_is_done_cannot_be_stopped(rig: Rig, capability: Capability) -> None:
    """A cancellation that comes too late is refused for good."""
    order = make_order(rig, capability)
    reference = check_approved(await act(rig, capability, order), order)
    cancel = make_order(rig, Capability.CANCEL, about=reference)
    refused = await act(rig, Capability.CANCEL, cancel)
    assert (refused.outcome, refused.permanent) == (Outcome.DECLINED, True)


@pytest.mark.promise(Capability.CHARGE, Capability.REFUND)
async def test_a_charge_is_refunded_in_parts(rig: Rig) -> None:
    """Each refund acts once for its key, and all together are never more than the charge."""
    charge = make_order(rig, Capability.CHARGE)
    about = check_approved(await act(rig, Capability.CHARGE, charge), charge)
    part = make_order(rig, Capability.REFUND, amount=10_00, about=about)
    assert (await look_up(rig, Capability.REFUND, part)).outcome is Outcome.NOT_FOUND
    reference = check_approved(await act(rig, Capability.REFUND, part), part)
    again = part._replace(repeats=True)
    assert check_approved(await act(rig, Capability.REFUND, again), part) == reference
    assert check_approved(await look_up(rig, Capability.REFUND, part), part) == reference
    more = make_order(rig, Capability.REFUND, amount=15_01, about=about)
    refused = await act(rig, Capability.REFUND, more)
    assert (refused.outcome, refused.permanent) == (Outcome.DECLINED, True)
    rest = make_order(rig, Capability.REFUND, amount=15_00, about=about)
    check_approved(await act(rig, Capability.REFUND, rest), rest)
    assert await rig.count_effects(part.key) == 1


@pytest.mark.parametrize("capability", [Capability.CAPTURE, Capability.REFUND, Capability.CANCEL])
async def test_nothing_is_done_about_nothing(rig: Rig, capability: Capability) -> None:
    """An order about a charge that the gateway does not know is declined for good."""
    order = make_order(rig, capability, about="ch_nobody_knows")
    refused = await act(rig, capability, order)
    assert (refused.outcome, refused.permanent) == (Outcome.DECLINED, True)


@pytest.mark.parametrize("capability", MONEY)
async def test_a_method_is_judged_beforehand(rig: Rig, capability: Capability) -> None:
    """What the gateway takes passes; the number of a card does not, and is not repeated."""
    order = make_order(rig, capability)
    number = "4242 4242 4242 4242"
    said = [*rig.gateway.check(capability, {**order.method, "number": number})]
    assert [*rig.gateway.check(capability, order.method)] == []
    assert said != []
    assert number not in " ".join(said)
