"""How steps and chains come to an end: done, failed, or failed once the pivot allows it.

Invariant: from its pivot's dispatch on a chain does not fail, but for the pivot's definite refusal
(docs/concepts/chains.md). Each end is an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family
from catena.chains.history import Failure
from catena.chains.states import ChainState, StepState

__all__ = [
    "RUNNING",
    "fail",
    "fail_step",
    "finish_step",
    "park",
    "settle_failures",
    "settle_liens",
    "skip_rest",
]

RUNNING: Final = frozenset({ChainState.EXECUTING, ChainState.HELD})
"""A chain that may still come to a good end."""


def finish_step(
    chain: Chain,
    books: Books,
    step: StepRun,
    result: Mapping[str, Any],
    **told: Any,  # noqa: ANN401  # what else the event says
) -> None:
    """The step is done: it has the next number of the chain's commit sequence."""
    chain.note(
        books.now,
        step.name,
        StepState.COMPLETED,
        seq=chain.seq + 1,
        result=dict(result) or None,
        **told,
    )
    if step is chain.pivot and chain.pending_failure is not None:
        chain.note(books.now, "", "failure_voided")


def fail_step(
    chain: Chain,
    books: Books,
    step: StepRun,
    failure: Failure,
    **told: Any,  # noqa: ANN401  # what else the event says
) -> None:
    """The step is refused for good, and with it the chain."""
    if step.state is StepState.PENDING:
        chain.note(books.now, step.name, StepState.EXECUTING)
    told = failure._replace(step=None).describe() | told
    chain.note(books.now, step.name, StepState.FAILED, **told)
    settle_failures(chain, books)


def park(chain: Chain, books: Books, step: StepRun, failure: Failure) -> None:
    """Past the pivot nothing fails: the step waits for an operator."""
    if step.state is StepState.PENDING:
        chain.note(books.now, step.name, StepState.EXECUTING)
    told = failure._replace(step=None).describe()
    chain.note(books.now, step.name, StepState.PENDING, parked=True, **told)


def fail(chain: Chain, books: Books, failure: Failure, by: str | None = None) -> None:
    """Fail the chain; while its pivot is out only record it, and past the pivot not even that."""
    if chain.pivot_is_past or chain.state not in RUNNING:
        return
    if chain.pivot_is_out:
        if chain.pending_failure is None:
            chain.note(books.now, "", "failure_recorded", **failure.describe(), by=by)
        return
    chain.note(books.now, "", ChainState.FAILED, **failure.describe(), by=by)
    skip_rest(chain, books, "chain_failed")


def skip_rest(chain: Chain, books: Books, why: str) -> None:
    """Waits and backoffs end at once, and nothing new is begun."""
    for step in chain.steps.values():
        waits = step.definition.family is Family.WAIT and step.state is StepState.WAITING
        if waits or step.state is StepState.PENDING:
            chain.note(books.now, step.name, StepState.SKIPPED, why=why)


def settle_failures(chain: Chain, books: Books) -> None:
    """Have a failed step, or what was recorded while the pivot was out, fail the chain.

    A held chain takes what was commanded at once; what its steps' answers lead to waits.
    """
    if chain.state not in RUNNING or chain.pivot_is_out:
        return
    if chain.pending_failure is not None:
        fail(chain, books, chain.pending_failure)
    elif chain.state is ChainState.EXECUTING:
        for step in chain.steps.values():
            if step.state is StepState.FAILED and step.failure is not None:
                fail(chain, books, step.failure._replace(step=step.name))


def settle_liens(chain: Chain, books: Books) -> bool:
    """End all liens; False when an account of theirs was not read."""
    accounts = {lien.account for lien in chain.pool.liens.values() if lien.is_open}
    if not all([books.account(id) for id in accounts]):  # noqa: C419  # each is asked for
        return False
    chain.pool.settle(books.accounts)
    return True
