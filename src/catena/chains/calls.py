"""Outside steps: which call is due, and what is committed before it.

Invariant: a key belongs to one round of one direction, and its calls are all the same. Rules:
docs/concepts/chains.md.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from catena.chains.back import needs_call
from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family
from catena.chains.expiry import due_timer
from catena.chains.expressions import Broken, find_expressions
from catena.chains.forward import is_ready
from catena.chains.history import Failure
from catena.chains.machine import run as run_on
from catena.chains.outcomes import fail_step, park
from catena.chains.resolve import resolve_inputs, resolve_undo
from catena.chains.states import ChainState, StepState
from catena.chains.step_types import Call, Catalogue, Direction
from catena.ids import CHAIN

__all__ = ["Due", "Key", "begin", "due_calls", "due_timer", "key_of", "read_key"]


class Due(NamedTuple):
    """A call that somebody should make, and from when on; None: now."""

    step: str
    direction: Direction
    at: dt.datetime | None


def due_calls(chain: Chain, now: dt.datetime, catalogue: Catalogue) -> Iterator[Due]:
    """The calls that the chain needs next; of one that is out, the look-up should its maker die."""
    if chain.is_ended:
        return
    for step in chain.steps.values():
        if step.definition.family is not Family.OUTSIDE:
            continue
        direction = _direction_of(chain, step, now)
        if direction is not None:
            yield Due(step.name, direction, None if step.called else step.due_at)
    if chain.state is ChainState.ROLLING_BACK:
        yield from _due_undos(chain, catalogue)


def _direction_of(chain: Chain, step: StepRun, now: dt.datetime) -> Direction | None:
    """What is to be asked of the step's partner next, but for undoing."""
    match step.state:
        case StepState.EXECUTING:
            return Direction.LOOK_UP  # once its lease has run out: who made the call is gone
        case StepState.UNKNOWN:
            return Direction.LOOK_UP
        case StepState.WAITING:
            # While the pivot is out nothing else is: a failure that waits for it is its to avert.
            fails = chain.state is ChainState.FAILED or chain.pending_failure is not None
            return Direction.CANCEL if fails else Direction.LOOK_UP
        case StepState.PENDING if chain.state is ChainState.EXECUTING:
            late = max(now, step.due_at) if step.due_at is not None else now
            return Direction.FORWARD if is_ready(chain, step, late) else None
    return None


def _due_undos(chain: Chain, catalogue: Catalogue) -> Iterator[Due]:
    """The next undo: of the last step that committed, passing over those that are parked; what has
    become of one of these is asked all the same.
    """
    for step in chain.committed():
        if not needs_call(step.definition, catalogue):
            continue
        if step.called:
            yield Due(step.name, Direction.UNDO_LOOK_UP, None)
        elif step.state is StepState.COMPENSATION_UNKNOWN:
            yield Due(step.name, Direction.UNDO_LOOK_UP, step.due_at)
        elif not step.parked:
            yield Due(step.name, Direction.UNDO, step.due_at)
        if not step.parked:
            return


def key_of(chain: Chain, run: StepRun, direction: Direction) -> str:
    """The key of a call: the same for every try of one round."""
    forward = direction.is_forward
    number = run.round if forward else run.undo_round
    return f"{chain.id}.{run.name}.{'forward' if forward else 'undo'}.{number}"


class Key(NamedTuple):
    """What a key says: which chain, step and round, and whether it is about doing or undoing."""

    chain: str
    step: str
    forward: bool
    round: int


def read_key(text: str) -> Key | None:
    """What `key_of` has written; None for any other text."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    chain, step, direction, number = found.groups()
    return Key(chain, step, direction == "forward", int(number))


_KEY: Final = re.compile(rf"({CHAIN}[0-9a-f]{{32}})\.([a-z0-9_.]+)\.(forward|undo)\.([0-9]{{1,9}})")


def begin(chain: Chain, books: Books, step: str) -> Call | None:
    """Commit the intent of the step's next call, and give the call; None when none is due now.

    A step whose inputs come to nothing fails instead; an undo is parked. What the clock has decided
    comes first.
    """
    run_on(chain, books)
    due = next((d for d in due_calls(chain, books.now, books.catalogue) if d.step == step), None)
    if due is None or (due.at is not None and due.at > books.now):
        return None
    run, direction = chain.steps[step], due.direction
    inputs = _inputs_of(chain, books, run)
    if isinstance(inputs, Broken):
        _break(chain, books, run, inputs)
        return None
    undo = _undo_of(chain, books, run, direction)
    if isinstance(undo, Broken):
        _break_undo(chain, books, run, undo)
        return None
    seconds = min(books.call_seconds, run.definition.timeout_seconds or books.call_seconds)
    _intend(chain, books, run, direction, inputs, seconds)
    forward = direction.is_forward
    return Call(
        books.ledger_id,
        chain.id,
        step,
        run.definition.type,
        direction,
        key_of(chain, run, direction),
        run.attempt if forward else run.undo_attempt,
        inputs,
        undo,
        run.result,
        books.now + dt.timedelta(seconds=seconds),
        seconds,
        (run.first_at if forward else run.undo_first_at) or books.now,
        run.attempt > run.since if forward else run.undo_attempt > run.undo_since,
    )


def _inputs_of(chain: Chain, books: Books, run: StepRun) -> Mapping[str, Any] | Broken:
    """The same for every call of the step: what its expressions see may change until its undo."""
    if run.inputs is not None:
        return run.inputs
    return resolve_inputs(chain, run.definition, books.catalogue)


def _undo_of(
    chain: Chain, books: Books, run: StepRun, direction: Direction
) -> Mapping[str, Any] | Broken | None:
    """What undoes the step: in its own words, until it is undone."""
    if direction.is_forward:
        return run.definition.compensation
    return resolve_undo(chain, run.definition, run.result, books.catalogue)


def _intend(
    chain: Chain,
    books: Books,
    run: StepRun,
    direction: Direction,
    inputs: Mapping[str, Any],
    seconds: float,
) -> None:
    now, step = books.now, run.name
    if direction is Direction.FORWARD:
        computed = find_expressions(run.definition.inputs)
        kept = inputs if computed and run.inputs is None else None
        told = {"attempt": run.attempt + 1, "seconds": seconds, "inputs": kept}
        chain.note(now, step, StepState.EXECUTING, **told)
    elif direction is Direction.UNDO:
        to = "asked" if run.state is StepState.COMPENSATING else StepState.COMPENSATING
        chain.note(now, step, to, attempt=run.undo_attempt + 1, seconds=seconds)
    elif run.called:
        # Whoever made the call was not heard of again.
        undoing = run.state is StepState.COMPENSATING
        lost = StepState.COMPENSATION_UNKNOWN if undoing else StepState.UNKNOWN
        chain.note(now, step, lost, code="worker_lost", seconds=0)


def _break(chain: Chain, books: Books, run: StepRun, broken: Broken) -> None:
    """An expression of a step that has not been called yet comes to nothing."""
    failure = Failure("expression_failed", broken.reason, run.name)
    if chain.pivot_is_past:
        park(chain, books, run, failure)
    else:
        fail_step(chain, books, run, failure)
        run_on(chain, books)


def _break_undo(chain: Chain, books: Books, run: StepRun, broken: Broken) -> None:
    """An expression of what undoes a step comes to nothing: a person can undo it by other means."""
    if run.state is StepState.COMPLETED:
        chain.note(books.now, run.name, StepState.COMPENSATING)
    told = Failure("expression_failed", broken.reason).describe()
    chain.note(books.now, run.name, "undo_refused", **told, parked=True)
    run_on(chain, books)
