"""The chains of one commit: as they were read, as they stand, and what is written of them.

Invariant: what is written of a chain besides its events follows from its history alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from catena.chains.calls import due_calls, due_timer
from catena.chains.chain import Chain
from catena.chains.history import Record
from catena.chains.needs import named_accounts
from catena.chains.states import StepState
from catena.chains.step_types import Call, Catalogue
from catena.ids import EVENT, LIEN, Numbering, derive_within
from catena.liens.liens import Lien, LienKind, LienState

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.load_chains import LoadedChain, WorkRow
    from catena.db.write import WriteSet

__all__ = [
    "DUE_NOW",
    "PENDING",
    "Begun",
    "Cards",
    "ChainMoved",
    "OpenChain",
    "OpenChains",
    "Taker",
    "Unchanged",
]

DUE_NOW: Final = "-infinity"
"""Due at once, whatever the clocks of this process and of the database say."""

_NEVER: Final = "infinity"

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


class Unchanged(NamedTuple):
    """An operation that found nothing to do, and what it gave."""

    value: Any = None


class OpenChain:
    """One chain in a commit.

    `read`: the number of the last event that was read; `offset`: of its last event here, 0 for
    none. `taken`: the work that senders of this commit hold, and how much longer (None: no more).
    `posted`: wallets that its entries of this commit are on. `begun`: calls that are made once this
    is committed. `blocked`: something that it needs was not read, so that it goes on in a commit
    that reads it.
    """

    __slots__ = (
        "begun",
        "blocked",
        "chain",
        "named",
        "offset",
        "posted",
        "read",
        "records",
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
        self.stored = {lien.id: _describe_lien(lien) for lien in _liens_of(chain)}
        self.named = _name_accounts(chain)
        self.waiting = _correlations_of(chain)
        self.posted: set[str] = set()
        self.offset = 0
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
        return account in self.posted or account in _name_accounts(self.chain)

    def fence_of(self, step: str) -> int:
        """The fence under which this commit begins a call of the step."""
        row = self.work.get(step)
        return 1 if row is None else row.fence + 1

    def close(self, offset: int) -> None:
        """End an operation: its events become a commit of the chain, at this offset."""
        chain = self.chain
        events = tuple(chain.new)
        first = chain.number - len(events) + 1
        self.records = (*self.records, Record(PENDING, str(offset), first, events))
        self.offset = offset

    def go_on(self, now: dt.datetime) -> Chain:
        """The chain, for the next operation on it in this commit.

        As far as that knows it is `now`; what this commit has posted is not at hand for an undo.
        """
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

    def write(self, work: WriteSet, now: dt.datetime, cards: Cards) -> None:
        """Have everything written that follows from the histories as they stand now."""
        for opened in self._open.values():
            if opened.offset:
                work.add_rest("chains", _describe_chain(opened))
                for kind, row in _describe_places(opened):
                    work.add_rest(kind, row)
                for row in _describe_liens(opened, now):
                    work.add_rest("liens", row)
            if opened.offset or opened.taken:
                for row in _describe_work(opened, now, cards):
                    work.add_rest("work", row)


def _describe_chain(opened: OpenChain) -> dict[str, Any]:
    chain = opened.chain
    return {
        "chain_id": chain.id[-32:],
        "before": opened.read,
        "events": chain.number,
        "state": chain.state,
        "type": chain.definition.type,
        "reference": chain.definition.reference,
        "parked": next(chain.parked(), None) is not None,
        "steps": len(chain.steps),
        "done": chain.count_done(),
        "offset": opened.offset,
    }


def _correlations_of(chain: Chain) -> set[str]:
    """What its waits wait for."""
    return {
        run.correlation
        for run in chain.steps.values()
        if run.correlation is not None and run.state is StepState.WAITING
    }


def _name_accounts(chain: Chain) -> set[str]:
    steps = (run.definition for run in chain.steps.values())
    return {*named_accounts(steps), *(lien.account for lien in chain.pool.liens.values())}


def _liens_of(chain: Chain) -> Iterator[Lien]:
    """The chain's liens, and those that are declared on a chain that was opened."""
    yield from chain.pool.liens.values()
    if chain.definition.open:
        for run in chain.steps.values():
            inputs = run.definition.inputs
            account, amount = inputs.get("account_id"), inputs.get("amount")
            if run.definition.type != "lien.reserve" or run.lien is not None:
                continue
            if isinstance(account, str) and isinstance(amount, int):
                id = derive_within(LIEN, chain.id, run.name, account)
                lien = Lien(id, chain.id, run.name, account, LienKind.RESERVE, amount)
                if chain.is_ended:
                    lien.state, lien.released = LienState.RELEASED, amount
                yield lien


def _describe_lien(lien: Lien) -> dict[str, Any]:
    return {
        "lien_id": lien.id[-32:],
        "chain_id": lien.chain[-32:],
        "step": lien.step,
        "account_id": lien.account[-32:],
        "kind": lien.kind,
        "state": lien.state,
        "amount": lien.amount,
        "remaining": lien.remaining,
        "drawn": lien.drawn,
        "released": lien.released,
        "taken_back": lien.taken_back,
        "expires_at": lien.expires_at.isoformat() if lien.expires_at else None,
    }


def _describe_places(opened: OpenChain) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where the chain is found: by accounts that it names, and by what it waits for."""
    id = opened.chain.id[-32:]
    for account in (_name_accounts(opened.chain) | opened.posted) - opened.named:
        yield "chain_accounts", {"account_id": account[-32:], "chain_id": id}
    for correlation in opened.waiting ^ _correlations_of(opened.chain):
        waits = correlation not in opened.waiting
        yield "correlations", {"chain_id": id, "correlation": correlation, "waits": waits}


def _describe_liens(opened: OpenChain, now: dt.datetime) -> Iterator[dict[str, Any]]:
    """The liens that have changed; one that was born and ended within this commit is no row.

    A time that was set in this commit counts from it, in microseconds.
    """
    for lien in _liens_of(opened.chain):
        row = _describe_lien(lien)
        before = opened.stored.get(lien.id)
        declared = lien.state is LienState.CREATED
        if row != before and (before is not None or lien.is_open or declared):
            if lien.expires_at is not None and (
                before is None or row["expires_at"] != before["expires_at"]
            ):
                row["expires_in"] = (lien.expires_at - now) // dt.timedelta(microseconds=1)
            yield row


def _describe_work(opened: OpenChain, now: dt.datetime, cards: Cards) -> Iterator[dict[str, Any]]:
    """The work that is no longer as it was read. What somebody else holds is left to them."""
    chain = opened.chain
    due: dict[str, str] = {}
    if not chain.is_ended:
        for call in due_calls(chain, now, cards.catalogue):
            due[call.step] = call.at.isoformat() if call.at is not None else DUE_NOW
        timer = due_timer(chain)
        if opened.blocked or _correlations_of(chain) - opened.waiting:
            due[""] = DUE_NOW  # what it needs, or waits for, is read in the next commit
        elif timer is not None:
            due[""] = timer.isoformat()
    begun = {began.call.step for began in opened.begun}
    for step in {**opened.work, **due}:
        row = opened.work.get(step)
        lease = opened.taken.get(step)
        told: dict[str, Any] = {"chain_id": chain.id[-32:], "step": step}
        told["before"] = None if row is None else row.fence
        told["fence"] = opened.fence_of(step) if step in begun or row is None else row.fence
        if row is not None and chain.is_ended:
            yield told
        elif lease is not None:
            until = now + dt.timedelta(seconds=lease)
            yield {**told, "due_at": until.isoformat(), "leased": True}
        elif row is None:
            yield {**told, "due_at": due[step], "leased": False}
        elif step in opened.taken or not (row.leased and step in due):
            at = due.get(step, _NEVER)
            if step in opened.taken or at != row.due_at:
                yield {**told, "due_at": at, "leased": False}
