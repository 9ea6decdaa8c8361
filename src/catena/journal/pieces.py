"""What is submitted to the journal, and what it answers.

A piece is one caller's request under one idempotency key: one operation or many.
Invariant: a piece is answered exactly once, with what is committed or with an error.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import structlog

from catena.chains.chain import Chain
from catena.chains.definition import Definition
from catena.chains.machine import Books
from catena.chains.refusals import ChainRefused
from catena.db.inbox import Message
from catena.errors import CatenaError
from catena.ledger.entries import Draft, Entry
from catena.ledger.refusals import Refusal
from catena.ledger.terms import Profile, TermsChange

__all__ = [
    "MESSAGE_EVENT",
    "AccountState",
    "Answer",
    "ChainResult",
    "ChangeAccount",
    "CreateChain",
    "LedgerOperation",
    "OpenAccount",
    "Operation",
    "Piece",
    "PostEntry",
    "ReceiveMessage",
    "RefundEntry",
    "Result",
    "ReverseEntry",
    "RunChain",
    "Taken",
]


_log: Final = structlog.get_logger(__name__)


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
    """Make this chain, and run it unless it is open. `by`: who asked."""

    chain: str
    definition: Definition
    by: str | None = None


class RunChain(NamedTuple):
    """Do something to a chain that is there: `act` is told the chain and the books, and gives what
    the answer is to hold, or why not. It may be asked more than once.

    `work`: the step ('': the clock) whose work the sender has taken, under this fence; one that is
    no longer the work's changes nothing. `accounts` that it names; `entries` that its steps
    reverse; `undoes`: it may roll the chain back. `stray`: when it changes nothing, the id of a
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


LedgerOperation = PostEntry | ReverseEntry | RefundEntry | OpenAccount | ChangeAccount
Operation = LedgerOperation | CreateChain | RunChain | ReceiveMessage


class AccountState(NamedTuple):
    """An account right after it was opened or changed, from the event that says so."""

    profile: Profile
    created_at: dt.datetime
    updated_at: dt.datetime


MESSAGE_EVENT: Final = "message.received"
"""The type of the event that tells what became of a message."""


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


Result = Entry | AccountState | ChainResult | Taken | Refusal | ChainRefused


class Answer(NamedTuple):
    """One result for each operation, in order; of an atomic piece that was refused, only the
    refusal, and `refused` is its operation's index. `replayed`: the key was answered before.
    """

    results: Sequence[Result]
    replayed: bool = False
    refused: int | None = None


class Piece:
    """One request. `key` and `payload` are hex fingerprints of 16 bytes; no key: what it does, it
    can only do once.

    `atomic`: all of the operations happen or none. `waiting_since` is monotonic seconds.
    `in_doubt`: it was sent to a database that was lost before it answered. `settled`: it is
    committed, and its answer is about to be told.
    """

    __slots__ = (
        "_done",
        "answered",
        "atomic",
        "in_doubt",
        "key",
        "operations",
        "payload",
        "settled",
        "waiting_since",
    )

    def __init__(
        self,
        operations: Sequence[Operation],
        *,
        key: str | None,
        payload: str = "",
        done: Callable[[Answer | CatenaError], None],
        atomic: bool = True,
    ) -> None:
        self.operations = operations
        self.key = key
        self.payload = payload
        self._done = done
        self.atomic = atomic
        self.waiting_since = 0.0
        self.in_doubt = False
        self.settled = False
        self.answered = False

    def answer(self, answer: Answer | CatenaError) -> None:
        """Tell the caller, once. One who cannot be told harms no other piece."""
        if self.answered:
            return
        self.answered = True
        try:
            self._done(answer)
        except Exception:  # noqa: BLE001  # whatever is wrong with it is its own
            _log.exception("answer_not_taken")
