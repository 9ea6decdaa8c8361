"""Messages from outside: each is taken in once, and given to the chain that waits for it.

Invariant: a message and a wait cannot miss each other. Who takes one in without finding a wait
commits only if there is still none (checked behind the ledger's last lock); who begins a wait looks
for what is there in the commit after it.
"""

from __future__ import annotations

from catena.chains.machine import signal
from catena.chains.refusals import Command, refuse
from catena.chains.waits import find_wait, signal_of
from catena.db.inbox import Message
from catena.db.write import WriteSet
from catena.ids import EVENT, derive_id
from catena.journal.book import Book, Decided
from catena.journal.chain_books import ChainBooks
from catena.journal.chains import close_chain
from catena.journal.pieces import MESSAGE_EVENT, ReceiveMessage, Taken

__all__ = ["decide_message"]


def decide_message(operation: ReceiveMessage, book: Book, work: WriteSet) -> Decided:
    """Take a message in, unless it was: to the chain that waits for it, else to be kept.

    What became of it is an event, so that a key can tell it again.
    """
    message = operation.message
    key = (message.source, message.id)
    if key in book.inbox:
        return _note(Taken(message, book.inbox[key], again=True), work)
    chain = _find_waiting(message.correlation, book)
    if chain is not None:
        chain = _give(chain, message, book, work)
    book.inbox[key] = chain
    work.add_rest("messages", {**message._asdict(), "chain_id": chain[-32:] if chain else None})
    return _note(Taken(message, chain), work)


def _note(taken: Taken, work: WriteSet) -> Decided:
    offset = work.next_offset()
    subject = derive_id(EVENT, taken.message.source, taken.message.id)
    data = {**taken.message._asdict(), "chain": taken.chain, "again": taken.again}
    del data["payload"]  # it stands in the inbox
    row = {"offset": offset, "type": MESSAGE_EVENT, "subject": subject[-32:], "data": data}
    work.add_rest("events", row)
    return Decided(offset, taken)


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
