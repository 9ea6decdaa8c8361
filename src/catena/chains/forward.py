"""Running forward to the next wall: every step that is ready and needs nobody outside.

Invariant: a run is all or nothing: its final refusal leaves nothing of it but the
refusal; one that can be retried, or is met past the pivot, ends the run before that step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from catena.chains.books import Books, How
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family
from catena.chains.expressions import Broken
from catena.chains.history import Failure
from catena.chains.outcomes import fail_step, finish_step, settle_liens
from catena.chains.postings import build_draft, results_of, spending_of
from catena.chains.resolve import ancestors, holds, resolve_inputs
from catena.chains.states import ChainState, StepState
from catena.chains.waits import begin_wait
from catena.errors import InvalidInput
from catena.ids import LIEN, derive_within
from catena.ledger.entries import Draft
from catena.ledger.refusals import Refusal, RefusalCode
from catena.liens.liens import Lien, LienKind

__all__ = ["find_lien", "is_ready", "run_forward"]


class _Run(NamedTuple):
    """One run. `past`: the pivot was behind the chain when it began. `moved`: what it posted."""

    chain: Chain
    books: Books
    past: bool
    moved: list[str]


class _Refused(Exception):
    """A step was refused for good, and with it the run."""

    def __init__(self, step: str, failure: Failure) -> None:
        super().__init__(failure.code)
        self.step = step
        self.failure = failure


def run_forward(chain: Chain, books: Books) -> None:
    """Run to the next wall, or to the chain's end."""
    mark, count = books.mark(), len(chain.new)
    run = _Run(chain, books, chain.pivot_is_past, [])
    try:
        while _advance_all(run):
            pass
    except _Refused as refused:
        chain.rewind(count, books.now)
        books.rewind(mark)
        _refuse_run(chain, books, run.moved, refused)
        return
    if all(step.is_done for step in chain.steps.values()) and settle_liens(chain, books):
        chain.note(books.now, "", ChainState.COMPLETED)


def _refuse_run(chain: Chain, books: Books, moved: Sequence[str], refused: _Refused) -> None:
    for name in moved:
        chain.note(books.now, name, StepState.SKIPPED, why="run_refused")
    fail_step(chain, books, chain.steps[refused.step], refused.failure)


def _advance_all(run: _Run) -> bool:
    """Take each step that is ready as far as it goes; whether any moved."""
    moved = False
    for step in list(run.chain.steps.values()):
        if is_ready(run.chain, step, run.books.now):
            moved |= _advance(run, step)
    return moved


def is_ready(chain: Chain, step: StepRun, now: dt.datetime) -> bool:
    """Whether all that the step depends on is done, and its time has come.

    While the pivot is out nothing else begins: it could fail.
    """
    if step.state is not StepState.PENDING or step.parked or chain.pivot_is_out:
        return False
    if step.due_at is not None and step.due_at > now:
        return False
    if not chain.meets(step.definition.needs):
        return False
    return not step.definition.pivot or _may_pivot(chain, step)


def _may_pivot(chain: Chain, pivot: StepRun) -> bool:
    """Whether nothing that can fail for good is left but what follows the pivot."""
    steps = {name: step.definition for name, step in chain.steps.items()}
    return all(
        step.is_done or step is pivot or _stays_open(step) or pivot.name in ancestors(steps, name)
        for name, step in chain.steps.items()
    )


def _stays_open(step: StepRun) -> bool:
    """A wait that cannot fail, such as for more captures, is not in flight."""
    return step.definition.goes_on and step.state is StepState.WAITING


def _advance(run: _Run, step: StepRun) -> bool:
    chain, books, definition = run.chain, run.books, step.definition
    condition = holds(chain, definition, books.catalogue)
    if condition is False:
        chain.note(books.now, step.name, StepState.SKIPPED, why="condition")
        return True
    if definition.family is Family.OUTSIDE and condition is True:
        return False  # a worker takes it from here
    inputs = resolve_inputs(chain, definition, books.catalogue) if condition is True else condition
    if isinstance(inputs, Broken):
        return _refuse(run, step, Failure("expression_failed", inputs.reason, step.name))
    return _CARRY_OUT[definition.family](run, step, inputs)


def _begin_wait(run: _Run, step: StepRun, inputs: dict[str, Any]) -> bool:
    begin_wait(run.chain, run.books, step, inputs)
    return True


def _finish_group(run: _Run, step: StepRun, inputs: dict[str, Any]) -> bool:
    run.chain.note(run.books.now, step.name, StepState.EXECUTING)
    finish_step(run.chain, run.books, step, inputs)
    return True


# --- refusals ---------------------------------------------------------------------------------

_PASSING: Final = frozenset(
    {
        RefusalCode.ACCOUNT_BLOCKED.code,
        RefusalCode.ACCOUNT_FROZEN.code,
        RefusalCode.INSUFFICIENT_FUNDS.code,
        RefusalCode.ABOVE_CEILING.code,
    }
)
"""Refusals that another attempt may not meet; every other is final at once."""


def _refuse(run: _Run, step: StepRun, failure: Failure) -> bool:
    """The step cannot be done now: it is tried again, it parks, or its run is refused."""
    chain, books, retry = run.chain, run.books, step.definition.retry
    attempt = step.attempt + 1
    again = attempt < retry.attempts and failure.code in _PASSING - retry.never
    if not again and not run.past:
        raise _Refused(step.name, failure)
    chain.note(books.now, step.name, StepState.EXECUTING, attempt=attempt, seconds=0)
    chain.note(
        books.now,
        step.name,
        StepState.PENDING,
        **failure._replace(step=None).describe(),
        seconds=books.jitter() * retry.longest_wait(attempt) if again else None,
        parked=None if again else True,
    )
    return False


def _failure_of(refusal: Refusal, step: StepRun) -> Failure:
    return Failure(refusal.code.code, refusal.code.title, step.name, refusal.account)


# --- entries ----------------------------------------------------------------------------------


def _post(run: _Run, step: StepRun, inputs: dict[str, Any]) -> bool:
    chain, books, type = run.chain, run.books, step.definition.type
    lien = find_lien(chain, inputs.get("lien"))
    if type == "capture":
        if lien is None:
            return _refuse(run, step, Failure("unknown_lien", step=step.name))
        source = books.account(lien.account)
        if source is None:
            return False
        inputs |= {"source_account_id": source.id}
    draft = _draft(run, step, inputs)
    if isinstance(draft, Failure):
        return _refuse(run, step, draft)
    if not all([books.knows(line.account) for line in draft.lines]):  # noqa: C419  # each is asked for
        return False
    how = How(
        spending_of(type, inputs, lien.id if lien else None),
        chain.pivot_is_past,
        inputs.get("amount"),
    )
    entry = books.post(chain, step, draft, how)
    if isinstance(entry, Refusal):
        return _refuse(run, step, _failure_of(entry, step))
    posted = entry.posted
    chain.note(books.now, step.name, StepState.EXECUTING)
    finish_step(
        chain,
        books,
        step,
        results_of(type, inputs, draft),
        entry=entry.distance,
        draws=[list(draw) for draw in posted.draws] or None,
        liens=[_describe_lien(lien, None) for lien in posted.proceeds] or None,
    )
    run.moved.append(step.name)
    return True


def _draft(run: _Run, step: StepRun, inputs: dict[str, Any]) -> Draft | Failure:
    """What the step posts, or why its inputs mean nothing."""
    try:
        return build_draft(step.definition.type, inputs, run.books.ledger_id, run.books.assets)
    except InvalidInput as error:
        return Failure(error.code, error.detail, step.name)


def find_lien(chain: Chain, step: str | None) -> Lien | None:
    """The lien that a step made, by the step's name."""
    return next((lien for lien in chain.pool.liens.values() if lien.step == step), None)


def _describe_lien(lien: Lien, seconds: float | None) -> list[Any]:
    return [lien.id, lien.account, lien.kind, lien.amount, seconds]


# --- liens ------------------------------------------------------------------------------------


def _hold_funds(run: _Run, step: StepRun, inputs: dict[str, Any]) -> bool:
    if step.definition.type == "lien.reserve":
        return _reserve(run, step, inputs)
    chain, books = run.chain, run.books
    lien = find_lien(chain, inputs["lien"])
    if lien is None or not lien.may_end_early:
        return _refuse(run, step, Failure("lien_not_open", step=step.name))
    if step.definition.type == "lien.extend":
        chain.note(books.now, step.name, StepState.EXECUTING)
        finish_step(chain, books, step, {}, lien=lien.id, extended=inputs["expires_seconds"])
        run.moved.append(step.name)
        return True
    account = books.account(lien.account)
    if account is None:
        return False
    chain.note(books.now, step.name, StepState.EXECUTING)
    amount = lien.remaining
    chain.pool.release(lien, account)
    finish_step(chain, books, step, {"amount": amount}, lien=lien.id)
    run.moved.append(step.name)
    return True


def _reserve(run: _Run, step: StepRun, inputs: dict[str, Any]) -> bool:
    chain, books = run.chain, run.books
    id, seconds = inputs["account_id"], inputs.get("expires_seconds")
    if not books.knows(id):
        return False
    lien = Lien(
        derive_within(LIEN, chain.id, step.name, id),
        chain.id,
        step.name,
        id,
        LienKind.RESERVE,
        inputs["amount"],
        None if seconds is None else books.now + dt.timedelta(seconds=seconds),
    )
    account = books.account(id)
    if account is not None and inputs.get("currency", account.currency) != account.currency:
        refusal: Refusal | None = Refusal(RefusalCode.CURRENCY_MISMATCH, id)
    else:
        refusal = chain.pool.reserve(lien, account)
    if refusal is not None:
        return _refuse(run, step, _failure_of(refusal, step))
    chain.note(books.now, step.name, StepState.EXECUTING)
    liens = [_describe_lien(lien, seconds)]
    finish_step(chain, books, step, {"amount": lien.amount}, liens=liens, lien=lien.id)
    run.moved.append(step.name)
    return True


_CARRY_OUT: Final[Mapping[Family, Callable[[_Run, StepRun, dict[str, Any]], bool]]] = {
    Family.LEDGER: _post,
    Family.LIEN: _hold_funds,
    Family.WAIT: _begin_wait,
    Family.GROUP: _finish_group,
}
"""How a step is carried out that needs nobody outside; whether it moved."""
