"""What the entries of a statement mean for us: lines to reconcile with, and notices of orders.

Invariant: only booked entries count. What concerns an order of ours is named after its EndToEndId,
so however many messages tell of it, it is taken in once; an incoming payment is named after its
entry, and taken from statements alone. Nothing here knows which orders there are.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, NamedTuple

from catena.chains.step_types import Outcome
from catena.gateways.bank.accounts import mask_iban, mask_ibans
from catena.gateways.bank.camt import Detail, Entry, Kind, State, Statement, read_camt
from catena.gateways.bank.limits import TEXT_CHARACTERS_MAX
from catena.gateways.bank.reasons import find_reason
from catena.gateways.bank.references import is_end_to_end_id
from catena.gateways.bank.values import at_midnight
from catena.gateways.contract import Notice, StatementLine, Subject

__all__ = ["Booking", "StatementEnd", "read_bookings"]

_FEES: Final = frozenset({"CHRG", "COMC", "COME", "COMI", "COMM", "COMT", "FEES"})
_BLOCK: Final = re.compile(r"CF[A-Z2-7]{26}-[0-9]{1,4}")
_DIGEST_BYTES: Final = 16


class Booking(NamedTuple):
    """An entry, the lines that it is to us, and what it tells of orders. Lines: of booked entries
    of statements; together they are the entry's amount.
    """

    entry: Entry
    lines: tuple[StatementLine, ...]
    notices: tuple[Notice, ...]


class StatementEnd(NamedTuple):
    """What a statement's entries came to. `net`: those that are booked, in minor units, credits
    less debits; `entries`: how many there were.
    """

    statement: Statement
    net: int
    entries: int


class _Piece(NamedTuple):
    """A movement of its own: an entry, or one of the details that add up to it.

    `order`: the EndToEndId, where it has the form of ours; `is_return`: money that we had sent
    comes back. `at`: the day of its booking, or the message's, where it gives none.
    """

    id: str
    statement: Statement
    entry: Entry
    detail: Detail | None
    amount: int | None
    is_credit: bool
    order: str | None
    is_return: bool
    at: dt.datetime
    text: str


def read_bookings(chunks: Iterable[bytes]) -> Iterator[Statement | Booking | StatementEnd]:
    """Each statement, its bookings, and what they came to, in the file's order. Raises Unreadable.

    What came before an error is already given: keep it only when the whole file has been read.
    """
    parts = read_camt(chunks)
    statement = next(parts, None)
    while isinstance(statement, Statement):
        statement = yield from _read_statement(statement, parts)


def _read_statement(
    statement: Statement, parts: Iterator[Statement | Entry]
) -> Generator[Statement | Booking | StatementEnd, None, Statement | None]:
    """One statement; returns the next one."""
    yield statement
    net = entries = 0
    seen: dict[int, int] = {}
    following: Statement | None = None
    for part in parts:
        if isinstance(part, Statement):
            following = part
            break
        entries += 1
        if part.state is State.BOOKED:
            net += part.amount if part.is_credit else -part.amount
        yield _book(statement, part, seen)
    yield StatementEnd(statement, net, entries)
    return following


def _book(statement: Statement, entry: Entry, seen: dict[int, int]) -> Booking:
    if entry.state is not State.BOOKED:
        return Booking(entry, (), ())
    id = _name_entry(statement, entry, seen)
    pieces = told = _divide(entry, id, statement)
    if not _adds_up(pieces, entry):  # what came in is what the entry says, and nobody's
        orders = [piece for piece in pieces if piece.order is not None and not piece.is_credit]
        pieces = [_cut_piece(id, statement, entry, None, entry.amount)]
        told = pieces if entry.is_credit else orders
    notices = tuple(notice for piece in told for notice in _tell(piece))
    if not entry.details:
        notices += tuple(_tell_batches(pieces[0]))
    if statement.kind is not Kind.STATEMENT:
        return Booking(entry, (), notices)
    return Booking(entry, tuple(_line(piece) for piece in pieces), notices)


def _name_entry(statement: Statement, entry: Entry, seen: dict[int, int]) -> str:
    """The same name for the same entry, in whichever statement and as often as it is told.

    By the bank's own references, of it or of all its details, where it gives them: with what else
    there is, since some banks give one to several entries; and equal ones of one statement are
    counted. Else by its place and day: some banks call a statement of another year the same.
    """
    own: tuple[object, ...] = (statement.id, statement.page, entry.place, entry.booked_on)
    below = [one.bank_reference for one in entry.details]
    if entry.bank_reference is not None or (below and None not in below):
        ids = ((one.end_to_end_id, one.bank_reference, one.amount) for one in entry.details)
        own = (entry.bank_reference, entry.is_credit, entry.is_reversal, entry.booked_on, *ids)
    parts = repr((statement.account, entry.amount, entry.currency, *own)).encode()
    digest = hashlib.blake2b(parts, digest_size=_DIGEST_BYTES)
    place = int.from_bytes(digest.digest()[:8])  # half of it: 100,000 of them are kept
    count = seen[place] = seen.get(place, 0) + 1
    return digest.hexdigest() if count == 1 else f"{digest.hexdigest()}-{count}"


def _cut_piece(
    id: str, statement: Statement, entry: Entry, detail: Detail | None, amount: int | None
) -> _Piece:
    is_credit = entry.is_credit
    order, is_return = None, False
    if detail is not None:
        if len(entry.details) > 1:
            is_credit = detail.is_credit
        order = detail.end_to_end_id if is_end_to_end_id(detail.end_to_end_id) else None
        is_return = detail.is_return
    is_return = is_credit and (is_return or entry.is_reversal or entry.code.endswith("/RRTN"))
    at = at_midnight(entry.booked_on) if entry.booked_on else statement.created_at
    text = _describe(entry, detail, is_credit=is_credit, is_return=is_return)
    return _Piece(id, statement, entry, detail, amount, is_credit, order, is_return, at, text)


def _divide(entry: Entry, id: str, statement: Statement) -> list[_Piece]:
    """The movements of an entry."""
    details = entry.details
    if len(details) <= 1:
        detail = details[0] if details else None
        return [_cut_piece(id, statement, entry, detail, entry.amount)]
    return [
        _cut_piece(f"{id}#{number}", statement, entry, one, one.amount)
        for number, one in enumerate(details, 1)
    ]


def _adds_up(pieces: Iterable[_Piece], entry: Entry) -> bool:
    """Whether the movements are the entry's amount together, and each says its own."""
    total = 0
    for piece in pieces:
        if piece.amount is None:
            return False
        total += piece.amount if piece.is_credit else -piece.amount
    return total == (entry.amount if entry.is_credit else -entry.amount)


def _line(piece: _Piece) -> StatementLine:
    amount = piece.amount or 0
    subject = Subject.CREDIT if piece.is_credit else Subject.PAYOUT
    reference = piece.id if piece.is_credit else piece.order
    if piece.is_return and piece.order is not None:
        subject, reference = Subject.PAYOUT, piece.order
    elif not piece.is_credit and _FEES & {*_code(piece).split("/")}:
        subject = Subject.FEE
    elif not piece.is_credit and piece.entry.is_reversal:
        subject = Subject.CREDIT
    return StatementLine(
        piece.id,
        subject,
        amount if piece.is_credit else -amount,
        0,
        piece.entry.currency,
        reference,
        piece.at,
        piece.text,
    )


def _code(piece: _Piece) -> str:
    return (piece.detail.code if piece.detail else "") or piece.entry.code


def _tell(piece: _Piece) -> Iterator[Notice]:
    """What it says of an order of ours, or of money that came in."""
    if piece.is_return and piece.order is not None:
        reason = (piece.detail.reason if piece.detail else None) or ""
        code = reason or ("reversal" if piece.entry.is_reversal else "returned")
        more: dict[str, Any] = {"permanent": find_reason(reason).permanent, "moved": True}
        text = mask_ibans(piece.detail.text if piece.detail else "")
        text = text or find_reason(reason).meaning
        yield _notice(piece, f"returned:{piece.order}", Outcome.DECLINED, code, text, more)
    elif not piece.is_credit and piece.order is not None and not piece.entry.is_reversal:
        more = {"moved": True, "payment_id": piece.detail.payment_id if piece.detail else None}
        yield _notice(piece, f"paid:{piece.order}", Outcome.APPROVED, "", "", more)
    elif piece.statement.kind is not Kind.STATEMENT:
        return
    elif piece.is_credit or piece.entry.is_reversal:
        outcome = Outcome.APPROVED if piece.is_credit else Outcome.DECLINED
        reason = (piece.detail.reason if piece.is_return and piece.detail else None) or ""
        more = _describe_credit(piece)
        yield _notice(
            piece, f"credit:{piece.id}", outcome, reason, piece.text, more, subject=Subject.CREDIT
        )


def _tell_batches(piece: _Piece) -> Iterator[Notice]:
    """A block of ours that was booked as one, without its orders: whose they are, the files say."""
    for batch in piece.entry.batches:
        id = batch.payment_id or ""
        if _BLOCK.fullmatch(id) and not piece.is_credit:
            more = {"moved": True, "batch": True, "count": batch.orders}
            notice = _notice(piece, f"paid:{id}", Outcome.APPROVED, "", "", more)
            yield notice._replace(about=id)


def _notice(
    piece: _Piece,
    id: str,
    outcome: Outcome,
    code: str,
    text: str,
    more: dict[str, Any],
    *,
    subject: Subject = Subject.PAYOUT,
) -> Notice:
    return Notice(
        id,
        subject,
        outcome,
        piece.at,
        reference=piece.id if subject is Subject.CREDIT else piece.order,
        amount=piece.amount,
        currency=piece.entry.currency,
        code=code,
        text=text,
        details={
            "told_by": piece.statement.kind.value,
            "account": piece.statement.account,
            "statement": piece.statement.id,
            "bank_reference": piece.entry.bank_reference,
            "booked_on": piece.entry.booked_on.isoformat() if piece.entry.booked_on else None,
            "value_on": piece.entry.value_on.isoformat() if piece.entry.value_on else None,
            **more,
        },
    )


def _describe_credit(piece: _Piece) -> dict[str, Any]:
    """Who paid, masked, and all that an account can be found by; `match_credit` reads it."""
    detail = piece.detail
    more: dict[str, Any] = {"is_return": piece.is_return, "moved": True}
    if detail is None:
        return more
    return more | {
        "creditor_account": detail.creditor_account,
        "others": list(detail.others),
        "debtor_name": detail.debtor_name,
        "debtor_iban": detail.debtor_account and mask_iban(detail.debtor_account),
        "debtor_bic": detail.debtor_bic,
        "end_to_end_id": detail.end_to_end_id,
        "remittance": list(detail.remittance),
        "references": list(detail.references),
    }


def _describe(entry: Entry, detail: Detail | None, *, is_credit: bool, is_return: bool) -> str:
    """A line's text, for people: account numbers are masked."""
    if detail is None:
        return mask_ibans(entry.text)[:TEXT_CHARACTERS_MAX]
    said = " ".join((*detail.references, *detail.remittance)) or detail.text or entry.text
    said = mask_ibans(said)
    if is_return:
        who = " ".join(filter(None, ("returned", detail.reason, detail.creditor_name)))
    else:
        name = detail.debtor_name if is_credit else detail.creditor_name
        account = detail.debtor_account if is_credit else detail.creditor_account
        who = ", ".join(filter(None, (name, account and mask_iban(account))))
    return (f"{who}: {said}" if who and said else who or said)[:TEXT_CHARACTERS_MAX]
