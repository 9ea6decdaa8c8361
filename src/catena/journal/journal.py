"""The journal of this process: a lane for each ledger that money is written in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from catena.chains.step_types import Catalogue
from catena.errors import CatenaError
from catena.ids import random_fraction
from catena.journal.cards import Cards, Taker
from catena.journal.lane import Lane
from catena.journal.operations import Operation, Result
from catena.journal.pieces import Answer, Piece

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.journal.attempt import Attempt
    from catena.journal.commit import LaneCounts
    from catena.settings import Settings

__all__ = ["Journal"]


class Journal:
    """Where money is written. Give it pieces; it answers each after its commit."""

    def __init__(
        self, pool: Pool, settings: Settings, clock: Clock, cards: Cards | None = None
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._cards = cards or Cards(
            Catalogue(), random_fraction, settings.lease_seconds, settings.call_seconds
        )
        self._lanes: dict[int, Lane] = {}
        self._wakers: list[Callable[[], None]] = []
        self._listeners: list[Callable[[int, Attempt], None]] = []

    def on_work(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever a commit has left work that is due at once."""
        self._wakers.append(wake)

    def on_moves(self, listen: Callable[[int, Attempt], None]) -> None:
        """Have `listen` told each commit of this process, with its ledger's number: `moves` says
        which chains it has moved.
        """
        self._listeners.append(listen)

    def give_calls(self, taker: Taker) -> None:
        """Have a worker of this process take calls in the commits that make them due."""
        self._cards.taker = taker

    def _tell(self, ledger: int, attempt: Attempt) -> None:
        """A commit has landed: have those who care about it know."""
        if attempt.leaves_work():
            for wake in self._wakers:
                wake()
        for listen in self._listeners:
            listen(ledger, attempt)

    def submit(self, ledger: Ledger, piece: Piece) -> None:
        """Queue a piece for its ledger; it is answered later, once. Raises Overloaded."""
        lane = self._lanes.get(ledger.number)
        if lane is None:
            lane = Lane(
                ledger,
                self._pool,
                self._settings,
                self._clock,
                self._cards,
                partial(self._tell, ledger.number),
            )
            self._lanes[ledger.number] = lane
        lane.know(ledger)
        lane.submit(piece)

    async def ask(
        self, ledger: Ledger, operation: Operation, *, key: str | None = None, payload: str = ""
    ) -> Result:
        """Submit one operation, and wait for what became of it. Raises CatenaError."""
        answered: asyncio.Future[Answer | CatenaError] = asyncio.get_running_loop().create_future()

        def settle(answer: Answer | CatenaError) -> None:
            if not answered.done():  # whoever asked may have gone; what is committed stays
                answered.set_result(answer)

        self.submit(ledger, Piece([operation], key=key, payload=payload, done=settle))
        answer = await answered
        if isinstance(answer, CatenaError):
            raise answer
        return answer.results[0]

    def counts(self) -> Iterator[tuple[str, int, LaneCounts]]:
        """For each ledger: its id, the operations that wait, and what its lane has done."""
        return ((lane.ledger_id, lane.waiting, lane.counts) for lane in self._lanes.values())

    async def close(self) -> None:
        """Take nothing more and finish what waits."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
