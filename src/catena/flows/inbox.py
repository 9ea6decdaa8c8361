"""The inbox: what a gateway says is kept before anything is matched, and applied behind.

Invariant: what is answered as taken in is committed. From then on it is applied: by this process
out of memory, or by the sweep of any, when this one has too much in hand, or dies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from catena.db.notices import Told
from catena.db.pool import is_lost
from catena.db.tasks import stop_task
from catena.errors import CatenaError
from catena.flows.notices import describe_notice
from catena.flows.sweep import Apply
from catena.journal import Answer, ChainResult, NoticeTaken, Piece, TakeNotice

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.gateways.contract import Notice
    from catena.journal import Journal
    from catena.settings import Settings

__all__ = ["Inbox", "Receipt"]

_log = structlog.get_logger(__name__)


class Receipt(NamedTuple):
    """What was taken in, and how many notices had been before."""

    taken: int
    again: int


class Inbox:
    """Takes webhooks in as fast as they can be kept; a few hands `apply` what they say."""

    def __init__(self, journal: Journal, apply: Apply, settings: Settings) -> None:
        self._journal = journal
        self._apply = apply
        self._limit = settings.notice_queue_items
        self._hands_max = settings.notice_hands
        self._hands_min = max(1, settings.notice_hands // 4)
        self._keeping = 0
        self._at_work = 0
        self._waiting: deque[tuple[Ledger, Told]] = deque()
        self._hands: set[asyncio.Task[None]] = set()

    async def take(self, ledger: Ledger, gateway: str, notices: Sequence[Notice]) -> Receipt:
        """As `receive`, for who waits. Raises CatenaError where nothing was kept."""
        answered: asyncio.Future[Receipt | CatenaError] = asyncio.get_running_loop().create_future()

        def settle(receipt: Receipt | CatenaError) -> None:
            if not answered.done():  # whoever asked may have gone; what is committed stays
                answered.set_result(receipt)

        self.receive(ledger, gateway, notices, settle)
        receipt = await answered
        if isinstance(receipt, CatenaError):
            raise receipt
        return receipt

    def receive(
        self,
        ledger: Ledger,
        gateway: str,
        notices: Sequence[Notice],
        done: Callable[[Receipt | CatenaError], None],
    ) -> None:
        """Keep what one webhook says, all or nothing; `done` is called once. Raises Overloaded."""
        said = [Told(gateway, one.id, one.subject, describe_notice(one)) for one in notices]
        if not said:
            done(Receipt(0, 0))
            return

        def kept(answer: Answer | CatenaError) -> None:
            self._keeping -= 1
            if isinstance(answer, CatenaError):
                done(answer)
                return
            results = [_read(result) for result in answer.results]
            again = sum(result.again for result in results)
            for told, result in zip(said, results, strict=True):
                if result.chain is None:
                    self._put(ledger, told)
            done(Receipt(len(said) - again, again))

        self._journal.submit(ledger, Piece([TakeNotice(one) for one in said], key=None, done=kept))
        self._keeping += 1

    async def close(self) -> None:
        """Let go of what waits: the sweep finds it."""
        self._waiting.clear()
        for hand in list(self._hands):
            await stop_task(hand)

    def _put(self, ledger: Ledger, told: Told) -> None:
        if len(self._waiting) >= self._limit:
            return  # the sweep finds it
        self._waiting.append((ledger, told))
        self._take_on()

    def _hands_free(self) -> int:
        """How many more hands may be at work: what comes is kept before what has come is applied,
        so each that is being kept takes one away, but for a few.
        """
        return max(self._hands_min, self._hands_max - self._keeping) - self._at_work

    def _take_on(self) -> None:
        if self._waiting and self._hands_free() > 0:
            self._at_work += 1
            hand = asyncio.create_task(self._work(), name="apply notices")
            self._hands.add(hand)
            hand.add_done_callback(self._hands.discard)

    async def _work(self) -> None:
        try:
            while self._waiting and self._hands_free() >= 0:
                ledger, told = self._waiting.popleft()
                self._take_on()
                try:
                    await self._apply(ledger, told)
                except Exception as error:  # noqa: BLE001  # it is kept: the sweep tries again
                    if not is_lost(error):
                        _log.exception("notice_not_applied", gateway=told.gateway, id=told.id)
        finally:
            self._at_work -= 1


def _read(result: object) -> NoticeTaken:
    assert isinstance(result, ChainResult)  # noqa: S101  # what the operation gives
    taken: NoticeTaken = result.value
    return taken
