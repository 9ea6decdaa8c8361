"""The step types `gateway.charge` and its kin: what chains ask of the gateways that they name.

Invariant: one that is undecided is asked to give up only by what it can certainly give up; what it
answers then decides. Of a gateway that this process does not know it says nothing: another may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from catena.chains.expressions import Kind, find_expressions
from catena.chains.step_types import (
    Answer,
    Call,
    Direction,
    Fault,
    Input,
    Outcome,
    StepType,
)
from catena.gateways.contract import ALREADY_CAPTURED, Capability, Gateway, Order
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.gateways.registry import Gateways

__all__ = ["GatewayStep", "differs", "gateway_steps"]

_C: Final = Capability

_NAME: Final = Input(Kind.STRING, constant=True)
_AMOUNT: Final = Input(Kind.INT)
_CURRENCY: Final = Input(Kind.STRING, constant=True)
_METHOD: Final = Input(Kind.ANY)
_CHARGE: Final = Input(Kind.STRING, characters=LIMITS.reference_characters)
_NOTE: Final = Input(Kind.STRING, required=False, characters=LIMITS.note_characters)

_MONEY: Final = {"gateway": _NAME, "amount": _AMOUNT, "currency": _CURRENCY}
_INPUTS: Final[Mapping[Capability, Mapping[str, Input]]] = {
    _C.CHARGE: {**_MONEY, "method": _METHOD, "note": _NOTE},
    _C.AUTHORISE: {**_MONEY, "method": _METHOD, "note": _NOTE},
    _C.CAPTURE: {**_MONEY, "charge": _CHARGE},
    _C.CANCEL: {**_MONEY, "charge": _CHARGE},
    _C.REFUND: {**_MONEY, "charge": _CHARGE, "note": _NOTE},
    _C.PAYOUT: {**_MONEY, "method": _METHOD, "note": _NOTE},
}
"""What each takes; `charge` is the gateway's reference of one."""

_RESULTS: Final = {
    "reference": Kind.STRING,
    "amount": Kind.INT,
    "currency": Kind.STRING,
    "action": Kind.ANY,
    "details": Kind.ANY,
}
_NAMED: Final = frozenset({"reference"})
_REPEATED: Final = frozenset({"amount", "currency"})

_UNDONE_BY: Final[Mapping[Capability, Capability]] = {
    _C.CHARGE: _C.REFUND,
    _C.AUTHORISE: _C.CANCEL,
    _C.CAPTURE: _C.REFUND,
}
"""What undoes a step; one of any other kind that moves money cannot be undone: it is the pivot."""

_UNDO: Final[Mapping[str, Any]] = {"type": "give_back"}
"""The compensation of what can be undone."""


def gateway_steps(gateways: Gateways) -> list[GatewayStep]:
    """A step type for everything that a gateway can be asked to do."""
    return [GatewayStep(capability, gateways) for capability in _INPUTS]


class GatewayStep:
    """Calls the gateways of a ledger for one capability."""

    def __init__(self, capability: Capability, gateways: Gateways) -> None:
        moves = capability is not Capability.CANCEL
        self.type = StepType(
            f"gateway.{capability}",
            _INPUTS[capability],
            _RESULTS,
            undoes=moves,
            always=_NAMED if moves else frozenset(),
            repeats=_REPEATED,
        )
        self._capability = capability
        self._gateways = gateways

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterator[Fault]:
        """Why a step cannot ask for this."""
        undo = _UNDONE_BY.get(self._capability)
        if compensation is not None and (undo is None or compensation != _UNDO):
            wanted = "It cannot be undone: it is the pivot." if undo is None else _SAY_UNDO
            yield Fault("compensation", wanted)
        gateway = self._gateways.find(ledger_id, inputs["gateway"])
        if gateway is None:
            yield Fault("inputs/gateway", "No gateway has this name.")
            return
        wants = {self._capability, undo} if undo is not None else {self._capability}
        for missing in sorted(wants - gateway.capabilities):
            yield Fault("inputs/gateway", f"This gateway cannot {missing}.")
        if not find_expressions(inputs.get("method")):
            for said in self._blame(gateway, inputs):
                yield Fault("inputs/method", said)

    def _blame(self, gateway: Gateway, inputs: Mapping[str, Any]) -> Iterator[str]:
        """Why this is no method of payment, in sentences."""
        method = inputs.get("method")
        if isinstance(method, dict):
            yield from gateway.check(self._capability, method)
        elif method is not None:
            yield "A method of payment is an object."

    async def call(self, call: Call) -> Answer:
        """Ask the gateway. That it has done something else than was asked is for a person."""
        answer = await self._ask(call)
        wrong = call.direction.is_forward and differs(answer, call.inputs)
        return Answer(Outcome.UNKNOWN, code="amount_differs") if wrong else answer

    async def _ask(self, call: Call) -> Answer:
        gateway = self._gateways.find(call.ledger, call.inputs["gateway"])
        if gateway is None:
            return Answer(Outcome.UNKNOWN, code="unknown_gateway")  # another worker may know it
        match call.direction:
            case Direction.FORWARD:
                said = None if call.repeats else next(self._blame(gateway, call.inputs), None)
                if said is not None:  # it was an expression until now
                    return Answer(Outcome.DECLINED, code="method_refused", detail=said)
                return await gateway.acts[self._capability](_order(call))
            case Direction.LOOK_UP:
                return await gateway.look_ups[self._capability](_order(call))
            case Direction.CANCEL:
                return await self._give_up(gateway, call)
            case _:
                return await self._undo(gateway, call)

    async def _give_up(self, gateway: Gateway, call: Call) -> Answer:
        """Have it stopped; who cannot stop it is asked what has become of it."""
        reference = call.result.get("reference")
        if Capability.CANCEL in gateway.acts and isinstance(reference, str):
            order = _order(call)._replace(about=reference, key=f"{call.key}.cancel")
            stopped = await gateway.acts[Capability.CANCEL](order)
            if stopped.outcome is Outcome.APPROVED:
                return Answer(Outcome.DECLINED, code="cancelled")
        return await gateway.look_ups[self._capability](_order(call))

    async def _undo(self, gateway: Gateway, call: Call) -> Answer:
        undo = _UNDONE_BY[self._capability]
        asks = call.direction is Direction.UNDO_LOOK_UP
        act = (gateway.look_ups if asks else gateway.acts)[undo]
        answer = await act(
            _order(call)._replace(
                about=str(call.result.get("reference", "")),
                amount=call.result.get("amount", call.inputs.get("amount", 0)),
            )
        )
        if answer.outcome is Outcome.DECLINED and answer.code == ALREADY_CAPTURED:
            return Answer(Outcome.APPROVED)  # nothing is set aside: the capture has its own undo
        return answer


def differs(answer: Answer, asked: Mapping[str, Any]) -> bool:
    """Whether it approves another amount, or in another currency, than was asked for."""
    told = answer.result
    return answer.outcome is Outcome.APPROVED and any(
        name in told and isinstance(asked.get(name), int | str) and told[name] != asked[name]
        for name in _REPEATED
    )


_SAY_UNDO: Final = 'The compensation is {"type": "give_back"}.'


def _order(call: Call) -> Order:
    inputs = call.inputs
    return Order(
        call.key,
        inputs.get("amount", 0),
        inputs["currency"],
        inputs.get("method") or {},
        inputs.get("charge"),
        inputs.get("note") or "",
        call.chain,
        call.step,
        call.first_at,
        call.timeout_seconds,
        call.repeats,
    )
