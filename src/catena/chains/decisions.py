"""Which decisions an operator can make about a step, as it stands: one table.

Invariant: what the table allows is done, and what it does not is refused; who asks is shown the
same. Nothing that the books have not done is said to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family
from catena.chains.expressions import (
    find_expressions,
)
from catena.chains.resolve import names_result
from catena.chains.states import StepState

__all__ = ["Decision", "is_posting", "may_wait_for", "possible_decisions"]


class Decision(StrEnum):
    """What can be decided by hand."""

    RETRY = "retry"
    """Do it, or undo it, once more; of a call that is out, ask its partner now."""
    MARK_DONE = "mark-done"
    """It was done, or undone."""
    MARK_REFUSED = "mark-refused"
    """Nothing was done, and nothing will be; of an undo: it is called under another key."""
    SKIP = "skip"
    """Go on without it."""


_D, _S = Decision, StepState
_OUT: Final = frozenset({_D.MARK_DONE, _D.MARK_REFUSED})

_PARKED: Final[Mapping[StepState, frozenset[Decision]]] = {
    _S.PENDING: frozenset({_D.RETRY, _D.MARK_DONE, _D.SKIP}),
    _S.WAITING: _OUT | {_D.RETRY},
    _S.UNKNOWN: _OUT | {_D.RETRY},
    _S.COMPENSATING: frozenset({_D.RETRY, _D.MARK_DONE}),
    _S.COMPENSATION_UNKNOWN: _OUT | {_D.RETRY},
}
"""Of a step that is parked, by its state."""

_NOT_PARKED: Final[Mapping[StepState, frozenset[Decision]]] = {
    _S.WAITING: _OUT,
    _S.UNKNOWN: _OUT,
    _S.COMPENSATION_UNKNOWN: _OUT,
}
"""Of any other: its partner is still asked, and an operator may know better."""

_NONE: Final[frozenset[Decision]] = frozenset()


def may_wait_for(step: StepRun) -> frozenset[Decision]:
    """What a step in this state can wait for, whatever it does. A wait waits for no operator."""
    if step.state is StepState.WAITING and not step.is_out:
        return _NONE
    return (_PARKED if step.parked else _NOT_PARKED).get(step.state, _NONE)


def possible_decisions(chain: Chain, step: StepRun) -> list[Decision]:
    """What an operator may decide about the step now."""
    table = may_wait_for(step)
    if not table:
        return []
    return [decision for decision in Decision if decision in table and _fits(chain, step, decision)]


def _fits(chain: Chain, step: StepRun, decision: Decision) -> bool:
    if decision is Decision.MARK_DONE:
        return not is_posting(step)
    return decision is not Decision.SKIP or not _is_needed(chain, step)


def is_posting(step: StepRun) -> bool:
    """Whether it is one of the books' own."""
    return step.definition.family in (Family.LEDGER, Family.LIEN)


def _is_needed(chain: Chain, step: StepRun) -> bool:
    """Whether a step that is not done names its result or its lien; its state may be asked."""
    others = [run.definition for run in chain.steps.values() if run is not step and not run.is_done]
    if any(other.inputs.get("lien") == step.name for other in others):
        return True
    names = [name for name in chain.steps if name != step.name]
    return any(
        names_result(text, step.name, names)
        for other in others
        for text in (*other.when, *find_expressions(other.inputs))
    )
