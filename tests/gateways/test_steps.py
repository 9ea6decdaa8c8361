"""The step types of gateways: what they make of a gateway's answers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from catena.chains.step_types import Answer, Call, Direction, Outcome
from catena.gateways.contract import ALREADY_CAPTURED, Capability, Gateway, Order
from catena.gateways.registry import Gateways
from catena.gateways.steps import GatewayStep

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ASKED = {"gateway": "desk", "amount": 500, "currency": "USD", "method": {"type": "card"}}


def make_call(direction: Direction = Direction.FORWARD, **told: Any) -> Call:  # noqa: ANN401  # fields
    """A call of a charge."""
    call = Call(
        *("ldg_1", "cte_1", "charge", "gateway.charge", direction, "cte_1.charge.forward.1", 1),
        *(ASKED, {"type": "give_back"}, {}, NOW, 10.0, NOW),
    )
    return call._replace(**told)


async def ask(
    found: Answer, call: Call, capability: Capability = Capability.CHARGE
) -> tuple[Answer, list[tuple[Capability, Order]]]:
    """What the step says of such an answer, and what the gateway was asked."""
    orders: list[tuple[Capability, Order]] = []

    async def act(order: Order, of: Capability) -> Answer:
        orders.append((of, order))
        return found

    def acts() -> dict[Capability, Any]:
        return {of: (lambda order, of=of: act(order, of)) for of in Capability}

    desk = Gateway(name="desk", kind="desk", acts=acts(), look_ups=acts())
    step = GatewayStep(capability, Gateways([("ldg_1", desk)]))
    return await step.call(call), orders


@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.LOOK_UP])
@pytest.mark.parametrize(
    ("told", "known"),
    [
        ({"amount": 500, "currency": "USD"}, True),
        ({}, True),
        ({"amount": 499, "currency": "USD"}, False),
        ({"amount": 500, "currency": "EUR"}, False),
    ],
)
async def test_another_amount_than_was_asked_is_no_approval(
    direction: Direction, told: dict[str, Any], *, known: bool
) -> None:
    """Nothing is booked for it: a person sees it."""
    approved = Answer(Outcome.APPROVED, {"reference": "ch_1", **told})
    found, _ = await ask(approved, make_call(direction))
    assert found == (approved if known else Answer(Outcome.UNKNOWN, code="amount_differs"))


async def test_a_gateway_that_is_not_known_here_may_be_elsewhere() -> None:
    """Another worker may know it: nothing is said of the call."""
    found, orders = await ask(Answer(Outcome.APPROVED), make_call(ledger="ldg_2"))
    assert (found.outcome, found.code, orders) == (Outcome.UNKNOWN, "unknown_gateway", [])


async def test_what_was_taken_is_given_back() -> None:
    """As much as was taken, of what the gateway calls it, under the undo's key."""
    call = make_call(Direction.UNDO, result={"reference": "ch_1", "amount": 300}, key="k")
    found, orders = await ask(Answer(Outcome.APPROVED), call)
    ((capability, order),) = orders
    assert found.outcome is Outcome.APPROVED
    assert (capability, order.about, order.amount) == (Capability.REFUND, "ch_1", 300)


async def test_an_authorisation_that_was_captured_has_nothing_to_let_go() -> None:
    """The capture has an undo of its own."""
    call = make_call(Direction.UNDO, result={"reference": "ch_1"})
    captured = Answer(Outcome.DECLINED, code=ALREADY_CAPTURED)
    found, orders = await ask(captured, call, Capability.AUTHORISE)
    assert (found.outcome, orders[0][0]) == (Outcome.APPROVED, Capability.CANCEL)


async def test_a_method_that_was_an_expression_is_judged_before_it_is_sent() -> None:
    """What it gave is no method of payment: nothing is sent, and nothing waits for ever."""
    found, orders = await ask(Answer(Outcome.APPROVED), make_call(inputs={**ASKED, "method": 2}))
    assert (found.outcome, found.code, orders) == (Outcome.DECLINED, "method_refused", [])


@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DECLINED])
async def test_who_is_undecided_is_asked_to_stop(outcome: Outcome) -> None:
    """Stopped, nothing was done; else its state decides."""
    call = make_call(Direction.CANCEL, result={"reference": "ch_1"})
    found, orders = await ask(Answer(outcome), call)
    asked = [capability for capability, _ in orders]
    if outcome is Outcome.APPROVED:
        assert (found.outcome, found.code, asked) == (
            Outcome.DECLINED,
            "cancelled",
            [Capability.CANCEL],
        )
    else:
        assert asked == [Capability.CANCEL, Capability.CHARGE]
