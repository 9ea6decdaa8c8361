"""What is submitted to the journal, and what it answers.

A piece is one caller's request under one idempotency key: one operation or many.
Invariant: a piece is answered exactly once, with what is committed or with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog

from catena.errors import CatenaError
from catena.journal.needs import Needs
from catena.journal.operations import Operation, Result

__all__ = ["Answer", "Piece"]

_log: Final = structlog.get_logger(__name__)


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
    committed, and its answer is about to be told. `needs`: what it needs to have read.
    """

    __slots__ = (
        "_done",
        "answered",
        "atomic",
        "in_doubt",
        "key",
        "needs",
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
        self.needs = Needs()
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
