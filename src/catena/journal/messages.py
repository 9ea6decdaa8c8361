"""Messages from outside: each is taken in once, and given to the chain that waits for it.

Invariant: a message and a wait cannot miss each other. Who takes one in without finding a wait
commits only if there is still none (checked behind the ledger's last lock); who begins a wait looks
for what is there in the commit after it.
"""

from __future__ import annotations

from catena.chains.refusals import ChainRefusal, ChainRefused
from catena.chains.waits import find_wait
from catena.db.inbox import Message, Received
from catena.db.write import WriteSet
from catena.ids import EVENT, derive_id
from catena.journal.book import Book, Decided
from catena.journal.cards import OpenChain
from catena.journal.chain_books import ChainBooks
from catena.journal.chains import close_chain, deliver
from catena.journal.operations import MESSAGE_EVENT, ReceiveMessage, Taken

__all__ = ["decide_message"]


def decide_message(operation: ReceiveMessage, book: Book, work: WriteSet) -> Decided | ChainRefused:
    """Take a message in, unless it was: to the chain that waits for it, else to be kept. Another
    message under the same id is refused.

    What became of it is an event, so that a key can tell it again.
    """
    message = operation.message
    key = (message.source, message.id)
    before = book.inbox.get(key)
    if before is not None:
        if before.message.says() != message.says():
            return ChainRefused(ChainRefusal.MESSAGE_CONFLICT, before.chain)
        return _note(Taken(message, before.chain, again=True), work)
    opened = _find_waiting(message.correlation, book)
    chain = None if opened is None else _give(opened, message, book, work)
    book.inbox[key] = Received(message, chain)
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


def _find_waiting(correlation: str, book: Book) -> OpenChain | None:
    """The chain that waits for this, as it was read or has begun to in this very commit."""
    waiting = (o for o in book.chains.all() if find_wait(o.chain, correlation) is not None)
    return next(waiting, None)


def _give(opened: OpenChain, message: Message, book: Book, work: WriteSet) -> str | None:
    """Signal the chain; gives its id, or None when it takes nothing any more."""
    chain = opened.go_on(book.now)
    mark = work.mark()
    offset = work.next_offset()
    books = ChainBooks(book, work, offset)
    if not deliver(chain, books, message):
        work.rewind(mark)
        return None
    close_chain(opened, books, work, offset, None)
    return chain.id
