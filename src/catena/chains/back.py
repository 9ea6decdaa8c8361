"""Rolling back: in reverse commit order, once nothing is out.

Invariant: each undo finds the pool as it stood right after its step, so it always fits; outside
undos hold up none of the books'.
"""

from __future__ import annotations

from catena.chains.books import Books
from catena.chains.chain import Chain, StepRun
from catena.chains.definition import Family, Step
from catena.chains.outcomes import settle_liens
from catena.chains.states import ChainState, StepState
from catena.chains.step_types import Catalogue

__all__ = ["needs_call", "run_back"]


def run_back(chain: Chain, books: Books) -> None:
    """Undo all that needs nobody outside; the chain ends when nothing is left."""
    if chain.state is ChainState.FAILED:
        if any(step.is_out for step in chain.steps.values()):
            return
        chain.note(books.now, "", ChainState.ROLLING_BACK)
    for step in chain.committed():
        if _posts(step.definition) and not _undo(chain, books, step):
            return
    left = any(needs_call(step.definition, books.catalogue) for step in chain.committed())
    if not left and settle_liens(chain, books):
        chain.note(books.now, "", ChainState.ROLLED_BACK)


def _posts(step: Step) -> bool:
    """Whether the books undo it. A wait, a group and a release have nothing to undo."""
    return step.family is Family.LEDGER or step.type == "lien.reserve"


def needs_call(step: Step, catalogue: Catalogue) -> bool:
    """Whether undoing the step is a call to its partner."""
    if step.family is not Family.OUTSIDE:
        return False
    type = catalogue.find(step.type)
    return type is None or (type.undoes and step.compensation != {"type": "none"})


def _undo(chain: Chain, books: Books, step: StepRun) -> bool:
    """Undo what a step did to the books; False when what it takes was not read."""
    entry: int | None = None
    if step.lien is not None:
        lien = chain.pool.liens[step.lien]
        account = books.account(lien.account)
        if account is None:
            return False
        chain.pool.release(lien, account)
    else:
        entry = books.undo(chain, step)
        if entry is None:
            return False
        proceeds = [chain.pool.liens[id] for id in step.proceeds]
        chain.pool.undo_post(step.draws, proceeds, books.accounts)
    chain.note(books.now, step.name, StepState.COMPENSATING)
    chain.note(books.now, step.name, StepState.COMPENSATED, entry=entry)
    return True
