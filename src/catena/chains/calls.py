"""Outside steps: which call is due, what is committed before it, and what its answer does.

Invariant: a key belongs to one round; the round grows only after an answer which certainly means
that nothing was done. An answer without a call that is out changes nothing.
Rules: docs/concepts/chains.md.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from catena.chains.back import needs_call
from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family, Retry
from catena.chains.expiry import due_timer
from catena.chains.expressions import Broken, find_expressions
from catena.chains.forward import is_ready
from catena.chains.history import Failure
from catena.chains.machine import run as run_on
from catena.chains.outcomes import RUNNING, fail_step, finish_step, park
from catena.chains.reasons import tidy_answer
from catena.chains.resolve import resolve_inputs, resolve_undo
from catena.chains.states import ChainState, StepState
from catena.chains.step_types import Answer, Call, Catalogue, Direction, Outcome
from catena.settings import LIMITS

__all__ = ["Due", "answer", "begin", "due_calls", "due_timer", "is_stray", "key_of", "take_refusal"]

_ASKING: Final = Retry(attempts=1, first_seconds=0.5, cap_seconds=60.0)
"""How often a partner that has not answered or decided is asked again; for ever."""

_SELDOM: Final = Retry(attempts=1, first_seconds=3600.0, cap_seconds=3600.0)
"""How often it is asked about a step that is parked meanwhile: its partner may come back."""

UNDO_ATTEMPTS: Final = 8
"""Calls of an undo until it is parked for an operator."""

_UNDOING: Final = Retry(UNDO_ATTEMPTS, first_seconds=1.0, cap_seconds=60.0)

_FORWARD: Final = frozenset({Direction.FORWARD, Direction.LOOK_UP, Direction.CANCEL})
_ASKED: Final = frozenset({Direction.LOOK_UP, Direction.CANCEL, Direction.UNDO_LOOK_UP})
_UNDO_OUT: Final = frozenset({StepState.COMPENSATING, StepState.COMPENSATION_UNKNOWN})


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
            return Direction.CANCEL if chain.state is ChainState.FAILED else Direction.LOOK_UP
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
    forward = direction in _FORWARD
    number = run.round if forward else run.undo_round
    return f"{chain.id}.{run.name}.{'forward' if forward else 'undo'}.{number}"


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
    forward = direction in _FORWARD
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
    if direction in _FORWARD:
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


# --- answers ----------------------------------------------------------------------------------


def answer(
    chain: Chain, books: Books, step: str, direction: Direction, attempt: int, found: Answer
) -> bool:
    """Take a partner's answer, and run on. False when it is to a call that is no longer open."""
    run = chain.steps.get(step)
    if run is None:
        return False
    found = tidy_answer(found)
    if direction in _ASKED and found.outcome is Outcome.DECLINED and not found.permanent:
        # That may be said of the question: nothing is re-keyed or undone for it.
        found = found._replace(outcome=Outcome.UNKNOWN)
    if direction in _FORWARD:
        if not _is_open(chain, run, attempt, found):
            return False
        _take(chain, books, run, found)
    else:
        if not _is_undo_open(run, attempt, found):
            return False
        _take_undo(chain, books, run, found)
    run_on(chain, books)
    return True


def _is_open(chain: Chain, run: StepRun, attempt: int, found: Answer) -> bool:
    """An approval also counts that comes late, to an earlier call with the key that is in use."""
    if run.is_out and attempt == run.attempt:
        return True
    late = run.is_out or (run.state is StepState.PENDING and chain.state in RUNNING)
    return late and found.outcome is Outcome.APPROVED and run.since <= attempt <= run.attempt


def _is_undo_open(run: StepRun, attempt: int, found: Answer) -> bool:
    if attempt != run.undo_attempt or run.state not in _UNDO_OUT:
        return False
    waits = run.called or run.state is StepState.COMPENSATION_UNKNOWN
    return waits or found.outcome is Outcome.APPROVED


def is_stray(chain: Chain, step: str, direction: Direction, attempt: int, outcome: Outcome) -> bool:
    """Whether a forward answer that `answer` did not take says that something was done which the
    chain counts as not done: it is to be undone by a chain of its own.
    """
    run = chain.steps.get(step)
    if run is None or direction not in _FORWARD or outcome is not Outcome.APPROVED:
        return False
    # While the key is in use, or was approved, whoever asks next is told the same.
    return attempt < run.since or run.state in (StepState.FAILED, StepState.SKIPPED)


def _take(chain: Chain, books: Books, run: StepRun, found: Answer) -> None:
    """An answer about a forward call."""
    match found.outcome:
        case Outcome.APPROVED:
            if run.state is StepState.PENDING:
                chain.note(books.now, run.name, StepState.EXECUTING)
            finish_step(chain, books, run, found.result)
        case Outcome.DECLINED:
            failure = Failure(found.code or "declined", found.detail, run.name)
            take_refusal(chain, books, run, failure, again=not found.permanent)
        case Outcome.PENDING if run.state is StepState.WAITING:
            _ask_again(chain, books, run, found)
        case Outcome.PENDING:
            result = dict(found.result) or None
            seconds = _pause(books, 0)
            chain.note(books.now, run.name, StepState.WAITING, seconds=seconds, result=result)
        case Outcome.NOT_FOUND if run.state is StepState.UNKNOWN and _never_came(run, books):
            _call_again(chain, books, run)
        case _:  # not found too early, or nothing was heard
            lost = found.outcome is Outcome.NOT_FOUND and run.state is StepState.WAITING
            if lost or run.state is StepState.EXECUTING:
                told = {"code": found.code or "no_answer", "detail": found.detail or None}
                seconds = _pause(books, 0)
                chain.note(books.now, run.name, StepState.UNKNOWN, **told, seconds=seconds)
            else:
                _ask_again(chain, books, run, found)


def _never_came(run: StepRun, books: Books) -> bool:
    """Whether the partner has not seen the call and never will: nothing was done. One that had
    taken it, and does not know it any more, proves nothing.
    """
    return not run.accepted and _is_over(run, books)


def _is_over(run: StepRun, books: Books) -> bool:
    """Whether the call can no longer arrive."""
    return run.over_at is None or run.over_at <= books.now


def _call_again(chain: Chain, books: Books, run: StepRun) -> None:
    """The partner never saw the call: the same key and round may be used again.

    Its policy's attempts are for refusals; a call that was lost is made again until a time runs
    out.
    """
    failure = Failure("not_found", step=run.name)
    if chain.state in RUNNING:
        seconds = books.jitter() * run.definition.retry.longest_wait(run.attempt)
        chain.note(books.now, run.name, StepState.PENDING, code=failure.code, seconds=seconds)
    else:
        fail_step(chain, books, run, failure)


def _ask_again(chain: Chain, books: Books, run: StepRun, found: Answer) -> None:
    """It stays open. Where look-ups tell nothing time and again the step is parked, for somebody to
    say what became of it; nothing is undone or called anew for that.
    """
    unheard = 0 if found.outcome is Outcome.PENDING else run.unheard + 1
    parks = unheard >= LIMITS.look_ups
    chain.note(
        books.now,
        run.name,
        "still_open",
        code=found.code or ("no_answer" if parks else None),
        detail=found.detail or None,
        seconds=_pause(books, run.tries + 1, _SELDOM if parks else _ASKING),
        unheard=unheard or None,
        parked=parks or None,
    )


def _pause(books: Books, tries: int, policy: Retry = _ASKING) -> float:
    """At least half of the longest wait: nobody is asked without a pause."""
    longest = policy.longest_wait(tries + 1)
    return longest / 2 + books.jitter() * longest / 2


def take_refusal(
    chain: Chain,
    books: Books,
    run: StepRun,
    failure: Failure,
    *,
    again: bool,
    by: str | None = None,
) -> None:
    """Nothing was done. It is tried again, parked past the pivot, or final.

    What was recorded while the pivot was out takes effect at its refusal.
    """
    retry = run.definition.retry
    again = again and failure.code not in retry.never and run.attempt < retry.attempts
    running = chain.state in RUNNING
    parks = running and chain.pivot_is_past and not again
    if not (parks or (running and again and chain.pending_failure is None)):
        fail_step(chain, books, run, failure, by=by)
        return
    chain.note(
        books.now,
        run.name,
        StepState.PENDING,
        **failure._replace(step=None).describe(),
        round=run.round + 1,
        seconds=None if parks else books.jitter() * retry.longest_wait(run.attempt),
        parked=parks or None,
        by=by,
    )


def _take_undo(chain: Chain, books: Books, run: StepRun, found: Answer) -> None:
    """An answer about a call that undoes."""
    now, name = books.now, run.name
    unknown = run.state is StepState.COMPENSATION_UNKNOWN
    nothing = unknown and found.outcome is Outcome.NOT_FOUND and _is_over(run, books)
    if found.outcome is Outcome.APPROVED:
        if unknown:
            chain.note(now, name, StepState.COMPENSATING)
        chain.note(now, name, StepState.COMPENSATED, result=dict(found.result) or None)
    elif found.outcome is Outcome.DECLINED or nothing:
        refused = found.outcome is Outcome.DECLINED
        parks = (refused and found.permanent) or run.undo_attempt >= UNDO_ATTEMPTS
        chain.note(
            now,
            name,
            StepState.COMPENSATING if unknown else "undo_refused",
            code=found.code or str(found.outcome),
            detail=found.detail or None,
            round=run.undo_round + 1 if refused else None,
            seconds=books.jitter() * _UNDOING.longest_wait(run.undo_attempt),
            parked=parks or None,
        )
    elif unknown:
        _ask_again(chain, books, run, found)
    else:
        chain.note(
            now,
            name,
            StepState.COMPENSATION_UNKNOWN,
            code=found.code or "no_answer",
            detail=found.detail or None,
            seconds=_pause(books, 0),
        )
