"""What an operator decides by hand, where a chain cannot go on alone: with a reason, on record.

Invariant: nothing is undone past the pivot, nothing is undone while a partner may still be acting,
and the books are never said to have done what they have not. Each gives why not, or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from catena.chains.answers import take_refusal
from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.decisions import Decision, may_wait_for, possible_decisions
from catena.chains.history import Failure
from catena.chains.machine import run
from catena.chains.outcomes import fail, finish_step
from catena.chains.refusals import ChainRefusal, ChainRefused, Command, refuse
from catena.chains.states import StepState

__all__ = ["compensate", "mark_done", "mark_refused", "retry", "skip"]

_UNDOING: Final = frozenset({StepState.COMPENSATING, StepState.COMPENSATION_UNKNOWN})


def retry(chain: Chain, books: Books, step: str, why: str, by: str | None) -> ChainRefused | None:
    """Try a parked step, or a parked undo, once more; of one that is out, ask its partner now."""
    found = _find(chain, step, Decision.RETRY)
    if isinstance(found, ChainRefused):
        return found
    chain.note(books.now, step, "unparked", why=why, by=by)
    run(chain, books)
    return None


def mark_done(
    chain: Chain, books: Books, step: str, result: Mapping[str, Any], why: str, by: str | None
) -> ChainRefused | None:
    """It was done, though the chain was not told: a parked or unknown step, or such an undo.

    `result`: what the step gave, for those that follow, beside what its partner had told.
    """
    found = _find(chain, step, Decision.MARK_DONE)
    if isinstance(found, ChainRefused):
        return found
    state, now = found.state, books.now
    if state in _UNDOING:
        if state is StepState.COMPENSATION_UNKNOWN:
            chain.note(now, step, StepState.COMPENSATING)
        told = dict(result) or None
        chain.note(now, step, StepState.COMPENSATED, result=told, why=why, by=by)
    else:
        type = books.catalogue.find(found.definition.type)
        inputs = found.inputs if found.inputs is not None else found.definition.inputs
        known = {**found.result, **result}
        given = known if type is None else type.complete(inputs, known)
        if given is None:
            return _no(chain, found, ChainRefusal.RESULT_MISMATCH)
        if state is StepState.PENDING:
            chain.note(now, step, StepState.EXECUTING)
        finish_step(chain, books, found, given, why=why, by=by)
    run(chain, books)
    return None


def mark_refused(
    chain: Chain, books: Books, step: str, why: str, by: str | None
) -> ChainRefused | None:
    """Nothing was done by a call that is out, whatever its partner says or does not say of it, and
    the partner will not act on it. An undo is called again, under another key.
    """
    found = _find(chain, step, Decision.MARK_REFUSED)
    if isinstance(found, ChainRefused):
        return found
    failure = Failure("refused_by_hand", why, step)
    if found.state is StepState.COMPENSATION_UNKNOWN:
        told = failure._replace(step=None).describe()
        number = found.undo_round + 1
        chain.note(books.now, step, StepState.COMPENSATING, **told, round=number, seconds=0, by=by)
    else:
        take_refusal(chain, books, found, failure, again=False, by=by)
    run(chain, books)
    return None


def skip(chain: Chain, books: Books, step: str, why: str, by: str | None) -> ChainRefused | None:
    """Go on without a step that is parked past the pivot, unless another needs what it gives."""
    found = _find(chain, step, Decision.SKIP)
    if isinstance(found, ChainRefused):
        return found
    chain.note(books.now, step, StepState.SKIPPED, why=why, by=by)
    run(chain, books)
    return None


def compensate(chain: Chain, books: Books, why: str, by: str | None) -> ChainRefused | None:
    """Roll a chain back that cannot go on, before its pivot."""
    refused = refuse(chain, Command.COMPENSATE)
    if refused is not None:
        return refused
    for step in chain.steps.values():
        if step.state is StepState.UNKNOWN or (step is chain.pivot and step.is_out):
            return _no(chain, step, ChainRefusal.OUTCOME_UNKNOWN)
    fail(chain, books, Failure("compensated_by_hand", why), by)
    run(chain, books)
    return None


def _find(chain: Chain, step: str, decision: Decision) -> StepRun | ChainRefused:
    """The step, or why this cannot be decided about it."""
    refused = refuse(chain, Command.DECIDE)
    if refused is not None:
        return refused
    found = chain.steps.get(step)
    if found is None:
        return ChainRefused(ChainRefusal.UNKNOWN_STEP, chain.id, step)
    possible = possible_decisions(chain, found)
    if decision in possible:
        return found
    if not possible:
        return _no(chain, found, ChainRefusal.STEP_NOT_PARKED)
    code = ChainRefusal.DECISION_NOT_POSSIBLE
    if decision in may_wait_for(found):
        code = ChainRefusal.STEP_NEEDED if decision is Decision.SKIP else ChainRefusal.STEP_POSTS
    return _no(chain, found, code)._replace(actions=possible)


def _no(chain: Chain, step: StepRun, code: ChainRefusal) -> ChainRefused:
    return ChainRefused(code, chain.id, step.name, step.attempt or None)
