"""What is submitted to the journal, and what it answers.

A piece is one caller's request under one idempotency key: one operation or many.
Invariant: a piece is answered exactly once, with what is committed or with an error.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog

from catena.errors import CatenaError
from catena.ledger.entries import Draft, Entry
from catena.ledger.refusals import Refusal
from catena.ledger.terms import Profile, TermsChange

__all__ = [
    "AccountState",
    "Answer",
    "ChangeAccount",
    "OpenAccount",
    "Operation",
    "Piece",
    "PostEntry",
    "RefundEntry",
    "Result",
    "ReverseEntry",
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


Operation = PostEntry | ReverseEntry | RefundEntry | OpenAccount | ChangeAccount


class AccountState(NamedTuple):
    """An account right after it was opened or changed, from the event that says so."""

    profile: Profile
    created_at: dt.datetime
    updated_at: dt.datetime


Result = Entry | AccountState | Refusal


class Answer(NamedTuple):
    """One result for each operation, in order; of an atomic piece that was refused, only the
    refusal, and `refused` is its operation's index. `replayed`: the key was answered before.
    """

    results: Sequence[Result]
    replayed: bool = False
    refused: int | None = None


class Piece:
    """One request. `key` and `payload` are hex fingerprints of 16 bytes.

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
        key: str,
        payload: str,
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
