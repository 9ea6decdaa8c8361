"""The machine: what a command does to a chain, and how far it runs at once.

Invariant: every run is all or nothing, and ends at the next wall: a step that must wait, or the
chain's end. Decides over rows that are locked or version-checked; never waits.
Rules: docs/concepts/chains.md.
Whether a command may be given is said in `refusals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catena.chains.back import needs_call, run_back
from catena.chains.books import Books, Entry, How, make_proceeds
from catena.chains.chain import Chain
from catena.chains.definition import Definition, Step, describe_definition, describe_step
from catena.chains.expiry import expire, may_expire
from catena.chains.forward import is_ready, run_forward
from catena.chains.history import Failure
from catena.chains.outcomes import fail, finish_step, settle_failures, skip_rest
from catena.chains.states import ChainState
from catena.chains.waits import deliver_signals

__all__ = [
    "Books",
    "Entry",
    "How",
    "append",
    "cancel",
    "create",
    "expire",
    "fail",
    "finish_step",
    "hold",
    "is_ready",
    "make_proceeds",
    "may_expire",
    "needs_call",
    "reject",
    "resume",
    "run",
    "settle_failures",
    "signal",
    "start",
]


def run(chain: Chain, books: Books) -> None:
    """Run to the next wall, forward or back, after what the clock has decided."""
    settle_failures(chain, books)
    expire(chain, books)
    if chain.state is ChainState.EXECUTING:
        run_forward(chain, books)
    if chain.state in (ChainState.FAILED, ChainState.ROLLING_BACK):
        run_back(chain, books)


def create(chain: Chain, books: Books, definition: Definition, by: str | None) -> None:
    """Begin a chain's history with its definition, which the validator has passed."""
    chain.note(books.now, "", ChainState.CREATED, **describe_definition(definition), by=by)


def start(chain: Chain, books: Books, by: str | None = None) -> None:
    """Start a chain that is whole, and run it."""
    chain.note(books.now, "", ChainState.VALIDATED, by=by)
    chain.note(books.now, "", ChainState.EXECUTING)
    run(chain, books)


def append(chain: Chain, books: Books, steps: Sequence[Step], by: str | None) -> None:
    """Add steps, which the validator has passed, and run on."""
    steps = chain.place(steps)
    chain.note(books.now, "", "appended", steps=[describe_step(step) for step in steps], by=by)
    run(chain, books)


def cancel(chain: Chain, books: Books, failure: Failure, by: str | None) -> None:
    """Give up the chain: what it has done is undone; one that never started just ends."""
    if chain.state in (ChainState.CREATED, ChainState.VALIDATED):
        skip_rest(chain, books, "chain_cancelled")
        chain.note(books.now, "", ChainState.ROLLED_BACK, **failure.describe(), by=by)
        return
    fail(chain, books, failure, by)
    run(chain, books)


def hold(  # what a hold says
    chain: Chain, books: Books, *, seconds: float, then: str, why: str, by: str | None
) -> None:
    """Dispatch nothing new for so many seconds at most; `then` resume or reject."""
    chain.note(books.now, "", ChainState.HELD, seconds=seconds, then=then, why=why, by=by)


def resume(chain: Chain, books: Books, why: str, by: str | None) -> None:
    """End the hold; deadlines move by its length, and what was recorded has its consequences."""
    chain.note(books.now, "", ChainState.EXECUTING, why=why, by=by)
    run(chain, books)


def reject(chain: Chain, books: Books, why: str, by: str | None) -> None:
    """End the hold with the chain's failure, which a pivot that is out keeps waiting."""
    fail(chain, books, Failure("rejected", why), by)
    if chain.state is ChainState.HELD:
        chain.note(books.now, "", ChainState.EXECUTING, why=why, by=by)
    run(chain, books)


def signal(chain: Chain, books: Books, name: str, payload: Any, by: str | None) -> None:  # noqa: ANN401  # any JSON
    """Something that was waited for, or will be: it is kept until a wait takes it."""
    expire(chain, books)
    chain.note(books.now, "", "signal", name=name, payload=payload, by=by)
    deliver_signals(chain, books)
    run(chain, books)
