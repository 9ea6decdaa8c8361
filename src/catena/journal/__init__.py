"""The only road that writes money: group commit = load, decide, write, answer.

Work that waits at the same moment is decided in order and committed in one transaction; each
piece gets its own answer, and a refused piece harms none of its neighbours.
"""

from catena.journal.journal import Journal
from catena.journal.operations import (
    AccountState,
    ChainResult,
    ChangeAccount,
    ChangeItem,
    CreateChain,
    Follow,
    ItemChanged,
    LedgerOperation,
    NoticeTaken,
    OpenAccount,
    Operation,
    PostEntry,
    ReceiveMessage,
    RefundEntry,
    Result,
    ReverseEntry,
    RunChain,
    Taken,
    TakeNotice,
)
from catena.journal.pieces import Answer, Piece

__all__ = [
    "AccountState",
    "Answer",
    "ChainResult",
    "ChangeAccount",
    "ChangeItem",
    "CreateChain",
    "Follow",
    "ItemChanged",
    "Journal",
    "LedgerOperation",
    "NoticeTaken",
    "OpenAccount",
    "Operation",
    "Piece",
    "PostEntry",
    "ReceiveMessage",
    "RefundEntry",
    "Result",
    "ReverseEntry",
    "RunChain",
    "TakeNotice",
    "Taken",
]
