"""What a partner's answer does to its step: taken once, by the call that is open.

Invariant: the round of a key grows only after an answer which certainly means that nothing was
done. An answer without a call that is out changes nothing. Rules: docs/concepts/chains.md.
"""

from __future__ import annotations

from typing import Final

from catena.chains.books import Books
from catena.chains.calls import Key
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Retry
from catena.chains.history import Failure
from catena.chains.machine import run as run_on
from catena.chains.outcomes import RUNNING, fail_step, finish_step
from catena.chains.reasons import tidy_answer
from catena.chains.states import StepState
from catena.chains.step_types import Answer, Direction, Outcome
from catena.settings import LIMITS

__all__ = ["UNDO_ATTEMPTS", "answer", "hear", "is_stray", "take_refusal"]

_ASKING: Final = Retry(attempts=1, first_seconds=0.5, cap_seconds=60.0)
"""How often a partner that has not answered or decided is asked again; for ever."""

_OFTEN: Final = 60
"""Times that it is asked so, an hour or so, before the pauses become longer."""

_PATIENT: Final = Retry(attempts=1, first_seconds=600.0, cap_seconds=600.0)
"""How often it is asked then: each time is an event of the chain's, and it may take days."""

_SELDOM: Final = Retry(attempts=1, first_seconds=3600.0, cap_seconds=3600.0)
"""How often it is asked about a step that is parked meanwhile: its partner may come back."""

UNDO_ATTEMPTS: Final = 8
"""Calls of an undo until it is parked for an operator."""

_UNDOING: Final = Retry(UNDO_ATTEMPTS, first_seconds=1.0, cap_seconds=60.0)
_UNDO_OUT: Final = frozenset({StepState.COMPENSATING, StepState.COMPENSATION_UNKNOWN})


def answer(
    chain: Chain, books: Books, step: str, direction: Direction, attempt: int, found: Answer
) -> bool:
    """Take a partner's answer, and run on. False when it is to a call that is no longer open."""
    run = chain.steps.get(step)
    if run is None:
        return False
    found = tidy_answer(found)
    certain = found.permanent or found.of_the_call or not direction.asks
    if found.outcome is Outcome.DECLINED and not certain:
        # That may be said of the question: nothing is re-keyed or undone for it.
        found = found._replace(outcome=Outcome.UNKNOWN)
    if direction.is_forward:
        if not _is_open(chain, run, attempt, found):
            return False
        _take(chain, books, run, found)
    else:
        if not _is_undo_open(run, attempt, found):
            return False
        _take_undo(chain, books, run, found)
    run_on(chain, books)
    return True


def hear(chain: Chain, books: Books, key: Key, found: Answer) -> bool:
    """Take what a partner says by itself of the call with this key, and run on.

    False: it changes nothing, since it is old or known. Nobody asked, so an answer that is still
    awaited may yet say more. Where it says only that something has happened, it is asked soon.
    """
    run = chain.steps.get(key.step)
    if run is None or key.round != (run.round if key.forward else run.undo_round):
        return False
    if found.outcome is Outcome.UNKNOWN:
        return _hurry(chain, books, run, forward=key.forward)
    if not key.forward:
        return answer(chain, books, key.step, Direction.UNDO, run.undo_attempt, found)
    if found.outcome is Outcome.PENDING and run.state is StepState.WAITING:
        return False
    return answer(chain, books, key.step, Direction.FORWARD, run.attempt, found)


def _hurry(chain: Chain, books: Books, run: StepRun, *, forward: bool) -> bool:
    """Have a call that is undecided or unknown looked up now; the answer to one that is being made
    is on its way.
    """
    waits = run.is_out if forward else run.state is StepState.COMPENSATION_UNKNOWN
    if not waits or run.called or run.due_at is None or run.due_at <= books.now:
        return False
    chain.note(books.now, run.name, "hurried")
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
    if run is None or not direction.is_forward or outcome is not Outcome.APPROVED:
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
    policy = _SELDOM if parks else _ASKING if run.tries < _OFTEN else _PATIENT
    chain.note(
        books.now,
        run.name,
        "still_open",
        code=found.code or ("no_answer" if parks else None),
        detail=found.detail or None,
        seconds=_pause(books, run.tries + 1, policy),
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
