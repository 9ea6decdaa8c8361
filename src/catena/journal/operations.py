"""What the journal is asked to do, one thing at a time, and what each comes to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from catena.chains.chain import Chain
from catena.chains.definition import Definition
from catena.chains.machine import Books
from catena.chains.refusals import ChainRefused
from catena.db.inbox import Message
from catena.db.notices import Told
from catena.ledger.accounts import Account
from catena.ledger.entries import Draft, Entry
from catena.ledger.refusals import Refusal
from catena.ledger.terms import Profile, TermsChange

__all__ = [
    "ITEM_EVENTS",
    "MESSAGE_EVENT",
    "AccountState",
    "ChainResult",
    "ChangeAccount",
    "ChangeItem",
    "CreateChain",
    "Follow",
    "ItemChanged",
    "LedgerOperation",
    "NoticeTaken",
    "OpenAccount",
    "Operation",
    "PostEntry",
    "ReceiveMessage",
    "RefundEntry",
    "Result",
    "ReverseEntry",
    "RunChain",
    "TakeNotice",
    "Taken",
]


class PostEntry(NamedTuple):
    """Post this entry."""

    draft: Draft


class ReverseEntry(NamedTuple):
    """Reverse `draft.corrects`; the draft's lines are filled in under lock."""

    draft: Draft


class RefundEntry(NamedTuple):
    """Refund `amount` minor units of `draft.corrects`; None: all that remains."""

    draft: Draft
    amount: int | None


class OpenAccount(NamedTuple):
    """Open this account, as its first revision."""

    profile: Profile


class ChangeAccount(NamedTuple):
    """Change an account's terms."""

    account: str
    change: TermsChange


class CreateChain(NamedTuple):
    """Make this chain, and run it unless it is open. `by`: who asked.

    `instead`: the entry that it posts by and by: what that would be refused for now refuses the
    chain. `against`: what speaks against it beside that, where nothing bears its reference yet.
    """

    chain: str
    definition: Definition
    by: str | None = None
    instead: PostEntry | RefundEntry | None = None
    against: Refusal | None = None


class RunChain(NamedTuple):
    """Do something to a chain that is there: `act` is told the chain and the books, and gives what
    the answer is to hold, or why not. It may be asked more than once.

    `work`: the step ('': the clock) whose work the sender has taken, under this fence; one that is
    no longer the work's changes nothing. `accounts` that it names; `entries` that its steps
    correct; `undoes`: it may roll the chain back. `stray`: when it changes nothing, the id of a
    chain that may be needed instead, and what defines it.
    """

    chain: str
    act: Callable[[Chain, Books], Any]
    work: tuple[str, int] | None = None
    accounts: Collection[str] = ()
    entries: Collection[str] = ()
    undoes: bool = True
    stray: tuple[str, Callable[[Chain], Definition | None]] | None = None


class ReceiveMessage(NamedTuple):
    """Take in what came from outside, once."""

    message: Message


class Follow(NamedTuple):
    """The chain that something outside may ask for: `define` is told the chain that it is about, if
    there is one, and the `accounts` as they are; None: none is needed. `by`: who asks.
    """

    id: str
    by: str
    accounts: Collection[str]
    define: Callable[[Chain | None, Mapping[str, Account]], Definition | None]


class TakeNotice(NamedTuple):
    """Take in what a gateway says, once.

    `chain`: the one that it is about; `tell` gives whether that took it, and `undoes` says that it
    may then roll back. `follow`: the chain that begins if it was not taken. `fits`: whether the
    chain is one that who says it can speak of; else nobody knows what it is about.
    """

    told: Told
    chain: str | None = None
    tell: Callable[[Chain, Books], bool] | None = None
    undoes: bool = True
    follow: Follow | None = None
    fits: Callable[[Chain], bool] = lambda _: True


class NoticeTaken(NamedTuple):
    """What became of a notice. `chain`: that it is about, or `began`; None: it is listed.

    `took`: the chain has moved for it. `again`: it was taken in before.
    """

    chain: str | None
    began: str | None
    took: bool = False
    again: bool = False


class ChangeItem(NamedTuple):
    """Change an item of reconciliation's work list, together with the entry that settles it.

    `allowed`: the states from which it may become so. `seen`: the item's version that the entry was
    drafted for. `who` has decided it, and why.
    """

    item: str
    state: str
    allowed: Collection[str]
    who: str
    reason: str
    draft: Draft | None = None
    seen: int | None = None


class ItemChanged(NamedTuple):
    """What was decided about an item without an entry. `at`: when it was recorded."""

    item: str
    state: str
    who: str
    reason: str
    at: dt.datetime | None = None


LedgerOperation = PostEntry | ReverseEntry | RefundEntry | OpenAccount | ChangeAccount
Operation = LedgerOperation | CreateChain | RunChain | ReceiveMessage | TakeNotice | ChangeItem


class AccountState(NamedTuple):
    """An account right after it was opened or changed, from the event that says so."""

    profile: Profile
    created_at: dt.datetime
    updated_at: dt.datetime


MESSAGE_EVENT: Final = "message.received"
"""The type of the event that tells what became of a message."""

ITEM_EVENTS: Final = "reconciliation."
"""What the types of events about items begin with; the state follows."""


class Taken(NamedTuple):
    """What became of a message. `chain`: who was given it; None: it waits, and is listed.

    `again`: it was taken in before, and nothing was done.
    """

    message: Message
    chain: str | None
    again: bool = False


class ChainResult:
    """A chain right after an operation (None: it is as it was), and what the operation gave.

    The chain is read only by those who ask for it: a worker goes on with what it was given.
    """

    __slots__ = ("_read", "value")

    def __init__(self, read: Callable[[], Chain] | None, value: Any = None) -> None:  # noqa: ANN401
        self._read = read
        self.value = value

    @property
    def chain(self) -> Chain | None:
        """The chain, folded anew each time."""
        return None if self._read is None else self._read()


Result = Entry | AccountState | ItemChanged | ChainResult | Taken | Refusal | ChainRefused
