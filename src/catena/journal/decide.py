"""Decides one commit: every operation in order, over rows that are locked or version-checked.

Invariant: reads only the `Book`, changes only it and the write set; a refused operation leaves
both as they were. Never waits, never talks to the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import copy
from typing import Final

from catena.chains.refusals import ChainRefused
from catena.db.load import ReferenceRow
from catena.db.write import WriteSet
from catena.ids import position_of
from catena.journal.book import Book, Decided
from catena.journal.cards import ChainFound, ChainMoved, Unchanged
from catena.journal.chains import decide_chain, decide_creation
from catena.journal.messages import decide_message
from catena.journal.notices import decide_notice
from catena.journal.operations import (
    ITEM_EVENTS,
    ChangeAccount,
    ChangeItem,
    CreateChain,
    ItemChanged,
    OpenAccount,
    Operation,
    PostEntry,
    ReceiveMessage,
    RefundEntry,
    ReverseEntry,
    RunChain,
    TakeNotice,
)
from catena.ledger.accounts import (
    Account,
    AccountStatus,
)
from catena.ledger.entries import (
    Draft,
    post_entry,
    refuse_entry,
    unpost_entry,
)
from catena.ledger.refusals import Refusal, RefusalCode
from catena.ledger.terms import Profile, change_terms, refuse_change

__all__ = ["Decision", "decide", "decide_together", "finish"]


Decision = Decided | ReferenceRow | Refusal | ChainMoved | ChainFound | Unchanged | ChainRefused
"""A ReferenceRow: the entry was there already, under the same reference with the same content."""


def decide(operation: Operation, book: Book, work: WriteSet) -> Decision:
    """Decide one operation and note in `work` what is to be written for it."""
    return _DECIDERS[type(operation)](operation, book, work)


def _decide_post(operation: PostEntry, book: Book, work: WriteSet) -> Decision:
    draft = operation.draft
    found = book.find_reference(draft)
    if found is not None:
        return found
    for role, currency in draft.system:
        book.ensure_system_account(role, currency)
    decision = _post(draft, book, work)
    if isinstance(decision, Refusal):
        book.drop_unused(draft)
    return decision


def _post(draft: Draft, book: Book, work: WriteSet) -> Decision:
    refusal = refuse_entry(draft, book.accounts, book.now)
    book.touch(draft.lines)
    if refusal is not None:
        return refusal
    offset = work.add_entry(draft, None if draft.corrects is None else position_of(draft.corrects))
    add_line, effective_at = work.add_line, draft.effective_at
    lines = draft.lines
    for ordinal, account in enumerate(post_entry(lines, book.accounts), 1):
        add_line(offset, ordinal, lines[ordinal - 1], account, effective_at)
    decided = Decided(offset, draft, draft.content)
    if draft.reference is not None:
        book.references[draft.type, draft.reference] = decided
    return decided


def _decide_reversal(operation: ReverseEntry, book: Book, work: WriteSet) -> Decision:
    return _correct(operation.draft, None, book, work)


def _decide_refund(operation: RefundEntry, book: Book, work: WriteSet) -> Decision:
    return _correct(operation.draft, operation.amount, book, work)


def _correct(draft: Draft, amount: int | None, book: Book, work: WriteSet) -> Decision:
    found = book.find_reference(draft)
    if found is not None:
        return found
    correction = book.correct(draft, amount)
    if isinstance(correction, Refusal):
        return correction
    decision = _post(correction, book, work)
    if isinstance(decision, Decided):
        book.record_correction(correction, work, decision.offset)
    return decision


def _decide_opening(operation: OpenAccount, book: Book, work: WriteSet) -> Decision:
    profile = operation.profile
    if profile.id in book.accounts or profile.id in book.opened:
        return Refusal(RefusalCode.ACCOUNT_EXISTS, profile.id)
    book.opened.add(profile.id)
    offset = work.next_offset()
    _note_opened(work, offset, profile)
    return Decided(offset, profile)


def _note_opened(work: WriteSet, offset: int, profile: Profile) -> None:
    row = _describe(profile)
    work.add_rest("opened", {**row, "account_id": profile.id[5:], "offset": offset})
    _note_event(work, offset, "account.opened", profile.id, row)


def _decide_change(operation: ChangeAccount, book: Book, work: WriteSet) -> Decision:
    account = book.accounts.get(operation.account)
    profile = book.profiles.get(operation.account)
    if account is None or profile is None:
        return Refusal(RefusalCode.UNKNOWN_ACCOUNT, operation.account)
    book.touched[account.id] = account
    closes = operation.change.fields.get("status") is AccountStatus.CLOSED
    if closes and book.is_in_use(account.id):
        return Refusal(RefusalCode.ACCOUNT_IN_USE, account.id)
    refusal = refuse_change(operation.change, profile, account)
    if refusal is not None:
        return refusal
    changed = change_terms(operation.change, profile, account)
    book.profiles[account.id] = changed
    offset = work.next_offset()
    row = _describe(changed)
    work.add_rest("changed", {**row, "account_id": changed.id[5:], "offset": offset})
    _note_event(work, offset, "account.changed", changed.id, row)
    return Decided(offset, changed)


def _decide_item(operation: ChangeItem, book: Book, work: WriteSet) -> Decision:
    """The entry first, if there is one: what it is refused for refuses the change."""
    card, draft = book.items.get(operation.item), operation.draft
    found = None if draft is None else book.find_reference(draft)
    if found is not None:
        return found
    if card is None or card.state not in operation.allowed:
        return Refusal(RefusalCode.ITEM_NOT_OPEN)
    if operation.seen not in (None, card.version):
        return Refusal(RefusalCode.ITEM_NOT_OPEN)
    told = ItemChanged(operation.item, operation.state, operation.who, operation.reason)
    row = {**told._asdict(), "item_id": operation.item[-32:], "version": card.version}
    if draft is None:
        offset = work.next_offset()
        data = {name: value for name, value in told._asdict().items() if name != "at"}
        _note_event(work, offset, ITEM_EVENTS + operation.state, operation.item, data)
        decision: Decision = Decided(offset, told)
    else:
        decision = _decide_post(PostEntry(draft), book, work)
        if not isinstance(decision, Decided):
            return decision
        row["entry"] = decision.offset
    del row["at"], row["item"]
    work.add_rest("item_changes", row)
    book.items[operation.item] = card._replace(state=operation.state, version=card.version + 1)
    return decision


def _describe(profile: Profile) -> dict[str, object]:
    """An account as its event says it; ids are the event's subject."""
    row = profile._asdict()
    del row["id"]
    created_at = profile.created_at.isoformat() if profile.created_at else None
    return {**row, "metadata": json.loads(profile.metadata), "created_at": created_at}


def _note_event(
    work: WriteSet, offset: int, type: str, subject: str, data: dict[str, object]
) -> None:
    row = {"offset": offset, "type": type, "subject": subject[-32:], "data": data}
    work.add_rest("events", row)


def decide_together(
    operations: Sequence[Operation], book: Book, work: WriteSet
) -> list[Decision] | tuple[int, Refusal | ChainRefused]:
    """Decide operations that happen all or not at all; else the index and refusal of the first no.

    Only postings and corrections can stand together.
    """
    mark = work.mark()
    undone_by = {id: copy(correction) for id, correction in book.corrections.items()}
    decisions: list[Decision] = []
    for index, operation in enumerate(operations):
        decision = decide(operation, book, work)
        if isinstance(decision, Refusal | ChainRefused):
            _take_back(decisions, mark.count, book)
            book.corrections = undone_by
            work.rewind(mark)
            return index, decision
        decisions.append(decision)
    return decisions


def _take_back(decisions: Sequence[Decision], before: int, book: Book) -> None:
    """Unpost what these decisions posted; an entry up to offset `before` was another piece's."""
    posted = {
        decision.offset: decision.value
        for decision in decisions
        if isinstance(decision, Decided) and isinstance(decision.value, Draft)
    }
    for offset, draft in posted.items():
        if offset > before:
            unpost_entry(draft.lines, book.accounts)
            book.drop_unused(draft)
            if draft.reference is not None:
                del book.references[draft.type, draft.reference]


def finish(book: Book, work: WriteSet) -> list[Account]:
    """Open the system accounts that were used first; gives the accounts to be written."""
    for account in book.touched.values():
        if account.version == 0 and account.line_count:
            profile = Profile(
                account.id,
                account.account_type,
                account.currency,
                account.role,
                None,
                None,
                "{}",
                account.status,
                account.floor,
                account.ceiling,
                1,
            )
            _note_opened(work, work.next_offset(), profile)
    book.chains.write(work, book.cards, book.accounts)
    return [account for account in book.touched.values() if account.version or account.line_count]


_DECIDERS: Final[dict[type, Callable[..., Decision]]] = {
    CreateChain: decide_creation,
    PostEntry: _decide_post,
    ReverseEntry: _decide_reversal,
    RefundEntry: _decide_refund,
    OpenAccount: _decide_opening,
    ChangeAccount: _decide_change,
    RunChain: decide_chain,
    ReceiveMessage: decide_message,
    TakeNotice: decide_notice,
    ChangeItem: _decide_item,
}
