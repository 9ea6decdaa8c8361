"""Every adapter keeps the contract of gateways: what its statement says."""

from __future__ import annotations

import datetime as dt

import pytest

from catena.gateways.contract import Capability, Subject
from tests.gateways.contract import Rig, Wish
from tests.gateways.orders import act, carry_out, make_order

pytestmark = pytest.mark.promise(Capability.STATEMENT)

EVER = [dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2000, 2999)]


@pytest.mark.promise(Capability.CHARGE, Capability.REFUND)
async def test_it_lists_what_came_in(rig: Rig) -> None:
    """Charges come in, and refunds go out, each once, under the gateway's reference. A refund names
    its charge.
    """
    charge = make_order(rig, Capability.CHARGE)
    about = await carry_out(rig, Capability.CHARGE, charge)
    refund = make_order(rig, Capability.REFUND, amount=5_00, about=about)
    refunded = await carry_out(rig, Capability.REFUND, refund)
    await check_lines(
        rig,
        (Subject.CHARGE, charge.amount, about, None),
        (Subject.REFUND, -refund.amount, refunded, about),
    )


@pytest.mark.promise(Capability.PAYOUT)
async def test_it_lists_what_went_out(rig: Rig) -> None:
    """Payouts go out, each once, under the gateway's reference; nothing is said of a decline."""
    payouts = [make_order(rig, Capability.PAYOUT, amount=amount) for amount in (7_00, 8_00)]
    names = [await carry_out(rig, Capability.PAYOUT, payout) for payout in payouts]
    declined = make_order(rig, Capability.PAYOUT, Wish.PENDS_DECLINES, amount=9_00)
    reference = (await act(rig, Capability.PAYOUT, declined)).result["reference"]
    await rig.pass_time()
    await check_lines(
        rig,
        (Subject.PAYOUT, -7_00, names[0], None),
        (Subject.PAYOUT, -8_00, names[1], None),
        silent=reference,
    )


@pytest.mark.parametrize("capability", [Capability.CHARGE, Capability.PAYOUT])
async def test_a_moment_is_in_one_period(rig: Rig, capability: Capability) -> None:
    """A period begins with what was booked at its first moment, and ends before its last."""
    reference = await carry_out(rig, capability, make_order(rig, capability))
    read = rig.gateway.read_statement
    assert read is not None
    (line,) = [line for line in await read(*EVER) if line.reference == reference]
    assert line in await read(line.at, EVER[1])
    assert line not in await read(EVER[0], line.at)


async def check_lines(
    rig: Rig, *told: tuple[Subject, int, str, str | None], silent: str = ""
) -> None:
    """These are its lines of what was done, the oldest first."""
    read = rig.gateway.read_statement
    assert read is not None
    names = {silent, *(reference for _, _, reference, _ in told)}
    lines = [line for line in await read(*EVER) if line.reference in names]
    lines = [line for line in lines if line.subject is not Subject.FEE]
    found = [(one.subject, one.amount, one.reference, one.about) for one in lines]
    assert sorted(found) == sorted(told)
    assert lines == sorted(lines, key=lambda line: line.at)
    assert {line.currency for line in lines} == {rig.currency}
    assert all(line.fee >= 0 for line in lines)
