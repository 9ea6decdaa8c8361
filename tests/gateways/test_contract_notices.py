"""Every adapter keeps the contract of gateways: what its webhooks say."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.chains.step_types import Outcome
from catena.gateways.contract import (
    Capability,
    ForgedWebhook,
    Subject,
    UnreadableWebhook,
)
from tests.gateways.contract import Rig, Wish
from tests.gateways.orders import act, check_approved, find_notice, make_order, of, read_notices

pytestmark = pytest.mark.promise(Capability.WEBHOOK)

SUBJECTS = {Capability.CHARGE: Subject.CHARGE, Capability.PAYOUT: Subject.PAYOUT}


@pytest.mark.parametrize("capability", SUBJECTS)
async def test_a_webhook_says_what_was_answered(rig: Rig, capability: Capability) -> None:
    """A notice has the order's key, the gateway's reference and the amount of the answer."""
    order = make_order(rig, capability)
    reference = check_approved(await act(rig, capability, order), order)
    notice = await find_notice(rig, of(order, outcome=Outcome.APPROVED))
    assert notice.subject is SUBJECTS[capability]
    assert (notice.reference, notice.amount, notice.currency) == (
        reference,
        order.amount,
        rig.currency,
    )


@pytest.mark.parametrize("capability", SUBJECTS)
@pytest.mark.parametrize(
    ("wish", "outcome"),
    [(Wish.PENDS, Outcome.APPROVED), (Wish.PENDS_DECLINES, Outcome.DECLINED)],
)
async def test_a_webhook_decides(
    rig: Rig, capability: Capability, wish: Wish, outcome: Outcome
) -> None:
    """What was pending is decided by a notice with its key; a decline says why."""
    order = make_order(rig, capability, wish)
    await act(rig, capability, order)
    await rig.pass_time()
    notice = await find_notice(rig, of(order, outcome=outcome))
    assert bool(notice.code) is (outcome is Outcome.DECLINED)


@pytest.mark.promise(Capability.CHARGE)
async def test_a_webhook_tells_of_what_nobody_heard(rig: Rig) -> None:
    """An order whose answer was lost is told by a notice with its key."""
    order = make_order(rig, Capability.CHARGE, Wish.LOSES_ANSWER)
    assert (await act(rig, Capability.CHARGE, order)).outcome is Outcome.UNKNOWN
    assert (await find_notice(rig, of(order, outcome=Outcome.APPROVED))).reference


@pytest.mark.promise(Capability.PAYOUT)
async def test_failed_after_paid(rig: Rig) -> None:
    """A payout that was approved and came back is a decline of the same key and reference."""
    order = make_order(rig, Capability.PAYOUT, Wish.FAILS)
    reference = check_approved(await act(rig, Capability.PAYOUT, order), order)
    await rig.pass_time()
    notice = await find_notice(rig, of(order, outcome=Outcome.DECLINED))
    assert (notice.subject, notice.reference) == (Subject.PAYOUT, reference)
    assert (notice.amount, bool(notice.code)) == (order.amount, True)


@pytest.mark.promise(Capability.CHARGE, Capability.REFUND)
async def test_a_refund_that_fails(rig: Rig) -> None:
    """A refund that was approved and came back is a decline of it, about its charge."""
    charge = make_order(rig, Capability.CHARGE, Wish.REFUND_FAILS)
    about = check_approved(await act(rig, Capability.CHARGE, charge), charge)
    refund = make_order(rig, Capability.REFUND, about=about)
    check_approved(await act(rig, Capability.REFUND, refund), refund)
    await rig.pass_time()
    notice = await find_notice(rig, of(refund, outcome=Outcome.DECLINED))
    assert (notice.subject, notice.about) == (Subject.REFUND, about)


@pytest.mark.promise(Capability.CHARGE)
async def test_a_dispute(rig: Rig) -> None:
    """A dispute is about a charge of ours, has a reference of its own, and is undecided."""
    charge = make_order(rig, Capability.CHARGE, Wish.DISPUTED)
    about = check_approved(await act(rig, Capability.CHARGE, charge), charge)
    await rig.pass_time()
    notice = await find_notice(
        rig, lambda notice: notice.subject is Subject.DISPUTE and notice.about == about
    )
    assert (notice.outcome, notice.amount) == (Outcome.PENDING, charge.amount)
    assert notice.reference not in (None, about)


@pytest.mark.parametrize("capability", SUBJECTS)
async def test_a_repeated_webhook_is_one_notice(rig: Rig, capability: Capability) -> None:
    """However often it comes, a notice has one id."""
    order = make_order(rig, capability, Wish.REPEATS_WEBHOOKS)
    await act(rig, capability, order)
    await rig.hooks.wait_for(lambda _: sum(map(of(order), read_notices(rig))) > 1)
    assert len({notice.id for notice in read_notices(rig) if of(order)(notice)}) == 1


@pytest.mark.parametrize("capability", SUBJECTS)
async def test_a_stale_webhook_is_older(rig: Rig, capability: Capability) -> None:
    """What comes after its time says by its own time that it is not news."""
    order = make_order(rig, capability, Wish.REORDERS_WEBHOOKS)
    await act(rig, capability, order)
    final = await find_notice(rig, of(order, outcome=Outcome.APPROVED))
    await rig.pass_time()
    stale = await find_notice(rig, of(order, outcome=Outcome.PENDING))
    assert stale.at <= final.at
    assert stale.id != final.id


@pytest.mark.promise(Capability.CHARGE)
async def test_a_forgery_is_told(rig: Rig) -> None:
    """One altered byte, a missing or another's signature, and an old time are each forgeries."""
    order = make_order(rig, Capability.CHARGE)
    await act(rig, Capability.CHARGE, order)
    await find_notice(rig, of(order))
    read, hook, now = rig.gateway.read_webhook, rig.hooks.hooks[0], rig.clock()
    assert read is not None
    assert [*read(hook.headers, hook.body, now)] != []
    later = now + dt.timedelta(minutes=6)
    other = {name: value[:-2] + "AA" for name, value in hook.headers.items()}
    forgeries = [
        (hook.headers, hook.body.replace(b"approved", b"declined", 1) + b" ", now),
        (hook.headers, b"", now),
        ({}, hook.body, now),
        (other, hook.body, now),
        (hook.headers, hook.body, later),
        (hook.headers, hook.body, now - dt.timedelta(minutes=6)),
    ]
    for headers, body, at in forgeries:
        with pytest.raises(ForgedWebhook) as told:
            read(headers, body, at)
        assert order.key not in str(told.value)


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"{}", b'{"id": 1}', b'{"id":"e","type":"charge.approved"}']
)
async def test_what_is_signed_and_unreadable(rig: Rig, body: bytes) -> None:
    """A signed body that is no event of the gateway's is said to be unreadable."""
    read, headers = rig.gateway.read_webhook, rig.sign(body)
    if read is None or headers is None:
        pytest.skip(f"{rig.gateway.kind} signs nothing")
    with pytest.raises(UnreadableWebhook):
        read(headers, body, rig.clock())
