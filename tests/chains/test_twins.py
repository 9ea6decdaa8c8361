"""Broken twins: each breaks one rule, and the check that is named for it must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from catena.chains import calls
from catena.chains.books import Entry, How
from catena.chains.chain import Chain, StepRun
from catena.chains.states import ChainState
from catena.chains.step_types import Call
from catena.ledger.entries import Draft
from catena.ledger.refusals import Refusal
from catena.liens.liens import LienState
from tests.chains.checks import Violation
from tests.chains.exploration import explore
from tests.chains.shapes import SHAPES
from tests.chains.world import World
from tests.chains.world_books import WorldBooks


class DagOrderChain(Chain):
    """Undoes in the order of its definition."""

    def committed(self) -> Sequence[StepRun]:
        """The first one first."""
        return super().committed()[::-1]


class DagOrder(World):
    """Its chains undo in the order of their definition."""

    def read(self, id: str, history: Sequence[Any]) -> Chain:
        """A chain from its history."""
        return DagOrderChain(id, history)


class ForgetfulChain(Chain):
    """Leaves its first step as it is."""

    def committed(self) -> Sequence[StepRun]:
        """All but the first."""
        return super().committed()[:-1]


class SkippedCompensation(World):
    """Its chains leave their first step as it is."""

    def read(self, id: str, history: Sequence[Any]) -> Chain:
        """A chain from its history."""
        return ForgetfulChain(id, history)


class FailingChain(Chain):
    """Does not care for its pivot's call."""

    @property
    def pivot_is_out(self) -> bool:
        """Never."""
        return False


class FailureWhilePivotIsOut(World):
    """Its chains fail whenever they are told to."""

    def read(self, id: str, history: Sequence[Any]) -> Chain:
        """A chain from its history."""
        return FailingChain(id, history)


class EarlyProceeds(World):
    """What a chain was paid is everyone's at once."""

    def open_books(self) -> WorldBooks:
        """Books that keep nothing for the chain."""
        return _EarlyBooks(self)


class _EarlyBooks(WorldBooks):
    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        spending = how.spending._replace(keeps=False)
        return super().post(chain, run, draft, how._replace(spending=spending))


class UnrecordedDraw(World):
    """Nobody writes down what was drawn."""

    def open_books(self) -> WorldBooks:
        """Books that tell of no draws."""
        return _ForgetfulBooks(self)


class _ForgetfulBooks(WorldBooks):
    def post(self, chain: Chain, run: StepRun, draft: Draft, how: How) -> Entry | Refusal:
        entry = super().post(chain, run, draft, how)
        if isinstance(entry, Refusal):
            return entry
        return entry._replace(posted=entry.posted._replace(draws=()))


class ExpiryWhilePivotIsOut(World):
    """Liens end when their time is over, whatever the chain is doing."""

    def act(
        self, id: str, act: Callable[[Chain, WorldBooks], object]
    ) -> tuple[World | None, object]:
        """One commit, after what is over has expired."""

        def expire_first(chain: Chain, books: WorldBooks) -> object:
            for lien in chain.pool.liens.values():
                late = lien.expires_at is not None and lien.expires_at <= books.now
                if late and lien.may_end_early and chain.state is ChainState.EXECUTING:
                    chain.pool.release(lien, books.accounts[lien.account], LienState.EXPIRED)
                    chain.note(books.now, "", "lien_expired", lien=lien.id, step=lien.step)
            return act(chain, books)

        return super().act(id, expire_first)


class DispatchWhileHeld(World):
    """Calls go out whether the chain is held or not."""

    def _due(self, chain: Chain) -> Iterator[calls.Due]:
        state, chain.state = chain.state, _ignore_hold(chain.state)
        due = list(super()._due(chain))
        chain.state = state
        return iter(due)

    def dispatch(self, chain: Chain, books: WorldBooks, step: str) -> Call | None:
        """Commit the intent of a call."""
        state, chain.state = chain.state, _ignore_hold(chain.state)
        call = super().dispatch(chain, books, step)
        if chain.state is ChainState.EXECUTING:
            chain.state = state
        return call


def _ignore_hold(state: ChainState) -> ChainState:
    return ChainState.EXECUTING if state is ChainState.HELD else state


@pytest.mark.parametrize(
    ("twin", "shape", "faults", "check"),
    [
        (DagOrder, "proceeds spent inside", 1, "I5 an undo finds what it takes back"),
        (SkippedCompensation, "proceeds spent inside", 1, "I6 net effect"),
        (EarlyProceeds, "a wait", 2, "I3 no overdraft"),
        (UnrecordedDraw, "proceeds spent inside", 0, "I7 what is read back"),
        (ExpiryWhilePivotIsOut, "pivot", 1, "I13 no lien expires while that is suspended"),
        (FailureWhilePivotIsOut, "pivot", 1, "I13 no failure while the pivot is out"),
        (DispatchWhileHeld, "lien, outside, ledger", 1, "I12 hold"),
    ],
)
def test_a_broken_twin_is_caught(twin: type[World], shape: str, faults: int, check: str) -> None:
    """Whoever breaks the rule meets the check that bears its name."""
    with pytest.raises(Violation) as caught:
        explore(twin.open([SHAPES[shape]], faults))
    assert str(caught.value) == check
