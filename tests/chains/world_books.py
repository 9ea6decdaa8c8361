"""The books of a world: who posted what, and what each posting does to others."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from catena.chains.books import Entry, How
from catena.chains.chain import Chain, StepRun
from catena.chains.states import ChainState
from catena.ledger.entries import Draft, Line
from catena.ledger.refusals import Refusal
from tests.chains.books import MemoryBooks
from tests.chains.checks import check_post, insist
from tests.chains.shapes import CATALOGUE

if TYPE_CHECKING:
    from tests.chains.world import World

__all__ = ["Posting", "WorldBooks"]


class Posting(NamedTuple):
    """An entry, and whose."""

    chain: str
    step: str
    undoes: bool
    lines: Sequence[Line]


class WorldBooks(MemoryBooks):
    """Books that remember who posted what, and watch what each posting does to others."""

    def __init__(self, world: World) -> None:
        super().__init__(world.accounts, CATALOGUE, world.now, luck=0.0)
        self.entries = [posting.lines for posting in world.postings]
        self.postings = list(world.postings)
        self.begin()

    def begin(self) -> None:
        """Begin a commit."""
        super().begin()
        self.postings.append(Posting("", "", undoes=False, lines=()))

    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        """Post an entry of the chain's."""
        insist("I12 hold", chain.state is not ChainState.HELD)
        before = {id: copy(account) for id, account in self.accounts.items()}
        funds = {id: chain.pool.funds(id) for id in before}
        posted = super().post(chain, run, draft, how)
        if not isinstance(posted, Refusal):
            check_post(draft.lines, before, self.accounts, funds, keeps=how.spending.keeps)
            self._tag(chain, run, undoes=False)
        return posted

    def undo(self, chain: Chain, run: StepRun) -> int | None:
        """Post the mirror image of the step's entry."""
        insist("I13 nothing is undone past the pivot", not chain.pivot_is_past)
        distance = super().undo(chain, run)
        self._tag(chain, run, undoes=True)
        return distance

    def _tag(self, chain: Chain, run: StepRun, *, undoes: bool) -> None:
        same = (chain.id, run.name, undoes)
        insist("I7 one posting", not any(posting[:3] == same for posting in self.postings))
        self.postings.append(Posting(*same, self.entries[-1]))

    def rewind(self, mark: Any) -> None:  # noqa: ANN401
        """Drop everything that was done since."""
        super().rewind(mark)
        del self.postings[len(self.entries) :]
