"""What gateways say: taken in once, told to the chain that it is about, or the reason of one.

Invariant: that it was taken in and what it brings about are one commit. One that nobody knows what
to do with is kept without a chain, and can be taken up later.
"""

from __future__ import annotations

from catena.chains.refusals import ChainRefusal, ChainRefused
from catena.chains.states import ChainState
from catena.db.notices import Heard
from catena.db.write import WriteSet
from catena.journal.book import Book
from catena.journal.cards import OpenChain, Unchanged
from catena.journal.chain_books import ChainBooks
from catena.journal.chains import close_chain, decide_creation
from catena.journal.operations import CreateChain, Follow, NoticeTaken, TakeNotice

__all__ = ["decide_notice"]


def decide_notice(operation: TakeNotice, book: Book, work: WriteSet) -> Unchanged:
    """Take it in, unless it was; gives what became of it."""
    told = operation.told
    before = book.notices.get((told.gateway, told.id))
    again = before is not None
    if before is not None and before.chain is not None:
        return Unchanged(NoticeTaken(before.chain, before.began, again=again))
    opened = book.chains.find(operation.chain) if operation.chain is not None else None
    fits = opened is None or operation.fits(opened.chain)
    took = opened is not None and fits and _tell(operation, opened, book, work)
    chain, began = (opened.chain.id if opened is not None and fits else None), None
    if not took and fits and operation.follow is not None:
        begun = _begin(operation.follow, opened, book, work)
        if isinstance(begun, ChainRefused):
            chain = None  # somebody has to see it
        elif begun is not None:
            began, chain = begun, chain or begun
    row = {
        "gateway": told.gateway,
        "id": told.id,
        "chain_id": chain[-32:] if chain else None,
        "began": began[-32:] if began else None,
    }
    if before is None:
        work.add_rest("notices", {**row, "subject": told.subject, "notice": told.notice})
    elif chain is not None:
        work.add_rest("matched_notices", row)
    book.notices[told.gateway, told.id] = Heard(told, book.now, chain, began)
    return Unchanged(NoticeTaken(chain, began, took=took, again=again))


def _tell(operation: TakeNotice, opened: OpenChain, book: Book, work: WriteSet) -> bool:
    """Tell the chain; False when it changes nothing for it: it is old, or known."""
    if operation.tell is None:
        return False
    mark = work.mark()
    offset = work.next_offset()
    books = ChainBooks(book, work, offset)
    chain = opened.go_on(book.now)
    if not operation.tell(chain, books):
        work.rewind(mark)
        return False
    close_chain(opened, books, work, offset, None)
    return True


def _begin(
    follow: Follow, about: OpenChain | None, book: Book, work: WriteSet
) -> str | ChainRefused | None:
    """Begin the chain that it asks for, once; gives its id, or None where none is needed.

    One that has come to nothing is refused, as what could not even be made is.
    """
    if book.chains.find(follow.id) is None:
        definition = follow.define(None if about is None else about.chain, book.accounts)
        if definition is None:
            return None
        made = decide_creation(CreateChain(follow.id, definition, follow.by), book, work)
        if isinstance(made, ChainRefused):
            return made
    begun = book.chains.find(follow.id)
    if begun is None or begun.chain.state is ChainState.ROLLED_BACK:
        return ChainRefused(ChainRefusal.CHAIN_ENDED, follow.id)
    return follow.id
