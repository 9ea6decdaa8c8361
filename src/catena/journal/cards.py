"""The chains of one commit: as they were read, and as they stand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from catena.chains.chain import Chain
from catena.chains.history import Record
from catena.chains.needs import references_of
from catena.chains.step_types import Call, Catalogue
from catena.ids import EVENT, Numbering, position_of
from catena.journal.chain_rows import (
    accounts_of,
    correlations_of,
    describe_card,
    describe_lien,
    describe_liens,
    describe_places,
    describe_work,
    liens_of,
)

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.load_chains import LoadedChain, WorkRow
    from catena.db.write import WriteSet
    from catena.ledger.accounts import Account

__all__ = [
    "PENDING",
    "Begun",
    "Cards",
    "ChainFound",
    "ChainMoved",
    "OpenChain",
    "OpenChains",
    "Taker",
    "Unchanged",
]

PENDING: Final = dt.datetime.max.replace(tzinfo=dt.UTC)
"""Stands for the time of the commit that is being decided."""


class Begun(NamedTuple):
    """A call whose intent a commit holds: under which fence, and since when, in monotonic seconds:
    from then on its time runs.
    """

    call: Call
    fence: int
    since: float


class Taker(Protocol):
    """A worker in this process, which takes calls in the very commit that makes them due."""

    def room(self) -> int:
        """How many calls it has hands for now."""

    def knows(self, ledger_id: str, adapter: str) -> bool:
        """Whether it can make the calls that this takes, in this ledger."""

    def take(self, ledger: Ledger, begun: Begun) -> None:
        """Make a call whose intent is committed."""


@dataclass(slots=True)
class Cards:
    """What chains need besides the books. `lease_seconds`: of work that is taken.

    `call_seconds`: how long a call may take, at most.
    """

    catalogue: Catalogue
    random: Callable[[], float]
    lease_seconds: float
    call_seconds: float
    taker: Taker | None = None

    def room(self) -> int:
        """How many calls may be begun in one commit."""
        return self.taker.room() if self.taker is not None else 0

    def knows(self, ledger_id: str, adapter: str) -> bool:
        """Whether the worker of this process can make such calls."""
        return self.taker is not None and self.taker.knows(ledger_id, adapter)


class ChainMoved(NamedTuple):
    """An operation on a chain that will be committed: its event at `offset`, and what it gave.

    `records`: the chain's commits up to and with it; those of this commit by their offsets. `made`:
    the chain itself, which this operation made when it was `decided_at`.
    """

    offset: int
    chain: str
    records: tuple[Record, ...]
    value: Any = None
    made: OpenChain | None = None
    decided_at: dt.datetime | None = None

    def read(self, base: int, at: dt.datetime, numbering: Numbering) -> Chain:
        """The chain right after this operation, as it is read back once it is committed."""
        made = self.made
        if made is not None and self.decided_at is not None and made.offset == self.offset:
            made.chain.settle(self.decided_at, at, numbering.id_at(EVENT, base + self.offset))
            return made.chain
        return Chain(
            self.chain,
            [
                record._replace(at=at, id=numbering.id_at(EVENT, base + int(record.id or 0)))
                if record.at is PENDING
                else record
                for record in self.records
            ],
        )


class ChainFound(NamedTuple):
    """A chain that was there already, under the same reference with the same content."""

    chain: Chain

    @property
    def position(self) -> int:
        """Of its last event when it was read."""
        return position_of(self.chain.history[-1].id or "")

    def read(self) -> Chain:
        """The chain as it was read."""
        return Chain(self.chain.id, self.chain.history)


class Unchanged(NamedTuple):
    """An operation that found nothing to do, and what it gave."""

    value: Any = None


class OpenChain:
    """One chain in a commit.

    `read`: the number of the last event that was read; `offset`: of its last event here, 0 for
    none; `now`: when that was decided. `taken`: the work that senders of this commit hold, and how
    much longer (None: no more). `posted`: wallets that its entries of this commit are on. `begun`:
    calls that are made once this is committed. `blocked`: something that it needs was not read, so
    that it goes on in a commit that reads it.
    """

    __slots__ = (
        "begun",
        "blocked",
        "chain",
        "named",
        "now",
        "offset",
        "posted",
        "read",
        "records",
        "references",
        "stored",
        "taken",
        "waiting",
        "work",
    )

    def __init__(self, chain: Chain, work: Mapping[str, WorkRow]) -> None:
        self.chain = chain
        self.work = work
        self.read = chain.number
        self.records = tuple(chain.history)
        self.stored = {lien.id: describe_lien(lien) for lien in liens_of(chain)}
        self.named = accounts_of(chain)
        self.waiting = correlations_of(chain)
        self.references = references_of(chain)
        self.posted: set[str] = set()
        self.offset = 0
        self.now = PENDING
        self.taken: dict[str, float | None] = {}
        self.begun: list[Begun] = []
        self.blocked = False

    @property
    def is_ended(self) -> bool:
        """Whether this commit leaves it ended."""
        return self.chain.is_ended

    def names(self, account: str) -> bool:
        """Whether it runs, and has to do with the account, in what it was made of or has posted."""
        if self.is_ended:
            return False
        return account in self.posted or account in accounts_of(self.chain)

    def fence_of(self, step: str) -> int:
        """The fence under which this commit begins a call of the step."""
        row = self.work.get(step)
        return 1 if row is None else row.fence + 1

    def close(self, offset: int, now: dt.datetime) -> None:
        """End an operation: its events become a commit of the chain, at this offset."""
        chain = self.chain
        self.now = now
        events = tuple(chain.new)
        first = chain.number - len(events) + 1
        self.records = (*self.records, Record(PENDING, str(offset), first, events))
        self.offset = offset

    def go_on(self, now: dt.datetime) -> Chain:
        """The chain, for the next operation on it in this commit.

        As far as that knows it is `now`; what this commit has posted is not at hand for an undo.
        """
        self.now = now
        if self.chain.new:
            last = self.records[-1]._replace(at=now, id=None)
            self.chain = Chain(self.chain.id, [*self.chain.history, last])
        return self.chain


class OpenChains:
    """The chains that a commit reads or makes, by id."""

    def __init__(self) -> None:
        self._open: dict[str, OpenChain] = {}

    def add(self, loaded: Mapping[str, LoadedChain]) -> None:
        """Take in what was read."""
        for id, (chain, work) in loaded.items():
            self._open[id] = OpenChain(chain, work)

    def make(self, id: str) -> OpenChain:
        """A chain without a history."""
        made = self._open[id] = OpenChain(Chain(id), {})
        return made

    def all(self) -> Iterator[OpenChain]:
        """All of them."""
        return iter(self._open.values())

    def find(self, id: str) -> OpenChain | None:
        """The chain, if there is one."""
        return self._open.get(id)

    def begun(self) -> Iterator[Begun]:
        """The calls that are made once this is committed."""
        for opened in self._open.values():
            yield from opened.begun

    def write(self, work: WriteSet, cards: Cards, accounts: Mapping[str, Account]) -> None:
        """Have everything written that follows from the histories as they stand now."""
        last = work.count
        for account in self._reserved_anew():
            reserved = accounts[account].reserved
            row = {"account_id": account[-32:], "offset": last, "reserved": reserved}
            work.add_rest("reserves", row)
        for opened in self._open.values():
            if opened.offset:
                work.add_rest("chains", describe_card(opened))
                for kind, row in describe_places(opened):
                    work.add_rest(kind, row)
                for row in describe_liens(opened):
                    work.add_rest("liens", row)
            if opened.offset or opened.taken:
                for row in describe_work(opened, cards):
                    work.add_rest("work", row)

    def _reserved_anew(self) -> Iterator[str]:
        """The accounts on which more or less is under lien than was before this commit."""
        change: dict[str, int] = {}
        for opened in self._open.values():
            if not opened.offset:
                continue
            for lien in opened.chain.pool.liens.values():
                before = opened.stored.get(lien.id)
                more = lien.remaining - (before["remaining"] if before else 0)
                change[lien.account] = change.get(lien.account, 0) + more
        return (account for account, more in change.items() if more)
