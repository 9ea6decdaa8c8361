"""Operations on chains within a commit: the machine decides, over the commit's own books.

Invariant: a chain's event stands before the entries of the same operation, so that an entry's id
follows from its distance; whatever a chain reads or changes is version-checked in that commit.
"""

from __future__ import annotations

from collections.abc import Iterator

from catena.chains import machine
from catena.chains.calls import begin, due_calls
from catena.chains.chain import Chain
from catena.chains.history import IllegalMove
from catena.chains.needs import named_accounts
from catena.chains.refusals import ChainRefusal, ChainRefused, Command, refuse
from catena.chains.standing import find_unusable
from catena.chains.step_types import Call, Direction
from catena.chains.validator import Flaw, find_uncovered
from catena.chains.waits import find_wait, signal_of
from catena.clock import monotonic
from catena.db.inbox import Message
from catena.db.write import WriteSet
from catena.journal.book import Book, Claimed
from catena.journal.cards import Begun, ChainFound, ChainMoved, OpenChain, Unchanged
from catena.journal.chain_books import ChainBooks
from catena.journal.operations import CreateChain, RefundEntry, RunChain
from catena.ledger.refusals import Refusal

__all__ = ["close_chain", "decide_chain", "decide_creation", "deliver"]


def decide_creation(
    operation: CreateChain, book: Book, work: WriteSet
) -> ChainMoved | ChainFound | ChainRefused | Refusal:
    """Make a chain, and run it to its first wall unless it is open."""
    definition, instead = operation.definition, operation.instead
    found = None if definition.claim is None else book.find_claimant(definition.claim)
    if found is None and instead is not None:
        amount = instead.amount if isinstance(instead, RefundEntry) else None
        found = book.refuse(instead.draft, amount) or operation.against
    if found is not None:
        return found
    flaws = list(_find_flaws(operation, book))
    if flaws:
        return ChainRefused(ChainRefusal.INVALID_CHAIN, flaws=flaws)
    opened = book.chains.make(operation.chain)
    offset = work.next_offset()
    books = ChainBooks(book, work, offset)
    machine.create(opened.chain, books, definition, operation.by)
    if not definition.open:
        machine.start(opened.chain, books)
    if not opened.chain.is_ended:
        # None of them may be closed at this very moment.
        for account in named_accounts(definition.steps):
            books.account(account)
    moved = close_chain(opened, books, work, offset, None)
    if definition.claim is not None:
        book.references[definition.claim[:2]] = Claimed(definition.claim.content, moved)
    return moved


def _find_flaws(operation: CreateChain, book: Book) -> Iterator[Flaw]:
    """What only the books tell: accounts that cannot be used, and what a pivot leaves unpaid."""
    steps = operation.definition.steps
    yield from find_unusable(steps, book.accounts)
    by_name = {step.name: step for step in steps}
    yield from find_uncovered(by_name, book.accounts, (book.ledger_id, book.assets))


def decide_chain(
    operation: RunChain, book: Book, work: WriteSet
) -> ChainMoved | ChainFound | Unchanged | ChainRefused | Refusal:
    """Do something to a chain, under its version and, for work that was taken, its fence."""
    opened = book.chains.find(operation.chain)
    if opened is None:
        return ChainRefused(ChainRefusal.UNKNOWN_CHAIN, operation.chain)
    if operation.work is not None:
        step, fence = operation.work
        row = opened.work.get(step)
        begun = any(began.call.step == step for began in opened.begun)  # in this very commit
        if row is None or row.fence != fence or begun:
            # Somebody else has it by now: nothing is written in its name (I9).
            return _make_good(operation, opened.chain, book, work)
        opened.taken[step] = None
    mark = work.mark()
    offset = work.next_offset()
    books = ChainBooks(book, work, offset)
    chain = opened.go_on(book.now)
    if operation.work is not None and not operation.work[0]:
        _deliver_waiting(chain, books, work)  # the clock's work, which nothing refuses
    value = operation.act(chain, books)
    if value is False and not chain.new:
        work.rewind(mark)
        return _make_good(operation, chain, book, work)
    if isinstance(value, Call):
        opened.taken[value.step] = book.cards.lease_seconds
    refused = isinstance(value, ChainRefused | Refusal)
    if refused and chain.new:
        # What it has done to accounts cannot be dropped here: the attempt is, as a whole.
        raise IllegalMove(f"{chain.id} was changed by what it refused")
    if refused or not chain.new:
        work.rewind(mark)
        opened.blocked |= books.blocked
        return value if isinstance(value, ChainRefused | Refusal) else Unchanged(value)
    return close_chain(opened, books, work, offset, value)


def _make_good(
    operation: RunChain, chain: Chain, book: Book, work: WriteSet
) -> ChainMoved | ChainFound | Unchanged | ChainRefused | Refusal:
    """An answer that came too late is not dropped where it says that something was done."""
    if operation.stray is None:
        return Unchanged()
    id, define = operation.stray
    definition = define(chain)
    if definition is None or book.chains.find(id) is not None:
        return Unchanged()
    return decide_creation(CreateChain(id, definition, operation.chain), book, work)


def close_chain(
    opened: OpenChain, books: ChainBooks, work: WriteSet, offset: int, value: object
) -> ChainMoved:
    """Note what has happened to the chain as one event of the ledger."""
    chain = opened.chain
    _begin_calls(opened, books)
    data = {"first": chain.number - len(chain.new) + 1, "events": chain.new}
    subject, type = chain.id[-32:], f"chain.{chain.state}"
    work.add_rest("events", {"offset": offset, "type": type, "subject": subject, "data": data})
    opened.blocked |= books.blocked
    opened.posted |= books.posted
    opened.close(offset, books.now)
    made = opened if not opened.read and len(opened.records) == 1 else None
    return ChainMoved(offset, chain.id, opened.records, value, made, books.now)


def _begin_calls(opened: OpenChain, books: ChainBooks) -> None:
    """Let the worker of this process make the calls that are due now: their intents stand here."""
    chain = opened.chain
    for due in list(due_calls(chain, books.now, books.catalogue)):
        if due.at is not None or due.direction is not Direction.FORWARD:
            continue
        if not books.takes_call(chain.steps[due.step].definition):
            continue
        call = begin(chain, books, due.step)
        if call is not None:
            opened.begun.append(Begun(call, opened.fence_of(call.step), monotonic()))
            opened.taken[due.step] = books.lease_seconds


def _deliver_waiting(chain: Chain, books: ChainBooks, work: WriteSet) -> None:
    """Give a chain what had come before it began to wait."""
    for message in books.waiting_messages(chain.id):
        if deliver(chain, books, message):
            row = {"source": message.source, "id": message.id, "chain_id": chain.id[-32:]}
            work.add_rest("matched", row)


def deliver(chain: Chain, books: ChainBooks, message: Message) -> bool:
    """Signal the wait that the message is for; False: there is none, and nothing happened."""
    wait = find_wait(chain, message.correlation)
    if wait is None or refuse(chain, Command.SIGNAL) is not None:
        return False
    name = signal_of(wait.definition) or wait.name
    machine.signal(chain, books, name, message.payload, message.source)
    return True
