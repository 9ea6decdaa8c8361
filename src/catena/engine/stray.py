"""Approvals that come too late: what a partner did for a call that counts as refused.

They are never dropped. What can be undone is undone by a chain of its own; what cannot, a pivot,
waits in one for a person. The chain's id follows from the call's key: there is one, however often
the approval comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from catena.chains.answers import is_stray
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Retry, Step
from catena.chains.expressions import Broken, Kind
from catena.chains.needs import UNDOES_LATE
from catena.chains.resolve import resolve_undo
from catena.chains.step_types import (
    NOTHING,
    Answer,
    Call,
    Catalogue,
    Direction,
    Fault,
    Input,
    Outcome,
    StepType,
)
from catena.ids import CHAIN, derive_within

__all__ = ["STRAY_TYPE", "StrayStep", "define_stray", "stray_id"]

STRAY_TYPE: Final = "late_approval"
"""The type of the chains that make a late approval good; no other chain has it."""

_RETRY: Final = Retry(8, first_seconds=1.0, cap_seconds=60.0)

_ASKED: Final = {
    Direction.FORWARD: Direction.UNDO,
    Direction.LOOK_UP: Direction.UNDO_LOOK_UP,
}


def stray_id(call: Call) -> str:
    """The id of the chain that makes a late approval of this call good."""
    return derive_within(CHAIN, call.chain, "stray", call.key)


def define_stray(
    chain: Chain, call: Call, found: Answer, catalogue: Catalogue
) -> Definition | None:
    """The chain that makes the answer good; None for one that the chain can do without."""
    if not is_stray(chain, call.step, call.direction, call.attempt, found.outcome):
        return None
    told = {"chain_id": call.chain, "step": call.step, "key": call.key}
    undo = resolve_undo(chain, chain.steps[call.step].definition, found.result, catalogue)
    if undo is None or undo == NOTHING or isinstance(undo, Broken):
        step = Step("decided", "wait", {})
    else:
        inputs = {
            "type": call.type,
            "call": told,
            "inputs": dict(call.inputs),
            "compensation": dict(undo),
            "result": dict(found.result),
        }
        step = Step("undo", StrayStep.type.name, inputs, retry=_RETRY)
    return Definition(
        (step,),
        STRAY_TYPE,
        call.chain,
        "A partner did what this chain counts as not done.",
        told,
    )


class StrayStep:
    """The step that has the partner undo it. Never asked for by a caller."""

    type = StepType(
        UNDOES_LATE,
        {
            "type": Input(Kind.STRING, constant=True),
            "call": Input(Kind.ANY, constant=True),
            "inputs": Input(Kind.ANY, constant=True),
            "compensation": Input(Kind.ANY, constant=True),
            "result": Input(Kind.ANY, constant=True),
        },
        {},
    )

    def __init__(self) -> None:
        self._catalogue = Catalogue()

    def attach(self, catalogue: Catalogue) -> None:
        """Give it the step types whose calls it undoes."""
        self._catalogue = catalogue

    def check(
        self, inputs: Mapping[str, Any], compensation: Mapping[str, Any] | None, ledger_id: str
    ) -> Iterable[Fault]:
        """Nobody may ask for it."""
        del inputs, compensation, ledger_id
        return [Fault("type", "This step is made by Catena alone.")]

    async def call(self, call: Call) -> Answer:
        """Have the partner undo what it did."""
        told = call.inputs
        outside = self._catalogue.outside.get(told["type"])
        asked = _ASKED.get(call.direction)
        if outside is None or asked is None:
            return Answer(Outcome.UNKNOWN, code="unknown_step_type")
        return await outside.call(
            call._replace(
                chain=told["call"]["chain_id"],
                step=told["call"]["step"],
                type=told["type"],
                direction=asked,
                inputs=told["inputs"],
                compensation=told["compensation"],
                result=told["result"],
            )
        )
