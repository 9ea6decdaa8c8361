"""Reads statements: camt.053 and camt.052, and the notifications of camt.054, .02 to .08 and later.

Invariant: entries come one by one, so memory does not grow with the file; an amount, a sign or a
state that cannot be read refuses the file. What an entry means for us is not decided here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

from catena.gateways.bank.limits import TEXT_CHARACTERS_MAX
from catena.gateways.bank.reading import Found, Unreadable, gather, read_pieces
from catena.gateways.bank.shapes import ENTRY, GROUP, HEAD
from catena.gateways.bank.values import read_amount, read_day, read_id, read_moment

__all__ = ["Balance", "Batch", "Detail", "Entry", "Kind", "State", "Statement", "read_camt"]


class Kind(StrEnum):
    """What a message is. Money is booked by statements alone; the others are early news."""

    STATEMENT = "camt.053"
    NOTIFICATION = "camt.054"
    REPORT = "camt.052"


class State(StrEnum):
    """Of an entry. Only what is booked counts."""

    BOOKED = "BOOK"
    PENDING = "PDNG"
    INFORMATION = "INFO"
    FUTURE = "FUTR"


class Balance(NamedTuple):
    """`code` as OPBD or CLBD; `amount` in minor units, negative where we owe the bank."""

    code: str
    amount: int
    currency: str
    on: dt.date


class Statement(NamedTuple):
    """The head of a statement, report or notification: all but its entries, which follow it.

    `page` and `is_last`: of a statement that comes in several messages. `electronic` and `legal`:
    its numbers, as the bank counts; many give none. `account`: IBAN, or the bank's own number.
    `entries_said`: how many entries it says that it has.
    """

    kind: Kind
    message_id: str
    id: str
    page: int
    is_last: bool
    electronic: int | None
    legal: int | None
    created_at: dt.datetime
    first_day: dt.date | None
    last_day: dt.date | None
    is_copy: bool
    account: str
    currency: str
    balances: tuple[Balance, ...]
    entries_said: int | None


class Batch(NamedTuple):
    """Orders that were booked as one entry; `orders`: how many it says that they are."""

    message_id: str | None
    payment_id: str | None
    orders: int | None


class Detail(NamedTuple):
    """One transaction behind an entry. `amount` is None where the bank leaves it to the entry.

    `end_to_end_id` of an incoming payment is its payer's, and no key. `creditor_account`: where a
    virtual IBAN stands as a rule; `others`: further places where banks name one. `remittance`: its
    lines as they came; `references`: the structured ones. `reason`: why it came back.
    """

    amount: int | None
    currency: str
    is_credit: bool
    end_to_end_id: str | None
    payment_id: str | None
    message_id: str | None
    bank_reference: str | None
    code: str
    debtor_name: str | None
    debtor_account: str | None
    debtor_bic: str | None
    creditor_name: str | None
    creditor_account: str | None
    others: tuple[str, ...]
    remittance: tuple[str, ...]
    references: tuple[str, ...]
    is_return: bool
    reason: str | None
    text: str


class Entry(NamedTuple):
    """One movement on the account. `amount` in minor units, positive; `is_credit`: to us.

    A reversal keeps its own sign: a credit that is one takes back an earlier debit. `code`: the
    bank transaction code, as PMNT/ICDT/ESCT, or the bank's own. `place`: in its statement, from 0.
    """

    place: int
    amount: int
    currency: str
    is_credit: bool
    is_reversal: bool
    state: State
    booked_on: dt.date | None
    value_on: dt.date | None
    bank_reference: str | None
    code: str
    text: str
    batches: tuple[Batch, ...]
    details: tuple[Detail, ...]


_BODIES: Final = {"Stmt": Kind.STATEMENT, "Ntfctn": Kind.NOTIFICATION, "Rpt": Kind.REPORT}
_SIGNS: Final = {"CRDT": True, "DBIT": False}
_NO_ID: Final = frozenset({"NOTPROVIDED", "NONREF"})
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}


def read_camt(chunks: Iterable[bytes]) -> Iterator[Statement | Entry]:
    """Each statement's head, and after it its entries, in the file's order. Raises Unreadable.

    What came before an error is already given: keep it only when the whole file has been read.
    """
    pieces = read_pieces(chunks, ("GrpHdr", "Ntry", *_BODIES))
    name, _ = next(pieces)
    if name[:8] not in {*Kind}:
        raise Unreadable("not_camt", "It is no statement, report or notification.")
    group = Found()
    is_open = False
    index = 0
    for tag, element in pieces:
        if tag == "GrpHdr":
            gather(element, GROUP, group)
            continue
        body = element if tag in _BODIES else element.getparent()
        if not is_open:
            yield _read_head(body, group)
            is_open, index = True, 0
        if tag in _BODIES:
            is_open = False
        else:
            yield _read_entry(gather(element, ENTRY, Found()), index)
            index += 1


def _read_head(body: Any, group: Found) -> Statement:  # noqa: ANN401  # an element has no type
    found = gather(body, HEAD, Found())
    texts = found.texts
    kind = _BODIES.get(body.tag.rpartition("}")[2])
    if kind is None or not {"id", "account"} <= texts.keys() or "message" not in group.texts:
        raise Unreadable("incomplete", "A statement has no id, or no account.")
    page = texts.get("page") or group.texts.get("page", "1")
    last = texts.get("last") or group.texts.get("last", "true")
    return Statement(
        kind,
        group.texts["message"],
        read_id(texts["id"]),
        _read_number(page),
        _read_truth(last),
        _read_number(texts["electronic"]) if "electronic" in texts else None,
        _read_number(texts["legal"]) if "legal" in texts else None,
        read_moment(texts.get("at") or group.texts.get("at", "")),
        read_day(texts["first"]) if "first" in texts else None,
        read_day(texts["last_day"]) if "last_day" in texts else None,
        texts.get("copy") in ("COPY", "CODU", "DUPL"),
        read_id(texts["account"]),
        texts.get("ccy", ""),
        tuple(_read_balance(one.texts) for one in found.many.get("balances", ())),
        _read_number(texts["entries"]) if "entries" in texts else None,
    )


def _read_balance(texts: dict[str, str]) -> Balance:
    currency = texts.get("amount.currency", "")
    amount = read_amount(texts.get("amount", ""), currency)
    signed = amount if _read_sign(texts) else -amount
    return Balance(texts.get("code", ""), signed, currency, read_day(texts.get("on", "")))


def _read_entry(found: Found, index: int) -> Entry:
    texts = found.texts
    currency = texts.get("amount.currency", "")
    is_credit = _read_sign(texts)
    try:
        state = State(texts.get("state", ""))
    except ValueError:
        raise Unreadable("state", "An entry's status is none that we know.") from None
    return Entry(
        index,
        read_amount(texts.get("amount", ""), currency),
        currency,
        is_credit,
        _read_truth(texts.get("reversal", "false")),
        state,
        read_day(texts["booked"]) if "booked" in texts else None,
        read_day(texts["value"]) if "value" in texts else None,
        _or_none(texts.get("bank")),
        _read_code(texts),
        texts.get("text", "")[:TEXT_CHARACTERS_MAX],
        tuple(_read_batch(one.texts) for one in found.many.get("batches", ())),
        tuple(
            _read_detail(one, currency, is_credit=is_credit)
            for one in found.many.get("details", ())
        ),
    )


def _read_batch(texts: dict[str, str]) -> Batch:
    count = _read_number(texts["count"]) if "count" in texts else None
    return Batch(texts.get("message"), texts.get("payment"), count)


def _read_detail(found: Found, currency: str, *, is_credit: bool) -> Detail:
    """.08 has an amount of its own; .02 the moved one, or the asked one, each in our currency."""
    texts = found.texts
    names = (name for name in ("amount", "moved", "asked") if texts.get(f"{name}.currency"))
    name = next((name for name in names if texts[f"{name}.currency"] == currency), None)
    amount = None if name is None else read_amount(texts[name], currency)
    own = (one.texts.get("reference") for one in found.many.get("own", ()))
    others = (texts.get("owner"), texts.get("other"), *own)
    returns = found.many.get("returns", [])
    words = [word for one in returns for word in one.lists.get("words", ())]
    reasons = (one.texts.get("reason") for one in returns)
    return Detail(
        amount,
        currency,
        _read_sign(texts) if "sign" in texts else is_credit,
        _or_none(texts.get("end_to_end")),
        _or_none(texts.get("payment")),
        _or_none(texts.get("message")),
        _or_none(texts.get("bank")),
        _read_code(texts),
        texts.get("debtor", "")[:TEXT_CHARACTERS_MAX] or None,
        texts.get("debtor_account"),
        texts.get("debtor_bic"),
        texts.get("creditor"),
        texts.get("creditor_account"),
        tuple(other for other in others if other),
        tuple(found.lists.get("remittance", ())),
        tuple(found.lists.get("references", ())),
        bool(returns) or texts.get("sub") == "RRTN",
        next(filter(None, reasons), None),
        " ".join((texts.get("text", ""), *words)).strip()[:TEXT_CHARACTERS_MAX],
    )


def _or_none(id: str | None) -> str | None:
    """An id, where there is one: banks must say something, and say that there is none."""
    return None if id in _NO_ID else id


def _read_code(texts: dict[str, str]) -> str:
    parts = (texts.get("domain"), texts.get("family"), texts.get("sub"))
    return "/".join(part for part in parts if part) or texts.get("own", "")


def _read_sign(texts: dict[str, str]) -> bool:
    try:
        return _SIGNS[texts.get("sign", "")]
    except KeyError:
        raise Unreadable("sign", "An amount is neither credit nor debit.") from None


def _read_truth(text: str) -> bool:
    try:
        return _TRUTHS[text]
    except KeyError:
        raise Unreadable("truth", "A yes or no is neither.") from None


def _read_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):  # noqa: PLR2004  # the XSD's
        raise Unreadable("number", "A number is none.")
    return int(text)
