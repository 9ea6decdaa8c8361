"""The only road that writes money: group commit = load, decide, write, answer.

Work that waits at the same moment is decided in order and committed in one transaction; each
piece gets its own answer, and a refused piece harms none of its neighbours.
"""

from catena.journal.journal import Journal
from catena.journal.pieces import (
    AccountState,
    Answer,
    ChangeAccount,
    OpenAccount,
    Operation,
    Piece,
    PostEntry,
    RefundEntry,
    Result,
    ReverseEntry,
)

__all__ = [
    "AccountState",
    "Answer",
    "ChangeAccount",
    "Journal",
    "OpenAccount",
    "Operation",
    "Piece",
    "PostEntry",
    "RefundEntry",
    "Result",
    "ReverseEntry",
]
