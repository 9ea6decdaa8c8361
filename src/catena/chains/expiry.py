"""What the clock decides: of holds, liens, waits, steps and chains, and when it does so next.

Invariant: decided by the books' clock before a chain goes on, so that no timer's lateness matters;
a time runs only where docs/concepts/chains.md and liens.md let it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family
from catena.chains.history import Failure
from catena.chains.outcomes import fail, fail_step, settle_failures
from catena.chains.states import ChainState, StepState
from catena.chains.waits import expire_wait
from catena.liens.liens import Lien, LienKind, LienState

__all__ = ["due_timer", "expire", "may_expire"]


def expire(chain: Chain, books: Books) -> None:
    """What the clock has decided. Run the chain afterwards."""
    now = books.now
    if chain.held_until is not None and chain.held_until <= now:
        _end_hold(chain, books)
    if chain.state is not ChainState.EXECUTING:
        return
    if chain.expires_at is not None and chain.expires_at <= now:
        fail(chain, books, Failure("chain_timed_out"))
    for lien in list(chain.pool.liens.values()):
        if lien.expires_at is not None and lien.expires_at <= now and may_expire(chain, lien):
            _expire_lien(chain, books, lien)
    for step in chain.steps.values():
        if chain.state is ChainState.EXECUTING:
            _expire_step(chain, books, step)


def _end_hold(chain: Chain, books: Books) -> None:
    """The outcome that the hold declared; a rejection waits for a pivot that is out."""
    if chain.hold["then"] == "reject":
        fail(chain, books, Failure("hold_expired", chain.hold.get("why", "")))
    if chain.state is ChainState.HELD:
        chain.note(books.now, "", ChainState.EXECUTING, why="hold_ended")
        settle_failures(chain, books)


def may_expire(chain: Chain, lien: Lien) -> bool:
    """Whether the lien's time counts now."""
    return (
        chain.state is ChainState.EXECUTING
        and lien.kind is LienKind.RESERVE
        and lien.state is LienState.ACTIVE
        and not chain.pivot_is_out
        and not chain.pivot_is_past
        and not any(step.state is StepState.UNKNOWN for step in chain.steps.values())
    )


def _expire_lien(chain: Chain, books: Books, lien: Lien) -> None:
    account = books.account(lien.account)
    if account is None:  # it was not read: the timer comes again, and reads it
        return
    chain.pool.release(lien, account, LienState.EXPIRED)
    chain.note(books.now, "", "lien_expired", lien=lien.id, step=lien.step)
    if chain.steps[lien.step].definition.inputs.get("on_expiry", "fail") == "fail":
        fail(chain, books, Failure("lien_expired", step=lien.step, account=lien.account))


def _expire_step(chain: Chain, books: Books, step: StepRun) -> None:
    if step.definition.family is Family.WAIT:
        if step.state is StepState.WAITING:
            expire_wait(chain, books, step)
    elif _may_time_out(chain, step) and step.deadline is not None and step.deadline <= books.now:
        failure = Failure("step_timed_out", step=step.name)
        if step.state is StepState.PENDING:
            fail_step(chain, books, step, failure)
        else:  # the partner is asked to cancel, and its answer decides
            fail(chain, books, failure)


def _may_time_out(chain: Chain, step: StepRun) -> bool:
    """Whether the step's deadline counts now: not while its partner is acting."""
    if chain.pivot_is_past or chain.pivot_is_out:
        return False
    return step.state is StepState.WAITING or (step.state is StepState.PENDING and step.attempt > 0)


def due_timer(chain: Chain) -> dt.datetime | None:
    """When the clock next has something to say to the chain (`expire`); None: never."""
    if chain.state is ChainState.HELD:
        return chain.held_until
    if chain.state is not ChainState.EXECUTING:
        return None
    return min((moment for moment in _moments(chain) if moment is not None), default=None)


def _moments(chain: Chain) -> Iterator[dt.datetime | None]:
    if not chain.pivot_is_past and chain.pending_failure is None:
        yield chain.expires_at
    for lien in chain.pool.liens.values():
        if may_expire(chain, lien):
            yield lien.expires_at
    for step in chain.steps.values():
        family = step.definition.family
        if family is Family.WAIT and step.state is StepState.WAITING:
            yield step.due_at
            yield step.deadline
        elif _may_time_out(chain, step):
            yield step.deadline
        if family in (Family.LEDGER, Family.LIEN) and not step.parked:
            yield step.due_at
