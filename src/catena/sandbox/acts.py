"""What can be asked of the sandbox about money, and when it cannot be done.

Invariant: an act that is refused has changed nothing; one that is declined has left a thing that
says so. Amounts are minor units.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from catena.errors import InvalidInput
from catena.money import check_amount, iso_currency
from catena.sandbox.books import Books
from catena.sandbox.course import Course
from catena.sandbox.magic import Magic, Stage, find_magic, find_manner
from catena.sandbox.refusals import Refusal
from catena.sandbox.things import (
    Cancellation,
    Capture,
    Charge,
    Destination,
    Dispute,
    Method,
    Payout,
    Refund,
    Status,
    Thing,
)

__all__ = [
    "ACTS",
    "Act",
    "Asked",
    "CloseRequest",
    "DisputeRequest",
    "PayerRequest",
    "act_for_payer",
    "close_dispute",
    "open_dispute",
]


class _Said(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    note: str = ""
    metadata: dict[str, Any] = {}


class ChargeRequest(_Said):
    """`POST /v1/charges`."""

    amount: int
    currency: str
    method: Method
    capture: bool = True


class CaptureRequest(_Said):
    """`POST /v1/charges/{id}/capture`: all of it, or a part, once."""

    amount: int | None = None


class CancelRequest(_Said):
    """`POST /v1/charges/{id}/cancel` and `POST /v1/payouts/{id}/cancel`."""


class RefundRequest(_Said):
    """`POST /v1/refunds`. `charge`: its id, or that of its capture. All that is left, or a part."""

    charge: str
    amount: int | None = None


class PayoutRequest(_Said):
    """`POST /v1/payouts`."""

    amount: int
    currency: str
    destination: Destination


class DisputeRequest(Struct, forbid_unknown_fields=True):
    """`POST /v1/disputes`: all that is left of a charge, or a part."""

    charge: str
    amount: int | None = None


class CloseRequest(Struct, forbid_unknown_fields=True):
    """`POST /v1/disputes/{id}/close`."""

    outcome: Literal["won", "lost"]


class PayerRequest(Struct, forbid_unknown_fields=True):
    """`POST /v1/charges/{id}/act`: what the payer does, who was asked to act."""

    approve: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `about`: the id in its path; `key`: its Idempotency-Key."""

    body: Any
    about: str | None
    key: str
    now: dt.datetime


_COURSE: Final[Mapping[type[Thing], Callable[[Magic], tuple[Stage, ...]]]] = {
    Capture: lambda magic: magic.capture,
    Refund: lambda magic: magic.refund,
}


def _check_money(amount: int, currency: str) -> None:
    """Raises Refusal for an amount or a currency that is none."""
    try:
        check_amount(amount)
        iso_currency(currency)
    except InvalidInput as error:
        raise Refusal("invalid_request", error.detail) from None


def _charge(course: Course, asked: Asked) -> Thing:
    body: ChargeRequest = asked.body
    charge = partial(Charge, method=body.method, capture=body.capture)
    return _begin(course, asked, body.method, "ch_", charge)


def _payout(course: Course, asked: Asked) -> Thing:
    body: PayoutRequest = asked.body
    payout = partial(Payout, destination=body.destination)
    return _begin(course, asked, body.destination, "po_", payout)


def _begin(
    course: Course,
    asked: Asked,
    where: Method | Destination,
    prefix: str,
    make: Callable[..., Charge | Payout],
) -> Thing:
    """Something that is about no other thing: `where` says how it goes on."""
    body: ChargeRequest | PayoutRequest = asked.body
    _check_money(body.amount, body.currency)
    find_manner(where)
    thing = make(
        id=course.ids(prefix),
        key=asked.key,
        status=Status.PENDING,
        amount=body.amount,
        currency=body.currency,
        created=asked.now,
        note=body.note,
        metadata=body.metadata,
    )
    course.begin(thing, find_magic(where).first, asked.now)
    return thing


def _capture(course: Course, asked: Asked) -> Thing:
    charge = course.books.find(Charge, asked.about or "")
    if charge.status is not Status.AUTHORISED:
        raise Refusal("not_authorised")
    return _follow_up(course, asked, charge, Capture, "cap_", charge.amount)


def _refund(course: Course, asked: Asked) -> Thing:
    charge = _find_charge(course.books, asked.body)
    if not charge.captured:
        raise Refusal("not_captured")
    return _follow_up(course, asked, charge, Refund, "re_", charge.left)


def _follow_up(
    course: Course,
    asked: Asked,
    charge: Charge,
    type: type[Capture | Refund],
    prefix: str,
    left: int,
) -> Thing:
    """Something about a charge, of all that is left of it or of a part."""
    amount = left if asked.body.amount is None else asked.body.amount
    if amount > left or not left:
        raise Refusal("amount_too_large")
    _check_money(amount, charge.currency)
    thing = type(
        id=course.ids(prefix),
        key=asked.key,
        status=Status.PENDING,
        amount=amount,
        currency=charge.currency,
        created=asked.now,
        about=charge.id,
        note=asked.body.note,
        metadata=asked.body.metadata,
    )
    course.begin(thing, _COURSE[type](find_magic(charge.method)), asked.now)
    return thing


_STOPPED: Final[Mapping[Status, Status]] = {
    Status.PENDING: Status.CANCELLED,
    Status.ACTION_NEEDED: Status.CANCELLED,
    Status.AUTHORISED: Status.RELEASED,
}
"""What becomes of what is cancelled."""

_STOPPED_ALREADY: Final = frozenset(_STOPPED.values())


def _cancel(course: Course, asked: Asked) -> Thing:
    thing = course.books.find(Thing, asked.about or "")
    if thing.status not in _STOPPED and thing.status not in _STOPPED_ALREADY:
        raise Refusal("too_late")
    cancellation = Cancellation(
        id=course.ids("can_"),
        key=asked.key,
        status=Status.APPROVED,
        amount=thing.amount,
        currency=thing.currency,
        created=asked.now,
        about=thing.id,
        note=asked.body.note,
        metadata=asked.body.metadata,
    )
    course.books.keep(cancellation)
    if thing.status in _STOPPED:
        thing.plan = []
        course.change(thing, _STOPPED[thing.status], asked.now)
    return cancellation


def _find_charge(books: Books, body: RefundRequest | DisputeRequest) -> Charge:
    found = books.find(Thing, body.charge)
    if isinstance(found, Capture):
        return books.find(Charge, found.about or "")
    return books.find(Charge, found.id)


class Act(NamedTuple):
    """An act that needs an Idempotency-Key. `means`: how what it is about is paid, whose `wires`
    say under `name` how the request is answered; `first`: it is the charge or payout itself.
    """

    name: str
    body: type[_Said]
    run: Callable[[Course, Asked], Thing]
    means: Callable[[Books, Asked], Method | Destination]
    first: bool = False


def _means_of_about(books: Books, asked: Asked) -> Method | Destination:
    return books.means_of(books.find(Thing, asked.about or ""))


_CANCEL: Final = Act("cancel", CancelRequest, _cancel, _means_of_about)

ACTS: Final[Mapping[str, Act]] = {
    "/v1/charges": Act(
        "charge", ChargeRequest, _charge, lambda _, asked: asked.body.method, first=True
    ),
    "/v1/charges/{id}/capture": Act("capture", CaptureRequest, _capture, _means_of_about),
    "/v1/charges/{id}/cancel": _CANCEL,
    "/v1/refunds": Act(
        "refund",
        RefundRequest,
        _refund,
        lambda books, asked: _find_charge(books, asked.body).method,
    ),
    "/v1/payouts": Act(
        "payout", PayoutRequest, _payout, lambda _, asked: asked.body.destination, first=True
    ),
    "/v1/payouts/{id}/cancel": _CANCEL,
}
"""By path, each a POST."""


def act_for_payer(course: Course, charge: Charge, now: dt.datetime, *, approve: bool) -> None:
    """Let the payer who was asked to act say yes or no. Raises Refusal."""
    if charge.status is not Status.ACTION_NEEDED:
        raise Refusal("too_late")
    charge.plan = []
    if approve:
        course.change(charge, Status.APPROVED, now)
    else:
        course.change(charge, Status.DECLINED, now, code="action_declined")


def open_dispute(course: Course, body: DisputeRequest, now: dt.datetime) -> Dispute:
    """Let a payer dispute what is left of a charge, or a part of it. Raises Refusal."""
    charge = _find_charge(course.books, body)
    amount = charge.left if body.amount is None else body.amount
    if amount > charge.left or not charge.left:
        raise Refusal("amount_too_large")
    _check_money(amount, charge.currency)
    return course.dispute(charge, amount, now)


def close_dispute(course: Course, dispute: Dispute, body: CloseRequest, now: dt.datetime) -> None:
    """Let a dispute be won or lost. Raises Refusal."""
    if dispute.status is not Status.OPENED:
        raise Refusal("too_late")
    dispute.plan = []
    course.change(dispute, Status(body.outcome), now)
