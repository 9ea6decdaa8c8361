"""Messages from outside: each is taken in once, and given to the chain that waits for it.

Invariant: a message and a wait cannot miss each other. Who takes one in without finding a wait
commits only if there is still none (checked behind the ledger's last lock); who begins a wait looks
for what is there in the commit after it.
"""

from __future__ import annotations

from typing import NamedTuple

from catena.chains.machine import signal
from catena.chains.refusals import Command, refuse
from catena.chains.waits import find_wait, signal_of
from catena.db.inbox import Message
from catena.db.write import WriteSet
from catena.journal.book import Book
from catena.journal.cards import Unchanged
from catena.journal.chain_books import ChainBooks
from catena.journal.chains import close_chain
from catena.journal.pieces import ReceiveMessage

__all__ = ["Taken", "decide_message"]


class Taken(NamedTuple):
    """What became of a message. `chain`: who was given it; None: it waits, and is listed.

    `again`: it was taken in before, and nothing was done.
    """

    chain: str | None
    again: bool = False


def decide_message(operation: ReceiveMessage, book: Book, work: WriteSet) -> Unchanged:
    """Take a message in, unless it was: to the chain that waits for it, else to be kept."""
    message = operation.message
    key = (message.source, message.id)
    if key in book.inbox:
        return Unchanged(Taken(book.inbox[key], again=True))
    chain = _find_waiting(message.correlation, book)
    if chain is not None:
        chain = _give(chain, message, book, work)
    book.inbox[key] = chain
    work.add_rest("messages", {**message._asdict(), "chain_id": chain[-32:] if chain else None})
    return Unchanged(Taken(chain))


def _find_waiting(correlation: str, book: Book) -> str | None:
    """The chain that waits for this, as it was read or has begun to in this very commit."""
    return next(
        (
            opened.chain.id
            for opened in book.chains.all()
            if find_wait(opened.chain, correlation) is not None
        ),
        None,
    )


def _give(id: str, message: Message, book: Book, work: WriteSet) -> str | None:
    """Signal the chain; gives its id, or None when it takes nothing any more."""
    opened = book.chains.find(id)
    assert opened is not None  # noqa: S101  # it was just found there
    chain = opened.go_on(book.now)
    wait = find_wait(chain, message.correlation)
    if wait is None or refuse(chain, Command.SIGNAL) is not None:
        return None
    offset = work.next_offset()
    books = ChainBooks(book, work, offset)
    name = signal_of(wait.definition) or wait.name
    signal(chain, books, name, message.payload, message.source)
    close_chain(opened, books, work, offset, None)
    return id
